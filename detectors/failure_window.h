// The failures of one key within a sliding window, exactly.
//
// Keeps at most `entries_max` newest refusals that lie within `span` of the
// newest ("within" = last − first <= span), sorted by time, each request once.
// "N within W" holds exactly when size() >= N, for every N <= entries_max.
//
// A failure costs a look at two bytes of each that is held (is it there
// already?) and a place in a ring; a window of one failure is one allocation,
// as an attacker makes millions of those.
#pragma once

#include <cstdint>
#include <memory>

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
  // Fetches what the next Add will look at.
  void Prefetch() const {
    if (capacity_ == 0) return;
    const auto fetch = [](const void* bytes, size_t count) {
      for (size_t i = 0; i < count; i += 64) {
        __builtin_prefetch(static_cast<const char*>(bytes) + i);
      }
    };
    fetch(&ring_[Place(size_)], sizeof(Entry) + 64);
    if (size_ > 0) fetch(&ring_[Place(size_ - 1)], 64);
    fetch(&ring_[head_], sizeof(Entry) + 64);
    if (tags_ != nullptr) fetch(tags_.get(), capacity_ * sizeof(tags_[0]));
  }
  void RemoveSource(uint64_t source);
  size_t size() const { return size_; }
  // By time.
  const Entry& operator[](size_t index) const {
    return ring_[Place(static_cast<uint32_t>(index))];
  }
  EventTime first_time() const { return ring_[head_].refusal.time; }
  // Whether all that fell within the span is here, up to the newest: neither
  // more than `entries_max`, nor counted without being kept.
  bool Whole(size_t entries_max) const;
  size_t DistinctPaths() const;
  bool HoldsPath(uint64_t path) const;
  // No gap between neighbours above ten times the median gap. (Where some
  // between two were dropped, they are no neighbours.)
  bool Steady() const;

  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  // Up to so many entries are looked through themselves.
  static constexpr uint32_t kUntagged = 4;

  uint32_t Place(uint32_t index) const {
    return (head_ + index) & (capacity_ - 1);
  }
  bool Holds(uint64_t request) const;
  void Put(uint32_t place, const Entry& entry);
  void Grow();
  void Clear();

  uint32_t capacity_ = 0;  // A power of two, or nothing yet.
  uint32_t head_ = 0;      // Where the first one is.
  uint32_t size_ = 0;
  std::unique_ptr<Entry[]> ring_;
  // Low bits of the requests, by place (what was dropped leaves its own).
  std::unique_ptr<uint16_t[]> tags_;
};

}  // namespace klaxon
