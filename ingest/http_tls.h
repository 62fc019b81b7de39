// The TLS side of a server: contexts from files, and what a client's
// certificate says. OpenSSL itself stays out of this header.
//
// Pure functions over files and handles; any thread.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

struct ssl_ctx_st;
struct ssl_st;

namespace klaxon {

struct TlsFiles {
  std::string cert;       // PEM, the leaf first, then its chain.
  std::string key;        // PEM, without a passphrase.
  std::string client_ca;  // PEM. Set: only clients with a certificate of these.
};

struct TlsContextDeleter {
  void operator()(ssl_ctx_st* context) const;
};
using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextDeleter>;

struct LoadedTls {
  TlsContext context;
  absl::Time not_after;  // When the server's own certificate ends.
};

// TLS 1.2 or newer, forward secrecy and AEAD only, no renegotiation, no
// resumption (after a reload each new connection is judged by the new CA).
// Errors name the file and what OpenSSL says of it.
absl::StatusOr<LoadedTls> LoadTls(const TlsFiles& files);

struct PeerCertificate {
  std::string fingerprint;  // SHA-256 of the DER, lower-case hex; empty: none.
  // Of the subject; empty where there is none, several, or one with control
  // characters.
  std::string common_name;
};
// After the handshake.
PeerCertificate ReadPeerCertificate(const ssl_st* ssl);

}  // namespace klaxon
