// Takes a snapshot of the state machine without stopping it.
//
// A child process, forked between two records, has the state as it was then and
// writes it down in its own time, while the parent goes on; the operating
// system copies what the parent changes meanwhile. The parent then carries the
// parts into the journal, a few with each commit. (design.md would have the
// judge serialise its tables slice by slice; docs/REALITY.md says why not.)
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

  SnapshotWriter() = default;
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  bool busy() const { return phase_ != Phase::kNone; }
  uint64_t taken() const { return taken_; }
  // Of the newest that was taken: its size, and how long it took.
  uint64_t taken_bytes() const { return taken_bytes_; }
  std::chrono::steady_clock::duration took() const { return took_; }
  // The state as of record `seq`. `save` runs in the child. REQUIRES: !busy().
  absl::Status Begin(uint64_t seq, uint64_t keep_from, const std::string& dir,
                     const Save& save);
  // Goes on with it; to be called now and then. Not OK: it was given up, which
  // is no harm, unless journal->status() says so too.
  absl::Status Step(Journal* journal);
  // Whatever is under way is finished, or a whole new one taken, at once.
  absl::Status TakeNow(uint64_t seq, uint64_t keep_from, Journal* journal,
                       const Save& save);

 private:
  enum class Phase { kNone, kChild, kCarry };

  absl::Status Carry(Journal* journal, size_t bytes_max);
  void GiveUp();
  void Taken(uint64_t bytes);

  Phase phase_ = Phase::kNone;
  pid_t child_ = -1;
  int fd_ = -1;  // Of an unlinked file.
  uint64_t seq_ = 0;
  uint64_t keep_from_ = 0;
  uint64_t size_ = 0;
  uint64_t at_ = 0;  // Carried so far.
  uint64_t taken_ = 0;
  uint64_t taken_bytes_ = 0;
  std::chrono::steady_clock::time_point begun_;
  std::chrono::steady_clock::duration took_{};
};

}  // namespace klaxon
