// A strict reader of JSON's grammar that keeps nothing: it only says where a
// text stops being JSON. Slower than the decoder and used where an exact
// answer matters: documents, resynchronisation, messages for unreadable lines.
//
// Iterative (no recursion), one bit of memory a level. Any thread.
// CheckJson and PositionOf (decode.h) are implemented here too.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace klaxon {

// Deepest nesting that is still called JSON.
inline constexpr size_t kJsonDepthMax = 100'000;

struct JsonCheck {
  bool ok = false;
  // ok: just behind the value. Else: the first byte that cannot stand there.
  // text.size() with !ok: the text breaks off.
  size_t offset = 0;
};

// Reads one value that begins at `begin` (after white space), and leaves alone
// what stands behind it. `what` (may be null) is set when !ok.
JsonCheck CheckJsonValue(std::string_view text, size_t begin,
                         std::string* what);

// First offset at or after `begin` that is not JSON white space.
size_t SkipJsonSpace(std::string_view text, size_t begin);

}  // namespace klaxon
