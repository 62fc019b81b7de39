// Outages, lost ranges, clients that fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/ingest/kafka_fixture.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;

class KafkaTroubleTest : public KafkaSourceTest {
 protected:
  // Reads topic "t" to its end from a token; it must be another topic.
  ReadLane ReadAnew(const KafkaPosition& position) {
    KafkaSourceOptions options = Options("t");
    options.until_end = true;
    KafkaReader reader(options);
    reader.lanes["kafka:t/0"].resume = EncodeKafkaPosition(position);
    EXPECT_TRUE(reader.Open().ok());
    EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
    const ReadLane& lane = reader.lanes["kafka:t/0"];
    EXPECT_EQ(lane.gaps.size(), 1u);
    if (!lane.gaps.empty()) {
      EXPECT_EQ(lane.gaps[0].reason, "recreated");
    }
    return lane;
  }
};

TEST_F(KafkaTroubleTest, FatalErrorMakesTheClientAnew) {
  mock_.Create("t", 2);
  const auto producer = Producer();
  KafkaSourceOptions options = Options("t");
  options.batch_bytes = 500;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  for (int round = 0; round < 5; ++round) {
    for (int p = 0; p < 2; ++p) {
      producer->ProduceLines("t", p, 100 * round, 100 * round + 100);
    }
    const size_t until = 200 * round + 60;
    ASSERT_TRUE(
        reader.ReadUntil([&] { return reader.LineCount() >= until; }).ok());
    rd_kafka_test_fatal_error(reader.source()->client(),
                              RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, "a test");
    skip_ += absl::Seconds(2);
  }
  ASSERT_TRUE(
      reader.ReadUntil([&] { return reader.LineCount() == 1000; }).ok());
  EXPECT_EQ(reader.source()->counters().clients, 6u);
  EXPECT_TRUE(reader.Said("made anew"));
  for (const auto& [name, lane] : reader.lanes) {
    EXPECT_EQ(lane.Lines(), Lines(0, 500)) << name;
    EXPECT_TRUE(lane.gaps.empty());
  }
}

TEST_F(KafkaTroubleTest, OutageLosesNothingAndIsNotTheEnd) {
  mock_.Create("t", 2);
  const auto producer = Producer();
  producer->ProduceLines("t", 0, 0, 50);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  const auto state = [&] { return reader.State("kafka:t/0"); };
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 50; }).ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return state().caught_up; }).ok());
  for (int b = 1; b <= 3; ++b) {
    rd_kafka_mock_broker_set_down(mock_.cluster(), b);
  }
  ASSERT_TRUE(reader.ReadUntil([&] { return !state().caught_up; }).ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.Said("no broker"); }).ok());
  EXPECT_FALSE(state().caught_up);
  for (int b = 1; b <= 3; ++b) {
    rd_kafka_mock_broker_set_up(mock_.cluster(), b);
  }
  producer->ProduceLines("t", 0, 50, 100);
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 100; }).ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return state().caught_up; }).ok());
  EXPECT_EQ(reader.lanes["kafka:t/0"].Lines(), Lines(0, 100));
}

TEST_F(KafkaTroubleTest, BrokerThatIsAwayDoesNotStopTheOthers) {
  mock_.Create("t", 3);
  for (int p = 0; p < 3; ++p) {
    rd_kafka_mock_partition_set_leader(mock_.cluster(), "t", p, p + 1);
  }
  const auto producer = Producer();
  KafkaSourceOptions options = Options("t");
  options.batch_bytes = 500;  // Some 100 batches, which may not wait each.
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  for (int p = 0; p < 3; ++p) producer->ProduceLines("t", p, 0, 10);
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 30; }).ok());
  rd_kafka_mock_broker_set_down(mock_.cluster(), 2);
  ASSERT_TRUE(
      reader.ReadUntil([&] { return !reader.State("kafka:t/1").caught_up; })
          .ok());
  for (int p : {0, 2}) producer->ProduceLines("t", p, 10, 2000);
  ASSERT_TRUE(
      reader.ReadUntil([&] { return reader.LineCount() == 4010; }).ok());
  rd_kafka_mock_broker_set_up(mock_.cluster(), 2);
  producer->ProduceLines("t", 1, 10, 20);
  ASSERT_TRUE(
      reader.ReadUntil([&] { return reader.LineCount() == 4020; }).ok());
}

TEST_F(KafkaTroubleTest, LongOutageHoldsNobodyBackForEver) {
  mock_.Create("t", 1);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  const auto caught_up = [&] { return reader.State("kafka:t/0").caught_up; };
  ASSERT_TRUE(reader.ReadUntil(caught_up).ok());
  for (int b = 1; b <= 3; ++b) {
    rd_kafka_mock_broker_set_down(mock_.cluster(), b);
  }
  ASSERT_TRUE(reader.ReadUntil([&] { return !caught_up(); }).ok());
  skip_ += absl::Minutes(6);
  ASSERT_TRUE(reader.ReadUntil(caught_up).ok());
  EXPECT_TRUE(reader.Said("without waiting for Kafka"));
}

TEST_F(KafkaTroubleTest, RetentionIsAGapWithItsExtent) {
  mock_.Create("t", 1);
  const auto producer = Producer();
  producer->ProduceLines("t", 0, 0, 10);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 10; }).ok());
  reader.Close();
  // The mock keeps 5 MB.
  std::vector<KafkaTestRecord> records;
  for (int i = 0; i < 200; ++i) {
    records.push_back({.value = std::to_string(i) + std::string(50'000, ' ')});
  }
  producer->Produce("t", records);
  reader.options().until_end = true;
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  const ReadLane& lane = reader.lanes["kafka:t/0"];
  ASSERT_EQ(lane.gaps.size(), 1u);
  const Gap& gap = lane.gaps[0];
  EXPECT_EQ(gap.reason, "retention");
  EXPECT_EQ(gap.input, "kafka:t/0@10");
  EXPECT_EQ(gap.begin, 10u);
  ASSERT_GT(gap.end, 50u);
  ASSERT_LT(gap.end, 200u);
  const auto lines = lane.Lines();
  ASSERT_EQ(lines.size(), 10 + 210 - gap.end);
  EXPECT_TRUE(lines[10].starts_with(std::to_string(gap.end - 10) + " "));
}

// A token as of a topic that is no more.
TEST_F(KafkaTroubleTest, OtherRecordAtThePositionIsANewTopic) {
  mock_.Create("t", 1);
  Producer()->ProduceLines("t", 0, 0, 30);
  KafkaPosition position;
  position.next = 20;
  position.last = MarkOfRecord(19, 1234, "", KafkaTestClient::Line(19));
  const ReadLane lane = ReadAnew(position);
  ASSERT_EQ(lane.gaps.size(), 1u);
  EXPECT_EQ(lane.gaps[0].begin, 20u);
  EXPECT_EQ(lane.gaps[0].end, Gap::kUnknown);
  EXPECT_EQ(lane.Lines(), Lines(0, 30));
}

TEST_F(KafkaTroubleTest, PositionBehindTheEndIsANewTopic) {
  mock_.Create("t", 1);
  Producer()->ProduceLines("t", 0, 0, 30);
  // Behind the end; at it, so that no record is there to be compared; and one
  // without a record to compare.
  for (const int64_t next : {100, 31, -100}) {
    SCOPED_TRACE(next);
    KafkaPosition position;
    position.next = std::abs(next);
    if (next > 0) position.last = MarkOfRecord(next - 1, 1234, "", "x");
    EXPECT_EQ(ReadAnew(position).Lines(), Lines(0, 30));
  }
}

TEST_F(KafkaTroubleTest, NoBrokerIsSaidAndEndsTheFirstTry) {
  KafkaSourceOptions options = Options("t");
  options.brokers = "127.0.0.1:1";
  options.connect_timeout = absl::Seconds(2);
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  const absl::Status status = reader.ReadToEnd();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("no broker of '127.0.0.1:1' answers"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("refused"));
}

TEST_F(KafkaTroubleTest, MissingTopicIsWaitedForButNotAtTheEnd) {
  KafkaSourceOptions options = Options("^none-.*");
  options.until_end = true;
  KafkaReader until_end(options);
  ASSERT_TRUE(until_end.Open().ok());
  EXPECT_TRUE(absl::IsNotFound(until_end.ReadToEnd()));
  options.until_end = false;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(
      reader.ReadUntil([&] { return reader.Said("no topic matches"); }).ok());
  mock_.Create("none-such", 1);
  Producer()->ProduceLines("none-such", 0, 0, 3);
  EXPECT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 3; }).ok());
}

}  // namespace
}  // namespace klaxon
