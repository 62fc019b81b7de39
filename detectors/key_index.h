// Where a table's keys are: by hash, a number each.
//
// Only hashes and numbers, so that neither growing nor removing looks at a key.
// Open addressing, each entry at or behind its home; one that goes makes those
// behind it move up, so that no trace of it is left. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "detectors/large_blocks.h"

namespace klaxon {

class KeyIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Another one in every process: nobody can choose keys that meet.
  static uint32_t HashOf(std::string_view key);

  // Of those with that hash the number for which `is_it(id)`; kNone: none.
  template <typename IsIt>
  uint32_t Find(uint32_t hash, IsIt is_it) const {
    if (entries_.empty()) return kNone;
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Entry& entry = entries_[at];
      if (entry.id == kNone) return kNone;
      if (entry.hash == hash && is_it(entry.id)) return entry.id;
    }
  }
  void Prefetch(uint32_t hash) const {
    if (!entries_.empty()) __builtin_prefetch(&entries_[hash & mask_]);
  }
  // REQUIRES: `id` is not there.
  void Add(uint32_t hash, uint32_t id);
  // REQUIRES: it is there.
  void Remove(uint32_t hash, uint32_t id);
  size_t size() const { return size_; }
  void clear();

 private:
  struct Entry {
    uint32_t hash = 0;
    uint32_t id = kNone;
  };
  void Grow();
  void Put(Entry entry);

  std::vector<Entry, LargeBlocks<Entry>> entries_;  // A power of two, or none.
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace klaxon
