#include "event/identity_key.h"

#include <xxhash.h>

#include "event/identity_key_impl.h"
#include "event/random_bytes.h"

namespace klaxon {

IdentityKey IdentityKeyPlain(std::string_view bytes,
                             const IdentitySecret& secret) {
  const XXH128_hash_t hash = XXH3_128bits_withSecret(
      bytes.data(), bytes.size(), secret.data(), secret.size());
  return {hash.high64, hash.low64};
}

IdentityKey IdentityKeyOf(std::string_view bytes) {
  static const IdentitySecret secret = [] {
    IdentitySecret random;
    FillWithRandom(random.data(), random.size());
    return random;
  }();
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx2");
  if (wide) return IdentityKeyAvx2(bytes, secret);
#endif
  return IdentityKeyPlain(bytes, secret);
}

}  // namespace klaxon
