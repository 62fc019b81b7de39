// What is committed to the group, and who else commits there.
#include "ingest/kafka_owner.h"

#include <gtest/gtest.h>

#include "tests/ingest/kafka_fixture.h"

namespace klaxon {
namespace {

using KafkaOwnerTest = KafkaSourceTest;

// What the group has for a partition.
KafkaOffset GroupOffset(const std::string& brokers, const std::string& topic) {
  KafkaSourceOptions options;
  options.brokers = brokers;
  options.topics = {topic};
  KafkaWake wake;
  auto client = KafkaClient::Create(options, &wake);
  EXPECT_TRUE(client.ok());
  std::vector<KafkaOffset> at = {{topic, 0, RD_KAFKA_OFFSET_INVALID, ""}};
  EXPECT_TRUE((*client)->Committed(&at, absl::Seconds(10)).ok());
  return at[0];
}

TEST_F(KafkaOwnerTest, OnlyWhatIsDurableIsCommitted) {
  mock_.Create("t", 1);
  Producer()->ProduceLines("t", 0, 0, 30);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 30; }).ok());
  EXPECT_EQ(GroupOffset(mock_.brokers(), "t").offset, RD_KAFKA_OFFSET_INVALID);
  reader.CommitAll();
  ASSERT_TRUE(
      reader.ReadUntil([&] { return reader.source()->counters().commits == 1; })
          .ok());
  const KafkaOffset at = GroupOffset(mock_.brokers(), "t");
  EXPECT_EQ(at.offset, 30);
  EXPECT_EQ(at.metadata, "me");
}

TEST_F(KafkaOwnerTest, SecondOwnerIsNoticedWithinAMinute) {
  mock_.Create("t", 1);
  Producer()->ProduceLines("t", 0, 0, 30);
  KafkaReader one(Options("t"));
  KafkaReader two(Options("t"));
  two.options().instance_id = "other";
  for (KafkaReader* reader : {&one, &two}) {
    ASSERT_TRUE(reader->Open().ok());
    ASSERT_TRUE(
        reader->ReadUntil([&] { return reader->LineCount() == 30; }).ok());
    reader->CommitAll();
    ASSERT_TRUE(reader
                    ->ReadUntil([&] {
                      return reader->source()->counters().commits == 1;
                    })
                    .ok());
    EXPECT_FALSE(reader->Said("second"));
  }
  skip_ += absl::Seconds(61);
  ASSERT_TRUE(
      one.ReadUntil([&] { return one.Said("a second Klaxon ('other'"); }).ok());
  // It commits again, so that the other one notices, too.
  ASSERT_TRUE(
      one.ReadUntil([&] { return one.source()->counters().commits == 2; })
          .ok());
  skip_ += absl::Seconds(61);
  ASSERT_TRUE(
      two.ReadUntil([&] { return two.Said("a second Klaxon ('me'"); }).ok());
}

TEST_F(KafkaOwnerTest, AsksDuringAnOutageAndGoesOnAfterIt) {
  mock_.Create("t", 1);
  Producer()->ProduceLines("t", 0, 0, 30);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 30; }).ok());
  reader.CommitAll();
  const auto commits = [&] { return reader.source()->counters().commits; };
  ASSERT_TRUE(reader.ReadUntil([&] { return commits() == 1; }).ok());
  for (int b = 1; b <= 3; ++b) {
    rd_kafka_mock_broker_set_down(mock_.cluster(), b);
  }
  for (int minute = 0; minute < 3; ++minute) {
    skip_ += absl::Seconds(61);
    EXPECT_TRUE(absl::IsUnavailable(reader.ReadOne()));
  }
  for (int b = 1; b <= 3; ++b) {
    rd_kafka_mock_broker_set_up(mock_.cluster(), b);
  }
  skip_ += absl::Seconds(61);
  EXPECT_TRUE(reader.ReadUntil([&] { return commits() >= 2; }).ok());
}

TEST_F(KafkaOwnerTest, PredecessorIsNoSecondOwner) {
  mock_.Create("t", 1);
  const auto producer = Producer();
  producer->ProduceLines("t", 0, 0, 30);
  KafkaReader reader(Options("t"));
  for (const char* id : {"first", "second"}) {
    reader.options().instance_id = id;
    ASSERT_TRUE(reader.Open().ok());
    const size_t until = reader.LineCount() + 30;
    ASSERT_TRUE(
        reader.ReadUntil([&] { return reader.LineCount() == until; }).ok());
    reader.CommitAll();
    for (uint64_t commits = 1; commits <= 3; ++commits) {
      ASSERT_TRUE(reader
                      .ReadUntil([&] {
                        return reader.source()->counters().commits == commits;
                      })
                      .ok());
      skip_ += absl::Seconds(61);
    }
    reader.Close();
    producer->ProduceLines("t", 0, 0, 30);
  }
  EXPECT_TRUE(reader.said.empty()) << reader.said[0];
}

TEST_F(KafkaOwnerTest, CommitThatFailsIsSaidAndNoMore) {
  mock_.Create("t", 1);
  Producer()->ProduceLines("t", 0, 0, 30);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 30; }).ok());
  constexpr int16_t kOffsetCommit = 8;
  rd_kafka_mock_push_request_errors(mock_.cluster(), kOffsetCommit, 1,
                                    RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
  reader.CommitAll();
  ASSERT_TRUE(
      reader.ReadUntil([&] { return reader.Said("has members of its own"); })
          .ok());
  EXPECT_EQ(reader.source()->counters().commits_failed, 1u);
}

}  // namespace
}  // namespace klaxon
