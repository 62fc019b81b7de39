// The failures of one key within a sliding window, exactly.
//
// Keeps at most `entries_max` newest refusals that lie within `span` of the
// newest ("within" = last − first <= span), sorted by time, each request once.
// "N within W" holds exactly when size() >= N, for every N <= entries_max.
//
// A failure costs a look at two bytes of each that is held (is it there
// already?) and a place in a ring; a window of one failure needs no memory of
// its own, as an attacker makes millions of those.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

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

  FailureWindow() = default;
  FailureWindow(FailureWindow&& other) noexcept { *this = std::move(other); }
  // REQUIRES: `other` is not this. Leaves it empty.
  FailureWindow& operator=(FailureWindow&& other) noexcept;

  // False: this very request is in the window already; nothing changed.
  bool Add(const Entry& entry, Nanos span, size_t entries_max);
  // REQUIRES: it is not.
  void AddNew(const Entry& entry, Nanos span, size_t entries_max);
  // Whether one of refusals[begin, end) is in it, or there twice.
  bool Repeats(const KeptRefusals& refusals, size_t begin, size_t end) const;
  // Fetches what the next Add will look at.
  void Prefetch() const {
    if (capacity_ == 1) return;
    const auto fetch = [](const void* bytes, size_t count) {
      for (size_t i = 0; i < count; i += 64) {
        __builtin_prefetch(static_cast<const char*>(bytes) + i);
      }
    };
    fetch(&times()[head_], 1);
    fetch(&times()[Place(size_)], 1);
    if (capacity_ > kUntagged) fetch(tags(), capacity_ * sizeof(uint16_t));
    fetch(&rests()[Place(size_)], sizeof(Rest) + 1);
  }
  void RemoveSource(uint64_t source);
  size_t size() const { return size_; }
  // By time.
  Entry operator[](size_t index) const {
    return At(Place(static_cast<uint32_t>(index)));
  }
  EventTime first_time() const { return times()[head_]; }
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

  // Of an entry, but for its time.
  struct Rest {
    uint64_t request;
    uint64_t path;
    uint64_t agent;
    uint64_t source;
    bool after_dropped;
  };

  uint32_t Place(uint32_t index) const {
    return (head_ + index) & (capacity_ - 1);
  }
  EventTime TimeOf(uint32_t index) const { return times()[Place(index)]; }
  bool Holds(uint64_t request) const;
  Entry At(uint32_t place) const;
  void Put(uint32_t place, const Entry& entry);
  void Grow();
  void Clear();

  // The ring is one block: times, then the low bits of the requests (where
  // there are more than kUntagged; what was dropped leaves its own), then the
  // rests. An Add reads of the first two, which of a few thousand clients fit
  // into a cache, and only writes the rest.
  EventTime* times() const { return reinterpret_cast<EventTime*>(ring_); }
  uint16_t* tags() const {
    return reinterpret_cast<uint16_t*>(ring_ + capacity_ * sizeof(EventTime));
  }
  Rest* rests() const {
    const size_t head =
        sizeof(EventTime) + (capacity_ > kUntagged ? sizeof(uint16_t) : 0);
    return reinterpret_cast<Rest*>(ring_ + capacity_ * head);
  }

  uint32_t capacity_ = 1;  // A power of two.
  uint32_t head_ = 0;      // Where the first one is.
  uint32_t size_ = 0;
  std::byte* ring_ = one_.data();  // one_ or more_
  alignas(
      EventTime) std::array<std::byte, sizeof(EventTime) + sizeof(Rest)> one_{};
  std::unique_ptr<std::byte[]> more_;
};

}  // namespace klaxon
