#include "detectors/tried_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "event/wire.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

// What TriedNames is, said slowly: every attempt, looked through each time.
struct SlowNames {
  std::vector<std::pair<EventTime, std::string>> all;
  Nanos window;
  std::vector<std::pair<EventTime, std::string>> Within() const {
    EventTime newest = 0;
    for (const auto& [time, name] : all) newest = std::max(newest, time);
    std::vector<std::pair<EventTime, std::string>> found;
    for (const auto& attempt : all) {
      if (newest - attempt.first <= window) found.push_back(attempt);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

TEST(TriedNames, AreThoseOfTheWindow) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    const Nanos window = 1 + static_cast<Nanos>(random() % 100);
    SlowNames slow{{}, window};
    TriedNames tried;
    EventTime now = 1000;
    for (int i = 0; i < 200; ++i) {
      now += static_cast<EventTime>(random() % 9);
      // Now and then one that comes late, but within the window.
      const EventTime time =
          random() % 8 != 0
              ? now
              : now - static_cast<Nanos>(random() %
                                         static_cast<uint64_t>(window));
      const std::string name = std::to_string(random() % 30);
      slow.all.emplace_back(time, name);
      tried.Add(time, name, window);
      const auto within = slow.Within();
      std::set<std::string> distinct;
      for (const auto& attempt : within) distinct.insert(attempt.second);
      ASSERT_EQ(tried.names().size(), distinct.size());
      ASSERT_EQ(tried.attempts(), within.size());
      ASSERT_EQ(tried.first_time(), within.front().first);
    }
  }
}

TEST(TriedNames, AreBounded) {
  TriedNames tried;
  for (int i = 0; i < 5000; ++i) tried.Add(i, std::to_string(i), 10'000);
  EXPECT_EQ(tried.names().size(), TriedNames::kNamesMax);
  EXPECT_EQ(tried.names().back().text, "4999");
  EXPECT_EQ(tried.attempts(), TriedNames::kAttemptsMax);
}

TEST(TriedNames, ComeBackFromASnapshot) {
  TriedNames tried;
  tried.Add(5, "dana", 100);
  tried.Add(7, "eve", 100);
  std::string bytes;
  WireWriter w(&bytes);
  tried.Save(&w);
  TriedNames back;
  back.Add(1, "gone", 100);
  WireReader r(bytes);
  back.Load(&r);
  ASSERT_TRUE(r.done());
  ASSERT_EQ(back.names().size(), 2U);
  EXPECT_EQ(back.names()[1].text, "eve");
  EXPECT_EQ(back.attempts(), 2U);
  EXPECT_EQ(back.first_time(), 5);
}

}  // namespace
}  // namespace klaxon
