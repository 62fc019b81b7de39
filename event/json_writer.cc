#include "event/json_writer.h"

#include <charconv>
#include <cstring>

namespace klaxon {
namespace {

constexpr uint64_t Repeat(uint8_t byte) {
  return uint64_t{byte} * 0x0101010101010101u;
}

// Not zero if any of the 8 bytes is not printable ASCII, or is '"' or '\\'.
uint64_t AnyToEscape(uint64_t word) {
  const uint64_t quote = word ^ Repeat('"');
  const uint64_t backslash = word ^ Repeat('\\');
  // A borrow or carry can only flag a byte beside one that is flagged itself,
  // or beside one above 0x7f, which is flagged by `word`.
  const uint64_t c0 = word - Repeat(0x20);
  const uint64_t del = word + Repeat(0x01);
  return (c0 | del | word | (quote - Repeat(0x01)) |
          (backslash - Repeat(0x01))) &
         Repeat(0x80);
}

bool IsPlain(uint8_t c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

// Length of the longest prefix of `text` that needs no escape.
size_t PlainPrefix(std::string_view text) {
  const auto any_to_escape = [&text](size_t at) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof(word));
    return AnyToEscape(word) != 0;
  };
  size_t i = 0;
  while (i + 8 <= text.size() && !any_to_escape(i)) i += 8;
  // Of the rest no word is left, but one that takes in what was looked at.
  if (text.size() >= 8 && i + 8 > text.size() &&
      !any_to_escape(text.size() - 8)) {
    return text.size();
  }
  while (i < text.size() && IsPlain(static_cast<uint8_t>(text[i]))) ++i;
  return i;
}

void AppendEscape(uint8_t c, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\b':
      out->append("\\b");
      return;
    case '\f':
      out->append("\\f");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default:
      out->append("\\u00");
      out->push_back(kHex[c >> 4]);
      out->push_back(kHex[c & 15]);
  }
}

struct Utf8Unit {
  size_t size;  // Bytes of the character, or of the ill-formed sequence.
  bool valid;
};

// Looks at one character of two to four bytes, by table 3-7 of the Unicode
// standard. REQUIRES: text[0] >= 0x80.
Utf8Unit NextCharacter(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's range says no overlong forms, surrogates, or > U+10FFFF.
  uint8_t low = 0x80;
  uint8_t high = 0xbf;
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  for (size_t i = 1; i < size; ++i) {
    if (i == text.size()) return {i, false};
    const auto c = static_cast<uint8_t>(text[i]);
    if (c < low || c > high) return {i, false};
    low = 0x80;
    high = 0xbf;
  }
  return {size, true};
}

// U+2028, U+2029 and the marks that turn the direction of text (U+202A–U+202E,
// U+2066–U+2069): a terminal or viewer would act upon them.
// REQUIRES: a whole character of three bytes that begins with 0xe2.
bool IsLineOrDirectionMark(std::string_view text) {
  const auto second = static_cast<uint8_t>(text[1]);
  const auto third = static_cast<uint8_t>(text[2]);
  return (second == 0x80 && third >= 0xa8 && third <= 0xae) ||
         (second == 0x81 && third >= 0xa6 && third <= 0xa9);
}

// Appends the character at the front of `text`, which is not plain; returns
// its bytes.
size_t AppendSpecial(std::string_view text, std::string* out) {
  const auto c = static_cast<uint8_t>(text[0]);
  if (c < 0x80) {
    AppendEscape(c, out);
    return 1;
  }
  const Utf8Unit unit = NextCharacter(text);
  if (!unit.valid) {
    out->append("\xef\xbf\xbd");
  } else if (c == 0xc2 && static_cast<uint8_t>(text[1]) < 0xa0) {
    AppendEscape(static_cast<uint8_t>(text[1]), out);  // C1: U+0080–U+009F.
  } else if (c == 0xe2 && IsLineOrDirectionMark(text)) {
    const auto low =
        static_cast<uint8_t>((static_cast<uint8_t>(text[1]) & 3) << 6 |
                             (static_cast<uint8_t>(text[2]) & 63));
    constexpr char kHex[] = "0123456789abcdef";
    out->append("\\u20");
    out->push_back(kHex[low >> 4]);
    out->push_back(kHex[low & 15]);
  } else {
    out->append(text.substr(0, unit.size));
  }
  return unit.size;
}

template <typename T>
void AppendNumber(T value, std::string* out) {
  char buffer[24];
  char* end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  out->append(buffer, end);
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    const size_t plain = PlainPrefix(text);
    out->append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (!text.empty()) text.remove_prefix(AppendSpecial(text, out));
  }
  out->push_back('"');
}

void JsonWriter::Comma() {
  if (need_comma_) out_->push_back(',');
  need_comma_ = true;
}

void JsonWriter::BeginObject() {
  Comma();
  out_->push_back('{');
  need_comma_ = false;
}

void JsonWriter::EndObject() {
  out_->push_back('}');
  need_comma_ = true;
}

void JsonWriter::BeginArray() {
  Comma();
  out_->push_back('[');
  need_comma_ = false;
}

void JsonWriter::EndArray() {
  out_->push_back(']');
  need_comma_ = true;
}

void JsonWriter::Key(std::string_view key) {
  Comma();
  AppendJsonString(key, out_);
  out_->push_back(':');
  need_comma_ = false;
}

void JsonWriter::String(std::string_view value) {
  Comma();
  AppendJsonString(value, out_);
}

void JsonWriter::Int(int64_t value) {
  Comma();
  AppendNumber(value, out_);
}

void JsonWriter::Uint(uint64_t value) {
  Comma();
  AppendNumber(value, out_);
}

void JsonWriter::Bool(bool value) {
  Comma();
  out_->append(value ? "true" : "false");
}

void JsonWriter::Null() {
  Comma();
  out_->append("null");
}

void JsonWriter::Raw(std::string_view json) {
  Comma();
  out_->append(json);
}

}  // namespace klaxon
