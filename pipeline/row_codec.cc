#include "pipeline/row_codec.h"

#include <fmt/format.h>

namespace klaxon {
namespace {

constexpr char kPlain = 0;
constexpr char kZstd = 1;
// A frame's own overhead eats what could be saved on less.
constexpr size_t kCompressBytesMin = 64;

}  // namespace

RowCodec::RowCodec(int zstd_level)
    : zstd_level_(zstd_level),
      compressor_(ZSTD_createCCtx()),
      decompressor_(ZSTD_createDCtx()) {}

std::string RowCodec::Encode(std::string_view content) {
  std::string row;
  if (content.size() >= kCompressBytesMin) {
    row.resize(1 + ZSTD_compressBound(content.size()));
    const size_t size =
        ZSTD_compressCCtx(compressor_.get(), row.data() + 1, row.size() - 1,
                          content.data(), content.size(), zstd_level_);
    if (!ZSTD_isError(size) && size < content.size()) {
      row[0] = kZstd;
      row.resize(1 + size);
      row.shrink_to_fit();
      return row;
    }
    row.clear();
  }
  row.reserve(1 + content.size());
  row.push_back(kPlain);
  row.append(content);
  return row;
}

absl::StatusOr<std::string_view> RowCodec::Decode(std::string_view row) {
  if (row.empty()) return absl::DataLossError("an empty row");
  const char how = row.front();
  row.remove_prefix(1);
  if (how == kPlain) return row;
  if (how != kZstd) {
    return absl::DataLossError(
        fmt::format("unknown encoding {}", static_cast<int>(how)));
  }
  const unsigned long long size =
      ZSTD_getFrameContentSize(row.data(), row.size());
  if (size > kRowBytesMax) {  // So are its two error values.
    return absl::DataLossError("not a zstd frame of a length we write");
  }
  buffer_.resize(size);
  const size_t got =
      ZSTD_decompressDCtx(decompressor_.get(), buffer_.data(), buffer_.size(),
                          row.data(), row.size());
  if (ZSTD_isError(got) || got != size) {
    return absl::DataLossError("a damaged zstd frame");
  }
  return buffer_;
}

}  // namespace klaxon
