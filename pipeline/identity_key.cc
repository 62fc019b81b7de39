#include "pipeline/identity_key.h"

#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
// The same functions and values by the widest instructions that there are.
#include <immintrin.h>
#include <xxh_x86dispatch.h>
#define KLAXON_WIDE_HASH
#endif

#include <array>

#include "event/random_bytes.h"

namespace klaxon {
namespace {

#ifdef KLAXON_WIDE_HASH
__attribute__((target("avx"))) void ClearUpperHalves() { _mm256_zeroupper(); }

// Debian's libxxhash is compiled without vzeroupper: its wide functions return
// with the upper halves of the registers in use, and the next SSE instruction
// of whoever called waits for them (115 ns on a Zen 3).
void LeaveWide() {
  static const bool wide = __builtin_cpu_supports("avx");
  if (wide) ClearUpperHalves();
}
#else
void LeaveWide() {}
#endif

}  // namespace

IdentityKey IdentityKeyOf(std::string_view bytes) {
  static const std::array<uint8_t, 192> secret = [] {
    std::array<uint8_t, 192> random;
    FillWithRandom(random.data(), random.size());
    return random;
  }();
  const XXH128_hash_t hash = XXH3_128bits_withSecret(
      bytes.data(), bytes.size(), secret.data(), secret.size());
  LeaveWide();
  return {hash.high64, hash.low64};
}

}  // namespace klaxon
