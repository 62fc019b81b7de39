#include "sinks/delivery_status.h"

#include <gtest/gtest.h>

namespace klaxon {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1767323045);  // …T03:04:05Z

TEST(RetryAfter, TravelsWithTheStatus) {
  const absl::Status plain = absl::UnavailableError("x");
  EXPECT_EQ(RetryAfter(plain), std::nullopt);
  EXPECT_EQ(RetryAfter(absl::OkStatus()), std::nullopt);
  const absl::Status status = WithRetryAfter(plain, absl::Milliseconds(1500));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(status.message(), "x");
  EXPECT_EQ(RetryAfter(status), absl::Milliseconds(1500));
  EXPECT_EQ(RetryAfter(WithRetryAfter(plain, absl::InfiniteDuration())),
            absl::Hours(24 * 365));
  EXPECT_EQ(RetryAfter(WithRetryAfter(plain, -absl::Seconds(1))),
            absl::ZeroDuration());
}

TEST(ParseRetryAfter, TakesSecondsAndDates) {
  struct Case {
    const char* value;
    std::optional<absl::Duration> want;
  };
  const Case cases[] = {
      {"120", absl::Seconds(120)},
      {" 0 ", absl::ZeroDuration()},
      {"99999999999999999999", absl::Seconds(INT64_MAX)},
      {"Fri, 02 Jan 2026 03:04:35 GMT", absl::Seconds(30)},
      {"Friday, 02-Jan-26 03:05:05 GMT", absl::Seconds(60)},
      {"Fri Jan  2 04:04:05 2026", absl::Hours(1)},
      {"Fri, 02 Jan 2026 03:04:00 GMT", absl::ZeroDuration()},  // Over.
      {"", std::nullopt},
      {"-5", std::nullopt},
      {"soon", std::nullopt},
      {"1.5", std::nullopt},
      {"10s", std::nullopt},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ParseRetryAfter(c.value, kNow), c.want) << c.value;
  }
}

}  // namespace
}  // namespace klaxon
