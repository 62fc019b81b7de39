// The Kafka source against librdkafka's mock cluster. What only a real broker
// does is in tests/kafka.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "ingest/kafka_source.h"
#include "tests/testing/kafka_bed.h"
#include "tests/testing/kafka_reader.h"

namespace klaxon {

class KafkaSourceTest : public ::testing::Test {
 protected:
  KafkaSourceOptions Options(const std::string& topic) {
    KafkaSourceOptions options;
    options.brokers = mock_.brokers();
    options.topics = {topic};
    options.instance_id = "me";
    options.connect_timeout = absl::Seconds(30);
    options.clock = [this] { return absl::Now() + skip_; };
    return options;
  }
  std::unique_ptr<KafkaTestClient> Producer(
      KafkaTestClient::Config config = {}) {
    config["bootstrap.servers"] = mock_.brokers();
    // Nothing is sent before Flush, however slow the machine is: what is
    // produced together is one batch, which comes at once.
    config.emplace("linger.ms", "250000");
    return std::make_unique<KafkaTestClient>(config);
  }
  // The lines that ProduceLines produced.
  static std::vector<std::string> Lines(int from, int to,
                                        const std::string& tag = "n") {
    std::vector<std::string> lines;
    for (int i = from; i < to; ++i) {
      lines.push_back(KafkaTestClient::Line(i, tag));
    }
    return lines;
  }

  KafkaMock mock_{3};
  absl::Duration skip_;  // Of the injected clock, from the real one.
};

}  // namespace klaxon
