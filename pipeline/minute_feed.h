// Reorder where everything is there and sorted: takes observations by key,
// each key once (RecordSorter), and hands on what is judged, in order.
//
// A minute is held in memory while it is small; past four times `memory_bytes`
// its things are sorted once more on disk, by time, and come from there: a
// million new clients in one minute cost disk, not memory. Both give the same.
//
// Protocol: Add any number of times, Finish once. One thread. Errors (a full
// disk) come from both as a Status.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "pipeline/minute.h"
#include "pipeline/record_sorter.h"

namespace klaxon {

class MinuteFeed {
 public:
  struct Options {
    size_t memory_bytes = 8 << 20;  // RecordSorter::Options::memory_bytes.
    std::string spill_dir;          // RecordSorter::Options::dir.
  };
  MinuteFeed(Options options, JudgedSink sink);
  ~MinuteFeed();

  // `key` and `payload`: AppendKey (sort_key.h) and EncodeTo (observation.h).
  absl::Status Add(std::string_view key, std::string_view payload);
  // End of input: the totals of the last minute are given at `newest`, the
  // newest time seen, if that is earlier than its end.
  absl::Status Finish(EventTime newest);

  uint64_t spilled_minutes() const { return spilled_minutes_; }

 private:
  class Spilled;
  absl::Status EndMinute(EventTime total_time);
  void Hold(std::string_view key, std::string_view payload);
  absl::Status Spill();

  const Options options_;
  const JudgedSink sink_;
  uint64_t next_group_id_ = 1;
  std::string prefix_;  // Of all keys of the minute that is being added.
  EventTime begin_ = 0;
  Minute minute_;
  size_t held_bytes_ = 0;
  std::unique_ptr<Spilled> spilled_;  // Null: the minute is in minute_.
  uint64_t spilled_minutes_ = 0;
};

}  // namespace klaxon
