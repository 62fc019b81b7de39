// Short pieces of bytes that come by the million, in few and large pieces of
// memory: growing moves none of them. Each stays until the store goes. One
// thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "detectors/large_blocks.h"

namespace klaxon {

class ByteStore {
 public:
  using Place = uint64_t;

  // REQUIRES: less than 4 GiB.
  Place Add(std::string_view bytes);
  std::string_view operator[](Place place) const;
  void Prefetch(Place place) const;
  // Puts others in the place of these. False: they are longer, nothing changed.
  bool Replace(Place place, std::string_view bytes);

 private:
  struct Head {  // Before the bytes.
    uint32_t size;
    uint32_t room;
  };
  using Block = std::vector<char, LargeBlocks<char>>;

  std::vector<Block> blocks_;  // Each with its capacity from the beginning.
  size_t reserved_ = 0;        // Of all of them.
};

}  // namespace klaxon
