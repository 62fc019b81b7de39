// How long the engine takes for what waits, learnt from what it reads while
// more is waiting (else it is the senders who are slow). Times are the
// caller's. Not thread-safe.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace klaxon {

class WebhookPace {
 public:
  // A body costs its bytes and something for itself.
  static uint64_t CostOf(uint64_t bytes) { return bytes + (64 << 10); }

  // A body of this cost was read; `more_waits` behind it.
  void OnRead(uint64_t cost, bool more_waits, absl::Time now) {
    if (more_waited_ && now >= last_read_) {
      cost_ = kFade * cost_ + static_cast<double>(last_cost_);
      seconds_ = kFade * seconds_ + absl::ToDoubleSeconds(now - last_read_);
    }
    last_read_ = now;
    last_cost_ = cost;
    more_waited_ = more_waits;
  }
  // Zero as long as nothing is known.
  absl::Duration TimeFor(uint64_t cost) const {
    if (cost_ == 0) return absl::ZeroDuration();
    return absl::Seconds(static_cast<double>(cost) * seconds_ / cost_);
  }

 private:
  static constexpr double kFade = 0.9;
  double cost_ = 0;
  double seconds_ = 0;
  absl::Time last_read_;
  uint64_t last_cost_ = 0;
  bool more_waited_ = false;  // At the last read.
};

}  // namespace klaxon
