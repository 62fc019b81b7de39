#include "ingest/kafka_position.h"

#include <gtest/gtest.h>

#include <random>

#include "event/wire.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

TEST(KafkaPosition, TokenSaysTheSameAgain) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1000; ++i) {
    KafkaPosition position;
    position.next = static_cast<int64_t>(random() >> (1 + random() % 63));
    position.within = random() >> random() % 64;
    if (position.next > 0 && i % 4 != 0) {
      position.last =
          MarkOfRecord(static_cast<int64_t>(random() % position.next),
                       static_cast<int64_t>(random()), "key", "value");
    }
    const std::string token = EncodeKafkaPosition(position);
    EXPECT_LT(token.size(), 100u);
    const auto again = DecodeKafkaPosition(token);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, position);
  }
}

TEST(KafkaPosition, DamagedTokenIsRefused) {
  KafkaPosition position;
  position.next = 700;
  position.last = MarkOfRecord(699, 1, "", "value");
  const std::string token = EncodeKafkaPosition(position);
  for (size_t size = 0; size < token.size(); ++size) {
    EXPECT_TRUE(
        absl::IsDataLoss(DecodeKafkaPosition(token.substr(0, size)).status()))
        << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeKafkaPosition(token + "x").status()));
  position.last->offset = 700;  // Not before `next`.
  EXPECT_TRUE(absl::IsDataLoss(
      DecodeKafkaPosition(EncodeKafkaPosition(position)).status()));
}

TEST(KafkaPosition, NewerFormatIsNamed) {
  std::string token = "KK";
  WireWriter(&token).Uint(2);
  const absl::Status status = DecodeKafkaPosition(token).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("format 2"), std::string::npos) << status;
}

TEST(KafkaPosition, MarkTellsRecordsApart) {
  const std::string large(20'000, 'x');
  std::string other_tail = large;
  other_tail.back() = 'y';
  std::string other_head = large;
  other_head.front() = 'y';
  const KafkaMark mark = MarkOfRecord(5, 9, "k", large);
  EXPECT_EQ(mark, MarkOfRecord(5, 9, "k", large));
  EXPECT_NE(mark, MarkOfRecord(5, 8, "k", large));
  EXPECT_NE(mark, MarkOfRecord(4, 9, "k", large));
  EXPECT_NE(mark, MarkOfRecord(5, 9, "kx", large));
  EXPECT_NE(mark, MarkOfRecord(5, 9, "k", other_tail));
  EXPECT_NE(mark, MarkOfRecord(5, 9, "k", other_head));
  EXPECT_NE(mark, MarkOfRecord(5, 9, "k", large + "x"));
  EXPECT_NE(MarkOfRecord(5, 9, "ab", "c"), MarkOfRecord(5, 9, "a", "bc"));
}

TEST(KafkaLane, NameSaysSourceTopicAndPartition) {
  struct Case {
    const char* lane;
    bool ok;
  };
  std::string topic;
  int32_t partition = -1;
  ASSERT_TRUE(ParseKafkaLane(KafkaLane("", "a.b-c_d", 2147483647), "", &topic,
                             &partition));
  EXPECT_EQ(topic, "a.b-c_d");
  EXPECT_EQ(partition, 2147483647);
  for (const Case& c : {Case{"kafka:t/0", true}, Case{"kafka:t/", false},
                        Case{"kafka:/0", false}, Case{"kafka:t/-1", false},
                        Case{"kafka:t/1x", false}, Case{"file:t/0", false},
                        Case{"kafka:t/2147483648", false}, Case{"", false}}) {
    EXPECT_EQ(ParseKafkaLane(c.lane, "", &topic, &partition), c.ok) << c.lane;
  }
}

TEST(KafkaLane, EqualTopicsOfTwoClustersAreTwoLanes) {
  std::string topic;
  int32_t partition = -1;
  const std::string eu = KafkaLane("eu", "t", 7);
  EXPECT_EQ(eu, "kafka:eu/t/7");
  ASSERT_TRUE(ParseKafkaLane(eu, "eu", &topic, &partition));
  EXPECT_EQ(topic, "t");
  EXPECT_EQ(partition, 7);
  for (const char* other : {"", "e", "eu/t", "us", "t"}) {
    EXPECT_FALSE(ParseKafkaLane(eu, other, &topic, &partition)) << other;
  }
  EXPECT_FALSE(
      ParseKafkaLane(KafkaLane("", "eu", 7), "eu", &topic, &partition));
}

}  // namespace
}  // namespace klaxon
