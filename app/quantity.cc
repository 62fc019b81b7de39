#include "app/quantity.h"

#include <cmath>

#include "fmt/format.h"

namespace klaxon {
namespace {

// `value` below 1000 with a step of the scale; three significant digits.
template <size_t kSize>
std::string Scale(double value, const char* const (&units)[kSize],
                  const char* separator) {
  size_t unit = 0;
  // 999.5 would be rounded to "1000".
  while (value >= 999.5 && unit + 1 < kSize) {
    value /= 1000;
    ++unit;
  }
  int digits = unit == 0 || value >= 99.95 ? 0 : 1;
  return fmt::format("{:.{}f}{}{}", value, digits, separator, units[unit]);
}

}  // namespace

std::string FormatBytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  return Scale(bytes, kUnits, " ");
}

std::string FormatRate(double value) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G"};
  return Scale(value, kUnits, "");
}

std::string FormatCount(uint64_t count) {
  std::string digits = fmt::format("{}", count);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string FormatClock(double seconds) {
  auto whole = static_cast<uint64_t>(std::llround(seconds));
  uint64_t hours = whole / 3600;
  uint64_t minutes = whole / 60 % 60;
  if (hours > 0) {
    return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  }
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string Plural(uint64_t count, const char* noun) {
  return fmt::format("{} {}{}", FormatCount(count), noun,
                     count == 1 ? "" : "s");
}

}  // namespace klaxon
