// All clients that failed to authenticate within a few minutes: a spray, or a
// rotation of keys? One thread (the judge's).
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <utility>

#include "detectors/persistent.h"
#include "detectors/table.h"
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
  // `unit`: the address, an IPv6 one's /64; `at`: where it was found before,
  // and is now.
  State Add(std::string_view unit, bool internal, uint64_t agent,
            EventTime time, uint64_t count, TableHandle* at);
  void Prefetch(TableHandle at) const { units_.Prefetch(at); }
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
