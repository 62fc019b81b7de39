// The seed of randomised tests: the same each run, so that a failure shows
// again; another one by KLAXON_TEST_SEED=N in the environment.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace klaxon {

inline uint64_t RandomSeed() {
  uint64_t seed = 20260102;
  if (const char* text = std::getenv("KLAXON_TEST_SEED")) {
    const std::string_view digits(text);
    std::from_chars(digits.data(), digits.data() + digits.size(), seed);
  }
  return seed;
}

}  // namespace klaxon
