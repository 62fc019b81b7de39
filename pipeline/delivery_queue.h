// What one sink is to be given next, and when: back-off, order, dead letters.
//
// Pure bookkeeping: time is given, randomness seeded, so that every decision
// can be tested without a thread or a clock. The caller locks.
//
// Rules. Alerts go in the order of their numbers, in batches, as long as all
// goes well; of one alert id, no revision before an earlier one is done with.
// After a temporary failure nothing is sent before a back-off with full jitter
// (uniform in 0 … base * 2^(failures - 1), at most `backoff_max`) is over, nor
// before the target's own Retry-After; then one alert is tried at a time, the
// one that failed least often first: so one alert that a target chokes on holds
// up only later revisions of itself. A batch that is refused is sent again one
// by one; what is refused alone is a dead letter.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "pipeline/outbox.h"

namespace klaxon {

struct DeliveryOptions {
  size_t batch_max = 1;  // Alerts in one Deliver.
  size_t batch_bytes_max = 1 << 20;
  // Encoded bytes held for the sink; what is owed beyond stays in the ledger.
  size_t queue_bytes_max = 4 << 20;
  absl::Duration backoff_base = absl::Seconds(1);
  absl::Duration backoff_max = absl::Minutes(5);
  // A target that says "in a year" is asked again after that.
  absl::Duration retry_after_max = absl::Hours(1);
  uint64_t seed = 0;  // Of the jitter.
};

class DeliveryQueue {
 public:
  // Times are since an arbitrary start and never go back.
  using Time = absl::Duration;

  DeliveryQueue(std::string sink, const DeliveryOptions& options)
      : sink_(std::move(sink)), options_(options), random_(options.seed) {}

  // REQUIRES: numbers above those of every item before.
  void Add(OutboxItem item);

  // What to deliver now; empty: nothing before `*wake_at` (InfiniteDuration:
  // before more is added). The pointers live until Done, which must follow.
  std::vector<const OutboxItem*> Next(Time now, Time* wake_at);

  // How that ended. Returns what is to be acknowledged.
  std::vector<OutboxAck> Done(Time now, const absl::Status& status);

  // What is no delivery's: the sink could not be opened; now it can.
  void Failed(Time now, const absl::Status& status);
  void Recovered();

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  size_t bytes() const { return bytes_; }
  // Room for more, in bytes.
  size_t room() const {
    return options_.queue_bytes_max -
           std::min(bytes_, options_.queue_bytes_max);
  }
  uint64_t newest() const { return newest_; }  // Number added last; 0: none.
  uint64_t failures() const { return failures_; }  // In a row.
  uint64_t retries() const {
    return retries_;
  }  // Deliveries that failed, to be repeated; ever.
  Time not_before() const { return not_before_; }

 private:
  struct Item {
    OutboxItem item;
    uint64_t failures = 0;
    Time not_before = absl::ZeroDuration();
    bool alone = false;  // Was in a batch that was not taken.
  };

  std::vector<uint64_t> Probe(Time now, Time* wake_at) const;
  std::vector<uint64_t> Batch(Time now, Time* wake_at) const;
  // `share` (0 … 1) of the longest back-off after so many failures in a row.
  absl::Duration Backoff(uint64_t failures, double share) const;

  const std::string sink_;
  const DeliveryOptions options_;
  std::mt19937_64 random_;
  std::map<uint64_t, Item> items_;  // By number.
  std::vector<uint64_t> under_way_;
  size_t bytes_ = 0;
  uint64_t newest_ = 0;
  uint64_t failures_ = 0;
  uint64_t retries_ = 0;
  Time not_before_ = absl::ZeroDuration();
};

}  // namespace klaxon
