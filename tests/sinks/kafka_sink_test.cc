// The Kafka sink against librdkafka's mock cluster; tests/kafka has a real one.
#include "sinks/kafka_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "tests/sinks/alert_samples.h"
#include "tests/testing/kafka_bed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

constexpr int16_t kProduce = 0;
constexpr int16_t kInitProducerId = 22;

class KafkaSinkTest : public ::testing::Test {
 protected:
  KafkaSinkOptions Options() {
    KafkaSinkOptions options;
    options.brokers = mock_.brokers();
    options.topic = "alerts";
    return options;
  }
  static std::unique_ptr<Sink> Made(KafkaSinkOptions options) {
    absl::StatusOr<std::unique_ptr<Sink>> sink =
        MakeKafkaSink(std::move(options));
    EXPECT_TRUE(sink.ok()) << sink.status();
    if (!sink.ok()) return nullptr;
    EXPECT_TRUE((*sink)->Open().ok());
    return *std::move(sink);
  }
  static absl::Status Deliver(Sink* sink, const std::vector<Alert>& alerts) {
    int calls = 0;
    absl::Status result;
    sink->Deliver(alerts, [&](const absl::Status& status) {
      ++calls;
      result = status;
    });
    EXPECT_EQ(calls, 1);
    return result;
  }
  std::vector<KafkaTestRecord> Records(size_t count, int32_t partitions = 1) {
    return ReadTopic(mock_.brokers(), "alerts", partitions, count);
  }
  void SetUp(bool up) {
    for (int b = 1; b <= 3; ++b) {
      (up ? rd_kafka_mock_broker_set_up : rd_kafka_mock_broker_set_down)(
          mock_.cluster(), b);
    }
  }

  KafkaMock mock_{3};
};

TEST_F(KafkaSinkTest, RecordIsTheAlertKeyedByItsId) {
  mock_.Create("alerts", 1);
  const std::unique_ptr<Sink> sink = Made(Options());
  const Alert alert = SampleAlert();
  ASSERT_TRUE(Deliver(sink.get(), {alert}).ok());
  EXPECT_TRUE(sink->Drain(absl::ZeroDuration()).ok());
  const std::vector<KafkaTestRecord> records = Records(1);
  ASSERT_EQ(records.size(), 1u);
  std::string json;
  AppendJson(alert, &json);
  EXPECT_EQ(records[0].value, json);
  EXPECT_EQ(records[0].key, alert.id);
  EXPECT_THAT(records[0].headers,
              ElementsAre(Pair("severity", "medium"),
                          Pair("detector", "unauthorized-burst"),
                          Pair("cluster", "prod-eu-1")));
}

TEST_F(KafkaSinkTest, RevisionsOfAnAlertAreInOrderInOnePartition) {
  mock_.Create("alerts", 4);
  const std::unique_ptr<Sink> sink = Made(Options());
  for (uint64_t revision = 1; revision <= 5; ++revision) {
    std::vector<Alert> alerts;
    for (int number = 0; number < 20; ++number) {
      alerts.push_back(SampleAlert(number));
      alerts.back().revision = revision;
    }
    ASSERT_TRUE(Deliver(sink.get(), alerts).ok());
  }
  std::map<std::string, std::vector<KafkaTestRecord>> of;
  for (KafkaTestRecord& record : Records(100, 4)) {
    of[record.key].push_back(std::move(record));
  }
  ASSERT_EQ(of.size(), 20u);
  std::set<int32_t> used;
  for (const auto& [id, records] : of) {
    ASSERT_EQ(records.size(), 5u) << id;
    used.insert(records[0].partition);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(records[i].partition, records[0].partition);
      EXPECT_THAT(records[i].value,
                  HasSubstr("\"revision\":" + std::to_string(i + 1) + ","));
    }
  }
  EXPECT_GT(used.size(), 1u);
}

TEST_F(KafkaSinkTest, WhatABrokerCannotTakeNowIsTriedAgainByItself) {
  mock_.Create("alerts", 1);
  const std::unique_ptr<Sink> sink = Made(Options());
  rd_kafka_mock_push_request_errors(mock_.cluster(), kProduce, 3,
                                    RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                    RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                    RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
  ASSERT_TRUE(Deliver(sink.get(), {SampleAlert(1), SampleAlert(2)}).ok());
  const std::vector<KafkaTestRecord> records = Records(2);
  EXPECT_EQ(records[0].key, SampleId(1));
  EXPECT_EQ(records[1].key, SampleId(2));
}

TEST_F(KafkaSinkTest, TooLargeIsRefusedForGood) {
  mock_.Create("alerts", 1);
  KafkaSinkOptions options = Options();
  options.config = {{"message.max.bytes", "4000"}};
  const std::unique_ptr<Sink> sink = Made(options);
  Alert large = SampleAlert(1);
  large.summary = std::string(5000, 'x');
  absl::Status status = Deliver(sink.get(), {large});
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  // The topic's own limit, which only the broker knows.
  rd_kafka_mock_push_request_errors(mock_.cluster(), kProduce, 1,
                                    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
  status = Deliver(sink.get(), {SampleAlert(2)});
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("max.message.bytes"));
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(3)}).ok());
  EXPECT_EQ(Records(1)[0].key, SampleId(3));
}

TEST_F(KafkaSinkTest, OutageIsTemporary) {
  mock_.Create("alerts", 1);
  KafkaSinkOptions options = Options();
  options.timeout = absl::Milliseconds(300);
  const std::unique_ptr<Sink> sink = Made(options);
  SetUp(false);
  const absl::Status status = Deliver(sink.get(), {SampleAlert()});
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("topic alerts"));
  SetUp(true);
  while (!Deliver(sink.get(), {SampleAlert()}).ok()) {
  }
  EXPECT_EQ(Records(1)[0].key, SampleId(1));
}

TEST_F(KafkaSinkTest, InterruptEndsADelivery) {
  mock_.Create("alerts", 1);
  KafkaSinkOptions options = Options();
  options.timeout = absl::InfiniteDuration();
  const std::unique_ptr<Sink> sink = Made(options);
  SetUp(false);
  std::thread interrupter([&] { sink->Interrupt(); });
  EXPECT_TRUE(absl::IsCancelled(Deliver(sink.get(), {SampleAlert()})));
  interrupter.join();
  EXPECT_TRUE(absl::IsCancelled(Deliver(sink.get(), {SampleAlert()})));
}

TEST_F(KafkaSinkTest, ProducerThatFailedIsMadeAnew) {
  mock_.Create("alerts", 1);
  rd_kafka_mock_push_request_errors(
      mock_.cluster(), kInitProducerId, 1,
      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
  const std::unique_ptr<Sink> sink = Made(Options());
  const absl::Status status = Deliver(sink.get(), {SampleAlert()});
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert()}).ok());
}

TEST_F(KafkaSinkTest, OptionsThatCannotBeAreRefusedInWords) {
  struct Case {
    const char* property;
    const char* value;
    const char* words;
  };
  for (const Case& c :
       {Case{"acks", "1", "all replicas in sync"},
        Case{"enable.idempotence", "false", "must not be written twice"},
        Case{"bootstrap.servers", "x", "use `brokers`"},
        Case{"transactional.id", "x", "no transactions"},
        Case{"no.such.thing", "x", "config.no.such.thing: No such"}}) {
    KafkaSinkOptions options = Options();
    options.config = {{"sasl.password", "hunter2"}, {c.property, c.value}};
    const absl::Status status = MakeKafkaSink(options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.words));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hunter2")));
  }
}

}  // namespace
}  // namespace klaxon
