#include "ingest/kafka_owner.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ingest/kafka_config.h"

namespace klaxon {
namespace {

constexpr absl::Duration kCommitEvery = absl::Seconds(1);
constexpr absl::Duration kReadEvery = absl::Minutes(1);
constexpr absl::Duration kAskTimeout = absl::Seconds(1);
// Before reading: what stands there then is another's, if there is one.
constexpr absl::Duration kSilence = absl::Seconds(5);

}  // namespace

void KafkaOwner::Allow(const std::string& topic, int32_t partition,
                       int64_t next) {
  const std::lock_guard lock(mutex_);
  unsent_[{topic, partition}] = next;
}

std::vector<KafkaOffset> KafkaOwner::TakeUnsent() {
  std::map<Key, int64_t> unsent;
  {
    const std::lock_guard lock(mutex_);
    unsent.swap(unsent_);
  }
  std::vector<KafkaOffset> offsets;
  for (const auto& [key, next] : unsent) {
    offsets.push_back({key.first, key.second, next, options_->instance_id});
    sent_[key] = next;
  }
  return offsets;
}

void KafkaOwner::Send(KafkaClient* client,
                      const std::vector<KafkaOffset>& offsets) {
  if (offsets.empty()) return;
  client->Commit(offsets);
  ++waiting_;
}

void KafkaOwner::Tick(KafkaClient* client) {
  const absl::Time now = options_->clock();
  if (now >= read_at_) {
    read_at_ = now + kReadEvery;
    std::vector<KafkaOffset> partitions;
    partitions.reserve(sent_.size());
    for (const auto& [key, next] : sent_) {
      partitions.push_back({key.first, key.second, next, ""});
    }
    client->AskCommitted(std::move(partitions),
                         kAskTimeout);  // Repeat follows upon the answer.
    return;
  }
  if (now < CommitDue()) return;
  const std::vector<KafkaOffset> offsets = TakeUnsent();
  if (offsets.empty()) return;
  Send(client, offsets);
  commit_at_ = now + kCommitEvery;
  // There is something of ours to be read.
  if (read_at_ == absl::InfiniteFuture()) read_at_ = now + kReadEvery;
}

void KafkaOwner::Repeat(KafkaClient* client) {
  TakeUnsent();
  std::vector<KafkaOffset> offsets;
  offsets.reserve(sent_.size());
  for (const auto& [key, next] : sent_) {
    offsets.push_back({key.first, key.second, next, options_->instance_id});
  }
  Send(client, offsets);
}

absl::Time KafkaOwner::CommitDue() const {
  return commit_at_ >= read_at_ - kSilence ? read_at_ : commit_at_;
}

bool KafkaOwner::Flush(KafkaClient* client) {
  Send(client, TakeUnsent());
  return waiting();
}

absl::Time KafkaOwner::due() const {
  const std::lock_guard lock(mutex_);
  return unsent_.empty() ? read_at_ : std::min(read_at_, CommitDue());
}

std::string KafkaOwner::OnCommitted(rd_kafka_resp_err_t code) {
  waiting_ = std::max(waiting_ - 1, 0);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    failed_ = code;
    return "";
  }
  if (std::exchange(failed_, code) == code) return "";
  if (code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
      code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
      code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS) {
    return fmt::format(
        "the group '{}' has members of its own: some other consumer uses it. "
        "Klaxon reads on, but lag cannot be shown, and a second Klaxon would "
        "not be noticed. Give Klaxon a group for itself",
        options_->group);
  }
  return fmt::format(
      "committing offsets to the group '{}' failed; reading goes on, only what "
      "tools show as lag is wrong: {}",
      options_->group, ExplainKafkaError(code, "", *options_));
}

std::string KafkaOwner::OnGroupRead(const KafkaEvent& event) {
  if (event.code != RD_KAFKA_RESP_ERR_NO_ERROR) return "";
  for (const KafkaOffset& at : event.offsets) {
    if (at.metadata.empty() || at.metadata == options_->instance_id) continue;
    if (!sent_.contains({at.topic, at.partition})) continue;
    if (std::exchange(foreign_, at.metadata) == at.metadata) return "";
    return fmt::format(
        "a second Klaxon ('{}', this one is '{}') reads {}/{} with the group "
        "'{}': the work is done twice and every alert is sent by both. Stop "
        "one of them, or, if both are wanted, give each a group of its own",
        at.metadata, options_->instance_id, at.topic, at.partition,
        options_->group);
  }
  foreign_.clear();
  return "";
}

void KafkaOwner::Forget() { waiting_ = 0; }

}  // namespace klaxon
