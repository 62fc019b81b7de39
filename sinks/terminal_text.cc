#include "sinks/terminal_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <span>

namespace klaxon {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

bool IsIn(char32_t c, std::span<const Range> sorted) {
  auto above = std::upper_bound(
      sorted.begin(), sorted.end(), c,
      [](char32_t value, const Range& range) { return value < range.first; });
  return above != sorted.begin() && c <= std::prev(above)->last;
}

// What a terminal acts on, or shows nothing for, so that one text can pass
// for another.
constexpr std::array<Range, 14> kUnprintable = {{
    {0x00, 0x1f},        // C0
    {0x7f, 0x9f},        // DEL, C1
    {0xad, 0xad},        // soft hyphen
    {0x61c, 0x61c},      // Arabic letter mark
    {0x115f, 0x1160},    // Hangul fillers
    {0x180e, 0x180e},    // Mongolian vowel separator
    {0x200b, 0x200f},    // zero width, bidirectional marks
    {0x2028, 0x202e},    // line separators, bidirectional embeddings
    {0x2060, 0x206f},    // invisible operators, bidirectional isolates
    {0x3164, 0x3164},    // Hangul filler
    {0xfeff, 0xfeff},    // byte order mark
    {0xffa0, 0xffa0},    // halfwidth Hangul filler
    {0xfff9, 0xfffb},    // interlinear annotation
    {0xe0000, 0xe0fff},  // tags, variation selectors
}};

constexpr std::array<Range, 6> kCombining = {{
    {0x300, 0x36f},
    {0x483, 0x489},
    {0x1ab0, 0x1aff},
    {0x1dc0, 0x1dff},
    {0x20d0, 0x20ff},
    {0xfe00, 0xfe2f},
}};

constexpr std::array<Range, 11> kWide = {{
    {0x1100, 0x115f},
    {0x2e80, 0x303e},
    {0x3041, 0x33ff},
    {0x3400, 0x4dbf},
    {0x4e00, 0x9fff},
    {0xa000, 0xa4cf},
    {0xac00, 0xd7a3},
    {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},
    {0xff00, 0xff60},
    {0x1f300, 0x1faff},
}};

}  // namespace

Utf8Character DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  char32_t code_point = lead & (0x7fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code_point = code_point << 6 | (byte(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  if (code_point < kLeast[size] || code_point > 0x10ffff || surrogate) {
    return {};
  }
  return {code_point, size, true};
}

size_t DisplayWidthOf(char32_t c) {
  if (c < 0x300) return 1;
  if (IsIn(c, kCombining)) return 0;
  return IsIn(c, kWide) || (c >= 0x20000 && c <= 0x3fffd) ? 2 : 1;
}

void AppendTerminalSafe(std::string_view text, std::string* out) {
  while (!text.empty()) {
    const Utf8Character c = DecodeUtf8(text);
    const std::string_view bytes = text.substr(0, c.bytes);
    if (c.valid && !IsIn(c.code_point, kUnprintable)) {
      out->append(bytes);
    } else {
      for (char byte : bytes) {
        fmt::format_to(std::back_inserter(*out), "\\x{:02x}",
                       static_cast<uint8_t>(byte));
      }
    }
    text.remove_prefix(c.bytes);
  }
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Utf8Character c = DecodeUtf8(text);
    width += DisplayWidthOf(c.code_point);
    text.remove_prefix(c.bytes);
  }
  return width;
}

}  // namespace klaxon
