// The library's hash with AVX2, compiled here. Debian's library has it too, but
// compiled without vzeroupper, so that the next SSE instruction of whoever
// called it waits for the upper halves of the registers (115 ns on a Zen 3).
#include "event/identity_key_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdlib>
#include <cstring>

// By a pragma and not by a flag for the file: see decode_fast_haswell.cc.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define XXH_INLINE_ALL  // Static, all of it.
#define XXH_VECTOR XXH_AVX2
#include <xxhash.h>

namespace klaxon {

IdentityKey IdentityKeyAvx2(std::string_view bytes,
                            const IdentitySecret& secret) {
  const XXH128_hash_t hash = XXH3_128bits_withSecret(
      bytes.data(), bytes.size(), secret.data(), secret.size());
  return {hash.high64, hash.low64};
}

}  // namespace klaxon

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
