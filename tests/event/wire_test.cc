#include "event/wire.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

// LEB128 without an overlong form, byte by byte; takes it off the front.
std::optional<uint64_t> ModelUint(std::string* bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < std::min<size_t>(bytes->size(), 10); ++i) {
    const auto byte = static_cast<uint8_t>((*bytes)[i]);
    if (i == 9 && byte > 1) return std::nullopt;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte >= 0x80) continue;
    if (byte == 0 && i > 0) return std::nullopt;
    bytes->erase(0, i + 1);
    return value;
  }
  return std::nullopt;
}

TEST(Wire, NumbersOfAnySizeComeBack) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  std::vector<uint64_t> values = {0, ~uint64_t{0}};
  for (int bits = 0; bits < 64; ++bits) {
    const uint64_t power = uint64_t{1} << bits;
    values.insert(values.end(), {power, power - 1, random() & (power - 1)});
  }
  for (const uint64_t value : values) {
    std::string bytes;
    WireWriter w(&bytes);
    w.Uint(value);
    w.Int(static_cast<int64_t>(value));
    w.Text(std::string(value % 300, 'x'));
    // The same into a room that is too large.
    std::string roomy;
    WireWriter room(&roomy);
    char* at = room.Room(400);
    at = WireWriter::PutUint(value, at);
    at = WireWriter::PutInt(static_cast<int64_t>(value), at);
    at = WireWriter::PutText(std::string(value % 300, 'x'), at);
    room.Close(at);
    ASSERT_EQ(bytes, roomy);
    WireReader r(bytes);
    EXPECT_EQ(r.Uint(), value);
    EXPECT_EQ(r.Int(), static_cast<int64_t>(value));
    EXPECT_EQ(r.Text(), std::string(value % 300, 'x'));
    EXPECT_TRUE(r.done());
  }
}

TEST(Wire, ReadsAnyBytesAsTheModel) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100'000; ++round) {
    std::string bytes;
    for (uint64_t n = random() % 25; n > 0; --n) {
      const uint8_t choices[] = {
          0x00, 0x01, 0x7f, 0x80,
          0x80, 0xff, 0xff, static_cast<uint8_t>(random())};
      bytes.push_back(static_cast<char>(choices[random() % 8]));
    }
    WireReader r(bytes);
    std::string left = bytes;
    while (!left.empty()) {
      const std::optional<uint64_t> want = ModelUint(&left);
      ASSERT_EQ(r.Uint(), want.value_or(0));
      ASSERT_EQ(r.ok(), want.has_value());
      if (!want.has_value()) break;
    }
    EXPECT_EQ(r.done(), r.ok());
  }
}

}  // namespace
}  // namespace klaxon
