// The failures of one key within a sliding window, exactly.
//
// Keeps at most `entries_max` newest refusals that lie within `span` of the
// newest ("within" = last − first <= span), sorted by time, each request once.
// "N within W" holds exactly when size() >= N, for every N <= entries_max.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "event/observation.h"
#include "event/wire.h"

namespace klaxon {

class FailureWindow {
 public:
  struct Entry {
    Refusal refusal;
    uint64_t source = 0;  // Whose it is, where a key stands for several.
    // Others before it were counted, but not kept.
    bool after_dropped = false;
  };

  // False: this very request is in the window already; nothing changed.
  bool Add(const Entry& entry, Nanos span, size_t entries_max);
  void RemoveSource(uint64_t source);
  size_t size() const { return entries_.size() - head_; }
  std::span<const Entry> entries() const {
    return std::span<const Entry>(entries_).subspan(head_);
  }
  EventTime first_time() const { return entries_[head_].refusal.time; }
  size_t DistinctPaths() const;
  // No gap between neighbours above ten times the median gap. (Where some
  // between two were dropped, they are no neighbours.)
  bool Steady() const;

  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  void DropFront(size_t count);

  // What lies before head_ was dropped; removed now and then, all at once.
  size_t head_ = 0;
  std::vector<Entry> entries_;
  std::vector<uint64_t> requests_;  // Of entries_, packed: searched each time.
};

}  // namespace klaxon
