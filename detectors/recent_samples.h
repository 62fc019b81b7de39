// The earliest failure of each of the last minutes of a client, for evidence
// of a window that reaches back. Value of a table; one thread (the judge's).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "event/observation.h"
#include "event/wire.h"

namespace klaxon {

class RecentSamples {
 public:
  // One sample, kept encoded: a flood of clients leaves one each.
  struct Minute {
    EventTime time = kNoTime;  // Of the sample.
    uint64_t order = 0;
    std::string bytes;
    EventSample Decoded() const;
  };

  // `bytes` is `sample` encoded (PutSample): it goes to several clients. Past
  // `keep` minutes the one that came first goes.
  void Add(const EventSample& sample, std::string_view bytes, size_t keep);
  const std::vector<Minute>& minutes() const { return minutes_; }

  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  std::vector<Minute> minutes_;
};

}  // namespace klaxon
