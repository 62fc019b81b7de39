// What can be configured, and what is said of it.
#include "ingest/kafka_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ingest/kafka_fixture.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using KafkaConfigTest = KafkaSourceTest;

TEST_F(KafkaConfigTest, OptionsThatCannotBeAreRefusedInWords) {
  struct Case {
    const char* property;
    const char* value;
    const char* words;
  };
  for (const Case& c : {
           Case{"enable.auto.commit", "true", "when what was read is durable"},
           Case{"auto.offset.reset", "latest", "must be reported"},
           Case{"group.id", "x", "use `group`"},
           Case{"no.such.thing", "x", "config.no.such.thing: No such"},
           Case{"fetch.wait.max.ms", "soon", "config.fetch.wait.max.ms"},
       }) {
    KafkaSourceOptions options = Options("t");
    options.config[c.property] = c.value;
    const absl::Status status = MakeKafkaSource(options)->Open({});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.words));
  }
  KafkaSourceOptions options = Options("^(");
  EXPECT_TRUE(absl::IsInvalidArgument(MakeKafkaSource(options)->Open({})));
  options.topics.clear();
  EXPECT_TRUE(absl::IsInvalidArgument(MakeKafkaSource(options)->Open({})));
}

TEST_F(KafkaConfigTest, DamagedTokenIsRefused) {
  const std::vector<LaneResume> resume = {{"kafka:t/0", "junk", {}}};
  EXPECT_TRUE(absl::IsDataLoss(MakeKafkaSource(Options("t"))->Open(resume)));
}

TEST(KafkaConfig, ScramBeforeItWorksIsSaid) {
  EXPECT_THAT(
      KafkaClientLimits({{"sasl.mechanism", "SCRAM-SHA-512"}}, 0x020002ff),
      HasSubstr("2.6.1"));
  EXPECT_EQ(
      KafkaClientLimits({{"sasl.mechanism", "SCRAM-SHA-512"}}, 0x020601ff), "");
  EXPECT_EQ(KafkaClientLimits({{"sasl.mechanisms", "PLAIN"}}, 0x020002ff), "");
}

TEST(KafkaConfig, SecretsDoNotStandInErrors) {
  KafkaSourceOptions options;
  options.brokers = "b:1";
  options.topics = {"t"};
  options.config = {{"sasl.password", "hunter2"}, {"sasl.mechanism", "NONE"}};
  options.config["security.protocol"] = "sasl_plaintext";
  const absl::Status status = MakeKafkaSource(options)->Open({});
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace klaxon
