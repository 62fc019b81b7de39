// What the group's offsets are for: tools that show lag, and to notice that
// somebody else reads the same topics.
//
// Each commit carries our instance id as metadata, is repeated every minute,
// and is read back before: a foreign id then stands there only if another
// Klaxon committed since. Commits are sent a second after they were allowed,
// at the latest; what comes back is never where reading goes on.
//
// Allow may come from any thread; all else from the source's.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ingest/kafka_client.h"
#include "ingest/kafka_options.h"

namespace klaxon {

class KafkaOwner {
 public:
  explicit KafkaOwner(const KafkaSourceOptions* options) : options_(options) {}

  // Everything before `next` is durable.
  void Allow(const std::string& topic, int32_t partition, int64_t next);
  // Sends what is due. `client` may differ from call to call.
  void Tick(KafkaClient* client);
  // Sends all there is again, with our id: after a kGroupRead.
  void Repeat(KafkaClient* client);
  // Sends what was not sent; true: it waits for an answer.
  bool Flush(KafkaClient* client);
  bool waiting() const { return waiting_ > 0; }
  // When Tick has something to do.
  absl::Time due() const;

  // Answers. Returns what is to be said; empty: nothing.
  std::string OnCommitted(rd_kafka_resp_err_t code);
  std::string OnGroupRead(const KafkaEvent& event);
  // The client and its answers are gone.
  void Forget();

 private:
  using Key = std::pair<std::string, int32_t>;

  std::vector<KafkaOffset> TakeUnsent();
  absl::Time CommitDue() const;
  void Send(KafkaClient* client, const std::vector<KafkaOffset>& offsets);

  const KafkaSourceOptions* const options_;
  mutable std::mutex mutex_;
  std::map<Key, int64_t> unsent_;  // Guarded by mutex_.

  std::map<Key, int64_t> sent_;
  absl::Time commit_at_ = absl::InfinitePast();
  absl::Time read_at_ = absl::InfiniteFuture();  // Till something was sent.
  int waiting_ = 0;
  std::string foreign_;                                      // Said already.
  rd_kafka_resp_err_t failed_ = RD_KAFKA_RESP_ERR_NO_ERROR;  // Said already.
};

}  // namespace klaxon
