#include "pipeline/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "detectors/alert_wire.h"
#include "tests/random_seed.h"
#include "tests/sinks/alert_samples.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Outcome = OutboxAck::Outcome;

Alert AlertOf(int number, uint64_t revision = 1,
              Severity severity = Severity::kMedium) {
  Alert alert = SampleAlert(number);
  alert.revision = revision;
  alert.severity = severity;
  return alert;
}

OutboxAck AckOf(const OutboxItem& item, const std::string& sink,
                Outcome outcome = Outcome::kDelivered) {
  return {.sink = sink,
          .sequence = item.sequence,
          .id = item.id,
          .revision = item.revision,
          .outcome = outcome,
          .reason = outcome == Outcome::kRefused ? "refused with 400" : ""};
}

std::vector<OutboxItem> AllPending(const OutboxLedger& ledger,
                                   std::string_view sink) {
  return ledger.Pending(sink, 0, UINT64_MAX);
}

std::vector<uint64_t> NumbersPending(const OutboxLedger& ledger,
                                     std::string_view sink) {
  std::vector<uint64_t> numbers;
  for (const OutboxItem& item : AllPending(ledger, sink)) {
    numbers.push_back(item.sequence);
  }
  return numbers;
}

std::string Saved(const OutboxLedger& ledger) {
  std::string bytes;
  WireWriter writer(&bytes);
  ledger.Save(&writer);
  return bytes;
}

uint64_t BytesOf(const Alert& alert) {
  std::string bytes;
  EncodeTo(alert, &bytes);
  return bytes.size();
}

void ExpectSumsUp(const OutboxLedger& ledger) {
  for (const std::string& sink : ledger.sinks()) {
    const OutboxCounts c = ledger.counts(sink);
    ASSERT_EQ(c.raised, c.delivered + c.pending + c.dead + c.filtered + c.shed);
    ASSERT_EQ(c.pending, AllPending(ledger, sink).size());
    ASSERT_EQ(c.dead, ledger.dead_letters(sink).size() + c.dead_dropped);
  }
}

TEST(OutboxLedger, OwesEachSinkWhatItWants) {
  OutboxLedger ledger;
  ledger.Configure({{.name = "all"},
                    {.name = "high", .min_severity = Severity::kHigh},
                    {.name = "bursts", .detectors = {"unauthorized-burst"}},
                    {.name = "edge", .clusters = {"edge-7", "edge-8"}}});
  EXPECT_EQ(ledger.Emit(AlertOf(1)), 1u);
  EXPECT_EQ(ledger.Emit(AlertOf(2, 1, Severity::kHigh)), 2u);
  Alert other = AlertOf(3);
  other.detector = "old-certificate";
  other.cluster = "edge-8";
  EXPECT_EQ(ledger.Emit(other), 3u);
  EXPECT_THAT(NumbersPending(ledger, "all"), ElementsAre(1, 2, 3));
  EXPECT_THAT(NumbersPending(ledger, "high"), ElementsAre(2));
  EXPECT_THAT(NumbersPending(ledger, "bursts"), ElementsAre(1, 2));
  EXPECT_THAT(NumbersPending(ledger, "edge"), ElementsAre(3));
  EXPECT_EQ(ledger.counts("high").filtered, 2u);
  EXPECT_EQ(ledger.raised(), 3u);
  ExpectSumsUp(ledger);
  Alert back;
  ASSERT_TRUE(Decode(*AllPending(ledger, "edge")[0].alert, &back));
  EXPECT_EQ(back.detector, "old-certificate");
}

TEST(OutboxLedger, HandsOutAboutAsMuchAsIsAskedFor) {
  OutboxLedger ledger;
  ledger.Configure({{.name = "a"}});
  for (int i = 1; i <= 9; ++i) ledger.Emit(AlertOf(i));
  const uint64_t bytes = BytesOf(AlertOf(1));
  EXPECT_EQ(ledger.Pending("a", 0, 0).size(), 0u);
  EXPECT_EQ(ledger.Pending("a", 0, 1).size(), 1u);
  EXPECT_EQ(ledger.Pending("a", 4, 3 * bytes).size(), 3u);
  EXPECT_EQ(ledger.Pending("a", 4, 3 * bytes)[0].sequence, 5u);
  EXPECT_EQ(ledger.Pending("a", 9, 1).size(), 0u);
  EXPECT_EQ(ledger.Pending("b", 0, 1).size(), 0u);
}

TEST(OutboxLedger, ForgetsAnAlertOnceEverySinkIsDone) {
  OutboxLedger ledger;
  ledger.Configure({{.name = "a"}, {.name = "b"}});
  ledger.Emit(AlertOf(1));
  const OutboxItem item = AllPending(ledger, "a")[0];
  EXPECT_TRUE(ledger.Apply(AckOf(item, "a")).ok());
  EXPECT_FALSE(ledger.all_delivered());
  EXPECT_THAT(NumbersPending(ledger, "a"), IsEmpty());
  EXPECT_THAT(NumbersPending(ledger, "b"), ElementsAre(1));
  EXPECT_TRUE(ledger.Apply(AckOf(item, "b", Outcome::kRefused)).ok());
  EXPECT_TRUE(ledger.all_delivered());
  EXPECT_EQ(ledger.counts("a").delivered, 1u);
  EXPECT_EQ(ledger.counts("b").dead, 1u);
  ASSERT_EQ(ledger.dead_letters("b").size(), 1u);
  EXPECT_EQ(ledger.dead_letters("b")[0].reason, "refused with 400");
  EXPECT_EQ(ledger.dead_letters("b")[0].item.id, item.id);
  // Again, and for nobody: no harm.
  EXPECT_TRUE(ledger.Apply(AckOf(item, "a")).ok());
  EXPECT_TRUE(ledger.Apply(AckOf(item, "a", Outcome::kRefused)).ok());
  EXPECT_TRUE(ledger.Apply(AckOf(item, "b", Outcome::kRefused)).ok());
  EXPECT_TRUE(ledger.Apply(AckOf(item, "nobody")).ok());
  EXPECT_EQ(ledger.counts("a").delivered, 1u);
  EXPECT_EQ(ledger.counts("b").dead, 1u);
  ExpectSumsUp(ledger);
}

TEST(OutboxLedger, RefusesTheAcknowledgementOfAnotherAlert) {
  OutboxLedger ledger;
  ledger.Configure({{.name = "a"}});
  ledger.Emit(AlertOf(1));
  OutboxAck ack = AckOf(AllPending(ledger, "a")[0], "a");
  ack.revision = 2;
  EXPECT_TRUE(absl::IsDataLoss(ledger.Apply(ack)));
  ack.revision = 1;
  ack.id = SampleId(2);
  EXPECT_TRUE(absl::IsDataLoss(ledger.Apply(ack)));
  EXPECT_THAT(NumbersPending(ledger, "a"), ElementsAre(1));
  // Before its alert too.
  ack.sequence = 2;
  ack.id = SampleId(3);
  EXPECT_TRUE(ledger.Apply(ack).ok());
  ledger.Emit(AlertOf(2));
  EXPECT_THAT(NumbersPending(ledger, "a"), ElementsAre(1, 2));
}

TEST(OutboxLedger, ShedsWhatExceedsTheBudgetOfASinkThatIsNotRequired) {
  const uint64_t bytes = BytesOf(AlertOf(1));
  OutboxLedger ledger;
  ledger.Configure(
      {{.name = "may", .pending_bytes_max = 2 * bytes},
       {.name = "must", .required = true, .pending_bytes_max = 2 * bytes}});
  ledger.Emit(AlertOf(1));
  EXPECT_FALSE(ledger.Blocked());
  ledger.Emit(AlertOf(2));
  EXPECT_TRUE(ledger.Blocked());
  ledger.Emit(AlertOf(3));
  EXPECT_THAT(NumbersPending(ledger, "may"), ElementsAre(1, 2));
  EXPECT_EQ(ledger.counts("may").shed, 1u);
  EXPECT_THAT(NumbersPending(ledger, "must"), ElementsAre(1, 2, 3));
  EXPECT_EQ(ledger.counts("must").shed, 0u);
  ExpectSumsUp(ledger);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(ledger.Blocked());
    for (const char* sink : {"may", "must"}) {
      EXPECT_TRUE(ledger.Apply(AckOf(AllPending(ledger, sink)[0], sink)).ok());
    }
  }
  EXPECT_FALSE(ledger.Blocked());
  ledger.Emit(AlertOf(4));
  EXPECT_THAT(NumbersPending(ledger, "may"), ElementsAre(4));
}

TEST(OutboxLedger, KeepsTheNewestDeadLetters) {
  OutboxLedger ledger;
  ledger.Configure({{.name = "a", .dead_bytes_max = 2 * BytesOf(AlertOf(1))}});
  for (int i = 1; i <= 3; ++i) {
    ledger.Emit(AlertOf(i));
    EXPECT_TRUE(
        ledger.Apply(AckOf(AllPending(ledger, "a")[0], "a", Outcome::kRefused))
            .ok());
  }
  ASSERT_EQ(ledger.dead_letters("a").size(), 2u);
  EXPECT_EQ(ledger.dead_letters("a")[0].item.sequence, 2u);
  EXPECT_EQ(ledger.counts("a").dead, 3u);
  EXPECT_EQ(ledger.counts("a").dead_dropped, 1u);
  ExpectSumsUp(ledger);
}

TEST(OutboxLedger, RetriesAndDropsDeadLettersWhenTold) {
  OutboxLedger ledger;
  ledger.Configure({{.name = "a"}, {.name = "b"}});
  ledger.Emit(AlertOf(1));
  ledger.Emit(AlertOf(2));
  for (const OutboxItem& item : AllPending(ledger, "a")) {
    EXPECT_TRUE(ledger.Apply(AckOf(item, "a", Outcome::kRefused)).ok());
  }
  EXPECT_EQ(ledger.RetryDeadLetters("a"), 2u);
  // Behind everything, so that whoever asks for what comes next gets them.
  EXPECT_THAT(NumbersPending(ledger, "a"), ElementsAre(3, 4));
  EXPECT_THAT(NumbersPending(ledger, "b"), ElementsAre(1, 2));
  EXPECT_EQ(ledger.counts("a").raised, 2u);
  EXPECT_EQ(ledger.counts("a").dead, 0u);
  ExpectSumsUp(ledger);
  EXPECT_EQ(ledger.Emit(AlertOf(3)), 5u);
  for (const OutboxItem& item : AllPending(ledger, "a")) {
    EXPECT_TRUE(ledger.Apply(AckOf(item, "a", Outcome::kRefused)).ok());
  }
  EXPECT_EQ(ledger.DropDeadLetters("a"), 3u);
  EXPECT_THAT(ledger.dead_letters("a"), IsEmpty());
  EXPECT_EQ(ledger.counts("a").dead, 3u);
  EXPECT_EQ(ledger.RetryDeadLetters("a"), 0u);
  EXPECT_EQ(ledger.RetryDeadLetters("nobody"), 0u);
  ExpectSumsUp(ledger);
}

TEST(OutboxLedger, KeepsWhatARemovedSinkIsOwed) {
  OutboxLedger ledger;
  ledger.Configure({{.name = "a"}, {.name = "b", .required = true}});
  ledger.Emit(AlertOf(1));
  ledger.Emit(AlertOf(2));
  const std::vector<OutboxItem> owed = AllPending(ledger, "b");
  ledger.Configure({{.name = "a"}, {.name = "c"}});
  EXPECT_FALSE(ledger.configured("b"));
  EXPECT_THAT(NumbersPending(ledger, "b"), IsEmpty());
  ASSERT_EQ(ledger.dead_letters("b").size(), 2u);
  EXPECT_EQ(ledger.dead_letters("b")[0].reason,
            "the sink was removed from the configuration");
  ExpectSumsUp(ledger);
  // One was on its way, and arrived.
  EXPECT_TRUE(ledger.Apply(AckOf(owed[0], "b")).ok());
  EXPECT_EQ(ledger.counts("b").delivered, 1u);
  EXPECT_EQ(ledger.counts("b").dead, 1u);
  // A new one gets only what comes from now on, a removed one nothing.
  ledger.Emit(AlertOf(3));
  EXPECT_THAT(NumbersPending(ledger, "c"), ElementsAre(3));
  EXPECT_EQ(ledger.counts("b").raised, 2u);
  // The name comes back.
  ledger.Configure({{.name = "a"}, {.name = "b"}});
  ledger.Emit(AlertOf(4));
  EXPECT_EQ(ledger.RetryDeadLetters("b"), 1u);
  EXPECT_THAT(NumbersPending(ledger, "b"), ElementsAre(4, 5));
  EXPECT_EQ(ledger.counts("b").raised, 3u);
  ExpectSumsUp(ledger);
}

TEST(OutboxAck, SurvivesTheJournal) {
  const OutboxAck ack{.sink = "siem",
                      .sequence = 7,
                      .id = SampleId(1),
                      .revision = 3,
                      .outcome = Outcome::kRefused,
                      .reason = "https://siem: refused with 400"};
  std::string bytes;
  WireWriter writer(&bytes);
  Put(ack, &writer);
  WireReader reader(bytes);
  OutboxAck back;
  EXPECT_TRUE(Get(&reader, &back));
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(back, ack);
  for (size_t size = 0; size < bytes.size(); ++size) {
    WireReader cut(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(Get(&cut, &back)) << size;
  }
}

TEST(OutboxLedger, LoadsNothingThatIsDamaged) {
  OutboxLedger ledger;
  ledger.Configure({{.name = "a"}, {.name = "b", .clusters = {"x"}}});
  for (int i = 1; i <= 4; ++i) ledger.Emit(AlertOf(i));
  EXPECT_TRUE(
      ledger.Apply(AckOf(AllPending(ledger, "a")[0], "a", Outcome::kRefused))
          .ok());
  const std::string bytes = Saved(ledger);
  std::mt19937_64 random(RandomSeed());
  for (size_t size = 0; size < bytes.size(); size += 1 + random() % 7) {
    OutboxLedger loaded;
    WireReader reader(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(loaded.Load(&reader) && reader.done()) << size;
  }
  for (int i = 0; i < 3000; ++i) {  // Whatever it says, it ends, and sums up.
    std::string damaged = bytes;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    OutboxLedger loaded;
    WireReader reader(damaged);
    if (loaded.Load(&reader)) {
      ASSERT_NO_FATAL_FAILURE(ExpectSumsUp(loaded));
    }
  }
}

// What is owed, as a plain list says it: one row for each (sink, emission).
class SlowOutbox {
 public:
  enum class State { kPending, kDelivered, kDead, kFiltered, kShed };
  struct Row {
    std::string sink;
    uint64_t sequence;
    Alert alert;
    State state;
  };

  void Configure(const std::vector<OutboxSinkOptions>& sinks) {
    sinks_ = sinks;
    for (Row& row : rows_) {
      if (row.state == State::kPending && Find(row.sink) == nullptr) {
        row.state = State::kDead;
      }
    }
  }
  void Emit(const Alert& alert) {
    const uint64_t sequence = next_++;
    for (const OutboxSinkOptions& sink : sinks_) {
      State state = State::kPending;
      if (alert.severity < sink.min_severity) {
        state = State::kFiltered;
      } else if (!sink.required && PendingBytes(sink.name) + BytesOf(alert) >
                                       sink.pending_bytes_max) {
        state = State::kShed;
      }
      rows_.push_back({sink.name, sequence, alert, state});
    }
  }
  void Apply(const OutboxAck& ack) {
    for (Row& row : rows_) {
      if (row.sink != ack.sink || row.sequence != ack.sequence) continue;
      if (row.state == State::kPending && ack.outcome == Outcome::kRefused) {
        row.state = State::kDead;
      } else if ((row.state == State::kPending || row.state == State::kDead) &&
                 ack.outcome == Outcome::kDelivered) {
        row.state = State::kDelivered;
      }
    }
  }
  void Retry(const std::string& sink) {
    if (Find(sink) == nullptr) return;
    std::vector<Row*> dead;
    for (Row& row : rows_) {
      if (row.sink == sink && row.state == State::kDead) dead.push_back(&row);
    }
    std::sort(dead.begin(), dead.end(), [this](const Row* a, const Row* b) {
      return DeathOf(*a) < DeathOf(*b);
    });
    for (Row* row : dead) {
      row->state = State::kPending;
      row->sequence = next_++;
    }
  }
  uint64_t Count(const std::string& sink, State state) const {
    return static_cast<uint64_t>(
        std::count_if(rows_.begin(), rows_.end(), [&](const Row& row) {
          return row.sink == sink && row.state == state;
        }));
  }
  std::set<uint64_t> Pending(const std::string& sink) const {
    std::set<uint64_t> numbers;
    for (const Row& row : rows_) {
      if (row.sink == sink && row.state == State::kPending) {
        numbers.insert(row.sequence);
      }
    }
    return numbers;
  }
  // In the order in which they died, as told by the ledger under test.
  std::function<size_t(const std::string& sink, uint64_t sequence)> death_of;

 private:
  size_t DeathOf(const Row& row) const {
    return death_of(row.sink, row.sequence);
  }
  const OutboxSinkOptions* Find(const std::string& name) const {
    for (const OutboxSinkOptions& sink : sinks_) {
      if (sink.name == name) return &sink;
    }
    return nullptr;
  }
  uint64_t PendingBytes(const std::string& sink) const {
    uint64_t bytes = 0;
    for (const Row& row : rows_) {
      if (row.sink == sink && row.state == State::kPending) {
        bytes += BytesOf(row.alert);
      }
    }
    return bytes;
  }
  std::vector<OutboxSinkOptions> sinks_;
  std::vector<Row> rows_;
  uint64_t next_ = 1;
};

void ExpectSame(const OutboxLedger& ledger, const SlowOutbox& model) {
  using State = SlowOutbox::State;
  for (const std::string& sink : ledger.sinks()) {
    const OutboxCounts c = ledger.counts(sink);
    ASSERT_EQ(c.delivered, model.Count(sink, State::kDelivered)) << sink;
    ASSERT_EQ(c.dead, model.Count(sink, State::kDead)) << sink;
    ASSERT_EQ(c.filtered, model.Count(sink, State::kFiltered)) << sink;
    ASSERT_EQ(c.shed, model.Count(sink, State::kShed)) << sink;
    std::set<uint64_t> pending;
    for (uint64_t n : NumbersPending(ledger, sink)) pending.insert(n);
    ASSERT_EQ(pending, model.Pending(sink)) << sink;
  }
}

// A random life of both, with crashes: the state is then a snapshot's and the
// journal's since.
class LedgerLife {
 public:
  explicit LedgerLife(uint64_t seed) : random_(seed) {
    model_.death_of = [this](const std::string& sink, uint64_t sequence) {
      const auto& dead = ledger_.dead_letters(sink);
      size_t place = 0;
      while (place < dead.size() && dead[place].item.sequence != sequence) {
        ++place;
      }
      return place;
    };
    snapshot_ = Saved(ledger_);
    Reconfigure();
  }

  void Step() {
    const std::string sink(1, static_cast<char>('a' + random_() % 4));
    const uint64_t choice = random_() % 64;
    if (choice < 1) return Reconfigure();
    if (choice < 5) return Crash();
    if (choice < 9) {
      snapshot_ = Saved(ledger_);
      journal_.clear();
      return;
    }
    if (choice < 10) {
      model_.Retry(sink);
      return Happen([sink](OutboxLedger* l) { l->RetryDeadLetters(sink); });
    }
    if (choice < 32) return Emit();
    Acknowledge(sink);
  }

  const OutboxLedger& ledger() const { return ledger_; }
  const SlowOutbox& model() const { return model_; }

 private:
  using Event = std::function<void(OutboxLedger*)>;
  void Happen(Event event) {
    event(&ledger_);
    journal_.push_back(std::move(event));
  }
  void Reconfigure() {
    std::vector<OutboxSinkOptions> sinks;
    for (const char* name : {"a", "b", "c", "d"}) {
      if (random_() % 4 == 0) continue;
      OutboxSinkOptions sink{.name = name};
      sink.required = random_() % 2 == 0;
      if (random_() % 2 == 0) sink.min_severity = Severity::kHigh;
      if (random_() % 2 == 0) {
        sink.pending_bytes_max = 3 * BytesOf(AlertOf(10));
      }
      sinks.push_back(sink);
    }
    model_.Configure(sinks);
    Happen([sinks](OutboxLedger* l) { l->Configure(sinks); });
  }
  void Crash() {
    OutboxLedger replayed;
    WireReader reader(snapshot_);
    ASSERT_TRUE(replayed.Load(&reader) && reader.done());
    for (const Event& event : journal_) event(&replayed);
    ASSERT_EQ(Saved(replayed), Saved(ledger_));
    ledger_ = std::move(replayed);
  }
  void Emit() {
    const Alert alert =
        AlertOf(10 + static_cast<int>(random_() % 20), 1 + random_() % 9,
                random_() % 2 == 0 ? Severity::kLow : Severity::kHigh);
    model_.Emit(alert);
    Happen([alert](OutboxLedger* l) { l->Emit(alert); });
  }
  void Acknowledge(const std::string& sink) {
    const std::vector<OutboxItem> pending = AllPending(ledger_, sink);
    if (pending.empty()) return;
    const OutboxAck ack =
        AckOf(pending[random_() % pending.size()], sink,
              random_() % 4 == 0 ? Outcome::kRefused : Outcome::kDelivered);
    for (int times = random_() % 8 == 0 ? 2 : 1; times > 0; --times) {
      model_.Apply(ack);
      Happen([ack](OutboxLedger* l) { EXPECT_TRUE(l->Apply(ack).ok()); });
    }
  }

  std::mt19937_64 random_;
  OutboxLedger ledger_;
  SlowOutbox model_;
  std::vector<Event> journal_;
  std::string snapshot_;
};

TEST(OutboxLedger, KnowsWhatASlowListKnowsWhateverHappens) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  for (uint64_t round = 0; round < 20; ++round) {
    LedgerLife life(seed + round);
    for (int step = 0; step < 300; ++step) {
      ASSERT_NO_FATAL_FAILURE(life.Step());
      ASSERT_NO_FATAL_FAILURE(ExpectSumsUp(life.ledger()));
      ASSERT_NO_FATAL_FAILURE(ExpectSame(life.ledger(), life.model()));
    }
  }
}

// A replay may see the acknowledgements sooner or later than the first run did.
TEST(OutboxLedger, DoesNotMindWhenAcknowledgementsCome) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  OutboxLedger first;
  const std::vector<OutboxSinkOptions> sinks = {{.name = "a"}, {.name = "b"}};
  first.Configure(sinks);
  std::vector<OutboxAck> acks;
  for (int i = 1; i <= 40; ++i) {
    first.Emit(AlertOf(i));
    for (const char* sink : {"a", "b"}) {
      const std::vector<OutboxItem> pending = AllPending(first, sink);
      if (pending.empty() || random() % 3 == 0) continue;
      acks.push_back(AckOf(pending.back(), sink));
      ASSERT_TRUE(first.Apply(acks.back()).ok());
    }
  }
  for (int round = 0; round < 50; ++round) {
    std::shuffle(acks.begin(), acks.end(), random);
    OutboxLedger again;
    again.Configure(sinks);
    size_t next = 0;
    for (int i = 1; i <= 40; ++i) {
      while (next < acks.size() && random() % 2 == 0) {
        ASSERT_TRUE(again.Apply(acks[next++]).ok());
      }
      again.Emit(AlertOf(i));
      if (random() % 8 != 0) continue;
      OutboxLedger reloaded;
      const std::string bytes = Saved(again);
      WireReader reader(bytes);
      ASSERT_TRUE(reloaded.Load(&reader) && reader.done());
      again = std::move(reloaded);
    }
    while (next < acks.size()) ASSERT_TRUE(again.Apply(acks[next++]).ok());
    ASSERT_EQ(Saved(again), Saved(first));
  }
}

}  // namespace
}  // namespace klaxon
