#include "pipeline/snapshot_schedule.h"

#include <algorithm>

namespace klaxon {
namespace {

// From the beginning of one to that of the next that replay makes due: so many
// times what it took.
constexpr int kTimesTook = 4;
// … to that of any other: doubled for each that was given up.
constexpr std::chrono::seconds kLeast(1);
constexpr int kDoublingsMax = 20;

}  // namespace

bool SnapshotSchedule::Due(Clock::time_point now,
                           uint64_t journal_bytes) const {
  const Clock::duration since = now - begun_;
  if (since >= options_.interval) return true;
  const int doublings = std::min(given_up_, kDoublingsMax);
  if (given_up_ > 0 && since < kLeast * (1 << doublings)) return false;
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
  given_up_ = 0;
  replay_ -= covered_;
  covered_ = Clock::duration::zero();
}

}  // namespace klaxon
