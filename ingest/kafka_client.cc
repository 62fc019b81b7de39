#include "ingest/kafka_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <utility>

namespace klaxon {
namespace {

using PartitionList =
    std::unique_ptr<rd_kafka_topic_partition_list_t,
                    decltype(&rd_kafka_topic_partition_list_destroy)>;

PartitionList ListOf(const std::vector<KafkaOffset>& offsets) {
  PartitionList list(
      rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())),
      rd_kafka_topic_partition_list_destroy);
  for (const KafkaOffset& at : offsets) {
    rd_kafka_topic_partition_t* const entry = rd_kafka_topic_partition_list_add(
        list.get(), at.topic.c_str(), at.partition);
    entry->offset = at.offset;
    if (!at.metadata.empty()) {
      // Freed by the list.
      entry->metadata = rd_kafka_mem_malloc(nullptr, at.metadata.size());
      std::copy(at.metadata.begin(), at.metadata.end(),
                static_cast<char*>(entry->metadata));
      entry->metadata_size = at.metadata.size();
    }
  }
  return list;
}

void AppendOffsets(const rd_kafka_topic_partition_list_t& list,
                   std::vector<KafkaOffset>* offsets) {
  for (int i = 0; i < list.cnt; ++i) {
    const rd_kafka_topic_partition_t& entry = list.elems[i];
    KafkaOffset& at = offsets->emplace_back();
    at.topic = entry.topic;
    at.partition = entry.partition;
    at.offset = entry.offset;
    if (entry.metadata != nullptr) {
      at.metadata.assign(static_cast<const char*>(entry.metadata),
                         entry.metadata_size);
    }
  }
}

absl::Status StatusOf(rd_kafka_resp_err_t code, std::string_view what) {
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("{}: {}", what, rd_kafka_err2str(code)));
}

// Takes the error.
absl::Status StatusOf(rd_kafka_error_t* error, std::string_view what) {
  if (error == nullptr) return absl::OkStatus();
  absl::Status status = absl::InternalError(
      fmt::format("{}: {}", what, rd_kafka_error_string(error)));
  rd_kafka_error_destroy(error);
  return status;
}

int Millis(absl::Duration timeout) {
  return static_cast<int>(
      std::clamp<int64_t>(absl::ToInt64Milliseconds(timeout), 0, 60'000));
}

}  // namespace

KafkaWake::KafkaWake() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

KafkaWake::~KafkaWake() {
  if (fd_ >= 0) close(fd_);
}

void KafkaWake::Signal() noexcept {
  const uint64_t one = 1;
  // A full counter is a signal too.
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof(one));
}

void KafkaWake::Wait(absl::Duration timeout) {
  pollfd entry{fd_, POLLIN, 0};
  // Up, lest a last half millisecond is waited for in a busy loop.
  const int millis = Millis(absl::Ceil(std::max(timeout, absl::ZeroDuration()),
                                       absl::Milliseconds(1)));
  if (poll(&entry, 1, millis) > 0) {
    uint64_t count;
    [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof(count));
  }
}

KafkaQueue::KafkaQueue(rd_kafka_queue_t* queue, KafkaWake* wake)
    : queue_(queue), wake_(wake) {
  rd_kafka_queue_forward(queue_, nullptr);
  rd_kafka_queue_cb_event_enable(queue_, OnEvent, this);
}

KafkaQueue::~KafkaQueue() {
  rd_kafka_queue_cb_event_enable(queue_, nullptr, nullptr);
  rd_kafka_queue_destroy(queue_);
}

void KafkaQueue::OnEvent(rd_kafka_t*, void* self) {
  auto* const queue = static_cast<KafkaQueue*>(self);
  queue->SetReady();
  queue->wake_->Signal();
}

size_t KafkaQueue::Consume(std::span<rd_kafka_message_t*> messages) {
  // First: what comes from here on sets it again.
  ready_.store(false, std::memory_order_release);
  const ssize_t got =
      rd_kafka_consume_batch_queue(queue_, 0, messages.data(), messages.size());
  if (got < 0) return 0;
  // The event says only that a queue is no longer empty.
  if (static_cast<size_t>(got) == messages.size()) SetReady();
  return got;
}

struct KafkaClient::Context {
  std::mutex mutex;
  std::function<void(int, std::string_view)> log;
  KafkaClient* client = nullptr;  // Its own thread's business.
};

KafkaClient::KafkaClient(const KafkaSourceOptions& options, KafkaWake* wake)
    : options_(options), wake_(wake), context_(new Context) {
  context_->log = options.log;
  context_->client = this;
}

absl::StatusOr<std::unique_ptr<KafkaClient>> KafkaClient::Create(
    const KafkaSourceOptions& options, KafkaWake* wake) {
  absl::StatusOr<KafkaConf> conf = MakeKafkaConf(options);
  if (!conf.ok()) return conf.status();
  std::unique_ptr<KafkaClient> client(new KafkaClient(options, wake));
  rd_kafka_conf_set_opaque(conf->get(), client->context_);
  rd_kafka_conf_set_error_cb(conf->get(), OnError);
  rd_kafka_conf_set_offset_commit_cb(conf->get(), OnCommit);
  rd_kafka_conf_set_log_cb(conf->get(), OnLog);
  char error[512];
  client->handle_ =
      rd_kafka_new(RD_KAFKA_CONSUMER, conf->get(), error, sizeof(error));
  if (client->handle_ == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("the Kafka client cannot be made: {}", error));
  }
  // The handle has it now.
  [[maybe_unused]] rd_kafka_conf_t* const taken = conf->release();
  rd_kafka_t* const handle = client->handle_;
  // A login that needs a callback must not wait for our next poll, which may
  // itself wait for a broker. The error: no such mechanism is configured.
  rd_kafka_error_t* const sasl =
      rd_kafka_sasl_background_callbacks_enable(handle);
  if (sasl != nullptr) rd_kafka_error_destroy(sasl);
  rd_kafka_poll_set_consumer(handle);
  const auto signal = [](rd_kafka_t*, void* wake) {
    static_cast<KafkaWake*>(wake)->Signal();
  };
  client->main_ = rd_kafka_queue_get_consumer(handle);
  rd_kafka_queue_cb_event_enable(client->main_, signal, wake);
  return client;
}

KafkaClient::~KafkaClient() {
  if (handle_ != nullptr) {
    rd_kafka_queue_cb_event_enable(main_, nullptr, nullptr);
    rd_kafka_queue_destroy(main_);
    // After a fatal error the consumer refuses to be closed, and destroying it
    // as if it were open does not return (2.0.2).
    const bool fatal = rd_kafka_fatal_error(handle_, nullptr, 0) != 0;
    if (!fatal) rd_kafka_consumer_close(handle_);
    if (!forsaken_) {
      rd_kafka_destroy_flags(handle_,
                             fatal ? RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE : 0);
    }
  }
  if (!forsaken_) {
    delete context_;
    return;
  }
  // Its threads run on and may log.
  {
    const std::lock_guard lock(context_->mutex);
    context_->log = nullptr;
    context_->client = nullptr;
  }
  Keep(handle_, context_);
}

// For ever, reachable.
void KafkaClient::Keep(rd_kafka_t* handle, Context* context) {
  static std::mutex* const mutex = new std::mutex;
  static auto* const kept = new std::vector<std::pair<rd_kafka_t*, Context*>>;
  const std::lock_guard lock(*mutex);
  kept->emplace_back(handle, context);
}

void KafkaClient::OnError(rd_kafka_t*, int code, const char* text, void* self) {
  KafkaClient* const client = static_cast<Context*>(self)->client;
  if (client == nullptr) return;
  if (code == RD_KAFKA_RESP_ERR__FATAL) return client->AddFatal();
  client->events_.push_back({KafkaEvent::Kind::kError,
                             static_cast<rd_kafka_resp_err_t>(code),
                             text,
                             {}});
}

void KafkaClient::OnCommit(rd_kafka_t*, rd_kafka_resp_err_t code,
                           rd_kafka_topic_partition_list_t*, void* self) {
  KafkaClient* const client = static_cast<Context*>(self)->client;
  if (client == nullptr) return;
  client->events_.push_back(
      {KafkaEvent::Kind::kCommitted, code, rd_kafka_err2str(code), {}});
}

void KafkaClient::OnLog(const rd_kafka_t* handle, int level,
                        const char* facility, const char* text) {
  // Before rd_kafka_new has returned there may be no opaque.
  auto* const context = static_cast<Context*>(rd_kafka_opaque(handle));
  if (context == nullptr) return;
  const std::lock_guard lock(context->mutex);
  if (context->log) context->log(level, fmt::format("{}: {}", facility, text));
}

absl::StatusOr<std::vector<KafkaTopic>> KafkaClient::Topics(
    const std::vector<std::string>& names, bool all, absl::Duration timeout) {
  std::vector<KafkaTopic> topics;
  const auto append = [&](const rd_kafka_metadata_t& metadata) {
    for (int i = 0; i < metadata.topic_cnt; ++i) {
      const rd_kafka_metadata_topic_t& topic = metadata.topics[i];
      topics.push_back({topic.topic, topic.partition_cnt, topic.err});
    }
  };
  // librdkafka asks for all topics, or for one.
  const size_t questions = all ? 1 : names.size();
  for (size_t i = 0; i < questions; ++i) {
    rd_kafka_topic_t* const topic =
        all ? nullptr : rd_kafka_topic_new(handle_, names[i].c_str(), nullptr);
    if (!all && topic == nullptr) {
      return absl::InvalidArgumentError(
          fmt::format("'{}' cannot be the name of a topic", names[i]));
    }
    const rd_kafka_metadata_t* metadata = nullptr;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(
        handle_, all ? 1 : 0, topic, &metadata, Millis(timeout));
    if (topic != nullptr) rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return StatusOf(code, "asking for the topics");
    }
    append(*metadata);
    rd_kafka_metadata_destroy(metadata);
  }
  return topics;
}

absl::StatusOr<KafkaWatermarks> KafkaClient::Watermarks(
    const std::string& topic, int32_t partition, absl::Duration timeout) {
  // Not by rd_kafka_query_watermark_offsets: it waits for as long as the
  // partition's broker is away, whatever time it is given (2.0.2).
  constexpr int64_t kEarliest = -2;
  constexpr int64_t kLatest = -1;
  KafkaWatermarks marks;
  const std::pair<int64_t, int64_t*> questions[] = {{kEarliest, &marks.low},
                                                    {kLatest, &marks.high}};
  for (const auto& [time, mark] : questions) {
    std::vector<KafkaOffset> at = {{topic, partition, time, ""}};
    absl::Status status =
        AskOffsets(&at, timeout,
                   fmt::format("asking how far {}/{} goes", topic, partition));
    if (!status.ok()) return status;
    *mark = at[0].offset;
  }
  return marks;
}

absl::Status KafkaClient::OffsetsForTime(absl::Time time,
                                         std::vector<KafkaOffset>* at,
                                         absl::Duration timeout) {
  for (KafkaOffset& entry : *at) entry.offset = absl::ToUnixMillis(time);
  return AskOffsets(at, timeout, "asking for the offsets of a time");
}

// `offset` of each: a time in milliseconds, or what Kafka has instead of one.
absl::Status KafkaClient::AskOffsets(std::vector<KafkaOffset>* at,
                                     absl::Duration timeout,
                                     std::string_view what) {
  const PartitionList list = ListOf(*at);
  const rd_kafka_resp_err_t code =
      rd_kafka_offsets_for_times(handle_, list.get(), Millis(timeout));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return StatusOf(code, what);
  for (int i = 0; i < list->cnt; ++i) {
    if (list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    return StatusOf(list->elems[i].err, what);
  }
  at->clear();
  AppendOffsets(*list, at);
  return absl::OkStatus();
}

absl::Status KafkaClient::Committed(std::vector<KafkaOffset>* at,
                                    absl::Duration timeout) {
  const PartitionList list = ListOf(*at);
  const rd_kafka_resp_err_t code =
      rd_kafka_committed(handle_, list.get(), Millis(timeout));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return StatusOf(code, "asking for the committed offsets");
  }
  at->clear();
  AppendOffsets(*list, at);
  return absl::OkStatus();
}

int64_t KafkaClient::CachedEnd(const std::string& topic,
                               int32_t partition) const {
  int64_t low = -1;
  int64_t high = -1;
  const rd_kafka_resp_err_t code = rd_kafka_get_watermark_offsets(
      handle_, topic.c_str(), partition, &low, &high);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : -1;
}

std::unique_ptr<KafkaQueue> KafkaClient::OpenQueue(const std::string& topic,
                                                   int32_t partition) {
  rd_kafka_queue_t* const queue =
      rd_kafka_queue_get_partition(handle_, topic.c_str(), partition);
  return std::make_unique<KafkaQueue>(queue, wake_);
}

absl::Status KafkaClient::Assign(const std::vector<KafkaOffset>& all) {
  return StatusOf(rd_kafka_assign(handle_, ListOf(all).get()),
                  "assigning the partitions");
}

absl::Status KafkaClient::Add(const KafkaOffset& at) {
  return StatusOf(rd_kafka_incremental_assign(handle_, ListOf({at}).get()),
                  "assigning a partition");
}

absl::Status KafkaClient::Remove(const KafkaOffset& at) {
  return StatusOf(rd_kafka_incremental_unassign(handle_, ListOf({at}).get()),
                  "taking a partition back");
}

absl::Status KafkaClient::Move(const KafkaOffset& to) {
  const PartitionList list = ListOf({to});
  absl::Status status = StatusOf(
      rd_kafka_incremental_unassign(handle_, list.get()), "moving a partition");
  if (!status.ok()) return status;
  return StatusOf(rd_kafka_incremental_assign(handle_, list.get()),
                  "moving a partition");
}

// A broker's thread that found all queues full sleeps for up to a second,
// whatever is taken meanwhile (from 2.2 on there is fetch.queue.backoff.ms, see
// kafka_config.cc). Of what may be called, only news of credentials wakes it
// without a request; they stay what they are.
void KafkaClient::AskForMore() {
  if (rd_kafka_version() >= kHasQueueBackoff) return;
  const auto value = [this](const char* name) {
    const auto it = options_.config.find(name);
    return it == options_.config.end() ? "" : it->second.c_str();
  };
  rd_kafka_error_t* const error = rd_kafka_sasl_set_credentials(
      handle_, value("sasl.username"), value("sasl.password"));
  if (error != nullptr) rd_kafka_error_destroy(error);
}

void KafkaClient::Poll(std::vector<KafkaEvent>* events) {
  bool more = true;
  while (more) {
    rd_kafka_message_t* const message = rd_kafka_consumer_poll(handle_, 0);
    if (message == nullptr) break;
    // Records have queues of their own; here come errors.
    if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
      AddFatal();
      more = false;  // It comes for ever.
    } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
               message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      events_.push_back({KafkaEvent::Kind::kError,
                         message->err,
                         rd_kafka_message_errstr(message),
                         {}});
    }
    rd_kafka_message_destroy(message);
  }
  std::move(events_.begin(), events_.end(), std::back_inserter(*events));
  events_.clear();
}

void KafkaClient::AddFatal() {
  char reason[512] = "";
  const rd_kafka_resp_err_t code =
      rd_kafka_fatal_error(handle_, reason, sizeof(reason));
  events_.push_back({KafkaEvent::Kind::kFatal, code, reason, {}});
}

void KafkaClient::Commit(const std::vector<KafkaOffset>& offsets) {
  const rd_kafka_resp_err_t code =
      rd_kafka_commit(handle_, ListOf(offsets).get(), /*async=*/1);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  events_.push_back(
      {KafkaEvent::Kind::kCommitted, code, rd_kafka_err2str(code), {}});
}

// Not by ListConsumerGroupOffsets, which would not wait: while brokers are away
// it may end the process by an assertion (2.0.2).
void KafkaClient::AskCommitted(std::vector<KafkaOffset> partitions,
                               absl::Duration timeout) {
  KafkaEvent event;
  event.kind = KafkaEvent::Kind::kGroupRead;
  const absl::Status status = Committed(&partitions, timeout);
  if (status.ok()) {
    event.offsets = std::move(partitions);
  } else {
    event.code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    event.text = std::string(status.message());
  }
  events_.push_back(std::move(event));
}

}  // namespace klaxon
