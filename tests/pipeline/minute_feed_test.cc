#include "pipeline/minute_feed.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/reorder.h"
#include "tests/random_seed.h"
#include "tests/testing/records.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

constexpr EventTime kStart = 30'000'000 * kMinute;

// Observations of a few minutes; about half at few instants.
class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  Observations Make(size_t count) {
    Observations made;
    for (size_t i = 0; i < count; ++i) {
      switch (random_() % 4) {
        case 0:
          MakeSighting(i, &made.sightings.emplace_back());
          break;
        case 1:
          MakeDeed(i, &made.deeds.emplace_back());
          break;
        case 2:
          MakeFact(i, &made.facts.emplace_back());
          break;
        default:
          MakeGroup(i, &made.refusals.emplace_back());
      }
    }
    return made;
  }

 private:
  EventTime Minute() {
    return kStart + static_cast<EventTime>(random_() % 3) * kMinute;
  }
  EventTime Within(EventTime minute) {
    const auto after = static_cast<EventTime>(random_() % kMinute);
    return minute +
           (random_() % 2 == 0 ? after : after - after % (kMinute / 6));
  }
  EventSample Sample(EventTime time) {
    EventSample sample;
    sample.time = time;
    sample.order = random_();
    sample.uri = std::string(random_() % 200, 'u');
    return sample;
  }
  void MakeSighting(size_t number, Sighting* s) {
    s->cluster = random_() % 2 == 0 ? "east" : "west";
    s->user = fmt::format("user{}", number);
    s->client = "10.0.0.1";
    s->minute = Minute();
    for (int n = 0; n < 4; ++n) {
      const EventTime time = Within(s->minute);
      s->seen.Add(time);
      s->flags[random_() % kSightingFlags].Add(time);
    }
    s->sample = Sample(s->seen.first);
  }
  void MakeGroup(size_t number, RefusalGroup* g) {
    g->cluster = "east";
    g->client = fmt::format("10.0.1.{}", number);
    g->minute = Minute();
    g->keep = 3;
    g->cls = static_cast<RefusalClass>(random_() % 2);
    for (uint64_t n = 1 + random_() % 12; n > 0; --n) {
      g->Add({Within(g->minute), random_(), random_(), random_()});
    }
    g->sample.Encode(Sample(g->kept.front().time));
    if (random_() % 2 == 0) g->claimed_ips.Add("192.0.2.1");
  }
  void MakeDeed(size_t number, Deed* d) {
    d->cluster = "west";
    d->topic = "topic";
    d->user = fmt::format("user{}", number);
    d->time = Within(Minute());
    d->request[0] = static_cast<uint8_t>(number);
    d->request[1] = static_cast<uint8_t>(number >> 8);
    d->sample = Sample(d->time);
  }
  void MakeFact(size_t number, Fact* f) {
    f->cluster = fmt::format("cluster{}", number);
    f->minute = Minute();
    f->first_event = Within(f->minute);
    f->last_event = f->first_event;
    f->events = 1;
  }

  std::mt19937_64 random_;
};

// All of what was handed on that may be used (detector.h).
std::string TextOf(const std::string& cluster, const Judged& j) {
  std::string text =
      fmt::format("{} {} {}", static_cast<int>(j.kind), j.time, cluster);
  std::string bytes;
  if (j.fact != nullptr) EncodeTo(*j.fact, &bytes);
  if (j.deed != nullptr) EncodeTo(*j.deed, &bytes);
  if (j.sighting != nullptr) {
    EncodeTo(*j.sighting, &bytes);
    text += fmt::format(" {} {}", j.new_key, j.raised);
  }
  if (j.kind == JudgedKind::kRefusal) {
    const Refusal& r = *j.refusal;
    text += fmt::format(" {} {} {} {} {} {} {}", j.group->client,
                        static_cast<int>(j.group->cls), j.first_of_group,
                        r.time, r.request, r.path, r.agent);
    if (j.first_of_group) text += fmt::format(" {}", j.group->sample.order);
  } else if (j.group != nullptr) {
    EncodeTo(*j.group, &bytes);
    text += fmt::format(" {}", j.rest_begin);
  }
  return text + " " + bytes;
}

// Which group a group_id stands for.
class GroupIds {
 public:
  void See(const Judged& judged) {
    if (judged.group == nullptr || judged.group_id == 0) return;
    const std::string name =
        fmt::format("{} {} {}", judged.group->client, judged.group->minute,
                    static_cast<int>(judged.group->cls));
    const auto [it, added] = names_.emplace(judged.group_id, name);
    EXPECT_EQ(it->second, name);
  }

 private:
  std::map<uint64_t, std::string> names_;
};

struct Fed {
  std::vector<std::string> texts;
  uint64_t spilled_minutes = 0;
};

Fed Feed(const Observations& observations, EventTime newest,
         const MinuteFeed::Options& options) {
  Fed fed;
  GroupIds ids;
  MinuteFeed feed(options, [&](const std::string& cluster, const Judged& j) {
    ids.See(j);
    fed.texts.push_back(TextOf(cluster, j));
  });
  for (const auto& [key, payload] : RecordsOf(observations)) {
    EXPECT_TRUE(feed.Add(key, payload).ok());
  }
  EXPECT_TRUE(feed.Finish(newest).ok());
  fed.spilled_minutes = feed.spilled_minutes();
  return fed;
}

std::vector<std::string> Reordered(Observations observations,
                                   EventTime newest) {
  std::vector<std::string> texts;
  GroupIds ids;
  Reorder reorder;
  reorder.Add(std::move(observations));
  reorder.Finish(newest, [&](const std::string& cluster, const Judged& j) {
    ids.See(j);
    texts.push_back(TextOf(cluster, j));
  });
  return texts;
}

TEST(MinuteFeed, HandsOnTheSameFromMemoryFromDiskAndAsTheStreamDoes) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  const TemporaryDirectory dir;
  const EventTime newest = kStart + 2 * kMinute + 55 * kSecond;
  for (uint64_t round = 0; round < 20; ++round) {
    const Observations made = Maker(seed + round).Make(round * 15);
    const std::vector<std::string> want = Reordered(made, newest);
    const Fed held =
        Feed(made, newest, {.memory_bytes = 64 << 20, .spill_dir = dir.path()});
    EXPECT_EQ(held.texts, want) << "round " << round;
    EXPECT_EQ(held.spilled_minutes, 0u);
    for (size_t memory_bytes : {size_t{1}, size_t{5000}, size_t{50'000}}) {
      const Fed fed =
          Feed(made, newest,
               {.memory_bytes = memory_bytes, .spill_dir = dir.path()});
      EXPECT_EQ(fed.texts, want)
          << "round " << round << ", " << memory_bytes << " bytes";
      if (memory_bytes == 1) EXPECT_EQ(fed.spilled_minutes > 0, round > 0);
    }
  }
}

// `soon` names what comes; a detector may rely on nothing else of it.
TEST(MinuteFeed, AnnouncesTheGroupsThatComeSoon) {
  Observations made = Maker(RandomSeed()).Make(200);
  std::vector<uint64_t> groups;  // Of each refusal and other thing, in order.
  std::vector<std::array<uint64_t, Judged::kSoon.size()>> soon;
  Reorder reorder;
  reorder.Add(std::move(made));
  reorder.Finish(kStart + kDay, [&](const std::string&, const Judged& j) {
    groups.push_back(j.kind == JudgedKind::kRefusal ? j.group_id : 0);
    soon.push_back(j.soon);
  });
  size_t right = 0;
  for (size_t at = 0; at < groups.size(); ++at) {
    if (groups[at] == 0) continue;
    for (size_t i = 0; i < Judged::kSoon.size(); ++i) {
      if (soon[at][i] == 0) continue;
      const size_t then = at + Judged::kSoon[i];
      ASSERT_LT(then, groups.size());
      ASSERT_EQ(soon[at][i], groups[then]) << at << ", " << i;
      ++right;
    }
  }
  EXPECT_GT(right, 100u);
}

}  // namespace
}  // namespace klaxon
