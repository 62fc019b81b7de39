// What the intake tells of lanes, and when: the watermark stands on it.
#include "pipeline/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/testing/audit_line.h"

namespace klaxon {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

// Gives what it was told, a batch a Read, then ends. Its lanes are known with
// its first Read, as Kafka's are.
class ScriptedSource : public LiveSource {
 public:
  struct Step {
    std::string lane;
    std::vector<LaneState> lanes;  // As of this Read.
    std::function<void()> then;    // Called with it.
    Nanos at = 0;                  // Of its event; 0: later than the last.
  };
  explicit ScriptedSource(std::vector<Step> steps) : steps_(std::move(steps)) {}

  absl::Status Open(std::span<const LaneResume>) override {
    return absl::OkStatus();
  }
  absl::Status Read(absl::Duration, std::span<const std::string>,
                    LiveBatch& live) override {
    if (next_ == steps_.size()) return absl::OutOfRangeError("the end");
    const Step& step = steps_[next_++];
    lanes_ = step.lanes;
    if (step.then) step.then();
    const std::string line =
        AuditLine()
            .At(step.at != 0 ? step.at : static_cast<Nanos>(next_) * kSecond)
            .Json() +
        "\n";
    BatchBuffer& bytes = live.batch.bytes;
    bytes.Reserve(line.size());
    std::memcpy(bytes.data(), line.data(), line.size());
    std::memset(bytes.data() + line.size(), 0, BatchBuffer::kPadding);
    bytes.set_size(line.size());
    live.batch.input_bytes = line.size();
    live.lane = live.input = step.lane;
    live.resume = std::to_string(next_);
    return absl::OkStatus();
  }
  absl::Status Commit(std::string_view, std::string_view) override {
    return absl::OkStatus();
  }
  std::vector<LaneState> Lanes() const override { return lanes_; }
  void Interrupt() noexcept override {}

 private:
  const std::vector<Step> steps_;
  size_t next_ = 0;
  std::vector<LaneState> lanes_;
};

// "batch a", "busy b", "idle b" in the order of the journal.
std::vector<std::string> Told(std::vector<ScriptedSource::Step> steps,
                              const absl::Time* now, bool together = false) {
  ScriptedSource source(std::move(steps));
  PendingQueue queue(1 << 20);
  IntakeOptions options;
  options.clock = [now] { return *now; };
  options.lanes_wake_together = together;
  Intake intake(options, &source, &queue);
  intake.Begin();
  EXPECT_TRUE(intake.Run({}, std::make_shared<const EngineConfig>()).ok());
  EXPECT_TRUE(intake.opened());
  std::vector<std::string> told;
  for (const PendingRecord& pending : queue.Take()) {
    if (pending.source_ended) continue;
    if (const auto* batch = std::get_if<BatchRecord>(&pending.record)) {
      told.push_back("batch " + batch->lane);
    } else if (const auto* idle =
                   std::get_if<LaneIdleRecord>(&pending.record)) {
      told.push_back((idle->idle ? "idle " : "busy ") + idle->lane);
    }
  }
  return told;
}

// "hold at N" and "over", as they were told between the batches: N is the
// number of the batch whose event time it is.
std::vector<std::string> Holds(std::vector<ScriptedSource::Step> steps,
                               const absl::Time* now) {
  ScriptedSource source(std::move(steps));
  PendingQueue queue(1 << 20);
  IntakeOptions options;
  options.clock = [now] { return *now; };
  options.merge = absl::ZeroDuration();
  Intake intake(options, &source, &queue);
  intake.Begin();
  EXPECT_TRUE(intake.Run({}, std::make_shared<const EngineConfig>()).ok());
  std::vector<std::string> told;
  EventTime first = kNoTime;
  for (const PendingRecord& pending : queue.Take()) {
    if (pending.source_ended) continue;
    if (const auto* batch = std::get_if<BatchRecord>(&pending.record)) {
      if (first == kNoTime) first = batch->newest;
      told.push_back("batch");
    } else if (const auto* hold =
                   std::get_if<LaneHoldRecord>(&pending.record)) {
      told.push_back(
          !hold->hold ? "over"
          : hold->at == kNoTime
              ? "hold at none"
              : "hold at " + std::to_string((hold->at - first) / kSecond + 1));
    }
  }
  return told;
}

LaneState State(std::string name, bool caught_up = false) {
  LaneState state;
  state.name = std::move(name);
  state.caught_up = caught_up;
  return state;
}

TEST(Intake, AllLanesAreKnownBeforeTheFirstOfThemSaysAnything) {
  const absl::Time now = absl::FromUnixSeconds(1767400000);
  EXPECT_THAT(Told({{"b", {State("a"), State("b"), State("c")}, {}}}, &now),
              ElementsAre("busy a", "busy b", "busy c", "batch b", "idle a",
                          "idle b", "idle c"));
}

LaneState HeldAfter(std::string token) {
  LaneState state = State("a");
  state.hold = true;
  state.hold_after = std::move(token);
  return state;
}

// A sender that has always something under way: where event time stands still
// moves on with the oldest of it, and is not where the lane is by now.
TEST(Intake, HoldStandsAtTheBatchItNamesAndMovesOn) {
  absl::Time now = absl::FromUnixSeconds(1767400000);
  const auto tick = [&now] { now += absl::Milliseconds(300); };
  EXPECT_THAT(Holds({{"a", {State("a")}, tick},
                     {"a", {HeldAfter("1")}, tick},
                     {"a", {HeldAfter("1")}, tick},
                     {"a", {HeldAfter("3")}, tick},
                     {"a", {State("a")}, tick}},
                    &now),
              ElementsAre("batch", "batch", "hold at 1", "batch", "batch",
                          "hold at 3", "batch", "over"));
}

TEST(Intake, HoldAtWhatTheLastRunLeftStandsThere) {
  absl::Time now = absl::FromUnixSeconds(1767400000);
  const auto tick = [&now] { now += absl::Milliseconds(300); };
  EXPECT_THAT(Holds({{"a", {HeldAfter("")}, tick},
                     {"a", {HeldAfter("")}, tick},
                     {"a", {State("a")}, tick}},
                    &now),
              ElementsAre("hold at none", "batch", "batch", "batch", "over"));
}

TEST(Intake, SilentLaneBecomesIdleWhileAnotherIsNeverSilent) {
  absl::Time now = absl::FromUnixSeconds(1767400000);
  const auto tick = [&now] { now += absl::Milliseconds(300); };
  const std::vector<LaneState> lanes = {State("a"), State("b", true)};
  std::vector<ScriptedSource::Step> steps(10, {"a", lanes, tick});
  const std::vector<std::string> told = Told(std::move(steps), &now);
  const auto idle = std::find(told.begin(), told.end(), "idle b");
  ASSERT_NE(idle, told.end());
  EXPECT_THAT(std::vector<std::string>(idle, told.end()), Contains("batch a"));
  // Not before its two seconds of silence.
  EXPECT_GE(std::count(told.begin(), idle, "batch a"), 6);
}

TEST(Intake, EndedLaneHoldsNobodyBackFromThen) {
  absl::Time now = absl::FromUnixSeconds(1767400000);
  const auto tick = [&now] { now += absl::Milliseconds(300); };
  LaneState ended = State("b", true);
  ended.ended = true;
  const std::vector<std::string> told =
      Told({{"a", {State("a"), State("b")}, tick},
            {"a", {State("a"), ended}, tick},
            {"a", {State("a"), ended}, tick}},
           &now);
  EXPECT_THAT(told, ElementsAre("busy a", "busy b", "batch a", "idle b",
                                "batch a", "idle a"));
}

TEST(Intake, LaneThatCannotBeReadHoldsNobodyBackForEver) {
  absl::Time now = absl::FromUnixSeconds(1767400000);
  const auto tick = [&now] { now += absl::Seconds(25); };
  LaneState failing = State("b");
  failing.failing = true;
  const std::vector<LaneState> broken = {State("a"), failing};
  const std::vector<LaneState> mended = {State("a"), State("b")};
  const std::vector<std::string> told = Told({{"a", broken, tick},
                                              {"a", broken, tick},
                                              {"a", mended, tick},
                                              {"a", broken, tick},
                                              {"a", broken, tick},
                                              {"a", broken, tick},
                                              {"a", broken, tick},
                                              {"a", mended, tick}},
                                             &now);
  EXPECT_THAT(told,
              ElementsAre("busy a", "busy b", "batch a", "batch a", "batch a",
                          "batch a", "batch a", "batch a", "idle b", "batch a",
                          "busy b", "idle a", "idle b"));
}

TEST(Intake, LaneThatMovesNothingHoldsNobodyBackForEver) {
  absl::Time now = absl::FromUnixSeconds(1767400000);
  const auto tick = [&now] { now += absl::Seconds(25); };
  const std::vector<LaneState> lanes = {State("a", true), State("b")};
  // Never silent, and its event time stands.
  std::vector<ScriptedSource::Step> steps(5, {"a", lanes, tick, kSecond});
  steps.push_back({"a", lanes, tick, kMinute});
  steps.push_back({"a", lanes, tick, 2 * kMinute});
  // (The first record is of two batches.)
  EXPECT_THAT(Told(std::move(steps), &now),
              ElementsAre("busy a", "busy b", "batch a", "batch a", "batch a",
                          "idle a", "batch a", "idle a", "batch a", "batch a",
                          "idle a", "idle b"));
}

TEST(Intake, SilenceCountsFromWhenALaneHasCaughtUp) {
  absl::Time now = absl::FromUnixSeconds(1767400000);
  const auto tick = [&now] { now += absl::Seconds(1); };
  // "b" is behind for a while, without a batch: an outage.
  const std::vector<LaneState> outage = {State("a"), State("b")};
  const std::vector<LaneState> over = {State("a"), State("b", true)};
  const std::vector<std::string> told = Told({{"a", outage, tick},
                                              {"a", outage, tick},
                                              {"a", outage, tick},
                                              {"a", over, tick},
                                              {"a", over, tick},
                                              {"a", over, tick}},
                                             &now);
  EXPECT_THAT(told,
              ElementsAre("busy a", "busy b", "batch a", "batch a", "batch a",
                          "batch a", "batch a", "idle b", "idle a"));
}

TEST(Intake, PartitionsWakeTogether) {
  absl::Time now = absl::FromUnixSeconds(1767400000);
  const auto tick = [&now] { now += absl::Seconds(1); };
  const std::vector<LaneState> lanes = {State("a"), State("b", true),
                                        State("c", true)};
  std::vector<LaneState> silent = lanes;
  silent[0].caught_up = true;
  const std::vector<ScriptedSource::Step> steps = {
      {"a", lanes, tick}, {"a", lanes, tick},  {"a", lanes, tick},
      {"b", lanes, {}},   {"a", silent, tick}, {"a", silent, tick}};
  EXPECT_THAT(Told(steps, &now, true),
              ElementsAre("busy a", "busy b", "busy c", "batch a", "batch a",
                          "idle b", "idle c",  // After two seconds of silence.
                          "busy b", "busy c", "batch b", "batch a", "batch a",
                          "idle b", "idle c", "idle a"));
  now = absl::FromUnixSeconds(1767400000);
  EXPECT_THAT(Told(steps, &now, false),
              ElementsAre("busy a", "busy b", "busy c", "batch a", "batch a",
                          "idle b", "idle c", "batch b", "batch a", "batch a",
                          "idle b", "idle a"));
}

}  // namespace
}  // namespace klaxon
