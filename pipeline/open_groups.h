// The refusal groups of a minute that is still open, parts of one merged.
//
// A group stays until its minute is over, as more of it may come. Once there
// are many of them, as in a flood of new clients, each that comes with a few
// refusals is folded: kept as bytes, a fifth of the memory, and decoded when it
// is judged. One that grows is made whole, and stays so. A folded one's total
// would tell nobody anything and is not given. (But one of each cluster is:
// timers see how late it is.)
//
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "detectors/large_blocks.h"
#include "event/observation.h"
#include "event/time.h"
#include "pipeline/byte_store.h"
#include "pipeline/minute.h"
#include "pipeline/minute_keys.h"

namespace klaxon {

class OpenGroups final : public FoldedGroups {
 public:
  // The whole ones are in `minute`, and nobody else adds any. The first
  // `whole_max` are never folded.
  OpenGroups(Minute* minute, size_t whole_max)
      : minute_(*minute), whole_max_(whole_max) {}

  // `group` may get another's memory for its own, to be written over.
  void Add(RefusalGroup&& group);
  size_t size() const { return held_.size(); }
  // Once the minute is over, and all was handed on.
  void HandOnTotals(EventTime time, const JudgedSink& sink);

  void AppendItems(EventTime until, std::vector<JudgedItem>* items) override;
  void Prefetch(uint32_t number) const override;
  const RefusalGroup& Read(uint32_t number) override;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  // By number.
  struct Held {
    uint32_t index = kNone;  // In the minute; kNone: it is folded.
    uint8_t times = 0;       // How often it was.
    uint8_t sent = 0;        // A bit for each of its refusals: handed on.
    ByteStore::Place place = 0;
  };

  void AddFolded(uint32_t number, const RefusalGroup& part);
  void Fold(uint32_t number, const RefusalGroup& group);
  void MakeWhole(uint32_t number, RefusalGroup* group);

  Minute& minute_;
  const size_t whole_max_;
  MinuteKeys keys_;
  std::vector<Held, LargeBlocks<Held>> held_;
  std::vector<uint32_t> whole_;  // Their numbers, by index.
  ByteStore folded_;
  // What is to be judged of the folded ones, and what was before they changed:
  // `detail` says of which of their forms it is.
  std::vector<JudgedItem> waiting_;
  std::map<std::string, uint32_t> folded_of_;  // The first of each cluster.
  uint32_t read_number_ = kNone;               // What read_ is.
  RefusalGroup read_;
  std::string scratch_;
};

}  // namespace klaxon
