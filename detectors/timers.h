// Event-time timers, fired in the order of (due, owner, key). Owners are small
// numbers: 0 is Episodes, 1… the detectors in judging order. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <tuple>

#include "detectors/persistent.h"
#include "event/time.h"

namespace klaxon {

class Timers final : public Persistent {
 public:
  struct Timer {
    EventTime due;
    uint32_t owner;
    std::string key;
    auto operator<=>(const Timer&) const = default;
  };

  void Add(EventTime due, uint32_t owner, std::string_view key) {
    timers_.insert({due, owner, std::string(key)});
  }
  // When the first is due; kMaxTime: there is none.
  EventTime due() const {
    return timers_.empty() ? kMaxTime : timers_.begin()->due;
  }
  // Takes the first timer due at or before `now`. False: none.
  bool Pop(EventTime now, Timer* timer) {
    if (timers_.empty() || timers_.begin()->due > now) return false;
    *timer = *timers_.begin();
    timers_.erase(timers_.begin());
    return true;
  }

  template <typename Predicate>
  void EraseIf(Predicate predicate) {
    std::erase_if(timers_, predicate);
  }

  std::string_view name() const override { return "timers"; }
  void Save(WireWriter* out) const override {
    out->Uint(timers_.size());
    for (const Timer& t : timers_) {
      out->Int(t.due);
      out->Uint(t.owner);
      out->Text(t.key);
    }
  }
  bool Load(WireReader* in) override {
    timers_.clear();
    for (uint64_t n = in->Count(); n > 0; --n) {
      Timer t;
      t.due = in->Int();
      t.owner = static_cast<uint32_t>(in->Uint());
      t.key = in->Text();
      timers_.insert(std::move(t));
    }
    return in->ok();
  }

 private:
  std::set<Timer> timers_;
};

}  // namespace klaxon
