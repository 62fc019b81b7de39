#include "event/time.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <random>
#include <string>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

constexpr EventTime kJanuarySecond =
    1767323045 * kSecond;  // 2026-01-02T03:04:05Z

// What a text means, by sscanf and timegm: slow and obvious. Only for texts of
// the right shape.
EventTime ModelParse(const std::string& text) {
  std::tm tm{};
  EXPECT_EQ(
      std::sscanf(text.c_str(), "%d-%d-%d%*c%d:%d:%d", &tm.tm_year, &tm.tm_mon,
                  &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec),
      6);
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  EventTime time = timegm(&tm) * kSecond;
  size_t at = 19;
  if (text[at] == '.') {
    Nanos unit = kSecond;
    for (++at; std::isdigit(static_cast<unsigned char>(text[at])); ++at) {
      unit /= 10;
      time += (text[at] - '0') * unit;
    }
  }
  if (text[at] == 'Z' || text[at] == 'z') return time;
  int hours = 0;
  int minutes = 0;
  EXPECT_EQ(std::sscanf(text.c_str() + at + 1, "%d:%d", &hours, &minutes), 2);
  const Nanos offset = hours * kHour + minutes * kMinute;
  return text[at] == '-' ? time + offset : time - offset;
}

TEST(ParseTime, ReadsWhatRfc3339Allows) {
  struct Case {
    const char* text;
    EventTime want;
  };
  const Case cases[] = {
      {"2026-01-02T03:04:05.000123Z", kJanuarySecond + 123'000},
      {"2026-01-02T03:04:05Z", kJanuarySecond},
      {"2026-01-02t03:04:05z", kJanuarySecond},
      {"2026-01-02 03:04:05Z", kJanuarySecond},
      {"2026-01-02T03:04:05.1Z", kJanuarySecond + 100'000'000},
      {"2026-01-02T03:04:05.123456789Z", kJanuarySecond + 123'456'789},
      {"2026-01-02T03:04:05.999999Z", kJanuarySecond + 999'999'000},
      {"2026-01-02T05:04:05+02:00", kJanuarySecond},
      {"2026-01-01T21:34:05.000123-05:30", kJanuarySecond + 123'000},
      // 27 bytes, but not of kube-apiserver's shape.
      {"2026-01-02T03:04:05.5+00:00", kJanuarySecond + 500'000'000},
      {"2026-01-02t03:04:05.000123Z", kJanuarySecond + 123'000},
      {"1970-01-01T00:00:00Z", 0},
      {"1969-12-31T23:59:59.999999999Z", -1},
      {"2024-02-29T00:00:00Z", 1709164800 * kSecond},
      {"2000-02-29T00:00:00Z", 951782400 * kSecond},
      {"1678-01-01T00:00:00+23:59", -9214560000 * kSecond - 86340 * kSecond},
      {"2261-12-31T23:59:59.999999999-23:59",
       9214646399 * kSecond + 999'999'999 + 86340 * kSecond},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ParseTime(c.text), c.want) << c.text;
  }
}

TEST(ParseTime, RefusesAllElse) {
  for (const char* text : {
           "",
           "null",
           "2026-01-02",
           "2026-01-02T03:04:05",
           "2026-01-02T03:04:05.Z",
           "2026-01-02T03:04:05,5Z",
           "2026-01-02T03:04:05.1234567890Z",
           "2026-01-02T03:04:60Z",
           "2026-01-02T03:04:60.000000Z",
           "2026-01-02T03:60:05Z",
           "2026-01-02T24:00:00Z",
           "2026-00-02T03:04:05.000123Z",
           "2026-13-02T03:04:05.000123Z",
           "2026-01-00T03:04:05.000123Z",
           "2026-01-32T03:04:05.000123Z",
           "2025-02-29T03:04:05.000123Z",
           "1900-02-29T03:04:05.000123Z",
           "2026-04-31T03:04:05.000123Z",
           "1677-12-31T23:59:59.000000Z",
           "2262-01-01T00:00:00.000000Z",
           "2026-01-02T03:04:05.000123Z ",
           " 2026-01-02T03:04:05.000123Z",
           "2026-01-02T03:04:05+2:00",
           "2026-01-02T03:04:05+0200",
           "2026-01-02T03:04:05+24:00",
           "2026-01-02T03:04:05+02:60",
           "2026-01-02T03:04:05 +02:00",
           "2026-1-02T03:04:05Z",
           "+026-01-02T03:04:05Z",
           "2026-01-02T03:04:05.00012\xb5Z",
           "2026-01-02X03:04:05.000123Z",
       }) {
    EXPECT_EQ(ParseTime(text), std::nullopt) << text;
  }
}

TEST(ParseTime, AgreesWithTimegmOnRandomTexts) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int i = 0; i < 200'000; ++i) {
    char text[64];
    int size =
        std::snprintf(text, sizeof(text), "%04d-%02d-%02d%c%02d:%02d:%02d",
                      pick(1678, 2261), pick(1, 12), pick(1, 28),
                      "Tt "[pick(0, 2)], pick(0, 23), pick(0, 59), pick(0, 59));
    if (int digits = pick(0, 9); digits > 0) {
      text[size++] = '.';
      for (; digits > 0; --digits) {
        text[size++] = static_cast<char>('0' + pick(0, 9));
      }
    }
    if (pick(0, 1) == 0) {
      text[size++] = "Zz"[pick(0, 1)];
    } else {
      size += std::snprintf(
          text + size, sizeof(text) - static_cast<size_t>(size), "%c%02d:%02d",
          "+-"[pick(0, 1)], pick(0, 23), pick(0, 59));
    }
    const std::string whole(text, static_cast<size_t>(size));
    ASSERT_EQ(ParseTime(whole), ModelParse(whole)) << whole;
  }
}

// The fast path must refuse exactly what the general one refuses.
TEST(ParseTime, RefusesEveryWrongByteOfTheCommonForm) {
  const std::string good = "2026-01-02T03:04:05.000123Z";
  for (size_t i = 0; i < good.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = good;
      text[i] = static_cast<char>(byte);
      const bool digit_for_digit = std::isdigit(good[i]) && std::isdigit(byte);
      const bool variant = (i == 10 && (byte == 't' || byte == ' ')) ||
                           (i == 26 && byte == 'z') || text == good;
      const std::optional<EventTime> time = ParseTime(text);
      if (!digit_for_digit && !variant) {
        EXPECT_FALSE(time) << i << " " << byte;
      } else if (time) {
        EXPECT_EQ(*time, ModelParse(text)) << text;
      }
    }
  }
}

TEST(FormatTime, AlwaysHasSixDigitsAndTruncates) {
  EXPECT_EQ(FormatTime(kJanuarySecond + 123'999),
            "2026-01-02T03:04:05.000123Z");
  EXPECT_EQ(FormatTime(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(FormatDate(kJanuarySecond), "2026-01-02");
  EXPECT_EQ(FormatTimeNanos(kJanuarySecond + 1),
            "2026-01-02T03:04:05.000000001Z");
  EXPECT_EQ(FormatTimeNanos(kNoTime), "1677-09-21T00:12:43.145224192Z");
  EXPECT_EQ(FormatTimeNanos(kMaxTime), "2262-04-11T23:47:16.854775807Z");
}

TEST(FormatTime, IsReadBackAsItWas) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const EventTime least = *ParseTime("1678-01-01T00:00:00Z");
  const EventTime most = *ParseTime("2261-12-31T23:59:59Z");
  std::uniform_int_distribution<EventTime> any(least, most);
  for (int i = 0; i < 100'000; ++i) {
    const EventTime time = any(random);
    ASSERT_EQ(ParseTime(FormatTimeNanos(time)), time);
    ASSERT_EQ(ParseTime(FormatTime(time)), FloorTo(time, 1000));
    ASSERT_EQ(ParseTime(FormatDate(time) + "T00:00:00Z"), DayOf(time));
  }
}

TEST(FloorTo, RoundsDownBelowZeroToo) {
  EXPECT_EQ(MinuteOf(-1), -kMinute);
  EXPECT_EQ(MinuteOf(-kMinute), -kMinute);
  EXPECT_EQ(MinuteOf(kMinute - 1), 0);
  EXPECT_EQ(DayOf(kDay), kDay);
}

TEST(ParseDuration, ReadsUnitsAndSums) {
  struct Case {
    const char* text;
    std::optional<Nanos> want;
  };
  const Case cases[] = {
      {"60s", 60 * kSecond},
      {"10m", 10 * kMinute},
      {"24h", kDay},
      {"30d", 30 * kDay},
      {"1500ms", 1'500'000'000},
      {"500us", 500'000},
      {"7ns", 7},
      {"1h30m", 90 * kMinute},
      {"0s", 0},
      {"", std::nullopt},
      {"60", std::nullopt},
      {"1h30", std::nullopt},
      {"s", std::nullopt},
      {"-1s", std::nullopt},
      {"+1s", std::nullopt},
      {"1.5h", std::nullopt},
      {"1 h", std::nullopt},
      {" 1h", std::nullopt},
      {"1H", std::nullopt},
      {"1w", std::nullopt},
      {"10min", std::nullopt},
      {"106751d", 106751 * kDay},
      {"106752d", std::nullopt},
      {"106751d24h", std::nullopt},
      {"99999999999999999999s", std::nullopt},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ParseDuration(c.text), c.want) << c.text;
  }
}

TEST(FormatDuration, IsTheShortestExactForm) {
  struct Case {
    Nanos span;
    const char* want;
  };
  const Case cases[] = {
      {0, "0s"},
      {1, "1ns"},
      {1'500'000, "1500us"},
      {1'500'000'000, "1500ms"},
      {60 * kSecond, "60s"},
      {90 * kSecond, "90s"},
      {119 * kSecond, "119s"},
      {120 * kSecond, "2m"},
      {125 * kSecond, "125s"},
      {600 * kSecond, "10m"},
      {kHour, "1h"},
      {90 * kMinute, "90m"},
      {kDay, "24h"},
      {36 * kHour, "36h"},
      {48 * kHour, "2d"},
      {30 * kDay, "30d"},
      {365 * kDay, "365d"},
      {-5 * kSecond, "-5s"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(FormatDuration(c.span), c.want);
    if (c.span >= 0) {
      EXPECT_EQ(ParseDuration(c.want), c.span) << c.want;
    }
  }
}

TEST(FormatDuration, IsReadBackAsItWas) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const Nanos units[] = {1, 1000, 1'000'000, kSecond, kMinute, kHour, kDay};
  for (int i = 0; i < 100'000; ++i) {
    const Nanos span = static_cast<Nanos>(random() % 100'000) *
                       units[random() % std::size(units)];
    ASSERT_EQ(ParseDuration(FormatDuration(span)), span);
  }
}

}  // namespace
}  // namespace klaxon
