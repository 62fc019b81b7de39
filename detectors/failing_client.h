// What unauthorized-burst remembers: of a client (or IPv6 /64) that fails to
// authenticate, of all such clients together, and of who works from where.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "detectors/failure_window.h"
#include "detectors/persistent.h"
#include "detectors/table.h"
#include "event/time.h"

namespace klaxon {

// A short list of distinct values, full at `kMax`: "at most N different".
class FewDistinct {
 public:
  static constexpr size_t kMax = 8;
  void Add(uint64_t value);
  size_t size() const { return values_.size(); }
  const std::vector<uint64_t>& values() const { return values_; }
  void Clear() { values_.clear(); }
  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  std::vector<uint64_t> values_;
};

// Minutes with failures, for low-and-slow: entries of the last 24 h.
class FailingMinutes {
 public:
  // One minute of one source.
  struct Entry {
    EventTime first;
    EventTime last;
    uint64_t count;
    uint64_t source;
  };
  void Add(EventTime time, uint64_t count, uint64_t source, Nanos span);
  void RemoveSource(uint64_t source);
  size_t entries() const { return entries_.size(); }
  size_t DistinctMinutes() const;
  uint64_t Failures() const;
  EventTime first_time() const { return entries_.front().first; }
  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  std::vector<Entry> entries_;  // By time.
};

// A client or a /64.
struct FailingClient {
  FailureWindow window;
  FailingMinutes minutes;
  // Of the open burst/workload episode; kNoTime: there is none.
  EventTime fired = kNoTime;
  EventTime last_failure = kNoTime;
  FewDistinct agents;
  FewDistinct paths;
  EventTime slow_day = kNoTime;  // UTC day of its low_and_slow alert.

  void Save(WireWriter* out) const;
  void Load(WireReader* in);
};

// Who was seen from a client in the last `span`: is it a shared address?
class RecentIdentities {
 public:
  void Add(uint64_t user, EventTime time);
  // Distinct users with a request within [time - span, time].
  size_t Within(EventTime time, Nanos span) const;
  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  static constexpr size_t kMax = 12;
  struct Entry {
    uint64_t user;
    EventTime since;  // First time in the minute of `last`.
    EventTime last;
    EventTime before;  // Last time before that minute; kNoTime: none.
  };
  std::vector<Entry> entries_;
};

// All failing clients of the last five minutes: a spray?
class Spray final : public Persistent {
 public:
  struct State {
    size_t clients = 0;
    size_t internal = 0;
    size_t single_agent = 0;
    uint64_t failures = 0;     // Within the window.
    EventTime first_time = 0;  // Of those.
  };
  Spray(uint64_t keys_max, Nanos window);
  // `unit`: the address, an IPv6 one's /64.
  State Add(std::string_view unit, bool internal, uint64_t agent,
            EventTime time, uint64_t count);
  uint64_t evicted() const override { return units_.evicted(); }

  std::string_view name() const override { return "unauthorized-burst/spray"; }
  void Save(WireWriter* out) const override;
  bool Load(WireReader* in) override;

 private:
  struct Unit {
    bool internal = false;
    bool single = true;
    uint64_t agent = 0;  // The newest, and the newest other one.
    EventTime agent_last = kNoTime;
    EventTime other_last = kNoTime;
    void Save(WireWriter* out) const;
    void Load(WireReader* in);
  };
  void Forget(const Unit& unit);

  const Nanos window_;
  Table<Unit> units_;
  size_t internal_ = 0;
  size_t single_ = 0;
  std::deque<std::pair<EventTime, uint64_t>> failures_;
  uint64_t failure_count_ = 0;
};

}  // namespace klaxon
