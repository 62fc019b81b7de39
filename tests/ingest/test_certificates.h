// Authorities and certificates for tests of TLS, made by OpenSSL on the spot
// (EC P-256: made in a millisecond) and written as PEM.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <string>

namespace klaxon {

class TestAuthority {
 public:
  // Files go into `directory` and are named for `name`.
  TestAuthority(std::string directory, std::string name)
      : directory_(std::move(directory)), name_(std::move(name)) {
    key_ = EVP_EC_gen("P-256");
    certificate_ = Make(name_, key_, nullptr, 3600, true);
    WriteCertificate(ca_file(), certificate_);
  }
  ~TestAuthority() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  std::string ca_file() const { return directory_ + "/" + name_ + ".ca"; }
  std::string cert_file(const std::string& of) const {
    return directory_ + "/" + name_ + "-" + of + ".crt";
  }
  std::string key_file(const std::string& of) const {
    return directory_ + "/" + name_ + "-" + of + ".key";
  }

  // For clients and servers alike, valid for 127.0.0.1. `ends_in_s` may be
  // negative.
  void Issue(const std::string& common_name, long ends_in_s = 3600) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* leaf = Make(common_name, key, certificate_, ends_in_s, false);
    WriteCertificate(cert_file(common_name), leaf);
    FILE* file = fopen(key_file(common_name).c_str(), "w");
    ASSERT_NE(file, nullptr);
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
    X509_free(leaf);
    EVP_PKEY_free(key);
  }

 private:
  static void AddExtension(X509* certificate, int nid, const char* value) {
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509* Make(const std::string& common_name, EVP_PKEY* key, X509* issuer,
             long ends_in_s, bool is_ca) const {
    static long serial = 0;
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate), ends_in_s);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_UTF8,
        reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate,
                         issuer ? X509_get_subject_name(issuer) : name);
    AddExtension(certificate, NID_basic_constraints,
                 is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (!is_ca) {
      AddExtension(certificate, NID_subject_alt_name, "IP:127.0.0.1");
      AddExtension(certificate, NID_ext_key_usage, "clientAuth,serverAuth");
    }
    X509_sign(certificate, key_, EVP_sha256());
    return certificate;
  }
  static void WriteCertificate(const std::string& path, X509* certificate) {
    FILE* file = fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    PEM_write_X509(file, certificate);
    fclose(file);
  }

  const std::string directory_;
  const std::string name_;
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
};

}  // namespace klaxon
