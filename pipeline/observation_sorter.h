// Observations in any order and number, as sorted (key, binary value) records:
// in memory up to a limit, then on disk.
//
// Workers of a scan have one each, or share one with few others, so that
// encoding, sorting and spilling are done by all of them. Protocol: Add any
// number of times, from any thread; then Finish once, then its records are read
// (MergedRecords), each by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "event/observation.h"
#include "event/time.h"
#include "pipeline/engine_config.h"
#include "pipeline/record_sorter.h"

namespace klaxon {

class ObservationSorter {
 public:
  // So many share EngineConfig::reorder_memory_bytes, which is no less than
  // a MiB.
  static constexpr size_t kSortersMax = 8;

  // One of `sorters`. REQUIRES: they are no more than kSortersMax.
  ObservationSorter(const EngineConfig& config, size_t sorters);

  absl::Status Add(const Observations& observations);
  absl::Status Finish() { return sorter_.Finish(); }

  RecordSorter& records() { return sorter_; }
  // Of those that were added: how many, and the latest event time.
  uint64_t observations() const { return observations_; }
  EventTime newest() const { return newest_; }

  // Merges two values of one key; a copy for each thread.
  static RecordSorter::Merge MakeMerge();

 private:
  template <typename T>
  absl::Status AddOne(const T& value);

  std::mutex mutex_;  // Guards all that Add changes.
  RecordSorter sorter_;
  std::string key_;
  std::string payload_;
  EventTime newest_ = kNoTime;
  uint64_t observations_ = 0;
};

}  // namespace klaxon
