// The keys of one kind of observation in one minute, numbered as they come:
// equal ones are merged, totals are given in their order. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "detectors/key_index.h"
#include "detectors/large_blocks.h"
#include "event/observation.h"
#include "pipeline/byte_store.h"

namespace klaxon {

class MinuteKeys {
 public:
  // The number of the value's key; of one that is new, size() as it was.
  uint32_t Find(const Sighting& value);
  uint32_t Find(const RefusalGroup& value);

  uint32_t size() const { return static_cast<uint32_t>(places_.size()); }
  // Puts numbers into the order of their keys.
  void Sort(std::vector<uint32_t>* numbers) const;

 private:
  // Of scratch_.
  uint32_t Find();
  std::string_view operator[](uint32_t number) const {
    return bytes_[places_[number]];
  }

  KeyIndex index_;
  ByteStore bytes_;
  std::vector<ByteStore::Place, LargeBlocks<ByteStore::Place>> places_;
  std::string scratch_;
};

}  // namespace klaxon
