// The benchmarks' own source of chance: xorshift128+, the same numbers for
// the same seed on every machine and library. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace klaxon {

class Random {
 public:
  explicit Random(uint64_t seed);

  uint64_t Next() {
    uint64_t a = state_[0];
    const uint64_t b = state_[1];
    state_[0] = b;
    a ^= a << 23;
    state_[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return state_[1] + b;
  }
  // Uniform in [0, n). REQUIRES: n > 0.
  uint32_t Below(uint32_t n) {
    return static_cast<uint32_t>(((Next() >> 32) * n) >> 32);
  }
  // True once in `n` times.
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(static_cast<uint32_t>(from.size()))];
  }
  template <typename T, size_t N>
  const T& Pick(const std::array<T, N>& from) {
    return from[Below(N)];
  }

  // `digits` lower-case hexadecimal digits.
  void AppendHex(size_t digits, std::string* out);
  // A version 4 UUID, 36 characters.
  void AppendUuid(std::string* out);
  // `length` letters and digits as Kubernetes makes random names of.
  void AppendName(size_t length, std::string* out);
  std::string Hex(size_t digits);
  std::string Uuid();
  std::string Name(size_t length);

 private:
  std::array<uint64_t, 2> state_;
};

}  // namespace klaxon
