// Observations in any order and number, as sorted (key, binary value) records:
// in memory up to a limit, then on disk.
//
// Each worker of a scan has one of its own, so that encoding, sorting and
// spilling are done by all of them. One thread at a time: Add any number of
// times, then Finish once, then the records are read (MergedRecords).
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "event/observation.h"
#include "event/time.h"
#include "pipeline/engine_config.h"
#include "pipeline/record_sorter.h"

namespace klaxon {

class ObservationSorter {
 public:
  // One of `sharers`, which share EngineConfig::reorder_memory_bytes.
  ObservationSorter(const EngineConfig& config, size_t sharers);

  absl::Status Add(const Observations& observations);
  absl::Status Finish() { return sorter_.Finish(); }

  RecordSorter& records() { return sorter_; }
  // Of those that were added: how many, and the latest event time.
  uint64_t observations() const { return observations_; }
  EventTime newest() const { return newest_; }

  // Merges two values of one key; not for two threads at once.
  static RecordSorter::Merge MakeMerge();

 private:
  template <typename T>
  absl::Status AddOne(const T& value);

  RecordSorter sorter_;
  std::string key_;
  std::string payload_;
  EventTime newest_ = kNoTime;
  uint64_t observations_ = 0;
};

}  // namespace klaxon
