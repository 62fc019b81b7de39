// Where each lane of the sources stands, as the journal's records say: what a
// restart hands to LiveSource::Open, and what `klaxon state show` lists.
//
// The fold of all records so far. It is a part of every snapshot (kLanesPart),
// so that records before it are not needed. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "event/time.h"
#include "event/wire.h"
#include "ingest/live_source.h"
#include "pipeline/journal_record.h"

namespace klaxon {

// Name of the snapshot part that holds LaneStates::Save.
inline constexpr std::string_view kLanesPart = "lanes";
// A webhook batch that is sent again within this, of wall time, is known.
inline constexpr Nanos kDigestsKept = 10 * kMinute;

class LaneStates {
 public:
  struct Digest {
    int64_t ingested_ns = 0;
    std::string digest;
  };
  struct Lane {
    std::string resume;          // Of its newest batch.
    EventTime newest = kNoTime;  // Ever.
    uint64_t batches = 0;
    bool idle = false;
    bool hold = false;
    EventTime hold_at = kNoTime;  // Of a hold: where, and since when.
    int64_t hold_since_ns = 0;
    std::vector<Digest> digests;  // In the order they came.
  };

  // Records that say nothing of a lane change nothing.
  void Apply(const JournalRecord& record);
  void Apply(const BatchRecord& batch);

  const std::map<std::string, Lane, std::less<>>& lanes() const {
    return lanes_;
  }
  // For LiveSource::Open, by name of the lane. Digests older than kDigestsKept
  // at `now_ns`, of the wall clock, are left out.
  std::vector<LaneResume> ResumeFrom(int64_t now_ns) const;

  void Save(WireWriter* out) const;
  // Replaces all. False: damaged, or of another version.
  bool Load(WireReader* in);

 private:
  std::map<std::string, Lane, std::less<>> lanes_;
};

}  // namespace klaxon
