// One followed log as a lane: its files one after the other, cut into batches,
// each with the token behind it.
//
// Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ingest/batch_framer.h"
#include "ingest/file_follower.h"
#include "ingest/live_source.h"
#include "ingest/log_chain.h"
#include "ingest/member_reader.h"
#include "ingest/tail_state.h"

namespace klaxon {

class FileLane {
 public:
  enum class Result : uint8_t {
    kBatch,
    kIdle,  // Nothing more now.
    kEnd,   // Nothing more at all (FollowOptions::until_end).
    kInterrupted,
  };

  // All outlive this. `path`: of the live file.
  FileLane(const FollowOptions* options, LogFiles* files,
           Interrupter* interrupter, std::string path);

  // Before the first Step: go on behind this token,
  absl::Status Resume(std::string_view token);
  // or begin here (at the beginning, unless said).
  void Begin(LogStart from) { from_ = from; }
  // Another lane reads the file that this path leads to now.
  void Shadow(const FileId& id) { shadow_ = id; }

  // `look`: at what rotation did, too. Fills all of `batch` but its cluster.
  Result Step(bool look, LiveBatch& batch);

  const std::string& name() const { return name_; }
  const std::string& path() const { return chain_.family().path(); }
  const std::string& directory() const { return chain_.family().directory(); }
  LaneState State() const;
  // Is this one of its files?
  bool Owns(const FileId& id);
  // What keeps it from reading, once for each new reason; or nothing.
  std::string TakeStatus();
  // The same as often as asked; and as errno, 0: nothing does.
  const std::string& status() const { return status_; }
  int blocked() const { return blocked_; }

 private:
  enum class Phase : uint8_t { kStart, kFind, kReading };
  enum class Advance : uint8_t { kReady, kWait, kInterrupted };

  Advance Prepare();
  Advance Again();
  Advance OpenFront();
  Advance AtEnd();
  Advance FrontChanged();
  void Adopt(FoundLinks found);
  void FinishFront();
  void PopFront();
  Result Wait(LiveBatch& batch);
  Result EmitGaps(LiveBatch& batch);
  Result NextBatch(LiveBatch& batch);
  void FillTokenOnly(LiveBatch& batch);
  void MoveBehind(const Batch& batch);
  void Say(const std::string& path, int error);
  Gap EndGap(std::string reason, uint64_t end, std::string message) const;

  // Constant after construction.
  const FollowOptions* const options_;
  LogFiles* const files_;
  const std::string name_;

  LogStart from_ = LogStart::kBegin;
  Phase phase_ = Phase::kStart;
  std::optional<FileId> shadow_;
  LogChain chain_;
  StreamContext context_;
  BatchFramer framer_;

  // The token behind the last batch, and what was finished since.
  TailState state_;
  TailState working_;

  // Of the front of the chain.
  std::unique_ptr<MemberReader> reader_;
  bool was_live_ = false;      // When it was opened.
  ContentMark head_;           // Its own, as far as it was handed on.
  bool finished_ = false;      // Handed on to its end.
  uint64_t offset_ = 0;        // Handed on.
  uint64_t framer_base_ = 0;   // Offset of the framer's first byte.
  std::string window_;         // The last kMarkBytes before offset_.
  std::vector<Gap> end_gaps_;  // Behind its end.

  std::vector<Gap> gaps_;  // Before what comes next.
  bool announce_ = false;  // A token, though there are no bytes.
  absl::Time looked_ = absl::InfinitePast();
  bool caught_up_ = false;
  int blocked_ = 0;          // errno of what keeps it from reading.
  std::string status_;       // What to say of it.
  std::string last_status_;  // Said.
};

}  // namespace klaxon
