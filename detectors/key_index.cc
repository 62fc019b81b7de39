#include "detectors/key_index.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "event/random_bytes.h"

namespace klaxon {

uint32_t KeyIndex::HashOf(std::string_view key) {
  static const uint64_t seed = [] {
    uint64_t random = 0;
    FillWithRandom(&random, sizeof(random));
    return random;
  }();
  return static_cast<uint32_t>(
      XXH3_64bits_withSeed(key.data(), key.size(), seed));
}

void KeyIndex::Put(Entry entry) {
  size_t at = entry.hash & mask_;
  while (entries_[at].id != kNone) at = (at + 1) & mask_;
  entries_[at] = entry;
}

void KeyIndex::Grow() {
  constexpr size_t kLeast = 16;
  const auto old = std::move(entries_);
  entries_.assign(std::max(kLeast, 2 * old.size()), Entry());
  mask_ = entries_.size() - 1;
  for (const Entry& entry : old) {
    if (entry.id != kNone) Put(entry);
  }
}

void KeyIndex::Add(uint32_t hash, uint32_t id) {
  // At most two thirds full: few are far from home.
  if (3 * (size_ + 1) > 2 * entries_.size()) Grow();
  Put({hash, id});
  ++size_;
}

void KeyIndex::Remove(uint32_t hash, uint32_t id) {
  size_t hole = hash & mask_;
  while (entries_[hole].id != id) hole = (hole + 1) & mask_;
  for (size_t at = (hole + 1) & mask_; entries_[at].id != kNone;
       at = (at + 1) & mask_) {
    // Whose home lies behind the hole must not get before it.
    const size_t from_home = (at - entries_[at].hash) & mask_;
    if (from_home < ((at - hole) & mask_)) continue;
    entries_[hole] = entries_[at];
    hole = at;
  }
  entries_[hole] = Entry();
  --size_;
}

void KeyIndex::clear() {
  entries_ = {};
  mask_ = size_ = 0;
}

}  // namespace klaxon
