#include "pipeline/identity_key.h"

#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
// The same functions and values by the widest instructions that there are.
#include <xxh_x86dispatch.h>
#endif

#include <array>

#include "event/random_bytes.h"

namespace klaxon {

IdentityKey IdentityKeyOf(std::string_view bytes) {
  static const std::array<uint8_t, 192> secret = [] {
    std::array<uint8_t, 192> random;
    FillWithRandom(random.data(), random.size());
    return random;
  }();
  const XXH128_hash_t hash = XXH3_128bits_withSecret(
      bytes.data(), bytes.size(), secret.data(), secret.size());
  return {hash.high64, hash.low64};
}

}  // namespace klaxon
