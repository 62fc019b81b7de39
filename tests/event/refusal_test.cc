#include "event/refusal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

struct Gone {
  Refusal refusal;
  bool again;
  auto operator<=>(const Gone&) const = default;
};

// KeptRefusals as its comment says it, in the slowest way.
struct Model {
  std::vector<Refusal> list;
  std::vector<Gone> gone;

  void Merge(const std::vector<Refusal>& others, size_t keep) {
    for (const Refusal& other : others) {
      auto same = std::find_if(list.begin(), list.end(), [&](const Refusal& r) {
        return r.request == other.request;
      });
      if (same == list.end()) {
        list.push_back(other);
      } else {
        gone.push_back({std::max(*same, other), true});
        *same = std::min(*same, other);
      }
    }
    std::sort(list.begin(), list.end());
    while (list.size() > 2 * keep) {
      const auto middle = list.begin() + static_cast<ptrdiff_t>(keep);
      gone.push_back({*middle, false});
      list.erase(middle);
    }
  }
};

std::vector<Refusal> ListOf(const KeptRefusals& kept) {
  return {kept.begin(), kept.end()};
}

std::vector<Gone> Sorted(std::vector<Gone> gone) {
  std::sort(gone.begin(), gone.end());
  return gone;
}

// Mostly in order, some twice, some late, many at one instant.
Refusal RandomRefusal(std::mt19937_64* random, EventTime now) {
  Refusal refusal;
  refusal.time = now - ((*random)() % 8 == 0 ? (*random)() % 20 : 0);
  // Equal low bits too: a hash of 64 bits that differs in the upper half only.
  refusal.request = (*random)() % 3 << 40 | (*random)() % 60;
  refusal.path = (*random)() % 5;
  refusal.agent = (*random)() % 3;
  return refusal;
}

class KeptRefusalsOfN : public testing::TestWithParam<uint32_t> {};

TEST_P(KeptRefusalsOfN, AreTheFirstAndTheLastN) {
  const uint32_t keep = GetParam();
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed + keep);
  for (int round = 0; round < 30; ++round) {
    KeptRefusals kept;
    Model model;
    std::vector<Gone> gone;
    const auto on_gone = [&](const Refusal& refusal, const Refusal* stays) {
      gone.push_back({refusal, stays != nullptr});
      if (stays == nullptr) return;
      EXPECT_EQ(stays->request, refusal.request);
      EXPECT_LE(*stays, refusal);
    };
    EventTime now = 1000;
    for (int step = 0; step < 200; ++step) {
      now += static_cast<EventTime>(random() % 3);
      if (random() % 16 == 0) {
        KeptRefusals other;
        for (uint64_t n = random() % (step % 3 == 0 ? 40 : 5); n > 0; --n) {
          other.Add(RandomRefusal(&random, now), keep,
                    [](const Refusal&, const Refusal*) {});
        }
        kept.Merge(other, keep, on_gone);
        model.Merge(ListOf(other), keep);
      } else {
        const Refusal refusal = RandomRefusal(&random, now);
        kept.Add(refusal, keep, on_gone);
        model.Merge({refusal}, keep);
      }
      ASSERT_EQ(ListOf(kept), model.list) << "step " << step;
      ASSERT_EQ(Sorted(gone), Sorted(model.gone)) << "step " << step;
      if (kept.empty()) continue;
      ASSERT_EQ(kept.back(), model.list.back());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllSizes, KeptRefusalsOfN,
                         testing::Values(1, 2, 7, 8, 9, 20, 100));

// A long flood in order: what was given up must be taken again, what is kept
// must not, whichever way the requests were made to be alike.
TEST(KeptRefusals, KnowWhatTheyHoldThroughoutAFlood) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  const std::function<uint64_t(uint64_t)> kinds[] = {
      [&](uint64_t) { return random(); }, [](uint64_t i) { return i; },
      [](uint64_t i) { return i << 40; }, [](uint64_t i) { return i << 56; },
      [](uint64_t i) { return ~uint64_t{0} - i; }};
  for (const uint32_t keep : {1u, 8u, 9u, 30u, 100u}) {
    for (const auto& kind : kinds) {
      KeptRefusals kept;
      Model model;
      std::vector<uint64_t> sent;
      uint64_t gone = 0;
      for (EventTime now = 0; now < 5 * keep + 50; ++now) {
        const bool again = !sent.empty() && random() % 4 == 0;
        const uint64_t request = again ? sent[random() % sent.size()]
                                       : kind(static_cast<uint64_t>(now));
        const Refusal refusal{now, request, random(), random()};
        sent.push_back(request);
        kept.Add(refusal, keep,
                 [&](const Refusal&, const Refusal*) { ++gone; });
        model.Merge({refusal}, keep);
        ASSERT_EQ(gone, model.gone.size()) << "keep " << keep << ", " << now;
      }
      ASSERT_EQ(ListOf(kept), model.list) << "keep " << keep;
    }
  }
}

TEST(SmallestHashes, AreTheSmallestDistinctOnes) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    SmallestHashes hashes;
    std::vector<uint64_t> model;
    for (uint64_t n = random() % 40; n > 0; --n) {
      const uint64_t value = random() % 30;
      hashes.Add(value);
      model.push_back(value);
    }
    std::sort(model.begin(), model.end());
    model.erase(std::unique(model.begin(), model.end()), model.end());
    if (model.size() > SmallestHashes::kMax) model.resize(SmallestHashes::kMax);
    EXPECT_EQ(std::vector<uint64_t>(hashes.begin(), hashes.end()), model);
  }
}

}  // namespace
}  // namespace klaxon
