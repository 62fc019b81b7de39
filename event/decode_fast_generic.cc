// The fast path for any machine: eight bytes at a time in plain registers
// (and SSE2 where every compiler for x86-64 has it).
#include "event/decode_fast.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include <bit>
#include <cstring>

namespace klaxon::generic {
namespace {

// Whether pieces of text differ anywhere, asked once of all of them.
class Difference {
 public:
  [[gnu::always_inline]] void Add16(const char* a, const char* b) {
    uint64_t left[2];
    uint64_t right[2];
    std::memcpy(left, a, sizeof(left));
    std::memcpy(right, b, sizeof(right));
    bits_ |= (left[0] ^ right[0]) | (left[1] ^ right[1]);
  }
  [[gnu::always_inline]] void Add32(const char* a, const char* b) {
    Add16(a, b);
    Add16(a + 16, b + 16);
  }
  [[gnu::always_inline]] bool none() const { return bits_ == 0; }

 private:
  uint64_t bits_ = 0;
};

[[gnu::always_inline]] inline uint64_t PrefixXor(uint64_t bits) {
  for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
  return bits;
}

#if defined(__x86_64__)

// 64 bytes of text; bit i of an answer speaks of byte i.
class Block {
 public:
  [[gnu::always_inline]] explicit Block(const char* p) {
    for (int i = 0; i < 4; ++i) {
      part_[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i));
    }
  }
  [[gnu::always_inline]] void Store(char* p) const {
    for (int i = 0; i < 4; ++i) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16 * i), part_[i]);
    }
  }
  [[gnu::always_inline]] uint64_t Equal(char c) const {
    const __m128i value = _mm_set1_epi8(c);
    return MaskOf(
        [value](__m128i bytes) { return _mm_cmpeq_epi8(bytes, value); });
  }
  [[gnu::always_inline]] uint64_t NotAscii() const {
    return MaskOf([](__m128i bytes) { return bytes; });
  }
  [[gnu::always_inline]] uint64_t Control() const {
    return MaskOf([](__m128i bytes) { return ControlOf(bytes); });
  }
  // Quotes, backslashes and control characters.
  [[gnu::always_inline]] uint64_t Syntax() const {
    return MaskOf(
        [](__m128i bytes) { return SyntaxOf(bytes, ControlOf(bytes)); });
  }
  // As signed bytes, control characters and all that is not ASCII are less
  // than a space: one comparison for both.
  [[gnu::always_inline]] uint64_t SyntaxOrNotAscii() const {
    return MaskOf([](__m128i bytes) {
      return SyntaxOf(bytes, _mm_cmpgt_epi8(_mm_set1_epi8(' '), bytes));
    });
  }
  // The same of the first 32 bytes.
  [[gnu::always_inline]] uint32_t SyntaxOrNotAsciiOfHalf() const {
    const __m128i space = _mm_set1_epi8(' ');
    const auto mask = [space](__m128i bytes) {
      return static_cast<uint32_t>(
          _mm_movemask_epi8(SyntaxOf(bytes, _mm_cmpgt_epi8(space, bytes))));
    };
    return mask(part_[1]) << 16 | mask(part_[0]);
  }
  // '[' as '{', ']' as '}', 'D' as 'd'.
  [[gnu::always_inline]] Block Lowered() const {
    Block lowered = *this;
    for (__m128i& part : lowered.part_) {
      part = _mm_or_si128(part, _mm_set1_epi8(0x20));
    }
    return lowered;
  }

 private:
  template <typename Test>
  [[gnu::always_inline]] uint64_t MaskOf(Test test) const {
    uint64_t mask = 0;
    for (int i = 3; i >= 0; --i) {
      mask =
          mask << 16 | static_cast<uint32_t>(_mm_movemask_epi8(test(part_[i])));
    }
    return mask;
  }
  [[gnu::always_inline]] static __m128i ControlOf(__m128i bytes) {
    const __m128i last = _mm_set1_epi8(0x1f);
    return _mm_cmpeq_epi8(_mm_min_epu8(bytes, last), bytes);
  }
  [[gnu::always_inline]] static __m128i SyntaxOf(__m128i bytes,
                                                 __m128i others) {
    const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    const __m128i escape = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return _mm_or_si128(others, _mm_or_si128(quote, escape));
  }
  __m128i part_[4];
};

#else

class Block {
 public:
  explicit Block(const char* p) { std::memcpy(bytes_, p, sizeof(bytes_)); }

  void Store(char* p) const { std::memcpy(p, bytes_, sizeof(bytes_)); }
  uint64_t Equal(char c) const {
    return Mask([c](signed char byte) { return byte == c; });
  }
  uint64_t NotAscii() const {
    return Mask([](signed char byte) { return byte < 0; });
  }
  uint64_t Control() const {
    return Mask([](signed char byte) { return byte >= 0 && byte < ' '; });
  }
  uint64_t Syntax() const { return Equal('"') | Equal('\\') | Control(); }
  uint64_t SyntaxOrNotAscii() const { return Syntax() | NotAscii(); }
  uint32_t SyntaxOrNotAsciiOfHalf() const {
    return static_cast<uint32_t>(SyntaxOrNotAscii());
  }
  Block Lowered() const {
    Block lowered = *this;
    for (signed char& byte : lowered.bytes_) byte |= 0x20;
    return lowered;
  }

 private:
  template <typename Test>
  uint64_t Mask(Test test) const {
    uint64_t mask = 0;
    for (int i = 0; i < 64; ++i) mask |= uint64_t{test(bytes_[i])} << i;
    return mask;
  }
  signed char bytes_[64];
};

#endif

}  // namespace

#define KLAXON_KERNEL_NAME "generic"
#include "event/decode_fast_impl.inc"

}  // namespace klaxon::generic
