// What the status of a delivery says beyond its code. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace klaxon {

// The target refuses it for good (see sink.h).
inline bool IsRefused(const absl::Status& status) {
  return absl::IsInvalidArgument(status);
}

// `status`, with the target's wish not to be asked again before `wait` is over.
// REQUIRES: !status.ok(), wait is finite and not negative.
absl::Status WithRetryAfter(absl::Status status, absl::Duration wait);

// That wish; nothing where there is none.
std::optional<absl::Duration> RetryAfter(const absl::Status& status);

// The value of an HTTP Retry-After header: seconds, or a date (then how far it
// lies behind `now`, not less than 0). Nothing for anything else.
std::optional<absl::Duration> ParseRetryAfter(std::string_view value,
                                              absl::Time now);

// The message, as a std::string.
std::string MessageOf(const absl::Status& status);

}  // namespace klaxon
