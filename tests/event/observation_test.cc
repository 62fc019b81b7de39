// The merge laws: in whatever parts, and in whatever order, the same comes out,
// byte for byte.
#include "event/observation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "event/observation_json.h"
#include "event/wire.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using Random = std::mt19937_64;

constexpr EventTime kStart = 30'000'000 * kMinute;

template <typename T>
std::string BytesOf(const T& value) {
  std::string bytes;
  EncodeTo(value, &bytes);
  return bytes;
}

// Merges parts two by two, whichever come.
template <typename T>
T MergeAll(std::vector<T> parts, Random& random) {
  while (parts.size() > 1) {
    std::shuffle(parts.begin(), parts.end(), random);
    const T last = std::move(parts.back());
    parts.pop_back();
    parts.front().Merge(last);
  }
  return parts.front();
}

EventSample RandomSample(Random& random) {
  EventSample sample;
  if (random() % 4 == 0) return sample;
  sample.time = kStart + static_cast<EventTime>(random() % 4);
  sample.order = random() % 4;
  // Of one place there is one event.
  sample.uri = fmt::format("/{}/{}", sample.time, sample.order);
  return sample;
}

void AddTexts(Random& random, SmallTextSet* set) {
  for (uint64_t n = random() % 6; n > 0; --n) {
    set->Add(std::to_string(random() % 20));
  }
}

Span RandomSpan(Random& random) {
  Span span;
  if (random() % 3 > 0) span.Add(static_cast<EventTime>(random() % 50));
  if (random() % 3 > 0) span.Add(static_cast<EventTime>(random() % 50));
  return span;
}

Sighting RandomSighting(Random& random) {
  Sighting sighting;
  sighting.user = "alice";
  sighting.minute = kStart;
  sighting.requests = random() % 10;
  sighting.seen = RandomSpan(random);
  for (Span& flag : sighting.flags) flag = RandomSpan(random);
  sighting.client_internal = random() % 4 == 0;
  sighting.client_external = random() % 4 == 0;
  sighting.trusted_proxy = random() % 4 == 0;
  sighting.client_loopback = random() % 4 == 0;
  sighting.stale_seconds = static_cast<int64_t>(random() % 9);
  AddTexts(random, &sighting.claimed_ips);
  for (uint64_t n = random() % 12; n > 0; --n) {
    sighting.AddAgent(static_cast<EventTime>(random() % 20), random() % 16);
  }
  sighting.sample = RandomSample(random);
  return sighting;
}

Fact RandomFact(Random& random) {
  Fact fact;
  fact.minute = kStart;
  fact.first_event = kStart + static_cast<EventTime>(random() % 90);
  fact.last_event = fact.first_event + static_cast<EventTime>(random() % 90);
  fact.events = random() % 9;
  for (uint64_t& stage : fact.stages) stage = random() % 9;
  fact.requests = random() % 9;
  fact.unauthenticated = random() % 9;
  fact.unauthorized_named = random() % 9;
  fact.odd_events = random() % 9;
  fact.with_credential_id = random() % 9;
  return fact;
}

// Of equal identity.
Sighting EmptyOf(const Sighting& sighting) {
  Sighting empty;
  empty.user = sighting.user;
  empty.minute = sighting.minute;
  return empty;
}
Fact EmptyOf(const Fact& fact) {
  Fact empty;
  empty.minute = fact.minute;
  return empty;
}

template <typename T>
void ExpectLaws(T (*make)(Random&)) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  Random random(seed);
  for (int round = 0; round < 500; ++round) {
    // The empty value is neutral.
    const T one = make(random);
    T merged = one;
    T empty = EmptyOf(one);
    merged.Merge(empty);
    ASSERT_EQ(BytesOf(merged), BytesOf(one)) << "round " << round;
    empty.Merge(one);
    ASSERT_EQ(BytesOf(empty), BytesOf(one)) << "round " << round;

    std::vector<T> parts;
    for (uint64_t n = 2 + random() % 5; n > 0; --n) {
      parts.push_back(make(random));
    }
    const std::string bytes = BytesOf(MergeAll(parts, random));
    ASSERT_EQ(BytesOf(MergeAll(parts, random)), bytes) << "round " << round;
  }
}

TEST(MergeLaws, HoldForSightings) { ExpectLaws(&RandomSighting); }
TEST(MergeLaws, HoldForFacts) { ExpectLaws(&RandomFact); }

// ---------------------------------------------------------------- refusals

RefusalGroup EmptyGroup(uint32_t keep) {
  RefusalGroup group;
  group.client = "192.0.2.1";
  group.minute = kStart;
  group.keep = keep;
  return group;
}

// One delivery of one of a few hundred requests, many of which come again.
Refusal RandomDelivery(Random& random) {
  const uint64_t request = random() % 300;
  return {kStart + static_cast<EventTime>(request * 7919 % 211),
          request * 0x9e3779b97f4a7c15, request % 5, request % 3};
}

// What detections.md asks for, and docs/OBSERVATIONS.md, in the slowest way.
void ExpectIsOf(const RefusalGroup& group,
                const std::vector<Refusal>& deliveries, uint32_t keep) {
  std::map<Refusal, uint64_t> times;
  for (const Refusal& refusal : deliveries) ++times[refusal];
  std::vector<Refusal> kept;
  uint64_t dropped = 0;
  size_t i = 0;
  for (const auto& [refusal, n] : times) {
    const bool first = i < keep;
    const bool last = i + keep >= times.size();
    if (first || last) {
      kept.push_back(refusal);
      EXPECT_EQ(group.times.Of(refusal.request), n);
    } else {
      dropped += n;
    }
    ++i;
  }
  EXPECT_EQ(std::vector(group.kept.begin(), group.kept.end()), kept);
  EXPECT_EQ(group.dropped, dropped);
}

// Requests that come again and again, more than are kept: who sees which part
// of them must not show.
TEST(MergeLaws, HoldForRefusalsDeliveredAgain) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  Random random(seed);
  for (int round = 0; round < 300; ++round) {
    const auto keep = static_cast<uint32_t>(1 + random() % 60);
    std::vector<Refusal> deliveries;
    for (uint64_t n = random() % 500; n > 0; --n) {
      deliveries.push_back(RandomDelivery(random));
    }
    std::vector<RefusalGroup> parts(1 + random() % 5, EmptyGroup(keep));
    std::vector<RefusalGroup> whole(1, EmptyGroup(keep));
    for (const Refusal& refusal : deliveries) {
      parts[random() % parts.size()].Add(refusal);
    }
    if (random() % 2 == 0) std::sort(deliveries.begin(), deliveries.end());
    for (const Refusal& refusal : deliveries) whole[0].Add(refusal);
    const RefusalGroup merged = MergeAll(parts, random);
    ASSERT_EQ(BytesOf(merged), BytesOf(whole[0])) << "round " << round;
    ASSERT_NO_FATAL_FAILURE(ExpectIsOf(merged, deliveries, keep));
  }
}

TEST(RefusalGroup, IsReadAsItWasWritten) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  Random random(seed);
  ObservationParser parser;
  for (int round = 0; round < 200; ++round) {
    RefusalGroup group = EmptyGroup(10);
    for (uint64_t n = 1 + random() % 60; n > 0; --n) {
      group.Add(RandomDelivery(random));
    }
    group.sample.Encode(RandomSample(random));
    RefusalGroup read;
    ASSERT_TRUE(Decode(BytesOf(group), &read));
    ASSERT_EQ(BytesOf(read), BytesOf(group));
    std::string line;
    AppendJson(group, &line);
    Observations all;
    std::string error;
    ASSERT_TRUE(parser.Parse(line, &all, &error)) << error << "\n" << line;
    ASSERT_EQ(all.refusals.size(), 1u);
    std::string again;
    AppendJson(all.refusals[0], &again);
    ASSERT_EQ(again, line);
  }
}

// Two forms of one value would be two observations.
TEST(RefusalGroup, TimesHaveOneForm) {
  RefusalGroup group = EmptyGroup(10);
  group.Add({kStart, 7, 0, 0});
  group.Add({kStart, 9, 0, 0});
  group.Add({kStart, 7, 0, 0});
  group.Add({kStart, 9, 0, 0});
  const std::string good = BytesOf(group);
  constexpr size_t kTail = 1 + 2 * (8 + 1);  // How many; request, times.
  const auto with_times =
      [&](const std::vector<std::pair<uint64_t, uint64_t>>& times) {
        std::string bytes = good.substr(0, good.size() - kTail);
        WireWriter w(&bytes);
        w.Uint(times.size());
        for (const auto& [request, n] : times) {
          w.Fixed64(request);
          w.Uint(n);
        }
        return bytes;
      };
  RefusalGroup read;
  EXPECT_EQ(with_times({{7, 2}, {9, 2}}), good);
  EXPECT_TRUE(Decode(good, &read));
  EXPECT_FALSE(Decode(with_times({}), &read));
  EXPECT_FALSE(Decode(with_times({{9, 2}, {7, 2}}), &read));
  EXPECT_FALSE(Decode(with_times({{7, 2}, {7, 2}}), &read));
  EXPECT_FALSE(Decode(with_times({{7, 1}}), &read));
  EXPECT_FALSE(Decode(with_times({{7, 0}}), &read));
  EXPECT_FALSE(Decode(good.substr(0, good.size() - 1), &read));
  std::string more = good;
  more[good.size() - kTail] = 3;  // Than there are.
  EXPECT_FALSE(Decode(more, &read));
}

// Forged numbers do not begin again at 0.
TEST(RefusalGroup, CountsNoFurtherThanNumbersGo) {
  constexpr uint64_t kMost = kTimesMax;
  RefusalGroup group = EmptyGroup(1);
  for (int i = 0; i < 3; ++i) group.Add({kStart + i, 7u + i, 0, 0});
  ASSERT_TRUE(group.times.Assign({{7, kMost}, {9, 2}}));
  RefusalGroup other = EmptyGroup(1);
  other.Add({kStart, 7, 0, 0});
  group.Merge(other);
  EXPECT_EQ(group.times.Of(7), kMost);
  other.Add({kStart - 1, 6, 0, 0});
  group.Merge(other);
  EXPECT_EQ(group.dropped, kMost);
}

// However they are read.
TEST(RefusalGroup, CutsForgedNumbers) {
  RefusalGroup forged = EmptyGroup(1);
  for (int i = 0; i < 3; ++i) forged.Add({kStart + i, 7u + i, 0, 0});
  forged.dropped = std::numeric_limits<uint64_t>::max();
  ASSERT_TRUE(forged.times.Assign({{7, forged.dropped}}));
  std::string bytes;
  EncodeTo(forged, &bytes);
  RefusalGroup read;
  ASSERT_TRUE(Decode(bytes, &read));
  EXPECT_EQ(read.dropped, kTimesMax);
  EXPECT_EQ(read.times.Of(7), kTimesMax);

  std::string line;
  AppendJson(read, &line);
  const std::string cut = "1099511627776";
  for (size_t at = 0; (at = line.find(cut, at)) != line.npos;) {
    line.replace(at, cut.size(), "18446744073709551615");
  }
  Observations observations;
  std::string error;
  ASSERT_TRUE(ObservationParser().Parse(line, &observations, &error)) << error;
  ASSERT_EQ(observations.refusals.size(), 1u);
  EXPECT_EQ(observations.refusals[0].dropped, kTimesMax);
  EXPECT_EQ(observations.refusals[0].times.Of(7), kTimesMax);
}

}  // namespace
}  // namespace klaxon
