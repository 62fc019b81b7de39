// What the head of an HTTP/1.1 request has to look like before anything is
// made of it. The parser of the library is lenient where two readers of one
// stream may come to different ends (folded lines, lists of lengths, codings
// that it does not know), which is how requests are smuggled; here each of
// those is an error, found before the library sees a byte.
//
// Pure functions, any thread, no state, nothing allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace klaxon {

enum class HeadEnd : uint8_t {
  kNeedMore,
  kWhole,  // `size` bytes, the blank line with them.
  kBad,    // Can no longer become a head: a line feed without its return, NUL.
};

struct HeadScan {
  HeadEnd end = HeadEnd::kNeedMore;
  size_t size = 0;
};

// Looks for the end of a head. `from`: how far the last scan of the same bytes
// came (0 at first).
HeadScan FindHeadEnd(std::string_view bytes, size_t from);

struct HttpHead {
  // 0: all is well. Else the status to refuse with (400, 414, 417, 431, 501,
  // 505), and a sentence that quotes nothing of the request.
  int error = 0;
  std::string_view why;

  bool http_1_0 = false;
  bool keep_alive = false;
  bool chunked = false;
  bool expects_continue = false;
  std::optional<uint64_t> content_length;
  // Bytes of body are announced.
  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

inline constexpr size_t kHttpTargetBytesMax = 4096;
inline constexpr int kHttpFieldsMax = 64;

// `head`: as FindHeadEnd cut it.
HttpHead CheckHead(std::string_view head);

// ASCII only, as names of fields and schemes are compared.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);

}  // namespace klaxon
