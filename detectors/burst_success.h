// Rule success_after_burst of unauthorized-burst, and who else works from a
// client, which may make its success prove nothing. The judge's one thread.
#pragma once

#include <cstdint>
#include <string>

#include "detectors/detector.h"
#include "detectors/failing_client.h"
#include "detectors/table.h"
#include "detectors/unauthorized_burst_text.h"

namespace klaxon {

class BurstSuccess {
 public:
  // `settings` outlives this.
  BurstSuccess(const BurstSettings& settings, uint64_t keys_max);

  // Every sighting, as it is judged: before Judge of the same.
  void See(const Judged& judged);
  // When that sighting got beyond public paths, as far as it tells now;
  // kNoTime: it did not, or proves nothing.
  static EventTime TimeOf(const Judged& judged);
  // `open`: the burst of `client`, whose key is `key`. `time`: of TimeOf.
  // REQUIRES: client.burst.
  void Judge(const std::string& key, const FailingClient& client,
             const Episode& open, const Judged& judged, EventTime time,
             JudgeContext& context);
  Persistent* state() { return &identities_; }

 private:
  const BurstSettings& settings_;
  Table<RecentIdentities> identities_;  // By client.
};

}  // namespace klaxon
