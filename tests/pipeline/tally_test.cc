// What is counted for /metrics, and that the sums of docs/METRICS.md hold.
#include "pipeline/tally.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace klaxon {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

Alert Raised(const std::string& id, Severity severity = Severity::kHigh) {
  Alert alert;
  alert.id = id;
  alert.revision = 1;
  alert.detector = "unauthorized-burst";
  alert.rule = "burst";
  alert.severity = severity;
  return alert;
}

class AlertTallyTest : public testing::Test {
 protected:
  void Configure(std::vector<OutboxSinkOptions> sinks) {
    ledger_.Configure(sinks);
    tally_.Configure(ledger_);
  }
  void Emit(const std::string& id, Severity severity = Severity::kHigh) {
    const Alert alert = Raised(id, severity);
    ids_[ledger_.Emit(alert)] = id;
    tally_.Raise(alert);
  }
  void Deliver(const std::string& sink, uint64_t sequence,
               OutboxAck::Outcome outcome = OutboxAck::Outcome::kDelivered) {
    ASSERT_TRUE(
        ledger_.Apply({sink, sequence, ids_.at(sequence), 1, outcome, "no"})
            .ok());
  }
  uint64_t raised() const {
    uint64_t sum = 0;
    for (const AlertMetrics& alert : tally_.alerts()) sum += alert.raised;
    return sum;
  }
  // By name; fails where the sum does not hold.
  std::map<std::string, SinkMetrics> Sinks(absl::Time now = kStart) const {
    std::map<std::string, SinkMetrics> sinks;
    for (const SinkMetrics& sink : tally_.Sinks(ledger_, now)) {
      EXPECT_EQ(sink.delivered + sink.pending + sink.dead_lettered +
                    sink.filtered + sink.shed,
                raised())
          << sink.sink;
      sinks[sink.sink] = sink;
    }
    return sinks;
  }

  OutboxLedger ledger_;
  AlertTally tally_;
  std::map<uint64_t, std::string> ids_;
};

TEST_F(AlertTallyTest, TheSumsHoldWhateverBecomesOfAlertsAndSinks) {
  tally_.Begin(ledger_, kStart);
  Configure({{.name = "a"},
             {.name = "b", .min_severity = Severity::kCritical},
             {.name = "tiny", .pending_bytes_max = 1}});
  Emit("1");
  Emit("2", Severity::kCritical);
  Deliver("a", 1);
  Deliver("b", 2, OutboxAck::Outcome::kRefused);
  auto sinks = Sinks();
  EXPECT_EQ(sinks["a"].delivered, 1u);
  EXPECT_EQ(sinks["a"].pending, 1u);
  EXPECT_EQ(sinks["b"].filtered, 1u);
  EXPECT_EQ(sinks["b"].dead_lettered, 1u);
  EXPECT_EQ(sinks["tiny"].shed, 2u);
  // One comes, one goes, one comes back.
  Configure({{.name = "a"}, {.name = "late"}});
  Emit("3");
  sinks = Sinks();
  EXPECT_EQ(sinks.count("b"), 0u);
  EXPECT_EQ(sinks["late"].filtered, 2u);
  EXPECT_EQ(sinks["late"].pending, 1u);
  Configure({{.name = "a"}, {.name = "b"}, {.name = "late"}});
  Emit("4");
  sinks = Sinks();
  EXPECT_EQ(sinks["b"].pending, 1u);
  EXPECT_EQ(sinks["b"].filtered, 3u);
}

TEST_F(AlertTallyTest, WhatARestartFindsPendingIsRaised) {
  tally_.Begin(ledger_, kStart);
  Configure({{.name = "a"}, {.name = "b"}});
  for (const char* id : {"1", "2", "3"}) Emit(id);
  Deliver("a", 1);
  Deliver("b", 1);
  Deliver("b", 2);
  tally_ = AlertTally();
  tally_.Begin(ledger_, kStart);
  EXPECT_EQ(raised(), 2u);
  const auto sinks = Sinks();
  EXPECT_EQ(sinks.at("a").pending, 2u);
  EXPECT_EQ(sinks.at("b").pending, 1u);
  EXPECT_EQ(sinks.at("b").filtered, 1u);
  EXPECT_EQ(sinks.at("a").delivered, 0u);
}

TEST_F(AlertTallyTest, EverySeriesBeginsAtZero) {
  bool found = false;
  for (const AlertMetrics& alert : tally_.alerts()) {
    EXPECT_EQ(alert.raised, 0u);
    found = found || (alert.detector == "anonymous-access" &&
                      alert.rule == "let_in" && alert.severity == "critical");
  }
  EXPECT_TRUE(found);
}

TEST_F(AlertTallyTest, TheOldestPendingHasAnAge) {
  tally_.Begin(ledger_, kStart);
  Configure({{.name = "a"}});
  Emit("1");
  tally_.Look(ledger_, kStart + absl::Seconds(10));
  Emit("2");
  tally_.Look(ledger_, kStart + absl::Seconds(20));
  const absl::Time now = kStart + absl::Seconds(60);
  EXPECT_EQ(Sinks(now).at("a").oldest_pending_seconds, 50);
  Deliver("a", 1);
  tally_.Look(ledger_, kStart + absl::Seconds(30));
  EXPECT_EQ(Sinks(now).at("a").oldest_pending_seconds, 40);
  Deliver("a", 2);
  EXPECT_EQ(Sinks(now).at("a").oldest_pending_seconds, 0);
}

TEST_F(AlertTallyTest, AgesTakeNoRoomOfTheirOwn) {
  tally_.Begin(ledger_, kStart);
  Configure({{.name = "a"}});
  // Ten a second, never delivered: the first one's age is right throughout.
  for (int i = 0; i < 1000; ++i) {
    Emit(std::to_string(i));
    const absl::Time now = kStart + absl::Milliseconds(100 * i);
    tally_.Look(ledger_, now);
    EXPECT_NEAR(Sinks(now).at("a").oldest_pending_seconds, 0.1 * i, 0.001);
  }
}

BatchRecord Batch(const std::string& lane, uint64_t bytes) {
  BatchRecord record;
  record.lane = lane;
  record.counts.bytes = bytes;
  return record;
}

TEST(InputTally, BytesAreTheSumOfTheirParts) {
  InputTally tally;
  tally.AddSource("file:/a");
  BatchRecord record = Batch("file:/a", 100);
  record.counts.quarantined_bytes = 10;
  record.counts.repeated_bytes = 5;
  record.gaps = {{"/a", "vanished", "", 7, 27},
                 {"/a", "truncated", "", 7, Gap::kUnknown}};
  tally.Add("file:/a", record, {{"klog", 2}});
  // Kafka's gaps are told in records.
  BatchRecord kafka = Batch("kafka:t/0", 50);
  kafka.gaps = {{"t", "retention", "", 0, 1'000'000}};
  tally.Add("kafka:k1", kafka, {});
  for (const LaneMetrics& lane :
       tally.Lanes({{"file:/a", 30}, {"unheard of", 1}})) {
    EXPECT_EQ(lane.bytes, lane.processed_bytes + lane.quarantined_bytes +
                              lane.repeated_bytes + lane.gap_bytes +
                              lane.in_flight_bytes);
  }
  const LaneMetrics file = tally.Lanes({{"file:/a", 30}})[0];
  EXPECT_EQ(file.bytes, 150u);
  EXPECT_EQ(file.processed_bytes, 85u);
  EXPECT_EQ(file.gap_bytes, 20u);
  EXPECT_EQ(tally.Lanes({})[1].gap_bytes, 0u);
  const SourceMetrics& source = tally.sources().at("file:/a");
  EXPECT_EQ(source.quarantined.at("klog"), 2u);
  EXPECT_EQ(source.quarantined.at("not_json"), 0u);
  EXPECT_EQ(source.gaps.at("vanished"), 1u);
  EXPECT_EQ(source.gaps.at("copied"), 0u);
}

TEST(InputTally, LanesKeepTheirPlace) {
  InputTally tally;
  for (const char* lane : {"c", "a", "b"}) tally.AddLane("s", lane);
  tally.Add("s", Batch("a", 1), {});
  tally.AddLate("b", 3);
  const std::vector<LaneMetrics> lanes = tally.Lanes({});
  ASSERT_EQ(lanes.size(), 3u);
  EXPECT_EQ(lanes[0].lane, "c");
  EXPECT_EQ(lanes[1].bytes, 1u);
  EXPECT_EQ(lanes[2].late, 3u);
}

}  // namespace
}  // namespace klaxon
