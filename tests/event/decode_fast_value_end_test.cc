// Where a value ends: the kernels against the obvious.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "event/decode_fast.h"
#include "tests/event/decode_dump.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

// By one byte after the other.
ValueEnd SlowValueEnd(std::string_view text) {
  int64_t depth = 0;
  bool in_string = false;
  ValueEnd found;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      // Outside of strings too: what kernels and simdjson do.
      ++i;
      if (i < text.size() && text[i] != '"' && !in_string) --i;
      if (i < text.size() && text[i] == '\\' && !in_string) ++i;
      continue;
    }
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    found.deep |= depth > 1000;
    if (depth == 0) {
      found.end = text.data() + i + 1;
      return found;
    }
  }
  return found;
}

TEST(DecodeFastValueEnd, FindsSurrogateEscapesInAValue) {
  for (size_t fill = 0; fill < 140; ++fill) {
    const std::string begin = "{\"a\":\"" + std::string(fill, 'x');
    const PaddedText inside(begin + "\\uD800\"}");
    const PaddedText behind(begin + "\\u0d80\"}\\ud800");
    for (const FastKernel& kernel : FastKernels()) {
      const auto surrogates = [&kernel](std::string_view text) {
        return kernel.value_end(text.data(), text.data() + text.size())
            .surrogates;
      };
      EXPECT_TRUE(surrogates(inside.view())) << kernel.name << " " << fill;
      EXPECT_FALSE(surrogates(behind.view())) << kernel.name << " " << fill;
    }
  }
}

TEST(DecodeFastValueEnd, FindsTheEndOfAValue) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  static constexpr std::string_view kLetters = "{}[]\"x ";
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = "{";
    const size_t size = random() % 300;
    for (size_t i = 0; i < size; ++i) {
      // Escapes inside strings only; a bare backslash has no meaning.
      bytes += kLetters[random() % kLetters.size()];
      const bool inside = std::count(bytes.begin(), bytes.end(), '"') % 2 != 0;
      if (inside && random() % 8 == 0) bytes += "\\\\";
    }
    const PaddedText text(bytes);
    const std::string_view view = text.view();
    const ValueEnd want = SlowValueEnd(view);
    for (const FastKernel& kernel : FastKernels()) {
      const ValueEnd got =
          kernel.value_end(view.data(), view.data() + view.size());
      ASSERT_EQ(got.end, want.end) << kernel.name << ": " << bytes;
      ASSERT_EQ(got.deep, want.deep);
      ASSERT_FALSE(got.surrogates);
    }
  }
}

}  // namespace
}  // namespace klaxon
