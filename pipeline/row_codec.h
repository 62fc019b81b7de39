// How a blob of the state database holds its content: one byte that says how,
// then the content as it is or zstd-compressed, whichever is smaller.
//
// Not thread-safe: one object is one pair of zstd contexts and a buffer.
#pragma once

#include <zstd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace klaxon {

// Longest content of one row, in bytes. A damaged or hostile row cannot ask
// for more.
inline constexpr size_t kRowBytesMax = 256u << 20;

class RowCodec {
 public:
  explicit RowCodec(int zstd_level = 1);

  // REQUIRES: content of at most kRowBytesMax bytes.
  std::string Encode(std::string_view content);
  // The content of a row, valid until the next call. DataLoss: it is none.
  absl::StatusOr<std::string_view> Decode(std::string_view row);

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  const int zstd_level_;
  std::unique_ptr<ZSTD_CCtx, Free> compressor_;
  std::unique_ptr<ZSTD_DCtx, Free> decompressor_;
  std::string buffer_;
};

}  // namespace klaxon
