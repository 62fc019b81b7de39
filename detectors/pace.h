// The pace of failures that a full FailureWindow does not hold any more: their
// times alone, for a client that may be a workload. Exact as long as the
// observer keeps every failure of a minute and no more than `max` fall within
// the window; of a greater flood the latest are looked at. One thread (the
// judge's).
#pragma once

#include <cstddef>
#include <deque>
#include <span>

#include "detectors/failure_window.h"
#include "event/time.h"
#include "event/wire.h"

namespace klaxon {

// No gap above ten times the median gap. Puts them into another order.
bool IsSteady(std::span<Nanos> gaps);

class Pace {
 public:
  Pace() = default;
  // Begins with what `window` holds.
  explicit Pace(const FailureWindow& window);
  // One more. Keeps what lies within `span` of the newest, and at most `max`.
  void Add(EventTime time, bool after_dropped, Nanos span, size_t max);
  // As FailureWindow's.
  bool Steady() const;
  bool empty() const { return failures_.empty(); }

  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  struct Failure {
    EventTime time;
    bool after_dropped;
  };
  std::deque<Failure> failures_;  // By time.
};

}  // namespace klaxon
