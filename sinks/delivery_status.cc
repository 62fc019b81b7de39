#include "sinks/delivery_status.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace klaxon {
namespace {

constexpr const char* kRetryAfterUrl = "klaxon/retry-after-ms";

std::optional<int64_t> ParseDigits(std::string_view text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || rest != end || text[0] == '-') return std::nullopt;
  // More than fits is a wish for very long, not for nothing.
  if (error == std::errc::result_out_of_range) return INT64_MAX;
  if (error != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

absl::Status WithRetryAfter(absl::Status status, absl::Duration wait) {
  constexpr absl::Duration kMost = absl::Hours(24 * 365);
  const std::string wait_ms = std::to_string(
      absl::ToInt64Milliseconds(std::clamp(wait, absl::ZeroDuration(), kMost)));
  // By string_view: clang and g++ mangle the constructor for std::string
  // differently, and the library knows only one of the two.
  status.SetPayload(kRetryAfterUrl, absl::Cord(absl::string_view(wait_ms)));
  return status;
}

std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfterUrl);
  if (!payload) return std::nullopt;
  const std::optional<int64_t> wait_ms = ParseDigits(std::string(*payload));
  if (!wait_ms) return std::nullopt;
  return absl::Milliseconds(*wait_ms);
}

std::optional<absl::Duration> ParseRetryAfter(std::string_view value,
                                              absl::Time now) {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) {
    value.remove_prefix(1);
  }
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) {
    value.remove_suffix(1);
  }
  if (const std::optional<int64_t> seconds = ParseDigits(value)) {
    return absl::Seconds(*seconds);
  }
  const time_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::max(absl::FromTimeT(date) - now, absl::ZeroDuration());
}

std::string MessageOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace klaxon
