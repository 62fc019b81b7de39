#include "detectors/certificate_request.h"

#include <openssl/evp.h>
#include <simdjson.h>

#include <string>

namespace klaxon {
namespace {

// A chain of a few certificates; more is nobody's CSR.
constexpr size_t kCertificateTextMax = 256 << 10;

std::string DecodeBase64(std::string_view text) {
  std::string clean;
  for (char c : text) {
    if (c != '\n' && c != '\r' && c != ' ') clean.push_back(c);
  }
  if (clean.empty() || clean.size() % 4 != 0) return "";
  std::string bytes(clean.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(clean.data()),
                      static_cast<int>(clean.size()));
  if (size < 0) return "";
  size_t padding = 0;
  while (padding < 2 && clean[clean.size() - 1 - padding] == '=') ++padding;
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

void AddIssued(std::string_view object, std::vector<CertificateInfo>* out) {
  // Cheap refusal first: most CSR events carry none.
  if (object.find("\"certificate\"") == std::string_view::npos ||
      object.size() > 4 * kCertificateTextMax) {
    return;
  }
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(object.data(), object.size(), true).get(root)) return;
  std::string_view text;
  if (root["status"]["certificate"].get(text) ||
      text.size() > kCertificateTextMax) {
    return;
  }
  std::vector<CertificateInfo> found =
      ParseCertificates(DecodeBase64(text), nullptr);
  if (!found.empty()) out->push_back(std::move(found.front()));
}

}  // namespace

std::vector<CertificateInfo> IssuedCertificates(const EventView& event) {
  std::vector<CertificateInfo> issued;
  AddIssued(event.request_object, &issued);
  AddIssued(event.response_object, &issued);
  if (issued.size() == 2 &&
      issued[0].credential_id == issued[1].credential_id) {
    issued.pop_back();
  }
  return issued;
}

}  // namespace klaxon
