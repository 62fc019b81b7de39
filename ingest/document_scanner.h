// Finds where JSON documents end in a stream of them: counts brackets, minding
// strings. It does not check the JSON; that is the decoder's part.
//
// A region is one value, whatever white space stands before it, and that
// behind it up to the next value. Where the brackets do not fit, a string
// holds a newline, or something else than a value stands between values, the
// region is broken: it goes on to the next line that begins with '{' or '['.
// (No valid document is ever called broken.)
//
// Not thread-safe. Constant time a byte; memory 1 byte a level of nesting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace klaxon {

class DocumentScanner {
 public:
  // Deeper nesting is broken. As CheckJson.
  static constexpr size_t kDepthMax = 100'000;

  // The next byte fed is the first of a region, as after construction.
  void BeginRegion();
  // The next byte fed is a comma between two elements of a top-level array
  // (the rest of a region that was split there).
  void BeginAtComma();
  // Takes bytes up to the end of the region; fewer than given only at it.
  size_t Feed(std::string_view bytes);

  // The region ends before the next byte.
  bool ended() const { return ended_; }
  // And that byte is a comma between elements (EndAtComma).
  bool ended_at_comma() const { return ended_at_comma_; }
  // Its value is whole, ending at value_end(); white space may follow.
  bool closed() const { return closed_; }
  // Offsets from the begin of the region.
  uint64_t position() const { return position_; }
  uint64_t value_end() const { return value_end_; }
  // Of the newest comma between elements of a top-level array that can be
  // split at it; 0: none.
  uint64_t last_comma() const { return last_comma_; }
  // Makes such a comma end the region from here on.
  void EndAtComma() { end_at_comma_ = true; }

 private:
  // Each returns true when the region ends before `c`.
  bool Take(char c);
  bool TakeBroken(char c);
  bool TakeOpening(char c);
  bool TakeClosing(char c);
  bool TakeComma();
  bool Break();
  const char* SkipString(const char* p, const char* end) const;

  std::vector<char> open_;  // Brackets, outermost first.
  char previous_ = 0;       // Last byte of structure; 0: none.
  bool in_string_ = false;
  bool escaped_ = false;
  bool line_start_ = true;
  bool broken_ = false;
  bool closed_ = false;
  bool ended_ = false;
  bool end_at_comma_ = false;
  bool ended_at_comma_ = false;
  uint64_t position_ = 0;
  uint64_t value_end_ = 0;
  uint64_t last_comma_ = 0;
};

}  // namespace klaxon
