// What a Kafka source is told (docs/KAFKA.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace klaxon {

// Where a partition begins that has no resume token, on the first start only:
// once a topic was read, what is new in it is read from its beginning.
enum class KafkaStart : uint8_t { kBegin, kEnd, kTime, kCommitted };

// Whose event a record is. kDefault: cluster_default.
enum class KafkaClusterFrom : uint8_t { kDefault, kHeader, kKey };

struct KafkaSourceOptions {
  // Part of its lanes' names; empty where the topics' names alone tell them
  // apart from those of every other source. Not to be changed over restarts.
  std::string name;
  std::string brokers;  // "HOST:PORT,…"
  // Names; a regular expression (ECMAScript) where it begins with '^'. Such
  // one never takes topics of Kafka's own, whose names begin with "__".
  std::vector<std::string> topics;
  std::string group = "klaxon";
  KafkaStart start = KafkaStart::kBegin;
  absl::Time start_time;  // Of records, with kTime.
  // Any property of librdkafka but those that Klaxon stands on.
  std::map<std::string, std::string> config;

  KafkaClusterFrom cluster_from = KafkaClusterFrom::kDefault;
  std::string cluster_header;
  // Empty: the default cluster. Also of records that name none, or no name.
  std::string cluster_default;

  // Stands in each commit, so that a second owner can be noticed. The same
  // over restarts, different for each Klaxon.
  std::string instance_id;
  // Stop where the partitions ended when they were first seen.
  bool until_end = false;
  // So long a broker may take to answer for the first time; then Read fails.
  // Infinite: it is said, and tried for ever.
  absl::Duration connect_timeout = absl::InfiniteDuration();

  size_t batch_bytes = 256 << 10;  // Aim; at least one record, or a piece.
  size_t line_bytes_max = 16 << 20;
  size_t oversize_keep_bytes = 64 << 10;

  // For what happens every second or minute; never for what an event says.
  std::function<absl::Time()> clock = absl::Now;
  // Lines of librdkafka's log (level as of syslog), from any thread.
  std::function<void(int level, std::string_view line)> log;
};

}  // namespace klaxon
