#include "sinks/kafka_sink.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>

#include "ingest/kafka_properties.h"

namespace klaxon {
namespace {

constexpr std::array kDefaults = {
    KafkaProperty{"client.id", "klaxon"},
    KafkaProperty{"compression.codec", "lz4"},
    // A delivery waits for its last record anyway.
    KafkaProperty{"linger.ms", "5"},
    // As Java's clients: who joins by key finds the same partition.
    KafkaProperty{"partitioner", "murmur2_random"},
    // The topic's limit counts compressed bytes, this one uncompressed ones.
    KafkaProperty{"message.max.bytes", "10485760"},
    KafkaProperty{"reconnect.backoff.max.ms", "2000"},
};

constexpr std::array kOurs = {
    KafkaProperty{"enable.idempotence", "true"},
    KafkaProperty{"acks", "all"},
    // Never by itself: a record given up while a later one goes through would
    // turn the order round. The sink gives up all of them at once.
    KafkaProperty{"message.timeout.ms", "0"},
};

constexpr std::array kRefused = {
    KafkaRefusedProperty{"bootstrap.servers", "use `brokers`"},
    KafkaRefusedProperty{"metadata.broker.list", "use `brokers`"},
    KafkaRefusedProperty{"enable.idempotence",
                         "an alert must not be written twice"},
    KafkaRefusedProperty{
        "acks",
        "an alert counts as delivered only when all replicas in "
        "sync have it"},
    KafkaRefusedProperty{"request.required.acks",
                         "an alert counts as delivered only when "
                         "all replicas in sync have it"},
    KafkaRefusedProperty{"message.timeout.ms", "Klaxon tries for ever"},
    KafkaRefusedProperty{"delivery.timeout.ms", "Klaxon tries for ever"},
    KafkaRefusedProperty{"transactional.id", "the sink uses no transactions"},
};

absl::StatusOr<KafkaConf> MakeConf(const KafkaSinkOptions& options) {
  const KafkaProperties config(options.config.begin(), options.config.end());
  absl::Status allowed = CheckKafkaProperties(config, kRefused);
  if (!allowed.ok()) return allowed;
  KafkaProperties all;
  for (const auto& [name, value] : kDefaults) all.emplace(name, value);
  for (const auto& [name, value] : kOurs) all.emplace(name, value);
  for (const auto& [name, value] : config) all[name] = value;
  all["bootstrap.servers"] = options.brokers;
  return MakeKafkaConf(all);
}

bool IsRefusal(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
         code == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
         code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

std::string_view AdviceOn(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      return ": raise the topic's max.message.bytes";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return ": allow this user WRITE and DESCRIBE on the topic";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return ": allow this user WRITE on the topic (an idempotent producer "
             "needs it to begin with)";
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return ": create the topic";
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
      return ": check sasl.mechanism, user and password";
    default:
      return "";
  }
}

// One Deliver. Filled by its callbacks, on the caller's thread.
struct Delivery {
  size_t waiting = 0;
  rd_kafka_resp_err_t refusal = RD_KAFKA_RESP_ERR_NO_ERROR;  // The first one,
  rd_kafka_resp_err_t failure = RD_KAFKA_RESP_ERR_NO_ERROR;  // and of others.
};

class KafkaSink : public Sink {
 public:
  explicit KafkaSink(KafkaSinkOptions options) : options_(std::move(options)) {}
  ~KafkaSink() override { Close(); }

  absl::Status Open() override;
  void Deliver(std::span<const Alert> alerts, DeliveryDone done) override;
  absl::Status Drain(absl::Duration) override { return absl::OkStatus(); }
  void Interrupt() noexcept override { interrupted_.store(true); }

 private:
  absl::Status Send(std::span<const Alert> alerts);
  rd_kafka_resp_err_t Produce(const Alert& alert, Delivery* delivery);
  void Await(Delivery* delivery);
  void Close();
  std::string Explain(rd_kafka_resp_err_t code) const;

  static void OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void*);
  static void OnError(rd_kafka_t*, int code, const char* text, void* self);
  static void OnLog(const rd_kafka_t* handle, int level, const char* facility,
                    const char* text);

  const KafkaSinkOptions options_;
  std::atomic<bool> interrupted_{false};
  rd_kafka_t* handle_ = nullptr;  // Null: to be made with the next delivery.
  std::string last_error_;        // Why no broker answers.
};

absl::Status KafkaSink::Open() {
  if (handle_ != nullptr) return absl::OkStatus();
  absl::StatusOr<KafkaConf> conf = MakeConf(options_);
  if (!conf.ok()) return conf.status();
  rd_kafka_conf_set_opaque(conf->get(), this);
  rd_kafka_conf_set_dr_msg_cb(conf->get(), OnDelivery);
  rd_kafka_conf_set_error_cb(conf->get(), OnError);
  rd_kafka_conf_set_log_cb(conf->get(), OnLog);
  char error[512];
  handle_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf->get(), error, sizeof(error));
  if (handle_ == nullptr) {
    return absl::UnavailableError(
        fmt::format("the Kafka client cannot be made: {}", error));
  }
  // The handle has it now.
  [[maybe_unused]] rd_kafka_conf_t* const taken = conf->release();
  return absl::OkStatus();
}

void KafkaSink::Close() {
  if (handle_ == nullptr) return;
  rd_kafka_purge(handle_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  rd_kafka_destroy(handle_);
  handle_ = nullptr;
}

void KafkaSink::Deliver(std::span<const Alert> alerts, DeliveryDone done) {
  done(Send(alerts));
}

absl::Status KafkaSink::Send(std::span<const Alert> alerts) {
  if (interrupted_.load()) return absl::CancelledError("interrupted");
  if (absl::Status status = Open(); !status.ok()) return status;
  Delivery delivery;
  for (const Alert& alert : alerts) {
    const rd_kafka_resp_err_t code = Produce(alert, &delivery);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    (IsRefusal(code) ? delivery.refusal : delivery.failure) = code;
    break;  // What follows may be of the same alert.
  }
  Await(&delivery);
  const bool broken =
      rd_kafka_fatal_error(handle_, nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
  if (broken || delivery.failure != RD_KAFKA_RESP_ERR_NO_ERROR) Close();
  if (delivery.failure != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (interrupted_.load()) return absl::CancelledError("interrupted");
    return absl::UnavailableError(Explain(delivery.failure));
  }
  if (delivery.refusal != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return absl::InvalidArgumentError(Explain(delivery.refusal));
  }
  last_error_.clear();
  return absl::OkStatus();
}

rd_kafka_resp_err_t KafkaSink::Produce(const Alert& alert, Delivery* delivery) {
  std::string value;
  AppendJson(alert, &value);
  rd_kafka_headers_t* const headers = rd_kafka_headers_new(3);
  const auto add = [&](const char* name, std::string_view text) {
    rd_kafka_header_add(headers, name, -1, text.data(),
                        static_cast<ssize_t>(text.size()));
  };
  add("severity", SeverityName(alert.severity));
  add("detector", alert.detector);
  add("cluster", alert.cluster);
  const rd_kafka_resp_err_t code = rd_kafka_producev(
      handle_, RD_KAFKA_V_TOPIC(options_.topic.c_str()),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_KEY(alert.id.data(), alert.id.size()),
      RD_KAFKA_V_VALUE(value.data(), value.size()), RD_KAFKA_V_HEADERS(headers),
      RD_KAFKA_V_OPAQUE(delivery), RD_KAFKA_V_END);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    ++delivery->waiting;
  } else {
    rd_kafka_headers_destroy(headers);  // Still ours.
  }
  return code;
}

// Until all is answered for, or given up.
void KafkaSink::Await(Delivery* delivery) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  bool given_up = false;
  while (delivery->waiting > 0) {
    rd_kafka_poll(handle_, 50);
    const bool failed = delivery->failure != RD_KAFKA_RESP_ERR_NO_ERROR;
    if (given_up ||
        !(failed || interrupted_.load() ||
          absl::FromChrono(Clock::now() - begin) >= options_.timeout)) {
      continue;
    }
    given_up = true;
    if (!failed) delivery->failure = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_purge(handle_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  }
}

std::string KafkaSink::Explain(rd_kafka_resp_err_t code) const {
  std::string words =
      fmt::format("topic {}: {} ({}){}", options_.topic, rd_kafka_err2str(code),
                  rd_kafka_err2name(code), AdviceOn(code));
  if (code == RD_KAFKA_RESP_ERR__TIMED_OUT && !last_error_.empty()) {
    words += "; " + last_error_;
  }
  return words;
}

void KafkaSink::OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message,
                           void*) {
  auto* const delivery = static_cast<Delivery*>(message->_private);
  --delivery->waiting;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  rd_kafka_resp_err_t& which =
      IsRefusal(message->err) ? delivery->refusal : delivery->failure;
  if (which == RD_KAFKA_RESP_ERR_NO_ERROR) which = message->err;
}

void KafkaSink::OnError(rd_kafka_t*, int code, const char* text, void* self) {
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  auto* const sink = static_cast<KafkaSink*>(self);
  // "All brokers are down" says less than why.
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN &&
      !sink->last_error_.empty()) {
    return;
  }
  sink->last_error_ = fmt::format("{}{}", text, AdviceOn(error));
}

void KafkaSink::OnLog(const rd_kafka_t* handle, int level, const char*,
                      const char* text) {
  const auto* const sink =
      static_cast<const KafkaSink*>(rd_kafka_opaque(handle));
  if (sink->options_.log) sink->options_.log(level, text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sink>> MakeKafkaSink(KafkaSinkOptions options) {
  if (options.brokers.empty() || options.topic.empty()) {
    return absl::InvalidArgumentError("brokers and topic are needed");
  }
  absl::StatusOr<KafkaConf> conf = MakeConf(options);
  if (!conf.ok()) return conf.status();
  return std::make_unique<KafkaSink>(std::move(options));
}

}  // namespace klaxon
