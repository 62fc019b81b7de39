// What unauthorized-burst remembers of a client (or IPv6 /64) that fails to
// authenticate, and of who works from where. Values of tables; one thread (the
// judge's).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "detectors/failure_window.h"
#include "detectors/pace.h"
#include "detectors/table.h"
#include "event/time.h"

namespace klaxon {

// A short list of distinct values, full at `kMax`: "at most N different".
class FewDistinct {
 public:
  static constexpr size_t kMax = 8;
  void Add(uint64_t value);
  size_t size() const { return size_; }
  // REQUIRES: size() > 0.
  uint64_t front() const { return values_.front(); }
  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  size_t size_ = 0;
  std::array<uint64_t, kMax> values_{};
};

// Minutes with failures, for low-and-slow: entries of the last 24 h.
class FailingMinutes {
 public:
  void Add(EventTime time, uint64_t count, uint64_t source, Nanos span);
  // Fetches what the next Add will look at.
  void Prefetch() const {
    if (!entries_.empty()) __builtin_prefetch(&entries_.back());
  }
  void RemoveSource(uint64_t source);
  size_t entries() const { return entries_.size(); }
  size_t DistinctMinutes() const;
  uint64_t Failures() const;
  EventTime first_time() const { return entries_.front().first; }
  // Failures of the last `span`, a part of what is kept, and their first time.
  // A minute that the window's edge cuts is counted but for its first failure.
  struct Sum {
    uint64_t count = 0;
    EventTime first = kMaxTime;
  };
  Sum Within(EventTime now, Nanos span) const;
  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  // One minute of one source.
  struct Entry {
    EventTime first;
    EventTime last;
    uint64_t count;
    uint64_t source;
  };
  // False: there is none of that minute and source to take it in.
  bool Merge(EventTime time, uint64_t count, uint64_t source);
  void Forget(EventTime now, Nanos span);

  absl::InlinedVector<Entry, 1> entries_;  // By time.
  EventTime oldest_ = kMaxTime;            // No entry has an earlier `first`.
  mutable uint32_t distinct_ = 0;  // DistinctMinutes(); 0: to be counted.
};

// Of an episode that is open: what it was told already, so that one more
// failure of the same kind has nothing to say. Not saved: to say it again
// changes nothing.
struct Told {
  TableHandle episode;
  int64_t peak = 0;  // The greatest number of its rule.
  int64_t agents = 0;
  int64_t paths = 0;
  EventTime evidence_until = kNoTime;  // Has what is before.
};

// A client or a /64: little, as there may be millions; what one more failure
// moves comes first.
struct FailingClient {
  // Of the open burst or workload.
  struct alignas(64) Burst {
    EventTime fired = kNoTime;
    // The failure, told at its minute's end, after which it is no workload any
    // more. Not saved: only the rest of that end asks.
    EventTime turned = kNoTime;
    Told told;
    FewDistinct agents;
    FewDistinct paths;
    // Of a full window, as long as it may be a workload's; null: none.
    std::unique_ptr<Pace> pace;
    // Whether the window's failures, to which one was added, have a steady
    // pace: all that fall within `span`, up to some more than the `kept` it
    // holds.
    bool Steady(const FailureWindow& window, const FailureWindow::Entry& added,
                size_t kept, Nanos span);
  };

  FailureWindow window;
  EventTime last_failure = kNoTime;
  std::unique_ptr<Burst> burst;  // Null: there is none.
  EventTime slow_day = kNoTime;  // UTC day of its low_and_slow alert.
  std::unique_ptr<Told> slow;    // Its episode; null: nothing told.
  FailingMinutes minutes;
  // An address that its /64 holds nothing of. A hint: false says nothing. Not
  // saved.
  bool apart = false;
  // Of its failures that wait to be counted, for who keeps them; 0: none do.
  // Not saved.
  uint32_t waiting = 0;

  // Fetches what is pointed to.
  void Prefetch() const {
    window.Prefetch();
    minutes.Prefetch();
    if (slow != nullptr) __builtin_prefetch(slow.get());
    if (burst == nullptr) return;
    const auto* bytes = reinterpret_cast<const char*>(burst.get());
    for (size_t at = 0; at < sizeof(Burst); at += 64) {
      __builtin_prefetch(bytes + at);
    }
  }
  void Save(WireWriter* out) const;
  void Load(WireReader* in);
};

// Who was seen from a client in the last `span`: is it a shared address?
//
// A million users may share an address; whether `most` of them were there is
// all that is asked. It is known exactly of a time in the minute of the newest
// Add or later, where `span` is a minute or more: see Trim.
class RecentIdentities {
 public:
  // A request of `user`: the first one of its minute is told, and the last.
  void Add(uint64_t user, EventTime time, size_t most);
  // Distinct users with a request within [time - span, time]: exact below
  // `most`, else at least that many.
  size_t Within(EventTime time, Nanos span) const;
  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  void Trim(EventTime minute, size_t most);
  struct Entry {
    uint64_t user;
    EventTime since;  // First time in the minute of `last`.
    EventTime last;
    EventTime before;  // Last time before that minute; kNoTime: none.
  };
  std::vector<Entry> entries_;
};

}  // namespace klaxon
