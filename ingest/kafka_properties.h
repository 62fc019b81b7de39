// librdkafka's properties: Klaxon's own, then the user's, without those that
// would break a promise. For the source, and for the sink (the one header of
// ingest/ that sinks/ uses).
//
// Pure functions; any thread.
#pragma once

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace klaxon {

using KafkaConf =
    std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)>;
using KafkaProperty = std::pair<std::string_view, std::string_view>;
using KafkaProperties = std::map<std::string, std::string>;

struct KafkaRefusedProperty {
  std::string_view name;
  std::string_view reason;
};

// InvalidArgument: the user set one of `refused`; says why he may not.
inline absl::Status CheckKafkaProperties(
    const KafkaProperties& config,
    std::span<const KafkaRefusedProperty> refused) {
  for (const auto& [name, reason] : refused) {
    if (!config.contains(std::string(name))) continue;
    return absl::InvalidArgumentError(
        fmt::format("config.{} cannot be set: {}", name, reason));
  }
  return absl::OkStatus();
}

// InvalidArgument: names the property that librdkafka does not take, and what
// is wrong with it; never the value of a secret one.
inline absl::StatusOr<KafkaConf> MakeKafkaConf(const KafkaProperties& all) {
  KafkaConf conf(rd_kafka_conf_new(), rd_kafka_conf_destroy);
  for (const auto& [name, value] : all) {
    char error[512];
    if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), error,
                          sizeof(error)) == RD_KAFKA_CONF_OK) {
      continue;
    }
    return absl::InvalidArgumentError(fmt::format(
        "config.{}: {} (librdkafka {})", name, error, rd_kafka_version_str()));
  }
  return conf;
}

}  // namespace klaxon
