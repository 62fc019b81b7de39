// JSON for the slow path: simdjson cuts an object or array into its members,
// and strings are unescaped here, by Go's rules. Nothing is kept of the
// grammar of values that nobody reads.
//
// Not thread-safe: one of each belongs to one Decoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "event/decode_fast.h"

namespace klaxon {

// Memory whose pieces stay where they are until Reset. Every piece has
// kFastPadding readable bytes behind it, of any value.
class Arena {
 public:
  // The memory is aligned for a string_view.
  char* Allocate(size_t bytes) {
    used_ = (used_ + 15) & ~size_t{15};
    if (room_ < used_ + bytes + kFastPadding) AddBlock(bytes);
    char* const piece = block_ + used_;
    used_ += bytes;
    return piece;
  }
  // Gives back the end of the last piece, down to `bytes` of it.
  void Shrink(const char* piece, size_t bytes);
  // Frees nothing but what the last text needed beyond one block.
  void Reset() {
    used_ = 0;
    if (blocks_.size() > 1) KeepLargest();
  }

 private:
  struct BlockOfMemory {
    std::unique_ptr<char[]> bytes;
    size_t size = 0;
  };
  void AddBlock(size_t bytes);
  void KeepLargest();

  std::vector<BlockOfMemory> blocks_;
  // The last block, and how much of it is used.
  char* block_ = nullptr;
  size_t room_ = 0;
  size_t used_ = 0;
};

// A member of an object: the key unescaped, the value as it is written.
struct JsonMember {
  std::string_view key;
  std::string_view value;
};

enum class JsonError : uint8_t {
  kNone,
  kSyntax,
  kUtf8,  // Bytes that are not UTF-8: Sanitize and try again.
};

class JsonSplitter {
 public:
  // Keys that hold escapes are unescaped into `arena`, which must outlive the
  // splitter.
  explicit JsonSplitter(Arena* arena);
  ~JsonSplitter();

  // `object` must be one whole object by bracket balance (FindValueEnd), and
  // have kFastPadding readable bytes behind it.
  JsonError SplitObject(std::string_view object,
                        std::vector<JsonMember>* members);
  JsonError SplitArray(std::string_view array,
                       std::vector<std::string_view>* elements);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The text of a JSON string literal: in place where nothing is escaped, else
// in `arena`. A lone surrogate is U+FFFD, as in Go. Nothing: no string, or an
// escape that does not exist.
std::optional<std::string_view> UnescapeString(std::string_view literal,
                                               Arena* arena);

// A copy of `text` in which each byte that is not part of well-formed UTF-8,
// and each escaped lone surrogate, is U+FFFD. `text` itself if nothing is
// wrong with it. At most three times as long.
std::string_view Sanitize(std::string_view text, Arena* arena);

// Just behind the array or object at `begin`; see FastKernel::value_end.
ValueEnd FindValueEnd(std::string_view text, size_t begin);

inline bool IsJsonObject(std::string_view value) {
  return !value.empty() && value.front() == '{';
}
inline bool IsJsonArray(std::string_view value) {
  return !value.empty() && value.front() == '[';
}
inline bool IsJsonString(std::string_view value) {
  return value.size() >= 2 && value.front() == '"' && value.back() == '"';
}

}  // namespace klaxon
