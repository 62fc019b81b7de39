// Certificates for the tests' own servers and clients, made on the spot.
//
// Single thread. A failure of OpenSSL ends the test.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

namespace klaxon {

struct CertificateDeleter {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(EVP_PKEY* x) const { EVP_PKEY_free(x); }
  void operator()(BIO* x) const { BIO_free(x); }
};

struct TestCertificate {
  std::unique_ptr<X509, CertificateDeleter> certificate;
  std::unique_ptr<EVP_PKEY, CertificateDeleter> key;

  std::string certificate_pem() const {
    std::unique_ptr<BIO, CertificateDeleter> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate.get());
    return TextOf(bio.get());
  }
  std::string key_pem() const {
    std::unique_ptr<BIO, CertificateDeleter> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr,
                             nullptr);
    return TextOf(bio.get());
  }
  void WriteTo(const std::string& cert_file,
               const std::string& key_file) const {
    std::ofstream(cert_file) << certificate_pem();
    std::ofstream(key_file) << key_pem();
  }

 private:
  static std::string TextOf(BIO* bio) {
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<size_t>(size)};
  }
};

struct CertificateRequest {
  std::string name;          // Common name.
  std::string alternatives;  // "DNS:localhost,IP:127.0.0.1"; may be empty.
  int valid_from_s = -3600;  // From now.
  int valid_until_s = 24 * 3600;
};

// Issued by `authority`; null: an authority, which signs itself.
inline TestCertificate MakeCertificate(const CertificateRequest& request,
                                       const TestCertificate* authority) {
  static long serial = 0;
  TestCertificate made;
  made.key.reset(EVP_EC_gen("P-256"));
  made.certificate.reset(X509_new());
  X509* x = made.certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x), request.valid_from_s);
  X509_gmtime_adj(X509_getm_notAfter(x), request.valid_until_s);
  X509_set_pubkey(x, made.key.get());
  X509_NAME_add_entry_by_txt(
      X509_get_subject_name(x), "CN", MBSTRING_UTF8,
      reinterpret_cast<const unsigned char*>(request.name.c_str()), -1, -1, 0);
  const TestCertificate& issuer = authority == nullptr ? made : *authority;
  X509_set_issuer_name(x, X509_get_subject_name(issuer.certificate.get()));
  const auto extend = [&](int nid, const std::string& value) {
    if (value.empty()) return;
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer.certificate.get(), x, nullptr, nullptr, 0);
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    ASSERT_NE(extension, nullptr) << value;
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints,
         authority == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
  extend(NID_subject_alt_name, request.alternatives);
  if (X509_sign(x, issuer.key.get(), EVP_sha256()) == 0) std::abort();
  return made;
}

}  // namespace klaxon
