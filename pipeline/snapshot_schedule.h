// When a snapshot is due: it bounds how much a restart has to replay.
//
// Bytes of journal say little of how long a replay takes: of ordinary traffic
// 64 MiB are judged in a second, of a flood of new clients in five. So what
// judging took since the last snapshot makes one due, too. A large state takes
// long to write, and a flood asks for it again and again: by this rule alone a
// quarter of the time is spent on snapshots at most.
//
// One thread. Times are of the real clock: they decide when work is saved, and
// nothing that anybody is told.
#pragma once

#include <chrono>
#include <cstdint>

namespace klaxon {

class SnapshotSchedule {
 public:
  using Clock = std::chrono::steady_clock;
  struct Options {
    Clock::duration interval{};
    uint64_t journal_bytes = 0;
    Clock::duration replay{};  // CPU time of judging.
  };
  // A run begins `now`.
  SnapshotSchedule(const Options& options, Clock::time_point now)
      : options_(options), begun_(now) {}

  // A record was applied, whether replayed or new.
  void Judged(Clock::duration cpu_time) { replay_ += cpu_time; }
  // `journal_bytes` since the last snapshot. REQUIRES: none is under way.
  bool Due(Clock::time_point now, uint64_t journal_bytes) const;
  // One was begun: it holds all that was judged until now.
  void Begun(Clock::time_point now);
  // It is there, and took so long.
  void Taken(Clock::duration took);
  // It came to nothing, which is no harm: what it held is still to be replayed.
  // The next one waits, and longer each time, up to the interval.
  void GivenUp() { ++given_up_; }

 private:
  Options options_;
  Clock::time_point begun_;
  Clock::duration replay_{};   // Since the last that was taken.
  Clock::duration covered_{};  // Of that, what the last begun one holds.
  Clock::duration took_{};
  int given_up_ = 0;  // Since the last that was taken.
};

}  // namespace klaxon
