#include "detectors/key_index.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "detectors/stable_list.h"
#include "detectors/table_key.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

TEST(KeyIndex, HoldsWhatAMapHolds) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    KeyIndex index;
    std::unordered_map<uint32_t, uint32_t> hash_of;  // By id.
    // Few hashes: they meet, and run on over the end.
    const uint32_t hashes = 1 + random() % 200;
    const uint32_t least = UINT32_MAX - random() % 100;
    const auto find = [&](uint32_t hash, uint32_t id) {
      return index.Find(hash, [&](uint32_t it) { return it == id; });
    };
    for (int step = 0; step < 300; ++step) {
      const auto id = static_cast<uint32_t>(random() % 100);
      const auto held = hash_of.find(id);
      if (held == hash_of.end()) {
        const auto hash = static_cast<uint32_t>(least + random() % hashes);
        index.Add(hash, id);
        hash_of[id] = hash;
      } else if (random() % 2 == 0) {
        index.Remove(held->second, id);
        EXPECT_EQ(find(held->second, id), KeyIndex::kNone);
        hash_of.erase(held);
      }
      ASSERT_EQ(index.size(), hash_of.size());
    }
    for (const auto& [id, hash] : hash_of) ASSERT_EQ(find(hash, id), id);
    index.clear();
    EXPECT_EQ(index.size(), 0u);
    EXPECT_EQ(find(least, 1), KeyIndex::kNone);
  }
}

TEST(TableKey, TakesTextsOfAnyLength) {
  TableKey key;
  EXPECT_EQ(key.view(), "");
  for (const size_t length : {0, 1, 46, 47, 48, 49, 300, 47, 48, 5, 255, 256}) {
    const std::string text(length, static_cast<char>('a' + length % 26));
    key.Set(text);
    EXPECT_EQ(key.view(), text);
  }
}

TEST(StableList, NeverMovesAnElement) {
  StableList<std::string> list;
  std::vector<const std::string*> places;
  for (int i = 0; i < 300'000; ++i) {  // Past the size of a huge page.
    std::string& element = list.emplace_back();
    EXPECT_EQ(element, "");
    element = std::to_string(i);
    places.push_back(&element);
  }
  StableList<std::string> other = std::move(list);
  ASSERT_EQ(other.size(), places.size());
  for (size_t i = 0; i < places.size(); ++i) {
    ASSERT_EQ(&other[i], places[i]);
    ASSERT_EQ(other[i], std::to_string(i));
  }
  other = {};
  EXPECT_EQ(other.size(), 0u);
  other.emplace_back() = "again";
  EXPECT_EQ(other[0], "again");
}

}  // namespace
}  // namespace klaxon
