// Settings of the Kafka client, and its errors in words.
//
// Pure functions; any thread.
#pragma once

#include <librdkafka/rdkafka.h>

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ingest/kafka_options.h"
#include "ingest/kafka_properties.h"

namespace klaxon {

// From this version of librdkafka on a full queue is looked at again as soon as
// fetch.queue.backoff.ms says; an older one has to be told (KafkaClient).
constexpr int kHasQueueBackoff = 0x020200ff;

// Ours, then the user's. Errors of kafka_properties.h.
absl::StatusOr<KafkaConf> MakeKafkaConf(const KafkaSourceOptions& options);

// What this librdkafka cannot do of what `config` asks for; empty: nothing
// known. `version` as of rd_kafka_version().
std::string KafkaClientLimits(const std::map<std::string, std::string>& config,
                              int version);

// One sentence: what it is and what to do. `text`: librdkafka's words.
std::string ExplainKafkaError(rd_kafka_resp_err_t code, std::string_view text,
                              const KafkaSourceOptions& options);

}  // namespace klaxon
