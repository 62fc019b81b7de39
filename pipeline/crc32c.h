// CRC-32C (Castagnoli), as iSCSI and ext4 have it; ISA-L does the work. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace klaxon {

// The checksum of what `crc` is of, followed by `bytes`. Begin with 0.
uint32_t Crc32c(uint32_t crc, std::string_view bytes);

}  // namespace klaxon
