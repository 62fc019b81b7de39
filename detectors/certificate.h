// X.509 certificates: only what Klaxon wants to know of one. OpenSSL inside.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "event/time.h"

namespace klaxon {

struct CertificateInfo {
  // "X509SHA256=<64 lower-case hex>": SHA-256 of the leaf's DER, as
  // k8s.io/apiserver prints it in user.extra credential-id.
  std::string credential_id;
  std::string common_name;                 // Kubernetes' username.
  std::vector<std::string> organizations;  // Kubernetes' groups.
  EventTime not_before = kNoTime;
  EventTime not_after = kNoTime;
  std::string origin;  // File it was read from; empty: an audit event.
  bool operator==(const CertificateInfo&) const = default;
};

// All certificates in `bytes`: PEM (any number, other blocks are passed over),
// one DER, or a kubeconfig (client-certificate-data, base64 of PEM;
// client-certificate names files, which are returned in `*referenced`).
// Empty where there is none. `referenced` null: kubeconfigs are not looked for
// (certificates out of audit events).
std::vector<CertificateInfo> ParseCertificates(
    std::string_view bytes, std::vector<std::string>* referenced);

// Reads every file that `globs` name (each a path or glob; relative ones from
// `base_dir`, or where nothing matches there, from the working directory;
// kubeconfigs' client-certificate files too, relative to the kubeconfig).
// Sorted by credential id, distinct. What could not be read, or held no
// certificate, or matched nothing: one sentence each in `*problems`.
std::vector<CertificateInfo> LoadInventory(
    const std::vector<std::string>& globs, const std::string& base_dir,
    std::vector<std::string>* problems);

}  // namespace klaxon
