// The fast path for AVX2 (Intel since Haswell, AMD since Excavator).
#include "event/decode_fast.h"

#if defined(__x86_64__)
#include <immintrin.h>

// The functions below get the instruction set by a pragma and not by a flag
// for the file: what the standard's headers define here as inline keeps to
// x86-64, so that the linker may take this copy for the whole program.
#if defined(__clang__)
#pragma clang attribute push(                               \
    __attribute__((target("avx2,bmi,bmi2,popcnt,pclmul"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt,pclmul")
#endif

namespace klaxon::haswell {
namespace {

#include "event/decode_fast_avx2.inc"

// 32 times `c`, from memory: there are too few registers to keep it.
[[gnu::always_inline]] inline __m256i All(char c) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(
      kRepeated[static_cast<unsigned char>(c)].bytes));
}

// 64 bytes of text; bit i of an answer speaks of byte i.
class Block {
 public:
  [[gnu::always_inline]] explicit Block(const char* p)
      : low_(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))),
        high_(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))) {}

  [[gnu::always_inline]] void Store(char* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), low_);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), high_);
  }
  [[gnu::always_inline]] uint64_t Equal(char c) const {
    const __m256i value = All(c);
    return Mask(_mm256_cmpeq_epi8(low_, value),
                _mm256_cmpeq_epi8(high_, value));
  }
  [[gnu::always_inline]] uint64_t NotAscii() const { return Mask(low_, high_); }
  [[gnu::always_inline]] uint64_t Control() const {
    return Mask(Control(low_), Control(high_));
  }
  // Quotes, backslashes and control characters.
  [[gnu::always_inline]] uint64_t Syntax() const {
    return Mask(Syntax(low_, Control(low_)), Syntax(high_, Control(high_)));
  }
  // As signed bytes, control characters and all that is not ASCII are less
  // than a space: one comparison for both.
  [[gnu::always_inline]] uint64_t SyntaxOrNotAscii() const {
    const __m256i space = All(' ');
    return Mask(Syntax(low_, _mm256_cmpgt_epi8(space, low_)),
                Syntax(high_, _mm256_cmpgt_epi8(space, high_)));
  }
  // The same of the first 32 bytes.
  [[gnu::always_inline]] uint32_t SyntaxOrNotAsciiOfHalf() const {
    const __m256i others = _mm256_cmpgt_epi8(All(' '), low_);
    return static_cast<uint32_t>(_mm256_movemask_epi8(Syntax(low_, others)));
  }
  // '[' as '{', ']' as '}', 'D' as 'd'.
  [[gnu::always_inline]] Block Lowered() const {
    const __m256i bit = All(' ');
    return Block(_mm256_or_si256(low_, bit), _mm256_or_si256(high_, bit));
  }

 private:
  [[gnu::always_inline]] Block(__m256i low, __m256i high)
      : low_(low), high_(high) {}
  [[gnu::always_inline]] static __m256i Control(__m256i bytes) {
    const __m256i last = All('\x1f');
    return _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, last), bytes);
  }
  [[gnu::always_inline]] static __m256i Syntax(__m256i bytes, __m256i others) {
    const __m256i quote = _mm256_cmpeq_epi8(bytes, All('"'));
    const __m256i escape = _mm256_cmpeq_epi8(bytes, All('\\'));
    return _mm256_or_si256(others, _mm256_or_si256(quote, escape));
  }
  [[gnu::always_inline]] static uint64_t Mask(__m256i low, __m256i high) {
    return static_cast<uint32_t>(_mm256_movemask_epi8(low)) |
           static_cast<uint64_t>(
               static_cast<uint32_t>(_mm256_movemask_epi8(high)))
               << 32;
  }

  __m256i low_;
  __m256i high_;
};

}  // namespace

#define KLAXON_KERNEL_NAME "haswell"
#include "event/decode_fast_impl.inc"

}  // namespace klaxon::haswell

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
