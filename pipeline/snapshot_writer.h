// Takes a snapshot of the state machine without stopping it.
//
// A child process, forked between two records, has the state as it was then and
// hands it over in parts, compressed, through a pipe; the operating system
// copies what the parent changes meanwhile. The parent carries what is in the
// pipe into the journal, a little with each commit: the child waits for it, and
// all that the disk ever gets of a snapshot at once is what one commit carries.
// (design.md would have the judge serialise its tables slice by slice;
// docs/REALITY.md says why not.)
//
// One thread, which must be the journal's.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "pipeline/journal.h"

namespace klaxon {

class SnapshotWriter {
 public:
  using PutPart =
      std::function<void(std::string_view name, std::string_view bytes)>;
  using Save = std::function<void(const PutPart& put)>;

  // The child takes no time from what wakes up on its CPU: the disk's work for
  // a commit, four times each, would wait for the end of its time slice. But
  // there may be no CPU that is idle: after `idle_time` it is merely nice, and
  // from the start where it could not go back (RLIMIT_NICE).
  explicit SnapshotWriter(
      std::chrono::seconds idle_time = std::chrono::seconds(30))
      : idle_time_(idle_time) {}
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  bool busy() const { return fd_ >= 0; }
  uint64_t taken() const { return taken_; }
  // Of the newest that was taken: its size, and how long it took.
  uint64_t taken_bytes() const { return taken_bytes_; }
  std::chrono::steady_clock::duration took() const { return took_; }
  // The state as of record `seq`, the journal's last. `save` runs in the child.
  // REQUIRES: !busy(). Not OK: as Step.
  absl::Status Begin(uint64_t seq, uint64_t keep_from, Journal* journal,
                     const Save& save);
  // Goes on with it; to be called with each commit: what it puts into the
  // journal goes with the next one. Not OK: it was given up, which
  // is no harm, unless journal->status() says so too.
  absl::Status Step(Journal* journal);
  // After a snapshot, when there is nothing else to do: some of what makes the
  // next fork quick (MendLargeBlocks). REQUIRES: !busy().
  void Mend();
  // Gives up what is under way and takes a whole new one, at once.
  absl::Status TakeNow(uint64_t seq, uint64_t keep_from, Journal* journal,
                       const Save& save);

 private:
  absl::Status Carry(Journal* journal);
  absl::Status Read();
  // Of `read_` the parts that are whole go to the journal.
  absl::Status PutParts(Journal* journal);
  // The pipe is at its end: has the child ended well?
  absl::Status Complete(Journal* journal);
  // It was complete at the step before.
  absl::Status Commit(Journal* journal);
  void GiveUp();
  void Taken();

  const std::chrono::seconds idle_time_;
  pid_t child_ = -1;
  bool idle_ = false;  // It gets what CPU time is left.
  int fd_ = -1;        // The pipe; -1: nothing is under way.
  bool end_ = false;   // Of the pipe.
  std::string read_;   // Of it, and not put yet.
  uint64_t keep_from_ = 0;
  uint64_t bytes_ = 0;  // Put so far, before they were compressed.
  uint64_t taken_ = 0;
  uint64_t taken_bytes_ = 0;
  std::chrono::steady_clock::time_point begun_;
  std::chrono::steady_clock::duration took_{};
  bool mended_ = true;  // Else from mend_from_ on it is to be done.
  const void* mend_from_ = nullptr;
};

}  // namespace klaxon
