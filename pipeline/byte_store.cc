#include "pipeline/byte_store.h"

#include <algorithm>
#include <cstring>

namespace klaxon {
namespace {

constexpr size_t kBlockBytesMin = 1 << 10;
constexpr size_t kBlockBytesMax = 4 << 20;
constexpr int kBlockShift = 32;  // Of a place: below it is where in its block.

}  // namespace

ByteStore::Place ByteStore::Add(std::string_view bytes) {
  const size_t size = sizeof(Head) + bytes.size();
  if (blocks_.empty() ||
      blocks_.back().capacity() - blocks_.back().size() < size) {
    // As much again as there is.
    const size_t wanted = std::clamp(reserved_, kBlockBytesMin, kBlockBytesMax);
    blocks_.emplace_back().reserve(std::max(wanted, size));
    reserved_ += blocks_.back().capacity();
  }
  Block& block = blocks_.back();
  const size_t at = block.size();
  const Head head{static_cast<uint32_t>(bytes.size()),
                  static_cast<uint32_t>(bytes.size())};
  const auto* raw = reinterpret_cast<const char*>(&head);
  block.insert(block.end(), raw, raw + sizeof(head));
  block.insert(block.end(), bytes.begin(), bytes.end());
  return uint64_t{blocks_.size() - 1} << kBlockShift | at;
}

std::string_view ByteStore::operator[](Place place) const {
  const Block& block = blocks_[place >> kBlockShift];
  const char* const at = block.data() + static_cast<uint32_t>(place);
  Head head;
  std::memcpy(&head, at, sizeof(head));
  return {at + sizeof(head), head.size};
}

void ByteStore::Prefetch(Place place) const {
  constexpr size_t kBytes = 256;  // As long as most are.
  const char* const at =
      blocks_[place >> kBlockShift].data() + static_cast<uint32_t>(place);
  for (size_t i = 0; i < kBytes; i += 64) __builtin_prefetch(at + i);
}

bool ByteStore::Replace(Place place, std::string_view bytes) {
  char* const at =
      blocks_[place >> kBlockShift].data() + static_cast<uint32_t>(place);
  Head head;
  std::memcpy(&head, at, sizeof(head));
  if (bytes.size() > head.room) return false;
  head.size = static_cast<uint32_t>(bytes.size());
  std::memcpy(at, &head, sizeof(head));
  if (!bytes.empty()) {
    std::memcpy(at + sizeof(head), bytes.data(), bytes.size());
  }
  return true;
}

}  // namespace klaxon
