#include "pipeline/delivery_queue.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "sinks/delivery_status.h"

namespace klaxon {

void DeliveryQueue::Add(OutboxItem item) {
  newest_ = item.sequence;
  bytes_ += item.alert->size();
  const uint64_t sequence = item.sequence;
  items_[sequence].item = std::move(item);
}

std::vector<const OutboxItem*> DeliveryQueue::Next(Time now, Time* wake_at) {
  *wake_at = absl::InfiniteDuration();
  if (items_.empty()) return {};
  if (now < not_before_) {
    *wake_at = not_before_;
    return {};
  }
  under_way_ = failures_ > 0 ? Probe(now, wake_at) : Batch(now, wake_at);
  std::vector<const OutboxItem*> items;
  items.reserve(under_way_.size());
  for (uint64_t sequence : under_way_) {
    items.push_back(&items_.at(sequence).item);
  }
  return items;
}

// The one that failed least often; the target is not known to be well.
std::vector<uint64_t> DeliveryQueue::Probe(Time now, Time* wake_at) const {
  absl::flat_hash_set<std::string> seen;
  uint64_t best = 0;
  for (const auto& [sequence, item] : items_) {
    if (!seen.insert(item.item.id).second) continue;
    if (item.not_before > now) {
      *wake_at = std::min(*wake_at, item.not_before);
    } else if (best == 0 || item.failures < items_.at(best).failures) {
      best = sequence;
    }
  }
  if (best == 0) return {};
  return {best};
}

std::vector<uint64_t> DeliveryQueue::Batch(Time now, Time* wake_at) const {
  absl::flat_hash_set<std::string> held_up;
  std::vector<uint64_t> batch;
  size_t bytes = 0;
  for (const auto& [sequence, item] : items_) {
    if (held_up.contains(item.item.id)) continue;
    if (item.not_before > now) {
      *wake_at = std::min(*wake_at, item.not_before);
      held_up.insert(item.item.id);
      continue;
    }
    if (item.alone) {
      if (batch.empty()) return {sequence};
      held_up.insert(item.item.id);
      continue;
    }
    const size_t size = item.item.alert->size();
    if (!batch.empty() && (batch.size() >= options_.batch_max ||
                           bytes + size > options_.batch_bytes_max)) {
      break;
    }
    batch.push_back(sequence);
    bytes += size;
  }
  return batch;
}

absl::Duration DeliveryQueue::Backoff(uint64_t failures, double share) const {
  const double factor =
      std::ldexp(1.0, static_cast<int>(std::min<uint64_t>(failures, 64)) - 1);
  return std::min(options_.backoff_base * factor, options_.backoff_max) * share;
}

void DeliveryQueue::Failed(Time now, const absl::Status& status) {
  ++failures_;
  // 53 bits: every double in [0, 1) that is a multiple of 2^-53.
  const double share = std::ldexp(static_cast<double>(random_() >> 11), -53);
  not_before_ = now + Backoff(failures_, share);
  if (const auto wait = RetryAfter(status)) {
    not_before_ =
        std::max(not_before_, now + std::min(*wait, options_.retry_after_max));
  }
  // The same draw, so that the only alert there is waits no longer than the
  // sink does.
  for (uint64_t sequence : under_way_) {
    Item& item = items_.at(sequence);
    ++item.failures;
    item.alone = true;
    item.not_before = now + Backoff(item.failures, share);
  }
  under_way_.clear();
}

void DeliveryQueue::Recovered() {
  failures_ = 0;
  not_before_ = absl::ZeroDuration();
}

std::vector<OutboxAck> DeliveryQueue::Done(Time now,
                                           const absl::Status& status) {
  std::vector<OutboxAck> acks;
  const bool refused = IsRefused(status);
  if (!status.ok() && !refused) {
    ++retries_;
    Failed(now, status);
    return acks;
  }
  Recovered();  // There is an answer: the target is well.
  if (refused && under_way_.size() > 1) {
    for (uint64_t sequence : under_way_) items_.at(sequence).alone = true;
    under_way_.clear();
    return acks;
  }
  for (uint64_t sequence : under_way_) {
    auto it = items_.find(sequence);
    const OutboxItem& item = it->second.item;
    OutboxAck ack{.sink = sink_,
                  .sequence = sequence,
                  .id = item.id,
                  .revision = item.revision};
    if (refused) {
      ack.outcome = OutboxAck::Outcome::kRefused;
      ack.reason = MessageOf(status).substr(0, OutboxAck::kReasonBytesMax);
    }
    acks.push_back(std::move(ack));
    bytes_ -= item.alert->size();
    items_.erase(it);
  }
  under_way_.clear();
  return acks;
}

}  // namespace klaxon
