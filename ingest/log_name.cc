#include "ingest/log_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace klaxon {
namespace {

constexpr std::string_view kCompressed[] = {".gz", ".zst", ".zstd", ".bz2",
                                            ".xz", ".lz",  ".lz4",  ".Z"};
constexpr size_t kNumberDigitsMax = 5;  // audit.log.20260102 is a date.

bool IsDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c >= '0' && c <= '9';
  });
}

// '0' in `pattern` stands for any digit.
bool Matches(std::string_view text, std::string_view pattern) {
  if (text.size() != pattern.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool fits =
        pattern[i] == '0' ? IsDigits(text.substr(i, 1)) : text[i] == pattern[i];
    if (!fits) return false;
  }
  return true;
}

std::string_view WithoutCompression(std::string_view name) {
  for (std::string_view suffix : kCompressed) {
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      return WithoutCompression(name.substr(0, name.size() - suffix.size()));
    }
  }
  return name;
}

// `name` with [begin, end) cut out, if something is left before and what
// follows is nothing or an extension.
std::optional<std::string> Cut(std::string_view name, size_t begin,
                               size_t end) {
  if (begin == 0 || (end < name.size() && name[end] != '.')) {
    return std::nullopt;
  }
  return std::string(name.substr(0, begin)).append(name.substr(end));
}

bool ParseTimed(std::string_view name, LogName* parsed) {
  constexpr std::string_view kStamp = "-0000-00-00T00-00-00.000";
  for (size_t at = name.find('-'); at != name.npos;
       at = name.find('-', at + 1)) {
    if (!Matches(name.substr(at, kStamp.size()), kStamp)) continue;
    if (auto family = Cut(name, at, at + kStamp.size())) {
      parsed->kind = LogName::Kind::kTimed;
      parsed->family = *std::move(family);
      parsed->order = name.substr(at + 1, kStamp.size() - 1);
      return true;
    }
  }
  return false;
}

bool ParseNumbered(std::string_view name, LogName* parsed) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos || dot == 0) return false;
  const std::string_view number = name.substr(dot + 1);
  if (!IsDigits(number) || number.size() > kNumberDigitsMax) return false;
  parsed->kind = LogName::Kind::kNumbered;
  parsed->family = name.substr(0, dot);
  // The highest number is the oldest.
  uint32_t value = 0;
  for (char c : number) value = value * 10 + (c - '0');
  parsed->order = fmt::format("{:05}", 99'999 - value);
  return true;
}

// A day, and perhaps a time or the seconds since 1970.
bool ParseDated(std::string_view name, LogName* parsed) {
  constexpr std::string_view kDay = "00000000";
  for (size_t at = name.find_first_of("-."); at != name.npos;
       at = name.find_first_of("-.", at + 1)) {
    if (!Matches(name.substr(at + 1, kDay.size()), kDay)) continue;
    size_t end = at + 1 + kDay.size();
    if (end < name.size() && name[end] == '-') {
      const size_t digits = name.find_first_not_of("0123456789", end + 1);
      const size_t time_end = digits == name.npos ? name.size() : digits;
      if (time_end > end + 1) end = time_end;
    }
    if (auto family = Cut(name, at, end)) {
      parsed->kind = LogName::Kind::kDated;
      parsed->family = *std::move(family);
      parsed->order = name.substr(at + 1, end - at - 1);
      return true;
    }
  }
  return false;
}

}  // namespace

LogName ParseLogName(std::string_view name) {
  LogName parsed;
  const std::string_view content = WithoutCompression(name);
  parsed.content = content;
  if (ParseTimed(content, &parsed) || ParseNumbered(content, &parsed) ||
      ParseDated(content, &parsed)) {
    return parsed;
  }
  parsed.family = content;
  return parsed;
}

}  // namespace klaxon
