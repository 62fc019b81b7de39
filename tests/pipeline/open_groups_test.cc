// Whether groups are folded or not, the same is handed on; but for totals that
// tell nobody anything.
#include "pipeline/open_groups.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "pipeline/reorder.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

constexpr EventTime kStart = 30'000'000 * kMinute;
constexpr size_t kNeverFolded = std::numeric_limits<size_t>::max();

using Random = std::mt19937_64;

// One record: parts of a few groups of the minutes around `now`, many of them
// late, some of requests that came before.
Observations MakeRecord(EventTime now, Random& random) {
  Observations made;
  for (uint64_t parts = random() % 12; parts > 0; --parts) {
    const EventTime at =
        now - static_cast<EventTime>(
                  random() %
                  static_cast<uint64_t>(random() % 4 == 0 ? kMinute : kSecond));
    RefusalGroup& group = made.refusals.emplace_back();
    const uint64_t who = random() % 40;
    group.cluster = who % 2 == 0 ? "east" : "west";
    group.client = fmt::format("2001:db8::{}", who);
    group.cls = static_cast<RefusalClass>(who % 3 == 0);
    group.minute = MinuteOf(at);
    group.keep = 3;
    for (uint64_t n = 1 + random() % (who < 4 ? 5 : 2); n > 0; --n) {
      // Few instants, so that some meet.
      const EventTime time =
          std::max(group.minute,
                   at - static_cast<EventTime>(random() % 8) * kSecond / 8);
      const uint64_t request = who << 8 | random() % 16;
      group.Add({time, request, random() % 3, random() % 3});
    }
    EventSample sample;
    sample.time = group.kept.front().time;
    sample.order = random();
    sample.uri = std::string(random() % 60, 'u');
    group.sample.Encode(sample);
    if (random() % 20 == 0) group.claimed_ips.Add("192.0.2.1");
  }
  return made;
}

std::string TextOf(const std::string& cluster, const Judged& j) {
  std::string text = fmt::format("{} {} {} {} ", static_cast<int>(j.kind),
                                 j.time, cluster, j.group->client);
  if (j.kind == JudgedKind::kRefusal) {
    text += fmt::format("{} {} {} {} {}", j.refusal->time, j.refusal->request,
                        j.refusal->path, j.refusal->agent, j.first_of_group);
    if (j.first_of_group) {
      text += fmt::format(" {} {}", j.group->sample.order,
                          j.group->sample.Decoded().uri);
    }
  } else {
    EncodeTo(*j.group, &text);
  }
  return text;
}

// What a reorder buffer hands on.
class Told {
 public:
  explicit Told(size_t whole_groups_max) : reorder_(whole_groups_max) {}

  void Add(const Observations& record) {
    Observations copy = record;
    reorder_.Add(std::move(copy));
  }
  void Release(EventTime watermark) { reorder_.Release(watermark, Sink()); }
  void Finish(EventTime newest) { reorder_.Finish(newest, Sink()); }

  // A restart: what was handed on before `watermark` was.
  void Restart(const std::vector<Observations>& before, EventTime watermark) {
    reorder_.StartAt(watermark);
    for (const Observations& record : before) {
      Observations copy = record;
      reorder_.AddJudged(std::move(copy));
    }
  }

  std::vector<std::string> texts;
  // Where a total was given: nobody is told later that it is late.
  std::set<std::string> totals;
  uint64_t pending() const { return reorder_.pending(); }

 private:
  Reorder::Sink Sink() {
    return [this](const std::string& cluster, const Judged& j) {
      const bool total = j.kind == JudgedKind::kTotal;
      if (total) totals.insert(fmt::format("{} {}", j.time, cluster));
      const bool says_nothing = total && j.rest_begin == j.group->kept.size() &&
                                j.group->claimed_ips.empty();
      if (!says_nothing) texts.push_back(TextOf(cluster, j));
    };
  }
  Reorder reorder_;
};

struct Stream {
  std::vector<Observations> records;
  std::vector<EventTime> watermarks;  // After each.
};

Stream MakeStream(Random& random) {
  Stream stream;
  EventTime now = kStart;
  for (uint64_t i = 0; i < 60; ++i) {
    now +=
        static_cast<EventTime>(random() % static_cast<uint64_t>(5 * kSecond));
    stream.records.push_back(MakeRecord(now, random));
    stream.watermarks.push_back(now - kSecond);
  }
  return stream;
}

void Tell(const Stream& stream, size_t from, Told* told) {
  for (size_t i = from; i < stream.records.size(); ++i) {
    told->Add(stream.records[i]);
    told->Release(stream.watermarks[i]);
  }
  told->Finish(stream.watermarks.back() + kMinute);
}

template <typename Check>
void WithRandomStreams(Check check) {
  for (uint64_t round = 0; round < 300; ++round) {
    const uint64_t seed = RandomSeed() + round;
    SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
    Random random(seed);
    check(MakeStream(random), random);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(OpenGroups, FoldedOnesAreHandedOnAsWholeOnesAre) {
  WithRandomStreams([](const Stream& stream, Random&) {
    Told want(kNeverFolded);
    Tell(stream, 0, &want);
    for (const size_t whole_max : {size_t{0}, size_t{7}}) {
      Told told(whole_max);
      Tell(stream, 0, &told);
      ASSERT_EQ(told.texts, want.texts);
      ASSERT_EQ(told.totals, want.totals);
    }
  });
}

TEST(OpenGroups, RestartsGoOnAsIfThereHadBeenNone) {
  WithRandomStreams([](const Stream& stream, Random& random) {
    const size_t at = random() % stream.records.size();
    const std::vector<Observations> before(
        stream.records.begin(),
        stream.records.begin() + static_cast<ptrdiff_t>(at));
    const EventTime watermark = at == 0 ? kNoTime : stream.watermarks[at - 1];
    Told want(kNeverFolded);
    want.Restart(before, watermark);
    const uint64_t pending = want.pending();
    Tell(stream, at, &want);
    Told told(0);
    told.Restart(before, watermark);
    ASSERT_EQ(told.pending(), pending);
    Tell(stream, at, &told);
    ASSERT_EQ(told.texts, want.texts);
  });
}

}  // namespace
}  // namespace klaxon
