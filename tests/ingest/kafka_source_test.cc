// What is read, and from where.
#include "ingest/kafka_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/ingest/ingest_fixture.h"
#include "tests/ingest/kafka_fixture.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;

class KafkaCodecTest : public KafkaSourceTest,
                       public ::testing::WithParamInterface<const char*> {};

TEST_P(KafkaCodecTest, EveryRecordOnceInOrder) {
  mock_.Create("t", 4);
  const auto producer = Producer({{"compression.codec", GetParam()}});
  for (int p = 0; p < 4; ++p) {
    producer->ProduceLines("t", p, 0, 500 * p, "p" + std::to_string(p));
  }
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  options.batch_bytes = 3000;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  EXPECT_EQ(reader.lanes.size(), 4u);  // The empty one has its token, too.
  for (int p = 0; p < 4; ++p) {
    const std::string name = "kafka:t/" + std::to_string(p);
    EXPECT_EQ(reader.lanes[name].Lines(),
              Lines(0, 500 * p, "p" + std::to_string(p)));
    EXPECT_TRUE(reader.lanes[name].gaps.empty());
    EXPECT_TRUE(reader.State(name).caught_up);
    EXPECT_EQ(reader.State(name).lag_records, 0u);
  }
  EXPECT_EQ(reader.source()->counters().records, 3000u);
  EXPECT_TRUE(reader.said.empty()) << reader.said[0];
}

INSTANTIATE_TEST_SUITE_P(All, KafkaCodecTest,
                         ::testing::Values("none", "gzip", "snappy", "lz4",
                                           "zstd"));

// librdkafka looks at a full queue again a second later if it is not told to:
// here that would be once for each of the records.
TEST_F(KafkaSourceTest, AFullQueueIsFilledAgainAtOnce) {
  mock_.Create("t", 1);
  const auto producer = Producer({{"batch.num.messages", "1"}});
  constexpr int kRecords = 200;
  for (int i = 0; i < kRecords; ++i) {
    producer->Send("t", {.value = std::string(2000, 'x')});
  }
  producer->Flush();
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  options.config = {{"queued.max.messages.kbytes", "1"},
                    {"fetch.message.max.bytes", "1000"}};
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(kRecords / 4));
  EXPECT_EQ(reader.LineCount(), static_cast<size_t>(kRecords));
}

TEST_F(KafkaSourceTest, APartitionThatHasMoreKeepsItsTurn) {
  mock_.Create("t", 3);
  const auto producer = Producer();
  for (int p = 0; p < 3; ++p) producer->ProduceLines("t", p, 0, 400);
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  options.batch_bytes = 100;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  EXPECT_GT(reader.batches, 100u);
  EXPECT_EQ(reader.turns.size(), 3u);
}

TEST_F(KafkaSourceTest, GoesOnBehindTheTokenAfterAnyStop) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  mock_.Create("t", 3);
  const auto producer = Producer();
  KafkaSourceOptions options = Options("t");
  KafkaReader reader(options);
  int produced = 0;
  for (int run = 0; run < 20; ++run) {
    const int more = static_cast<int>(random() % 200);
    for (int p = 0; p < 3; ++p) {
      producer->ProduceLines("t", p, produced, produced + more);
    }
    produced += more;
    reader.options().batch_bytes = 1 + random() % 2000;
    ASSERT_TRUE(reader.Open().ok());
    const uint64_t until = reader.batches + random() % 15;
    ASSERT_TRUE(reader
                    .ReadUntil([&] {
                      return reader.batches >= until ||
                             reader.LineCount() ==
                                 static_cast<size_t>(3 * produced);
                    })
                    .ok());
    reader.Close();
  }
  reader.options().until_end = true;
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  for (const auto& [name, lane] : reader.lanes) {
    EXPECT_EQ(lane.Lines(), Lines(0, produced)) << name;
    EXPECT_TRUE(lane.gaps.empty()) << lane.gaps[0].message;
  }
}

TEST_F(KafkaSourceTest, RecordsAreCutAsAFileOfTheirBytesIs) {
  const std::string pretty = "{\n  \"a\": 1\n}\n{\n  \"b\": [\n 2]\n}";
  const std::string lines = "{\"x\":1}\n{\"x\":2}\n";
  const std::string list = "[" + std::string(3000, ' ') + "{\"e\":1},\n" +
                           "{\"e\":2}" + std::string(3000, ' ') + "]";
  const std::string long_line = "{\"y\":\"" + std::string(9000, 'y') + "\"}";
  mock_.Create("t", 1);
  const auto producer = Producer();
  producer->Produce("t", {{.value = KafkaTestClient::Line(0)},
                          {.value = lines},
                          {.value = pretty},
                          {.null = true},
                          {.value = ""},
                          {.value = Gzip(lines)},
                          {.value = Zstd(pretty)},
                          {.value = list},
                          {.value = long_line},
                          {.value = KafkaTestClient::Line(1)},
                          {.value = "{\"half\":{"}});
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  options.line_bytes_max = 4096;
  options.oversize_keep_bytes = 100;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  ReadLane lane = reader.lanes["kafka:t/0"];
  const std::string split_list = [&] {
    std::string out = list;
    out.replace(out.find(",\n"), 1, "][");
    return out;
  }();
  const std::string oversize =
      long_line.substr(0, 100) + long_line.substr(long_line.size() - 100);
  EXPECT_EQ(lane.bytes, KafkaTestClient::Line(0) + "\n" + lines + pretty +
                            lines + pretty + split_list + oversize +
                            KafkaTestClient::Line(1) + "\n{\"half\":{\n");
  using enum BatchFraming;
  EXPECT_THAT(lane.framings,
              ElementsAre(kLines, kDocument, kDocument, kLines, kDocument,
                          kDocument, kDocument, kDocument, kOversize, kLines));
  EXPECT_EQ(lane.inputs[0], "kafka:t/0@0");
  EXPECT_EQ(lane.inputs[1], "kafka:t/0@2");
  EXPECT_EQ(lane.inputs[2], "kafka:t/0@2");
  EXPECT_EQ(lane.inputs.back(), "kafka:t/0@9");
  EXPECT_EQ(reader.source()->counters().null_records, 2u);
  EXPECT_EQ(reader.source()->counters().records, 11u);

  // And again, with a restart between any two batches.
  KafkaReader stops(options);
  absl::Status status;
  while (!absl::IsOutOfRange(status)) {
    ASSERT_TRUE(stops.Open().ok());
    const uint64_t until = stops.batches + 1;
    status = stops.ReadUntil([&] { return stops.batches == until; });
    ASSERT_TRUE(status.ok() || absl::IsOutOfRange(status)) << status;
  }
  EXPECT_EQ(stops.lanes["kafka:t/0"].bytes, lane.bytes);
  EXPECT_EQ(stops.lanes["kafka:t/0"].framings.size(), 10u);
}

TEST_F(KafkaSourceTest, RecordThatCannotBeInflatedIsAGap) {
  const std::string damaged = Gzip(SomeLines(500)).substr(0, 600);
  mock_.Create("t", 1);
  Producer()->Produce(
      "t",
      {{.value = "{\"a\":1}"}, {.value = damaged}, {.value = "{\"a\":2}"}});
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  const ReadLane& lane = reader.lanes["kafka:t/0"];
  ASSERT_EQ(lane.gaps.size(), 1u);
  EXPECT_EQ(lane.gaps[0].reason, "undecodable");
  EXPECT_EQ(lane.gaps[0].begin, 1u);
  EXPECT_EQ(lane.gaps[0].end, 2u);
  EXPECT_EQ(lane.Lines().front(), "{\"a\":1}");
  EXPECT_THAT(lane.bytes, EndsWith("{\"a\":2}\n"));
}

TEST_F(KafkaSourceTest, LongLinesInChunksStayInOneBatch) {
  mock_.Create("t", 1);
  const std::string head = "2026-01-02T03:04:05.000000001Z stdout ";
  std::vector<KafkaTestRecord> records;
  for (int i = 0; i < 50; ++i) {
    records.push_back({.value = head + "P " + std::string(100, 'x')});
  }
  records.push_back({.value = head + "F end"});
  records.push_back({.value = "{\"a\":1}"});
  Producer()->Produce("t", records);
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  options.batch_bytes = 1000;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  EXPECT_EQ(reader.lanes["kafka:t/0"].inputs,
            (std::vector<std::string>{"kafka:t/0@0", "kafka:t/0@51"}));
}

TEST_F(KafkaSourceTest, ClusterComesFromTheHeader) {
  mock_.Create("t", 1);
  Producer()->Produce(
      "t", {{.value = "1", .headers = {{"cluster", "a"}}},
            {.value = "2", .headers = {{"cluster", "x"}, {"cluster", "a"}}},
            {.value = "3", .headers = {{"cluster", "b"}}},
            {.value = "4"},
            {.value = "5", .headers = {{"cluster", std::string(300, 'c')}}},
            {.value = "6", .headers = {{"cluster", "b\n"}}},
            {.value = "7", .headers = {{"other", "b"}}}});
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  options.cluster_from = KafkaClusterFrom::kHeader;
  options.cluster_header = "cluster";
  options.cluster_default = "none";
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  const ReadLane& lane = reader.lanes["kafka:t/0"];
  EXPECT_THAT(lane.clusters, ElementsAre("a", "b", "none"));
  EXPECT_EQ(lane.bytes, "1\n2\n3\n4\n5\n6\n7\n");
  EXPECT_EQ(reader.source()->counters().odd_clusters, 2u);
}

TEST_F(KafkaSourceTest, ClusterComesFromTheKey) {
  mock_.Create("t", 1);
  Producer()->Produce("t", {{.value = "1", .key = "a"},
                            {.value = "2", .key = "b"},
                            {.value = "3", .key = "b"},
                            {.value = "4"}});
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  options.cluster_from = KafkaClusterFrom::kKey;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  EXPECT_THAT(reader.lanes["kafka:t/0"].clusters, ElementsAre("a", "b", ""));
}

// ----------------------------------------------------------- where it begins

TEST_F(KafkaSourceTest, StartAtEndMissesNothingFromThere) {
  mock_.Create("t", 2);
  const auto producer = Producer();
  producer->ProduceLines("t", 0, 0, 10);
  KafkaSourceOptions options = Options("t");
  options.start = KafkaStart::kEnd;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  // Both tokens: from here on nothing may be missed, also over a restart.
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.batches == 2; }).ok());
  EXPECT_EQ(reader.LineCount(), 0u);
  reader.Close();
  producer->ProduceLines("t", 0, 10, 20);
  producer->ProduceLines("t", 1, 0, 7);
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 17; }).ok());
  EXPECT_EQ(reader.lanes["kafka:t/0"].Lines(), Lines(10, 20));
  EXPECT_EQ(reader.lanes["kafka:t/1"].Lines(), Lines(0, 7));
}

TEST_F(KafkaSourceTest, StartAtCommittedIsThatOfTheGroup) {
  mock_.Create("t", 2);
  const auto producer = Producer();
  producer->ProduceLines("t", 0, 0, 10);
  producer->ProduceLines("t", 1, 0, 10);
  {
    KafkaReader first(Options("t"));
    ASSERT_TRUE(first.Open().ok());
    ASSERT_TRUE(first
                    .ReadUntil([&] {
                      return first.lanes.contains("kafka:t/0") &&
                             first.LineCount() == 20;
                    })
                    .ok());
    ASSERT_TRUE(first.source()
                    ->Commit("kafka:t/0", first.lanes["kafka:t/0"].resume)
                    .ok());
    // The end of the source sends it.
  }
  producer->ProduceLines("t", 0, 10, 12);
  KafkaSourceOptions options = Options("t");
  options.start = KafkaStart::kCommitted;
  options.until_end = true;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  EXPECT_EQ(reader.lanes["kafka:t/0"].Lines(), Lines(10, 12));
  EXPECT_EQ(reader.lanes["kafka:t/1"].Lines(), Lines(0, 10));
}

TEST_F(KafkaSourceTest, NewTopicOfThePatternIsReadFromItsBeginning) {
  mock_.Create("audit-a", 1);
  mock_.Create("other", 1);
  const auto producer = Producer();
  producer->ProduceLines("audit-a", 0, 0, 5);
  producer->ProduceLines("other", 0, 0, 5);
  KafkaSourceOptions options = Options("^audit-.*$");
  options.start = KafkaStart::kEnd;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.batches == 1; }).ok());
  mock_.Create("audit-b", 2);
  producer->ProduceLines("audit-b", 1, 0, 5);
  skip_ += absl::Seconds(61);
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 5; }).ok());
  EXPECT_EQ(reader.lanes["kafka:audit-b/1"].Lines(), Lines(0, 5));
  EXPECT_FALSE(reader.lanes.contains("kafka:other/0"));
}

TEST_F(KafkaSourceTest, LanesOfOtherSourcesAreNotItsOwn) {
  mock_.Create("t", 1);
  Producer()->ProduceLines("t", 0, 0, 10);
  KafkaPosition five;
  five.next = 5;
  const std::string token = EncodeKafkaPosition(five);
  const std::vector<LaneResume> resume = {{"file:/var/log/audit.log", "?", {}},
                                          {"kafka:eu/t/0", token, {}},
                                          {"kafka:other/0", token, {}},
                                          {"kafka:us/t/0", token, {}}};
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  for (const std::string name : {"", "eu"}) {
    SCOPED_TRACE(name);
    options.name = name;
    const std::unique_ptr<KafkaSource> source = MakeKafkaSource(options);
    ASSERT_TRUE(source->Open(resume).ok());
    LiveBatch batch;
    absl::Status status;
    do {  // The first one may be no more than a token.
      status = source->Read(absl::Minutes(1), {}, batch);
      ASSERT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
    } while (!status.ok() || batch.batch.bytes.size() == 0);
    EXPECT_EQ(batch.lane, name.empty() ? "kafka:t/0" : "kafka:eu/t/0");
    EXPECT_TRUE(batch.batch.bytes.view().starts_with(
        KafkaTestClient::Line(name.empty() ? 0 : 5)));
    ASSERT_EQ(source->Lanes().size(), 1u);
    EXPECT_EQ(source->Lanes()[0].name, batch.lane);
    EXPECT_TRUE(source->Commit(batch.lane, batch.resume).ok());
    EXPECT_FALSE(source->Commit("kafka:us/t/0", batch.resume).ok());
  }
}

TEST_F(KafkaSourceTest, PartitionWithoutLeaderHoldsTheOthersBack) {
  mock_.Create("t", 2);
  rd_kafka_mock_partition_set_leader(mock_.cluster(), "t", 1, -1);
  const auto producer = Producer();
  producer->ProduceLines("t", 0, 0, 10);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 10; }).ok());
  EXPECT_EQ(reader.State("kafka:t/1").name, "kafka:t/1");
  EXPECT_FALSE(reader.State("kafka:t/1").caught_up);
  rd_kafka_mock_partition_set_leader(mock_.cluster(), "t", 1, 1);
  skip_ += absl::Seconds(61);
  producer->ProduceLines("t", 1, 0, 10);
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 20; }).ok());
  ASSERT_TRUE(
      reader.ReadUntil([&] { return reader.State("kafka:t/1").caught_up; })
          .ok());
}

// ------------------------------------------------------------- what is held

TEST_F(KafkaSourceTest, HeldLanesAreNotRead) {
  mock_.Create("t", 3);
  const auto producer = Producer();
  for (int p = 0; p < 3; ++p) producer->ProduceLines("t", p, 0, 100);
  KafkaSourceOptions options = Options("t");
  options.until_end = true;
  options.batch_bytes = 200;
  KafkaReader reader(options);
  ASSERT_TRUE(reader.Open().ok());
  reader.held = {"kafka:t/0", "kafka:t/2"};  // Check() looks at each batch.
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 100; }).ok());
  EXPECT_FALSE(reader.State("kafka:t/0").caught_up);
  reader.held = {"kafka:t/1", "kafka:t/2"};
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 200; }).ok());
  reader.held.clear();
  EXPECT_TRUE(absl::IsOutOfRange(reader.ReadToEnd()));
  for (const auto& [name, lane] : reader.lanes) {
    EXPECT_EQ(lane.Lines(), Lines(0, 100)) << name;
  }
}

TEST_F(KafkaSourceTest, CaughtUpOnlyAtTheEnd) {
  mock_.Create("t", 1);
  const auto producer = Producer();
  producer->ProduceLines("t", 0, 0, 10);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  const auto caught_up = [&] { return reader.State("kafka:t/0").caught_up; };
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 10; }).ok());
  ASSERT_TRUE(reader.ReadUntil(caught_up).ok());
  producer->ProduceLines("t", 0, 10, 20);
  ASSERT_TRUE(reader.ReadUntil([&] { return reader.LineCount() == 20; }).ok());
  ASSERT_TRUE(reader.ReadUntil(caught_up).ok());
}

TEST_F(KafkaSourceTest, InterruptWakesAtOnce) {
  mock_.Create("t", 1);
  KafkaReader reader(Options("t"));
  ASSERT_TRUE(reader.Open().ok());
  ASSERT_TRUE(
      reader.ReadUntil([&] { return reader.State("kafka:t/0").caught_up; })
          .ok());
  const absl::Time begin = absl::Now();
  std::thread interrupter([&] { reader.source()->Interrupt(); });
  EXPECT_TRUE(absl::IsUnavailable(reader.ReadOne(absl::Minutes(10))));
  interrupter.join();
  EXPECT_LT(absl::Now() - begin, absl::Minutes(1));
  // For that once.
  Producer()->ProduceLines("t", 0, 0, 1);
  EXPECT_TRUE(reader.ReadOne(absl::Minutes(1)).ok());
}

}  // namespace
}  // namespace klaxon
