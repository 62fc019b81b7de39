// The denied long-running requests of one anonymous client. Each has two
// events, and an audit policy may keep both or one of them: which ends are of a
// request that was counted when it began? Value of a table; the judge's one
// thread.
#pragma once

#include <cstdint>
#include <vector>

#include "event/observation.h"
#include "event/wire.h"

namespace klaxon {

class DeniedWatches {
 public:
  // `group` of class kAnonymousBegun: a begin that is told.
  void AddBegin(const RefusalGroup& group, uint64_t request);
  // Its minute is over: begins that are not told.
  void AddDropped(const RefusalGroup& group);

  enum class End {
    kCounted,  // It began, or was told before.
    kNew,      // Nobody kept its begin: it is the request.
    // More may have begun than are told before the minute is over.
    kUnclear,
  };
  // `group` of class kAnonymousEnded: an end that is told.
  End AddEnd(const RefusalGroup& group, uint64_t request);

  // Its minute is over: of those that were not counted, the ones to count, by
  // place in group.kept, and how many events the first of them stands for.
  struct Rest {
    std::vector<uint32_t> ends;
    uint64_t weight = 1;
  };
  Rest AddRest(const RefusalGroup& group);

  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  struct Minute {
    uint64_t user = 0;  // Hash.
    EventTime minute = 0;
    uint64_t dropped = 0;  // Begins.
    // What was counted, of begins and, where there was none, ends.
    std::vector<uint64_t> begins;
    std::vector<uint64_t> ends;
  };
  Minute& MinuteFor(const RefusalGroup& group);
  bool Knows(const RefusalGroup& group, uint64_t request) const;

  std::vector<Minute> minutes_;  // Of the newest two; few have several users.
};

}  // namespace klaxon
