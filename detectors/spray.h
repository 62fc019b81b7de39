// All clients that failed to authenticate within a few minutes: a spray, or a
// rotation of keys? One thread (the judge's).
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

#include "detectors/persistent.h"
#include "detectors/table.h"
#include "event/refusal.h"
#include "event/time.h"

namespace klaxon {

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
  // Returns how many clients there are now. `unit`: the address, an IPv6 one's
  // /64; `at`: where it was found before, and is now.
  size_t Add(std::string_view unit, bool internal, uint64_t agent,
             EventTime time, uint64_t count, TableHandle* at);
  // After an Add.
  State state() const {
    return {units_.size(), internal_, single_, failure_count_,
            failures_.front().first};
  }
  // Of failures at `time`, of a unit that Add was told of, that are not told
  // one by one.
  void AddAgents(std::string_view unit, const SmallestHashes& agents,
                 EventTime time, TableHandle* at);
  void Prefetch(TableHandle at) const { units_.Prefetch(at); }
  void Prefetch(std::string_view unit) const { units_.Prefetch(unit); }
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
    void AddAgent(uint64_t value, EventTime time);
    void Save(WireWriter* out) const;
    void Load(WireReader* in);
  };
  // Two agents, and when the older of the two newest failed last.
  struct Mixed {
    EventTime other_last;
    TableHandle unit;
    bool operator<(const Mixed& o) const { return other_last > o.other_last; }
  };
  // Not counted any more.
  void Forget(const Unit& unit);
  // A new one is counted as external, of a single agent.
  Unit& Touch(std::string_view unit, EventTime time, TableHandle* at);
  // If it has two agents within the window, and had not.
  void NoteMixed(Unit& unit, EventTime now, TableHandle at);
  // Whose other agent lies before the window has a single one again.
  void ForgetAgents(EventTime now);
  void CollectMixed();

  const Nanos window_;
  Table<Unit> units_;
  size_t internal_ = 0;
  size_t single_ = 0;
  // The units with two agents within the window, and some that went; a heap,
  // the earliest first. `other_last` may be later by now.
  std::vector<Mixed> mixed_;
  std::deque<std::pair<EventTime, uint64_t>> failures_;
  uint64_t failure_count_ = 0;
};

}  // namespace klaxon
