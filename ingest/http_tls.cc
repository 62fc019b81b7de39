#include "ingest/http_tls.h"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

namespace klaxon {
namespace {

constexpr unsigned char kProtocol[] = "\x08http/1.1";

// What OpenSSL has to say, and an empty queue afterwards.
std::string TakeOpenSslError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  char text[256];
  ERR_error_string_n(code, text, sizeof(text));
  // "error:0A000086:SSL routines::certificate verify failed"
  const std::string_view whole(text);
  const size_t last = whole.rfind(':');
  return std::string(last == std::string_view::npos ? whole
                                                    : whole.substr(last + 1));
}

absl::Status FileError(std::string_view what, const std::string& file) {
  return absl::InvalidArgumentError(
      fmt::format("tls.{}: {}: {}", what, file, TakeOpenSslError()));
}

// We speak HTTP/1.1 only; kube-apiserver then does not try HTTP/2.
int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* in, unsigned int in_size, void*) {
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_size, kProtocol,
                            sizeof(kProtocol) - 1, in,
                            in_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

// Never asks the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    return absl::InfiniteFuture();
  }
  return absl::FromTM(parts, absl::UTCTimeZone());
}

void SetProtocol(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL");
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                   SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  // Thousands of idle connections keep no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, SelectProtocol, nullptr);
}

absl::Status SetClientCa(SSL_CTX* context, const std::string& file) {
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file.c_str());
  if (names == nullptr) return FileError("client_ca", file);
  SSL_CTX_set_client_CA_list(context, names);
  if (SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1) {
    return FileError("client_ca", file);
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     nullptr);
  return absl::OkStatus();
}

std::string HexOf(const unsigned char* bytes, size_t size) {
  std::string hex;
  hex.reserve(2 * size);
  for (size_t at = 0; at < size; ++at) {
    fmt::format_to(std::back_inserter(hex), "{:02x}", bytes[at]);
  }
  return hex;
}

std::string CommonNameOf(const X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0 ||
      X509_NAME_get_index_by_NID(subject, NID_commonName, index) >= 0) {
    return {};
  }
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(
      &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<char*>(text), static_cast<size_t>(size));
  OPENSSL_free(text);
  const bool plain = std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
  });
  return plain ? name : std::string();
}

}  // namespace

void TlsContextDeleter::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}

absl::StatusOr<LoadedTls> LoadTls(const TlsFiles& files) {
  ERR_clear_error();
  LoadedTls loaded;
  loaded.context.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = loaded.context.get();
  if (context == nullptr) return absl::InternalError(TakeOpenSslError());
  SetProtocol(context);
  SSL_CTX_set_default_passwd_cb(context, NoPassphrase);
  if (SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) != 1) {
    return FileError("cert", files.cert);
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(),
                                  SSL_FILETYPE_PEM) != 1) {
    return FileError("key", files.key);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        fmt::format("tls.key: {} is not the key of {}", files.key, files.cert));
  }
  if (!files.client_ca.empty()) {
    absl::Status status = SetClientCa(context, files.client_ca);
    if (!status.ok()) return status;
  }
  loaded.not_after =
      TimeOf(X509_get0_notAfter(SSL_CTX_get0_certificate(context)));
  return loaded;
}

PeerCertificate ReadPeerCertificate(const ssl_st* ssl) {
  PeerCertificate peer;
  X509* const certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return peer;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) == 1) {
    peer.fingerprint = HexOf(digest, size);
  }
  peer.common_name = CommonNameOf(certificate);
  return peer;
}

}  // namespace klaxon
