#include "ingest/kafka_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace klaxon {
namespace {

// Learnt on real brokers with librdkafka 2.0.2; docs/KAFKA.md has the reasons
// that an operator needs.
constexpr std::array kDefaults = {
    KafkaProperty{"client.id", "klaxon"},
    KafkaProperty{"check.crcs", "true"},
    KafkaProperty{"isolation.level", "read_committed"},
    KafkaProperty{"fetch.wait.max.ms", "100"},
    // What bounds memory are the kilobytes, however small the records are.
    KafkaProperty{"queued.min.messages", "10000000"},
    // A partition's, since each has a queue of its own.
    KafkaProperty{"queued.max.messages.kbytes", "4096"},
    // Records point into the whole response, so one partition that is not
    // polled keeps the others' bytes alive: small responses.
    KafkaProperty{"fetch.max.bytes", "10485760"},
    // Steps over an undecodable batch wait for this.
    KafkaProperty{"fetch.error.backoff.ms", "100"},
    KafkaProperty{"reconnect.backoff.max.ms", "2000"},
    // A topic that is deleted and created anew is noticed only if metadata are
    // asked for in between.
    KafkaProperty{"topic.metadata.refresh.fast.interval.ms", "50"},
};

// What the source stands on.
constexpr std::array kOurs = {
    KafkaProperty{"enable.auto.commit", "false"},
    KafkaProperty{"enable.auto.offset.store", "false"},
    KafkaProperty{"auto.offset.reset", "error"},
    KafkaProperty{"enable.partition.eof", "true"},
};

constexpr std::array kRefused = {
    KafkaRefusedProperty{"bootstrap.servers", "use `brokers`"},
    KafkaRefusedProperty{"metadata.broker.list", "use `brokers`"},
    KafkaRefusedProperty{"group.id", "use `group`"},
    KafkaRefusedProperty{
        "enable.auto.commit",
        "offsets are committed by Klaxon, when what was read is durable"},
    KafkaRefusedProperty{
        "auto.commit.enable",
        "offsets are committed by Klaxon, when what was read is durable"},
    KafkaRefusedProperty{
        "enable.auto.offset.store",
        "offsets are committed by Klaxon, when what was read is durable"},
    KafkaRefusedProperty{
        "auto.offset.reset",
        "a lost range must be reported, not jumped over; `start` says "
        "where the first start begins"},
    KafkaRefusedProperty{"enable.partition.eof",
                         "Klaxon has to know where the end is"},
};

std::string Mechanism(const std::map<std::string, std::string>& config) {
  for (const char* name : {"sasl.mechanism", "sasl.mechanisms"}) {
    const auto it = config.find(name);
    if (it != config.end()) return it->second;
  }
  return "";
}

}  // namespace

absl::StatusOr<KafkaConf> MakeKafkaConf(const KafkaSourceOptions& options) {
  absl::Status allowed = CheckKafkaProperties(options.config, kRefused);
  if (!allowed.ok()) return allowed;
  KafkaProperties all;
  for (const auto& [name, value] : kDefaults) all.emplace(name, value);
  for (const auto& [name, value] : kOurs) all.emplace(name, value);
  if (rd_kafka_version() >= kHasQueueBackoff) {
    all.emplace("fetch.queue.backoff.ms", "5");
  }
  for (const auto& [name, value] : options.config) all[name] = value;
  all["bootstrap.servers"] = options.brokers;
  all["group.id"] = options.group;
  return MakeKafkaConf(all);
}

std::string KafkaClientLimits(const std::map<std::string, std::string>& config,
                              int version) {
  constexpr int kScramFixed = 0x020601ff;
  const std::string mechanism = Mechanism(config);
  if (mechanism.starts_with("SCRAM") && version < kScramFixed) {
    return fmt::format(
        "librdkafka {} cannot log in with {} at Kafka 4 (it sends its nonce "
        "twice; fixed in 2.6.1), the broker would call the credentials "
        "invalid. Kafka up to 3.9 accepts it. Else use PLAIN over TLS, mutual "
        "TLS, or a newer librdkafka",
        rd_kafka_version_str(), mechanism);
  }
  return "";
}

std::string ExplainKafkaError(rd_kafka_resp_err_t code, std::string_view text,
                              const KafkaSourceOptions& options) {
  std::string what =
      fmt::format("{} ({})", text.empty() ? rd_kafka_err2str(code) : text,
                  rd_kafka_err2name(code));
  std::string_view advice;
  switch (code) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED: {
      const std::string limits =
          KafkaClientLimits(options.config, rd_kafka_version());
      if (!limits.empty()) return what + ". " + limits;
      advice = "check sasl.mechanism, user and password";
      break;
    }
    case RD_KAFKA_RESP_ERR__SSL:
      advice =
          "check security.protocol, ssl.ca.location and the listener's "
          "certificate";
      break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      advice = "allow this user READ and DESCRIBE on the topic";
      break;
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
      return fmt::format(
          "{}: allow this user READ on the group '{}' (a consumer needs it "
          "though it does not join)",
          what, options.group);
    case RD_KAFKA_RESP_ERR__RESOLVE:
      advice = "check the names in `brokers`";
      break;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
      advice =
          "is the broker up, and is security.protocol that of its listener?";
      break;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      advice =
          "if a record is larger than a response may be, raise "
          "receive.message.max.bytes under `config`";
      break;
    default:
      return what;
  }
  return fmt::format("{}: {}", what, advice);
}

}  // namespace klaxon
