#include "pipeline/snapshot_schedule.h"

#include <algorithm>

namespace klaxon {
namespace {

// From the beginning of one to that of the next that replay makes due: so many
// times what it took, and one that failed is not tried again at once.
constexpr int kTimesTook = 4;
constexpr std::chrono::seconds kLeast(1);

}  // namespace

bool SnapshotSchedule::Due(Clock::time_point now,
                           uint64_t journal_bytes) const {
  const Clock::duration since = now - begun_;
  if (since >= options_.interval) return true;
  if (journal_bytes >= options_.journal_bytes) return true;
  return replay_ >= options_.replay &&
         since >= std::max<Clock::duration>(kLeast, kTimesTook * took_);
}

void SnapshotSchedule::Begun(Clock::time_point now) {
  begun_ = now;
  covered_ = replay_;
}

void SnapshotSchedule::Taken(Clock::duration took) {
  took_ = took;
  replay_ -= covered_;
  covered_ = Clock::duration::zero();
}

}  // namespace klaxon
