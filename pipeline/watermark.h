// Up to which event time a stream is complete: the least, over the active
// lanes, of the newest time seen minus `reorder`. An idle lane does not hold
// the others back; with every lane idle the watermark is the newest time seen
// + 1 ns. It never goes back. One thread.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "event/time.h"
#include "event/wire.h"

namespace klaxon {

class Watermark {
 public:
  // A lane so much ahead of the slowest active one is not to be read.
  static constexpr Nanos kAheadMax = kMinute;

  // A lane that has not been heard of yet holds the watermark where it is.
  void AddLane(const std::string& name, Nanos reorder) {
    lanes_[name].reorder = reorder;
  }
  bool Has(const std::string& name) const { return lanes_.contains(name); }
  void See(const std::string& name, EventTime newest) {
    Lane& lane = lanes_[name];
    lane.newest = std::max(lane.newest, newest);
    lane.idle = false;
    newest_ = std::max(newest_, newest);
  }
  void SetIdle(const std::string& name, bool idle) { lanes_[name].idle = idle; }
  // While `hold`, what the lane says later than `at` moves nothing.
  void SetHold(const std::string& name, bool hold, EventTime at) {
    lanes_[name].hold = hold;
    lanes_[name].hold_at = at;
  }
  EventTime newest() const { return newest_; }

  EventTime value() {
    EventTime least = newest_ == kNoTime ? kNoTime : newest_ + 1;
    for (const auto& [name, lane] : lanes_) {
      if (lane.idle && !lane.hold) continue;
      const EventTime at =
          lane.hold ? std::min(lane.newest, lane.hold_at) : lane.newest;
      least = std::min(least, at == kNoTime ? kNoTime : at - lane.reorder);
    }
    return value_ = std::max(value_, least);
  }

  // Lanes that are not to be read for the while.
  std::vector<std::string> TooFarAhead() const {
    EventTime slowest = kMaxTime;
    for (const auto& [name, lane] : lanes_) {
      if (!lane.idle && lane.newest != kNoTime) {
        slowest = std::min(slowest, lane.newest);
      }
    }
    std::vector<std::string> ahead;
    for (const auto& [name, lane] : lanes_) {
      if (lane.newest != kNoTime && slowest != kMaxTime &&
          lane.newest - slowest > kAheadMax) {
        ahead.push_back(name);
      }
    }
    return ahead;
  }

  void Save(WireWriter* out) const {
    out->Int(newest_);
    out->Int(value_);
    out->Uint(lanes_.size());
    for (const auto& [name, lane] : lanes_) {
      out->Text(name);
      out->Int(lane.reorder);
      out->Int(lane.newest);
      out->Bool(lane.idle);
      out->Bool(lane.hold);
      out->Int(lane.hold_at);
    }
  }
  bool Load(WireReader* in) {
    lanes_.clear();
    newest_ = in->Int();
    value_ = in->Int();
    for (uint64_t n = in->Count(); n > 0; --n) {
      Lane& lane = lanes_[std::string(in->Text())];
      lane.reorder = in->Int();
      lane.newest = in->Int();
      lane.idle = in->Bool();
      lane.hold = in->Bool();
      lane.hold_at = in->Int();
    }
    return in->ok();
  }

 private:
  struct Lane {
    Nanos reorder = 0;
    EventTime newest = kNoTime;
    bool idle = false;
    bool hold = false;
    EventTime hold_at = kNoTime;
  };
  std::map<std::string, Lane> lanes_;
  EventTime newest_ = kNoTime;
  EventTime value_ = kNoTime;
};

}  // namespace klaxon
