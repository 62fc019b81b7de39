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

// Whether pieces of text differ anywhere, asked once of all of them.
class Difference {
 public:
  [[gnu::always_inline]] Difference() : bits_(_mm256_setzero_si256()) {}
  [[gnu::always_inline]] void Add16(const char* a, const char* b) {
    const __m128i bits =
        _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a)),
                      _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)));
    bits_ = _mm256_or_si256(bits_, _mm256_zextsi128_si256(bits));
  }
  [[gnu::always_inline]] void Add32(const char* a, const char* b) {
    const __m256i bits = _mm256_xor_si256(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)),
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)));
    bits_ = _mm256_or_si256(bits_, bits);
  }
  [[gnu::always_inline]] bool none() const {
    return _mm256_testz_si256(bits_, bits_) != 0;
  }

 private:
  __m256i bits_;
};

[[gnu::always_inline]] inline uint64_t PrefixXor(uint64_t bits) {
  const __m128i product = _mm_clmulepi64_si128(
      _mm_set_epi64x(0, static_cast<int64_t>(bits)), _mm_set1_epi8(-1), 0);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
}

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
