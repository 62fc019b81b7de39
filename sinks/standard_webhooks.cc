#include "sinks/standard_webhooks.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

namespace klaxon {
namespace {

constexpr std::string_view kPrefix = "whsec_";

// Empty: not base64, or base64 of nothing.
std::string DecodeBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return {};
  std::string bytes(text.size() / 4 * 3, '\0');
  // Refuses what is not base64, but takes padding for zeros.
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  if (size < 0) return {};
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> WebhookKey(std::string_view secret) {
  if (secret.empty()) {
    return absl::InvalidArgumentError("the secret of the signature is empty");
  }
  if (!secret.starts_with(kPrefix)) return std::string(secret);
  std::string key = DecodeBase64(secret.substr(kPrefix.size()));
  if (key.empty()) {
    return absl::InvalidArgumentError(
        "the secret of the signature begins with whsec_, so base64 must "
        "follow, and does not");
  }
  return key;
}

std::string SignWebhook(std::string_view key, std::string_view id,
                        int64_t timestamp_s, std::string_view body) {
  std::string content = fmt::format("{}.{}.", id, timestamp_s);
  content.append(body);
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned int mac_bytes = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(content.data()), content.size(),
       mac.data(), &mac_bytes);
  std::string text((mac_bytes + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), mac.data(),
                      static_cast<int>(mac_bytes));
  text.resize(static_cast<size_t>(size));
  return "v1," + text;
}

}  // namespace klaxon
