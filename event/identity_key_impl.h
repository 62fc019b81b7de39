// The ways to make an IdentityKey, for identity_key.cc and its test. All give
// the same keys.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "event/identity_key.h"

namespace klaxon {

using IdentitySecret = std::array<uint8_t, 192>;

// On any machine.
IdentityKey IdentityKeyPlain(std::string_view bytes,
                             const IdentitySecret& secret);
#if defined(__x86_64__)
// REQUIRES: the processor has AVX2.
IdentityKey IdentityKeyAvx2(std::string_view bytes,
                            const IdentitySecret& secret);
#endif

}  // namespace klaxon
