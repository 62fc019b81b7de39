// Where only the last state of an alert is wanted, unauthorized-burst counts
// the failures of a client that an alert is open for at the end of their
// minute, all at once. The model: a judge that gives every revision, and is not
// told that anything may wait, and so counts each as it comes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/judge.h"
#include "pipeline/minute_feed.h"
#include "tests/random_seed.h"
#include "tests/testing/records.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

constexpr EventTime kStart = 30'000'000 * kMinute;

// Some hours of a few clients that fail, few or many times a minute, and are
// let in now and then.
class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed) {}

  Observations Make() {
    Observations made;
    EventTime minute = kStart + Pick(1400) * kMinute;
    coarse_ = Pick(3) == 0;
    forged_ = Pick(3) == 0;
    for (int minutes = 5 + Pick(40); minutes > 0; --minutes) {
      minute += Pick(12) == 0 ? Pick(20) * kMinute : kMinute;
      for (size_t i = 0; i < kClients.size(); ++i) {
        if (Pick(i < 3 ? 20 : 3) == 0) continue;
        AddGroup(kClients[i], i < 3, minute, &made.refusals.emplace_back());
        if (forged_ && Pick(3) == 0) {
          made.refusals.push_back(made.refusals.back());
          Forge(&made.refusals.back());
        }
        if (Pick(i < 3 ? 4 : 12) == 0) {
          AddSighting(kClients[i], minute, &made.sightings.emplace_back());
        }
      }
      for (int strays = Pick(8); strays > 0; --strays) {
        AddGroup(fmt::format("198.51.100.{}", Pick(90)), false, minute,
                 &made.refusals.emplace_back());
        if (made.refusals.back().kept.empty()) made.refusals.pop_back();
      }
    }
    return made;
  }

 private:
  static constexpr std::array<const char*, 10> kClients = {
      "10.0.0.1",       "10.0.0.2",       "10.0.0.3",      "203.0.113.1",
      "203.0.113.2",    "203.0.113.3",    "2001:db8:1::1", "2001:db8:1::2",
      "2001:db8:2::99", "2001:db8:3::99",
  };

  int Pick(int bound) {
    return static_cast<int>(random_() % static_cast<uint64_t>(bound));
  }
  EventTime Within(EventTime minute) {
    return minute + (coarse_ ? Pick(60) * kSecond
                             : static_cast<EventTime>(random_() % kMinute));
  }
  EventSample Sample(EventTime time) {
    EventSample sample;
    sample.time = time;
    sample.order = random_();
    sample.audit_id = fmt::format("{}", random_());
    return sample;
  }
  // An internal client is a workload, most of the time: one agent, steady.
  void AddGroup(const std::string& client, bool internal, EventTime minute,
                RefusalGroup* g) {
    g->cluster = "east";
    g->client = client;
    g->client_internal = internal;
    g->minute = minute;
    g->keep = 10;
    g->cls = RefusalClass::kUnauthenticated;
    const bool workload = internal && Pick(20) > 0;
    const int failures = workload ? 20 : 1 + Pick(Pick(4) == 0 ? 40 : 6);
    for (int n = 0; n < failures; ++n) {
      Refusal r;
      r.time = workload ? minute + n * (kMinute / failures) : Within(minute);
      r.request = random_();
      // One of another minute, with another time.
      if (Pick(30) == 0 && !before_.empty()) {
        r.request = before_[random_() % before_.size()];
      }
      before_.push_back(r.request);
      r.agent = !workload       ? static_cast<uint64_t>(Pick(12))
                : Pick(99) == 0 ? 8  // No workload from then on.
                                : 7;
      r.path = workload ? 7 : static_cast<uint64_t>(Pick(12));
      g->Add(r);
    }
    g->sample.Encode(Sample(g->kept.front().time));
    if (Pick(6) == 0) g->claimed_ips.Add("192.0.2.1");
  }
  // What Klaxon never writes: two groups of one client, requests twice in one,
  // times of other minutes.
  void Forge(RefusalGroup* g) {
    g->user = "x";
    for (int n = Pick(5); n > 0; --n) {
      Refusal r =
          g->kept[static_cast<size_t>(Pick(static_cast<int>(g->kept.size())))];
      if (Pick(2) == 0) r.time += Pick(3) * kMinute - kMinute;
      if (Pick(2) == 0) r.request = random_();
      g->kept.push_back(r);
    }
  }
  void AddSighting(const std::string& client, EventTime minute, Sighting* s) {
    s->cluster = "east";
    s->user = fmt::format("user{}", Pick(3));
    s->credential = fmt::format("JTI={}", Pick(3));
    s->client = client;
    s->minute = minute;
    s->requests = 1;
    const EventTime time = Within(minute);
    s->seen.Add(time);
    s->AddAgent(time, Pick(20) == 0 ? 99 : 7);
    for (SightingFlag flag :
         {SightingFlag::kLetIn, SightingFlag::kBeyondPublic}) {
      s->flags[static_cast<size_t>(flag)].Add(time);
    }
    s->sample = Sample(time);
  }

  std::mt19937_64 random_;
  bool coarse_ = false;  // Stamps of whole seconds: many are equal.
  bool forged_ = false;
  std::vector<uint64_t> before_;
};

// The last of each alert's revisions, but for their number.
class Alerts {
 public:
  void Add(Alert alert) {
    alert.revision = 0;
    std::string text;
    AppendJson(alert, &text);
    last_[alert.id] = text;
  }
  const std::map<std::string, std::string>& last() const { return last_; }

 private:
  std::map<std::string, std::string> last_;
};

EngineConfig Config(std::mt19937_64& random, uint64_t keys_max) {
  EngineConfig config;
  config.keys_max = keys_max;
  DetectorOptions& burst = config.base.detectors.at("unauthorized-burst");
  const auto pick = [&](int64_t from, int64_t bound) {
    return from + static_cast<int64_t>(random() % static_cast<uint64_t>(bound));
  };
  burst.Set("threshold", pick(2, 5));
  burst.Set("high_factor", pick(1, 3));
  burst.Set("window", Duration{pick(1, 3) * kMinute});
  burst.Set("quiet", Duration{pick(1, 4) * kMinute});
  burst.Set("slow_minutes", pick(2, 6));
  burst.Set("slow_window", Duration{kHour});
  burst.Set("spray_clients", pick(2, 14));
  burst.Set("spray_window", Duration{pick(1, 4) * kMinute});
  burst.Set("rotation_percent", pick(1, 60));
  burst.Set("workload_paths", pick(1, 4));
  return config;
}

void Compare(uint64_t seed, uint64_t keys_max) {
  std::mt19937_64 random(seed);
  const EngineConfig config = Config(random, keys_max);
  Alerts at_once;
  Alerts each;
  Judge patient(config, {.revisions = false, .emit = [&](const Alert& alert) {
                           at_once.Add(alert);
                         }});
  Judge model(config, {.revisions = true,
                       .emit = [&](const Alert& alert) { each.Add(alert); }});
  const TemporaryDirectory dir;
  EventTime newest = 0;
  MinuteFeed feed({.memory_bytes = 64 << 20, .spill_dir = dir.path()},
                  [&](const std::string& cluster, const Judged& judged) {
                    newest = std::max(newest, judged.time);
                    patient.Feed(cluster, judged);
                    Judged each_by_itself = judged;
                    each_by_itself.kept_index = Judged::kNotKept;
                    model.Feed(cluster, each_by_itself);
                  });
  for (const auto& [key, payload] : RecordsOf(Life(seed).Make())) {
    ASSERT_TRUE(feed.Add(key, payload).ok());
  }
  ASSERT_TRUE(feed.Finish(newest).ok());
  patient.Finish(newest);
  model.Finish(newest);
  ASSERT_EQ(at_once.last(), each.last()) << "KLAXON_TEST_SEED=" << seed;
  EXPECT_EQ(patient.evicted(), model.evicted());
}

TEST(PutOffFailures, AreCountedAsIfEachHadBeenCountedAsItCame) {
  const uint64_t seed = RandomSeed();
  for (uint64_t round = 0; round < 300; ++round) {
    ASSERT_NO_FATAL_FAILURE(Compare(seed + round, 1'000'000));
  }
}

// Clients and alerts have to go while failures of theirs wait.
TEST(PutOffFailures, AreNotLostWhereKeysAreGivenUp) {
  const uint64_t seed = RandomSeed();
  for (uint64_t round = 0; round < 20; ++round) {
    ASSERT_NO_FATAL_FAILURE(Compare(seed + round, 10 + round % 60));
  }
}

}  // namespace
}  // namespace klaxon
