#include "pipeline/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace klaxon {

uint32_t Crc32c(uint32_t crc, std::string_view bytes) {
  constexpr size_t kStep = 1 << 30;  // ISA-L counts in int.
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kStep);
    // ISA-L does not write through the pointer; its prototype is C's.
    auto* data =
        reinterpret_cast<unsigned char*>(const_cast<char*>(part.data()));
    crc = ~crc32_iscsi(data, static_cast<int>(part.size()), ~crc);
    bytes.remove_prefix(part.size());
  }
  return crc;
}

}  // namespace klaxon
