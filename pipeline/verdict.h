// From observations, in any order and number, to the final alerts of a scan:
// sort (spilling to disk), reorder, judge, sort the alerts.
//
// One thread. Add any number of times, then Conclude once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "detectors/alert.h"
#include "event/observation.h"
#include "pipeline/engine_config.h"
#include "pipeline/record_sorter.h"

namespace klaxon {

class Verdict {
 public:
  explicit Verdict(const EngineConfig& config);

  absl::Status Add(const Observations& observations);
  // Hands on every final alert, in printing order.
  absl::Status Conclude(const std::function<void(Alert&&)>& on_alert);

  uint64_t observations() const { return observations_; }
  uint64_t evicted() const { return evicted_; }

 private:
  template <typename T>
  absl::Status AddOne(const T& value);

  const EngineConfig& config_;
  RecordSorter sorter_;
  std::string key_;
  std::string payload_;
  EventTime newest_ = kNoTime;
  uint64_t observations_ = 0;
  uint64_t evicted_ = 0;
};

}  // namespace klaxon
