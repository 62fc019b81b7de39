// librdkafka's consumer, as the source uses it: all partitions assigned by
// hand, a queue for each of them, nothing committed unless told to.
//
// One thread, but for KafkaWake. A call that asks a broker waits for the
// answer at most as long as it is told. Errors that librdkafka tells by
// callback are collected as events.
#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ingest/kafka_config.h"
#include "ingest/kafka_options.h"

namespace klaxon {

// An eventfd: wakes whoever waits, from any thread.
class KafkaWake {
 public:
  KafkaWake();
  ~KafkaWake();
  KafkaWake(const KafkaWake&) = delete;
  KafkaWake& operator=(const KafkaWake&) = delete;
  void Signal() noexcept;
  void Wait(absl::Duration timeout);

 private:
  int fd_;
};

// The queue of one partition. Must not outlive its client.
class KafkaQueue {
 public:
  KafkaQueue(rd_kafka_queue_t* queue, KafkaWake* wake);
  ~KafkaQueue();
  KafkaQueue(const KafkaQueue&) = delete;
  KafkaQueue& operator=(const KafkaQueue&) = delete;

  // Something may have come since Consume.
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  void SetReady() { ready_.store(true, std::memory_order_release); }
  // What is there now, each to be destroyed by the caller.
  size_t Consume(std::span<rd_kafka_message_t*> messages);

 private:
  static void OnEvent(rd_kafka_t*, void* self);

  rd_kafka_queue_t* const queue_;
  KafkaWake* const wake_;
  std::atomic<bool> ready_{true};
};

struct KafkaOffset {
  std::string topic;
  int32_t partition = 0;
  int64_t offset = RD_KAFKA_OFFSET_INVALID;
  std::string metadata;  // Of a commit.
};

struct KafkaEvent {
  enum class Kind : uint8_t {
    kError,      // `code`, `text`; librdkafka goes on by itself.
    kFatal,      // The client is of no use any more.
    kCommitted,  // A commit was answered: `code`.
    kGroupRead,  // AskCommitted was answered: `code`, `offsets`.
  };
  Kind kind = Kind::kError;
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string text;
  std::vector<KafkaOffset> offsets;
};

struct KafkaTopic {
  std::string name;
  int32_t partitions = 0;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
};

struct KafkaWatermarks {
  int64_t low = 0;
  int64_t high = 0;
};

class KafkaClient {
 public:
  // InvalidArgument: the configuration cannot be. Reaches no broker yet.
  // `options` and `wake` outlive the client.
  static absl::StatusOr<std::unique_ptr<KafkaClient>> Create(
      const KafkaSourceOptions& options, KafkaWake* wake);
  // Every KafkaQueue was destroyed.
  ~KafkaClient();

  // Of `names`, or of all topics there are where `all`.
  absl::StatusOr<std::vector<KafkaTopic>> Topics(
      const std::vector<std::string>& names, bool all, absl::Duration timeout);
  absl::StatusOr<KafkaWatermarks> Watermarks(const std::string& topic,
                                             int32_t partition,
                                             absl::Duration timeout);
  // Fills `offset` of each by the first record at or after `time`; END where
  // there is none.
  absl::Status OffsetsForTime(absl::Time time, std::vector<KafkaOffset>* at,
                              absl::Duration timeout);
  // Fills `offset` of each by what the group committed; INVALID: nothing.
  absl::Status Committed(std::vector<KafkaOffset>* at, absl::Duration timeout);
  // The end of the log as of the newest response; -1: none came yet.
  int64_t CachedEnd(const std::string& topic, int32_t partition) const;

  // Before the partition is assigned: else its records come by another queue.
  std::unique_ptr<KafkaQueue> OpenQueue(const std::string& topic,
                                        int32_t partition);
  // All at once, replacing what was assigned.
  absl::Status Assign(const std::vector<KafkaOffset>& all);
  absl::Status Add(const KafkaOffset& at);
  absl::Status Remove(const KafkaOffset& at);
  // Goes on from another offset. It is what gets a stopped partition going
  // again; a seek does not (2.0.2). What was fetched before never comes.
  absl::Status Move(const KafkaOffset& to);

  // There is room in the queue of a partition that may have been full: lets
  // librdkafka look at once whether to fetch. Never waits.
  void AskForMore();

  // Serves callbacks and the main queue; never waits. Appends.
  void Poll(std::vector<KafkaEvent>* events);
  // What callbacks told since. Of one that came while a KafkaQueue was
  // consumed, the partition is known to whoever did.
  std::vector<KafkaEvent> TakeCallbacks() { return std::exchange(events_, {}); }
  // Sends; the answer is an event.
  void Commit(const std::vector<KafkaOffset>& offsets);
  // Waits for the answer, which is an event all the same.
  void AskCommitted(std::vector<KafkaOffset> partitions,
                    absl::Duration timeout);

  // An assigned topic was deleted: the client can never be destroyed, since
  // rd_kafka_destroy would not return (2.0.2: 7 of 7). It is closed, and left.
  void Forsake() { forsaken_ = true; }

  rd_kafka_t* handle() { return handle_; }  // Tests.

 private:
  struct Context;  // What librdkafka's threads may touch as long as they run.

  KafkaClient(const KafkaSourceOptions& options, KafkaWake* wake);
  absl::Status AskOffsets(std::vector<KafkaOffset>* at, absl::Duration timeout,
                          std::string_view what);
  void AddFatal();
  static void Keep(rd_kafka_t* handle, Context* context);
  static void OnError(rd_kafka_t*, int code, const char* text, void* self);
  static void OnCommit(rd_kafka_t*, rd_kafka_resp_err_t code,
                       rd_kafka_topic_partition_list_t*, void* self);
  static void OnLog(const rd_kafka_t* handle, int level, const char* facility,
                    const char* text);

  const KafkaSourceOptions& options_;
  KafkaWake* const wake_;
  Context* context_;
  rd_kafka_t* handle_ = nullptr;
  rd_kafka_queue_t* main_ = nullptr;  // Only for its event.
  std::vector<KafkaEvent> events_;    // Of callbacks.
  bool forsaken_ = false;
};

}  // namespace klaxon
