// Alerts into a Kafka topic.
//
// A record is one revision of an alert: the key its id, the value its JSON,
// headers "severity", "detector", "cluster". All revisions of an alert are in
// one partition, in order. (id, revision) tells what came twice.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sinks/sink.h"

namespace klaxon {

struct KafkaSinkOptions {
  std::string brokers;  // "HOST:PORT,…"
  std::string topic;
  // Any property of librdkafka but those that the sink stands on.
  std::vector<std::pair<std::string, std::string>> config;
  // Without an answer for so long, a delivery has failed.
  absl::Duration timeout = absl::Minutes(1);
  // Lines of librdkafka's log (level as of syslog), from any thread.
  std::function<void(int level, std::string_view line)> log;
};

// InvalidArgument: a property that cannot be; no secret is named. Reaches no
// broker before the first Deliver.
//
// Deliver blocks until the brokers have answered for every alert (`acks=all`,
// idempotent) and calls `done` on the caller's thread. Refused for good is only
// what is too large for the topic, or no record to it; whatever rights or
// topics are missing can come to be.
absl::StatusOr<std::unique_ptr<Sink>> MakeKafkaSink(KafkaSinkOptions options);

}  // namespace klaxon
