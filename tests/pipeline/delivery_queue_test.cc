#include "pipeline/delivery_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "sinks/delivery_status.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kStart = absl::Hours(7);  // Of an arbitrary clock.
const absl::Status kDown = absl::UnavailableError("down");
const absl::Status kRefused = absl::InvalidArgumentError("refused with 400");

OutboxItem Item(uint64_t sequence, const std::string& id, size_t bytes = 100) {
  return {.sequence = sequence,
          .id = id,
          .revision = sequence,
          .alert = std::make_shared<const std::string>(bytes, 'x')};
}

// A queue and its time.
class Driver {
 public:
  explicit Driver(DeliveryOptions options = {.batch_max = 10})
      : queue_("siem", options) {}

  Driver& Add(uint64_t sequence, const std::string& id, size_t bytes = 100) {
    queue_.Add(Item(sequence, id, bytes));
    return *this;
  }
  // The numbers to be delivered now.
  std::vector<uint64_t> Next() {
    std::vector<uint64_t> numbers;
    for (const OutboxItem* item : queue_.Next(now_, &wake_at_)) {
      numbers.push_back(item->sequence);
    }
    return numbers;
  }
  // Waits as long as the queue says: for the sink, then for the alert.
  std::vector<uint64_t> NextInTime() {
    std::vector<uint64_t> numbers = Next();
    while (numbers.empty() && wake_at_ != absl::InfiniteDuration()) {
      EXPECT_GT(wake_at_, now_);
      now_ = wake_at_;
      numbers = Next();
    }
    return numbers;
  }
  std::vector<OutboxAck> Done(const absl::Status& status) {
    return queue_.Done(now_, status);
  }
  void Pass(absl::Duration time) { now_ += time; }

  DeliveryQueue& queue() { return queue_; }
  absl::Duration now() const { return now_; }
  absl::Duration wait() const { return wake_at_ - now_; }

 private:
  DeliveryQueue queue_;
  absl::Duration now_ = kStart;
  absl::Duration wake_at_;
};

std::vector<uint64_t> NumbersOf(const std::vector<OutboxAck>& acks) {
  std::vector<uint64_t> numbers;
  for (const OutboxAck& ack : acks) numbers.push_back(ack.sequence);
  return numbers;
}

TEST(DeliveryQueue, GivesBatchesInOrder) {
  Driver d({.batch_max = 3});
  EXPECT_THAT(d.Next(), IsEmpty());
  EXPECT_EQ(d.wait(), absl::InfiniteDuration());
  for (uint64_t i = 1; i <= 4; ++i) d.Add(i, i % 2 == 0 ? "a" : "b");
  EXPECT_THAT(d.Next(), ElementsAre(1, 2, 3));
  const std::vector<OutboxAck> acks = d.Done(absl::OkStatus());
  EXPECT_THAT(NumbersOf(acks), ElementsAre(1, 2, 3));
  EXPECT_EQ(acks[1].sink, "siem");
  EXPECT_EQ(acks[1].id, "a");
  EXPECT_EQ(acks[1].revision, 2u);
  EXPECT_EQ(acks[1].outcome, OutboxAck::Outcome::kDelivered);
  EXPECT_THAT(d.Next(), ElementsAre(4));
  d.Done(absl::OkStatus());
  EXPECT_TRUE(d.queue().empty());
}

TEST(DeliveryQueue, BoundsBatchesByBytes) {
  Driver d({.batch_max = 10, .batch_bytes_max = 250});
  d.Add(1, "a").Add(2, "b").Add(3, "c").Add(4, "d", 999);
  EXPECT_THAT(d.Next(), ElementsAre(1, 2));
  d.Done(absl::OkStatus());
  EXPECT_THAT(d.Next(), ElementsAre(3));
  d.Done(absl::OkStatus());
  EXPECT_THAT(d.Next(), ElementsAre(4));  // However large.
}

TEST(DeliveryQueue, KnowsItsRoom) {
  Driver d({.batch_max = 1, .queue_bytes_max = 250});
  EXPECT_EQ(d.queue().room(), 250u);
  d.Add(1, "a").Add(2, "b").Add(3, "c");
  EXPECT_EQ(d.queue().room(), 0u);
  EXPECT_EQ(d.queue().bytes(), 300u);
  EXPECT_EQ(d.queue().newest(), 3u);
  d.Next();
  EXPECT_EQ(d.queue().room(), 0u);  // It is under way, not delivered.
  d.Done(absl::OkStatus());
  EXPECT_EQ(d.queue().room(), 50u);
}

TEST(DeliveryQueue, BacksOffTwiceAsLongEachTimeWithFullJitter) {
  const absl::Duration base = absl::Milliseconds(100);
  const absl::Duration most = absl::Seconds(5);
  constexpr int kRuns = 400;
  std::map<int, std::pair<double, double>> extremes;  // Shares of the bound.
  for (int run = 0; run < kRuns; ++run) {
    Driver d({.backoff_base = base,
              .backoff_max = most,
              .seed = RandomSeed() + static_cast<uint64_t>(run)});
    d.Add(1, "a");
    absl::Duration bound = base;
    for (int failure = 1; failure <= 80; ++failure) {
      ASSERT_THAT(d.NextInTime(), ElementsAre(1));
      EXPECT_THAT(d.Done(kDown), IsEmpty());
      const absl::Duration wait = d.queue().not_before() - d.now();
      ASSERT_GE(wait, absl::ZeroDuration());
      ASSERT_LT(wait, bound) << "failure " << failure;
      auto [it, added] = extremes.try_emplace(failure, 1.0, 0.0);
      const double share = absl::FDivDuration(wait, bound);
      it->second.first = std::min(it->second.first, share);
      it->second.second = std::max(it->second.second, share);
      bound = std::min(2 * bound, most);
      EXPECT_EQ(d.queue().failures(), static_cast<uint64_t>(failure));
    }
  }
  // The whole range is used: full jitter.
  for (const auto& [failure, share] : extremes) {
    EXPECT_LT(share.first, 0.05) << failure;
    EXPECT_GT(share.second, 0.95) << failure;
  }
}

TEST(DeliveryQueue, IsAsItsSeedSays) {
  std::vector<absl::Duration> waits[3];
  for (int run = 0; run < 3; ++run) {
    Driver d({.seed = run == 2 ? 2u : 1u});
    d.Add(1, "a");
    for (int i = 0; i < 5; ++i) {
      d.NextInTime();
      d.Done(kDown);
      waits[run].push_back(d.queue().not_before() - d.now());
    }
  }
  EXPECT_EQ(waits[0], waits[1]);
  EXPECT_NE(waits[0], waits[2]);
}

TEST(DeliveryQueue, WaitsForNothingBeforeItsTime) {
  Driver d({.batch_max = 10, .backoff_base = absl::Seconds(8)});
  d.Add(1, "a");
  d.Next();
  d.Done(kDown);
  d.Add(2, "b");
  EXPECT_THAT(d.Next(), IsEmpty());
  ASSERT_GT(d.wait(), absl::Nanoseconds(1));
  d.Pass(d.wait() - absl::Nanoseconds(1));
  EXPECT_THAT(d.Next(), IsEmpty());
  d.Pass(absl::Nanoseconds(1));
  EXPECT_THAT(d.Next(), ElementsAre(2));
}

TEST(DeliveryQueue, ComesBackWhenTheTargetSays) {
  Driver d(
      {.backoff_base = absl::Seconds(1), .retry_after_max = absl::Minutes(10)});
  d.Add(1, "a");
  const std::pair<absl::Duration, absl::Duration> cases[] = {
      {absl::Seconds(90), absl::Seconds(90)},
      {absl::Hours(24 * 365), absl::Minutes(10)},
  };
  for (const auto& [said, want] : cases) {
    ASSERT_THAT(d.NextInTime(), ElementsAre(1));
    d.Done(WithRetryAfter(kDown, said));
    EXPECT_EQ(d.queue().not_before() - d.now(), want);
  }
  // Sooner than our own back-off it is not.
  Driver e({.backoff_base = absl::Hours(1), .backoff_max = absl::Hours(1)});
  e.Add(1, "a");
  e.Next();
  e.Done(WithRetryAfter(kDown, absl::ZeroDuration()));
  EXPECT_GT(e.queue().not_before(), e.now() + absl::Seconds(1));
}

TEST(DeliveryQueue, IsWellAgainAfterAnyAnswer) {
  for (const absl::Status& answer : {absl::OkStatus(), kRefused}) {
    Driver d;
    d.Add(1, "a").Add(2, "b").Add(3, "c");
    d.Next();
    d.Done(kDown);
    // Then one at a time.
    ASSERT_EQ(d.NextInTime().size(), 1u);
    EXPECT_EQ(d.Done(answer).size(), 1u);
    EXPECT_EQ(d.queue().failures(), 0u);
  }
}

TEST(DeliveryQueue, FindsTheRefusedOneInABatch) {
  Driver d;
  d.Add(1, "a").Add(2, "b").Add(3, "a");
  ASSERT_THAT(d.Next(), ElementsAre(1, 2, 3));
  EXPECT_THAT(d.Done(kRefused), IsEmpty());
  d.Add(4, "d").Add(5, "e");
  EXPECT_THAT(d.Next(), ElementsAre(1));  // At once, and alone.
  EXPECT_THAT(NumbersOf(d.Done(absl::OkStatus())), ElementsAre(1));
  EXPECT_THAT(d.Next(), ElementsAre(2));
  const std::vector<OutboxAck> acks = d.Done(kRefused);
  ASSERT_THAT(NumbersOf(acks), ElementsAre(2));
  EXPECT_EQ(acks[0].outcome, OutboxAck::Outcome::kRefused);
  EXPECT_EQ(acks[0].reason, "refused with 400");
  EXPECT_THAT(d.Next(), ElementsAre(3));
  d.Done(absl::OkStatus());
  EXPECT_THAT(d.Next(), ElementsAre(4, 5));
}

TEST(DeliveryQueue, CutsLongReasons) {
  Driver d;
  d.Add(1, "a").Next();
  const auto acks = d.Done(absl::InvalidArgumentError(std::string(9999, 'x')));
  EXPECT_EQ(acks[0].reason.size(), OutboxAck::kReasonBytesMax);
}

// What a target chokes on holds up only later revisions of itself.
TEST(DeliveryQueue, LetsOthersPassTheOneThatFails) {
  Driver d({.batch_max = 10, .backoff_base = absl::Seconds(1)});
  d.Add(1, "bad").Add(2, "a").Add(3, "bad").Add(4, "b");
  uint64_t next = 5;
  std::vector<uint64_t> delivered;
  for (int i = 0; i < 200; ++i) {
    const std::vector<uint64_t> batch = d.NextInTime();
    ASSERT_FALSE(batch.empty());
    const bool bad = std::find(batch.begin(), batch.end(), 1u) != batch.end();
    for (const OutboxAck& ack : d.Done(bad ? kDown : absl::OkStatus())) {
      delivered.push_back(ack.sequence);
    }
    if (next < 30) d.Add(next++, "c");
  }
  EXPECT_EQ(delivered.size(), 27u);  // All but 1 and 3.
  EXPECT_FALSE(std::find(delivered.begin(), delivered.end(), 3u) !=
               delivered.end());
  EXPECT_TRUE(std::is_sorted(delivered.begin() + 2, delivered.end()));
}

TEST(DeliveryQueue, WaitsForASinkThatCannotBeOpened) {
  Driver d;
  d.Add(1, "a");
  d.queue().Failed(d.now(), kDown);
  EXPECT_THAT(d.Next(), IsEmpty());
  d.queue().Recovered();
  EXPECT_THAT(d.Next(), ElementsAre(1));
}

// Against a target with a mind of its own: everything is acknowledged in the
// end, once, each alert id in order, and nothing that was is sent again.
TEST(DeliveryQueue, DeliversEverythingOnceToAMoodyTarget) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100; ++round) {
    Driver d({.batch_max = 1 + random() % 5,
              .backoff_base = absl::Milliseconds(10),
              .seed = random()});
    std::map<std::string, uint64_t> newest;  // Acknowledged, by id.
    std::map<uint64_t, OutboxAck::Outcome> done;
    uint64_t added = 0;
    for (int step = 0; added < 60 || !d.queue().empty(); ++step) {
      ASSERT_LT(step, 5000);
      if (added < 60 && random() % 2 == 0) {
        ++added;
        d.Add(added, std::string(1, static_cast<char>('a' + random() % 6)));
        continue;
      }
      std::vector<uint64_t> batch = d.NextInTime();
      if (batch.empty()) continue;
      for (uint64_t n : batch) ASSERT_FALSE(done.contains(n)) << n;
      // Every seventh is refused for good.
      const bool poison = std::any_of(batch.begin(), batch.end(),
                                      [](uint64_t n) { return n % 7 == 0; });
      const absl::Status status = random() % 3 == 0 ? kDown
                                  : poison          ? kRefused
                                                    : absl::OkStatus();
      for (const OutboxAck& ack : d.Done(status)) {
        ASSERT_TRUE(done.emplace(ack.sequence, ack.outcome).second);
        ASSERT_LT(newest[ack.id], ack.sequence) << "out of order";
        newest[ack.id] = ack.sequence;
      }
    }
    ASSERT_EQ(done.size(), 60u);
    for (const auto& [n, outcome] : done) {
      ASSERT_EQ(outcome == OutboxAck::Outcome::kRefused, n % 7 == 0) << n;
    }
  }
}

}  // namespace
}  // namespace klaxon
