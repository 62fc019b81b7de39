// Up to which event time a stream is complete: the least, over the active
// sources, of the newest time seen minus `reorder`. An idle source does not
// hold the others back; with every source idle the watermark is the newest
// time seen + 1 ns. It never goes back. One thread.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "event/time.h"

namespace klaxon {

class Watermark {
 public:
  // A source that has not been heard of yet holds the watermark where it is.
  void AddSource(const std::string& name, Nanos reorder) {
    sources_[name].reorder = reorder;
  }
  void See(const std::string& name, EventTime newest) {
    Source& source = sources_[name];
    source.newest = std::max(source.newest, newest);
    source.idle = false;
    newest_ = std::max(newest_, newest);
  }
  void SetIdle(const std::string& name, bool idle) {
    sources_[name].idle = idle;
  }
  EventTime newest() const { return newest_; }

  EventTime value() {
    EventTime least = newest_ == kNoTime ? kNoTime : newest_ + 1;
    for (const auto& [name, source] : sources_) {
      if (source.idle) continue;
      least = std::min(least, source.newest == kNoTime
                                  ? kNoTime
                                  : source.newest - source.reorder);
    }
    return value_ = std::max(value_, least);
  }

 private:
  struct Source {
    Nanos reorder = 0;
    EventTime newest = kNoTime;
    bool idle = false;
  };
  std::map<std::string, Source> sources_;
  EventTime newest_ = kNoTime;
  EventTime value_ = kNoTime;
};

}  // namespace klaxon
