// The fast path for AVX-512BW (Intel since Skylake-X, AMD since Zen 4).
#include "event/decode_fast.h"

#if defined(__x86_64__)
#include <immintrin.h>

// By a pragma, not by a flag: see decode_fast_haswell.cc.
#if defined(__clang__)
#pragma clang attribute push(                                              \
    __attribute__((                                                        \
        target("avx2,avx512f,avx512bw,avx512vl,bmi,bmi2,popcnt,pclmul"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512bw,avx512vl,bmi,bmi2,popcnt,pclmul")
#endif

namespace klaxon::skx {
namespace {

#include "event/decode_fast_avx2.inc"

// 64 bytes of text; bit i of an answer speaks of byte i.
class Block {
 public:
  [[gnu::always_inline]] explicit Block(const char* p)
      : bytes_(_mm512_loadu_si512(p)) {}

  [[gnu::always_inline]] void Store(char* p) const {
    _mm512_storeu_si512(p, bytes_);
  }
  [[gnu::always_inline]] uint64_t Equal(char c) const {
    return _mm512_cmpeq_epi8_mask(bytes_, _mm512_set1_epi8(c));
  }
  [[gnu::always_inline]] uint64_t NotAscii() const {
    return _mm512_cmplt_epi8_mask(bytes_, _mm512_setzero_si512());
  }
  [[gnu::always_inline]] uint64_t Control() const {
    return _mm512_cmplt_epu8_mask(bytes_, _mm512_set1_epi8(' '));
  }
  // Quotes, backslashes and control characters.
  [[gnu::always_inline]] uint64_t Syntax() const {
    return Equal('"') | Equal('\\') | Control();
  }
  // As signed bytes, control characters and all that is not ASCII are less
  // than a space: one comparison for both.
  [[gnu::always_inline]] uint64_t SyntaxOrNotAscii() const {
    return Equal('"') | Equal('\\') |
           _mm512_cmplt_epi8_mask(bytes_, _mm512_set1_epi8(' '));
  }
  // The same of the first 32 bytes.
  [[gnu::always_inline]] uint32_t SyntaxOrNotAsciiOfHalf() const {
    return static_cast<uint32_t>(SyntaxOrNotAscii());
  }
  // '[' as '{', ']' as '}', 'D' as 'd'.
  [[gnu::always_inline]] Block Lowered() const {
    return Block(_mm512_or_si512(bytes_, _mm512_set1_epi8(0x20)));
  }

 private:
  [[gnu::always_inline]] explicit Block(__m512i bytes) : bytes_(bytes) {}
  __m512i bytes_;
};

}  // namespace

#define KLAXON_KERNEL_NAME "skx"
#include "event/decode_fast_impl.inc"

}  // namespace klaxon::skx

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
