#include "app/secret.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fmt/format.h"

namespace klaxon {
namespace {

constexpr size_t kSecretBytesMax = 64 << 10;

absl::Status Unreadable(const Secret& secret) {
  return absl::InvalidArgumentError(fmt::format(
      "{}: {} cannot be read, or is empty", secret.key, secret.name));
}

absl::StatusOr<std::string> FromEnvironment(const Secret& secret) {
  const char* text = std::getenv(secret.name.c_str());
  if (text != nullptr && *text != '\0') return std::string(text);
  return absl::InvalidArgumentError(fmt::format(
      "{}: the environment has no {}; set it", secret.key, secret.name));
}

}  // namespace

absl::StatusOr<std::string> ReadSecret(const Secret& secret) {
  if (!secret.set()) return "";
  if (secret.from == Secret::From::kEnvironment) return FromEnvironment(secret);
  std::ifstream file(secret.name, std::ios::binary);
  std::string value(kSecretBytesMax, '\0');
  file.read(value.data(), static_cast<std::streamsize>(value.size()));
  value.resize(static_cast<size_t>(file.gcount()));
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) {
    value.pop_back();
  }
  if (value.empty()) return Unreadable(secret);
  return value;
}

absl::StatusOr<std::string> TextOf(const ConfigText& value) {
  if (!value.secret.set()) return value.text;
  return ReadSecret(value.secret);
}

absl::Status CheckSecret(const Secret& secret) {
  if (secret.from == Secret::From::kEnvironment) {
    return FromEnvironment(secret).status();
  }
  if (!secret.set()) return absl::OkStatus();
  std::error_code error;
  const bool some = std::filesystem::is_regular_file(secret.name, error)
                        ? std::filesystem::file_size(secret.name, error) > 0
                        : std::filesystem::exists(secret.name, error);
  return !error && some && access(secret.name.c_str(), R_OK) == 0
             ? absl::OkStatus()
             : Unreadable(secret);
}

}  // namespace klaxon
