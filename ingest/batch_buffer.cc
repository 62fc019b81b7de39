#include <cstring>
#include <utility>

#include "ingest/source.h"

namespace klaxon {

void BatchBuffer::Reserve(size_t bytes) {
  if (bytes <= capacity_ && data_ != nullptr) return;
  auto grown = std::make_unique_for_overwrite<char[]>(bytes + kPadding);
  if (size_ > 0) std::memcpy(grown.get(), data_.get(), size_);
  std::memset(grown.get() + bytes, 0, kPadding);
  data_ = std::move(grown);
  capacity_ = bytes;
}

}  // namespace klaxon
