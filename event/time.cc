#include "event/time.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>

namespace klaxon {
namespace {

constexpr int kYearMin = 1678;
constexpr int kYearMax = 2261;

struct CivilTime {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  unsigned hour = 0;
  unsigned minute = 0;
  unsigned second = 0;
};

// Days since 1970-01-01 of a proleptic Gregorian date, by eras of 400 years
// that begin on 1 March (so the leap day is the last of its year).
constexpr int64_t DaysFromCivil(int year, unsigned month, unsigned day) {
  year -= month <= 2;
  const int era = (year >= 0 ? year : year - 399) / 400;
  const unsigned year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year =
      (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return int64_t{era} * 146097 + day_of_era - 719468;
}

constexpr CivilTime CivilFromDays(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 +
                                day_of_era / 36524 - day_of_era / 146096) /
                               365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned month_from_march = (5 * day_of_year + 2) / 153;
  CivilTime civil;
  civil.day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  civil.month =
      month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  civil.year = static_cast<int>(era * 400 + year_of_era + (civil.month <= 2));
  return civil;
}

constexpr unsigned DaysInMonth(int year, unsigned month) {
  constexpr std::array<uint8_t, 13> kDays = {0,  31, 28, 31, 30, 31, 30,
                                             31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month];
}

std::optional<EventTime> FromCivil(const CivilTime& t, int64_t nanos) {
  if (t.year < kYearMin || t.year > kYearMax || t.month - 1 > 11 ||
      t.day - 1 >= DaysInMonth(t.year, t.month) || t.hour > 23 ||
      t.minute > 59 || t.second > 59) {
    return std::nullopt;
  }
  const int64_t seconds = DaysFromCivil(t.year, t.month, t.day) * 86400 +
                          t.hour * 3600 + t.minute * 60 + t.second;
  return seconds * kSecond + nanos;
}

// Eight bytes of "digits and fixed punctuation", read at once.
struct Chunk {
  uint64_t zero;    // The text with every digit 0: 'x ^ zero' is its digits.
  uint64_t excess;  // Added to that, sets the top bit of every wrong byte.
};

consteval Chunk MakeChunk(const char (&shape)[9]) {
  Chunk chunk{0, 0};
  for (int i = 0; i < 8; ++i) {
    chunk.zero |= uint64_t{static_cast<uint8_t>(shape[i])} << (8 * i);
    // A digit may be 0 to 9, punctuation must be 0 after the xor.
    chunk.excess |= uint64_t{shape[i] == '0' ? 0x76u : 0x7fu} << (8 * i);
  }
  return chunk;
}

// Byte i of the result is digit i * 10 + digit i+1 (at most 99: no carries).
uint64_t DigitPairs(const char* text, const Chunk& chunk, uint64_t* wrong) {
  uint64_t x;
  std::memcpy(&x, text, sizeof(x));
  x ^= chunk.zero;
  *wrong |= ((x + chunk.excess) | x) & 0x8080808080808080u;
  return x * 10 + (x >> 8);
}

constexpr unsigned ByteAt(uint64_t word, int i) {
  return static_cast<unsigned>(word >> (8 * i)) & 0xff;
}

// "2026-01-02T03:04:05.000123Z", what kube-apiserver prints. Nothing for any
// other text, which ParseGeneral then looks at.
std::optional<EventTime> ParseMicroTime(const char* text) {
  static_assert(std::endian::native == std::endian::little,
                "the chunks are read as little-endian words");
  constexpr Chunk kDate = MakeChunk("0000-00-");
  constexpr Chunk kDayHour = MakeChunk("00T00:00");
  constexpr Chunk kClock = MakeChunk("00:00:00");
  constexpr Chunk kFraction = MakeChunk(".000000Z");
  uint64_t wrong = 0;
  const uint64_t date = DigitPairs(text, kDate, &wrong);
  const uint64_t day_hour = DigitPairs(text + 8, kDayHour, &wrong);
  const uint64_t clock = DigitPairs(text + 11, kClock, &wrong);
  const uint64_t fraction = DigitPairs(text + 19, kFraction, &wrong);
  if (wrong != 0) return std::nullopt;
  CivilTime t;
  t.year = static_cast<int>(ByteAt(date, 0) * 100 + ByteAt(date, 2));
  t.month = ByteAt(date, 5);
  t.day = ByteAt(day_hour, 0);
  t.hour = ByteAt(clock, 0);
  t.minute = ByteAt(clock, 3);
  t.second = ByteAt(clock, 6);
  const int64_t micros = ByteAt(fraction, 1) * 10000 +
                         ByteAt(fraction, 3) * 100 + ByteAt(fraction, 5);
  return FromCivil(t, micros * 1000);
}

// Reads fixed-width fields off the front of a text; any failure sticks.
class FieldReader {
 public:
  explicit FieldReader(std::string_view text) : rest_(text) {}

  unsigned Digits(int count) {
    unsigned value = 0;
    for (int i = 0; i < count; ++i) {
      if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') {
        ok_ = false;
        return 0;
      }
      value = value * 10 + static_cast<unsigned>(rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  bool Accept(std::string_view any_of) {
    if (rest_.empty() || any_of.find(rest_[0]) == std::string_view::npos) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }
  void Expect(std::string_view any_of) { ok_ &= Accept(any_of); }
  // Fraction digits, as nanoseconds. One to nine of them.
  int64_t FractionNanos() {
    int64_t nanos = 0;
    int digits = 0;
    for (; !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9'; ++digits) {
      if (digits == 9) break;
      nanos = nanos * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    ok_ &= digits > 0;
    for (; digits < 9; ++digits) nanos *= 10;
    return nanos;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::optional<EventTime> ParseGeneral(std::string_view text) {
  FieldReader in(text);
  CivilTime t;
  t.year = static_cast<int>(in.Digits(4));
  in.Expect("-");
  t.month = in.Digits(2);
  in.Expect("-");
  t.day = in.Digits(2);
  in.Expect("Tt ");
  t.hour = in.Digits(2);
  in.Expect(":");
  t.minute = in.Digits(2);
  in.Expect(":");
  t.second = in.Digits(2);
  const int64_t nanos = in.Accept(".") ? in.FractionNanos() : 0;
  int64_t offset_seconds = 0;
  if (!in.Accept("Zz")) {
    const bool west = in.Accept("-");
    if (!west) in.Expect("+");
    const unsigned hours = in.Digits(2);
    in.Expect(":");
    const unsigned minutes = in.Digits(2);
    if (hours > 23 || minutes > 59) return std::nullopt;
    offset_seconds = hours * 3600 + minutes * 60;
    if (west) offset_seconds = -offset_seconds;
  }
  if (!in.ok() || !in.at_end()) return std::nullopt;
  std::optional<EventTime> local = FromCivil(t, nanos);
  if (!local) return std::nullopt;
  return *local - offset_seconds * kSecond;
}

void PutDigits(unsigned value, int count, char* out) {
  for (int i = count - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

// "2026-01-02T03:04:05.000000001": 29 bytes at `out`.
void PutTime(EventTime time, char* out) {
  // Not FloorTo: the least EventTime has no second below it.
  int64_t seconds = time / kSecond;
  int64_t nanos = time % kSecond;
  if (nanos < 0) {
    nanos += kSecond;
    --seconds;
  }
  const int64_t days = FloorTo(seconds, 86400) / 86400;
  const auto second_of_day = static_cast<unsigned>(seconds - days * 86400);
  const CivilTime date = CivilFromDays(days);
  std::memcpy(out, "0000-00-00T00:00:00.000000000", 29);
  PutDigits(static_cast<unsigned>(date.year), 4, out);
  PutDigits(date.month, 2, out + 5);
  PutDigits(date.day, 2, out + 8);
  PutDigits(second_of_day / 3600, 2, out + 11);
  PutDigits(second_of_day / 60 % 60, 2, out + 14);
  PutDigits(second_of_day % 60, 2, out + 17);
  PutDigits(static_cast<unsigned>(nanos), 9, out + 20);
}

struct DurationUnit {
  std::string_view name;
  Nanos nanos;
};
// Largest first.
constexpr std::array<DurationUnit, 7> kDurationUnits = {{{"d", kDay},
                                                         {"h", kHour},
                                                         {"m", kMinute},
                                                         {"s", kSecond},
                                                         {"ms", 1'000'000},
                                                         {"us", 1'000},
                                                         {"ns", 1}}};

}  // namespace

std::optional<EventTime> ParseTime(std::string_view text) {
  if (text.size() == 27) {
    std::optional<EventTime> time = ParseMicroTime(text.data());
    if (time) return time;
  }
  return ParseGeneral(text);
}

std::string FormatTime(EventTime time) {
  char buffer[30];
  PutTime(time, buffer);
  buffer[26] = 'Z';
  return std::string(buffer, 27);
}

std::string FormatDate(EventTime time) {
  char buffer[30];
  PutTime(time, buffer);
  return std::string(buffer, 10);
}

std::string FormatTimeNanos(EventTime time) {
  char buffer[30];
  PutTime(time, buffer);
  buffer[29] = 'Z';
  return std::string(buffer, 30);
}

std::optional<Nanos> ParseDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Nanos sum = 0;
  while (!text.empty()) {
    // from_chars would take a sign.
    if (text[0] < '0' || text[0] > '9') return std::nullopt;
    int64_t value = 0;
    const char* end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(rest - text.data()));
    const size_t unit_end =
        std::min(text.find_first_of("0123456789"), text.size());
    const DurationUnit* unit = nullptr;
    for (const DurationUnit& candidate : kDurationUnits) {
      if (candidate.name == text.substr(0, unit_end)) unit = &candidate;
    }
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(unit_end);
    Nanos part;
    if (__builtin_mul_overflow(value, unit->nanos, &part) ||
        __builtin_add_overflow(sum, part, &sum)) {
      return std::nullopt;
    }
  }
  return sum;
}

std::string FormatDuration(Nanos span) {
  if (span == 0) return "0s";
  for (const DurationUnit& unit : kDurationUnits) {
    if (span % unit.nanos != 0) continue;
    // "24h" and "60s" are how people speak of a single day and minute.
    const bool single = span == unit.nanos || span == -unit.nanos;
    if (single && (unit.nanos == kDay || unit.nanos == kMinute)) continue;
    return std::to_string(span / unit.nanos).append(unit.name);
  }
  return {};  // Not reached: 1 ns divides every span.
}

}  // namespace klaxon
