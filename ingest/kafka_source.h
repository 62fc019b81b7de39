// Kafka: one owner of all partitions of some topics. docs/KAFKA.md.
//
// No group membership: partitions are assigned by hand, positions come from
// the resume tokens, one lane a partition ("kafka:TOPIC/PARTITION"). What the
// group commits is information for tools that show lag, and for a second
// Klaxon that reads the same. New partitions are taken up within a minute,
// from their beginning.
//
// A record is one event, many lines of them, or a document; it is cut as a
// file of the same bytes is. Records of one batch belong to one lane and one
// cluster; LiveBatch.input is "kafka:TOPIC/PARTITION@OFFSET" of the first.
//
// Reasons of gaps: "retention" (deleted before it was read), "recreated" (the
// topic is another one, or was cut back: what was between is unknown),
// "undecodable", "deleted" (the topic, with what was not read of it).
//
// Threads as in live_source.h. Read may wait a second longer than it is told
// while brokers do not answer. A client that fails is replaced, and reading
// goes on from the last record handed on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ingest/kafka_options.h"
#include "ingest/live_source.h"

struct rd_kafka_s;

namespace klaxon {

// Monotone. Same thread as Read.
struct KafkaCounters {
  uint64_t records = 0;       // Handed on, null ones included.
  uint64_t null_records = 0;  // Null or empty payload (a tombstone).
  uint64_t payload_bytes = 0;
  uint64_t odd_clusters = 0;  // Named a cluster that cannot be one.
  uint64_t clients = 0;       // Made, the first included.
  uint64_t commits = 0;       // Answered with success.
  uint64_t commits_failed = 0;
};

class KafkaSource : public LiveSource {
 public:
  // What the user must hear of, since the last call. `lost` is never set: what
  // is lost is a Gap. Same thread as Read.
  virtual std::vector<InputProblem> TakeProblems() = 0;
  virtual KafkaCounters counters() const = 0;
  // librdkafka's own, null where there is none. Tests.
  virtual rd_kafka_s* client() = 0;
};

std::unique_ptr<KafkaSource> MakeKafkaSource(KafkaSourceOptions options);

}  // namespace klaxon
