// SHA-256, cut to 16 bytes, of pieces of content by which a log is known again.
// Half of a log is written by attackers: no hash that can be steered.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace klaxon {

using ContentHash = std::array<uint8_t, 16>;

// Any thread.
ContentHash HashContent(std::string_view bytes);

}  // namespace klaxon
