// Text of unknown origin, made harmless for a terminal and measured in columns.
//
// Pure functions, any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace klaxon {

// Appends `text` with everything but printable characters as "\xNN", byte by
// byte: C0, DEL, C1, invalid UTF-8, bidirectional and invisible controls,
// line separators. One line in, one line out.
void AppendTerminalSafe(std::string_view text, std::string* out);

// Columns that `text` takes in a terminal. REQUIRES: it went through
// AppendTerminalSafe. East Asian wide characters and emoji take two, combining
// marks none (the common ranges; not a full wcwidth).
size_t DisplayWidth(std::string_view text);
size_t DisplayWidthOf(char32_t code_point);

struct Utf8Character {
  char32_t code_point = 0;
  size_t bytes = 1;
  bool valid = false;
};

// The character at the front of `text`, which is not empty; one invalid byte
// where no character stands there.
Utf8Character DecodeUtf8(std::string_view text);

}  // namespace klaxon
