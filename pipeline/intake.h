// One source of a daemon: reads it, decodes and observes what it gives, and
// hands on records for the journal. Decides, by an injected clock, when a lane
// is idle and which stamps lie in the future; each such decision is a record.
//
// Run is called on a thread of its own and returns when the source has ended,
// failed or Stop was called; the other methods come from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "event/event.h"
#include "ingest/live_source.h"
#include "pipeline/batch_decoder.h"
#include "pipeline/engine_config.h"
#include "pipeline/observer.h"
#include "pipeline/pending_queue.h"

namespace klaxon {

// Bytes of a live input that could not be read.
struct LiveUnreadable {
  std::string_view input;  // LiveBatch::input
  uint64_t offset = 0;
  const UnreadableBytes* what = nullptr;
};

struct IntakeOptions {
  size_t index = 0;  // PendingRecord::source
  DecoderOptions decoder;
  EventTime since = kNoTime;  // Events before it are not observed.
  // A lane silent for so long, with nothing left to read, is idle.
  absl::Duration idle_after = absl::Seconds(2);
  // What one stream was divided into (partitions of a topic): when one lane
  // wakes, the others have to be silent for `idle_after` anew, since what was
  // held up for all of them comes lane by lane.
  bool lanes_wake_together = false;
  // A stamp further ahead of the clock than this is not believed.
  absl::Duration future_after = absl::Minutes(10);
  // Batches are merged into one record for at most so long.
  absl::Duration merge = absl::Milliseconds(50);
  std::function<absl::Time()> clock;
  // Called from Run's thread, before the batch's record is handed on.
  std::function<void(const LiveUnreadable&)> on_unreadable;
  std::function<void(const Gap&)> on_gap;
  // What a source tells beside its batches: looked for after each Read.
  std::function<std::vector<InputProblem>()> take_problems;
  std::function<void(const InputProblem&)> on_problem;
};

class Intake {
 public:
  // All outlive the intake.
  Intake(IntakeOptions options, LiveSource* source, PendingQueue* queue);
  ~Intake();

  // OK: the source has ended, or Stop was called. Else what became of it.
  absl::Status Run(std::span<const LaneResume> resume_from,
                   std::shared_ptr<const EngineConfig> config);
  void Stop();
  // Observes by it from the next batch on.
  void SetConfig(std::shared_ptr<const EngineConfig> config);
  // Lanes that run too far ahead in event time.
  void SetHeld(std::vector<std::string> lanes);
  // Run opens the source at once, and reads it from here on.
  void Begin();
  bool opened() const { return opened_.load(); }
  // It is being read, and its first lanes are known.
  bool begun() const { return begun_.load(); }
  // As of the last look.
  std::vector<LaneState> lanes() const;

 private:
  struct Lane {
    absl::Time active;  // Its last batch, or when it had caught up anew.
    absl::Time moved;   // When `newest` last moved.
    absl::Time failing_since = absl::InfiniteFuture();
    EventTime newest = kNoTime;
    // What was newest after each batch, by its token, as far back as a hold
    // may name it.
    std::deque<std::pair<std::string, EventTime>> stood;
    bool idle = false;
    bool hold = false;
    EventTime hold_at = kNoTime;  // As it was told.
    bool caught_up = false;
    bool ended = false;
  };
  // Of the batches merged so far, all of one lane.
  struct Merging;

  absl::Status Step();
  bool LookIfDue();
  void TakeProblems(const absl::Status& read);
  bool TakeBatch();
  void Observe(const EventView& event, Lane* lane);
  bool Flush();
  static void Remember(const std::string& token, Lane* lane);
  bool CheckLanes();
  bool TellHold(const LaneState& state, Lane* lane, absl::Time now);
  bool WakeLanes();
  bool EndLanes();
  bool Tell(JournalRecord record);
  void TakeConfig();
  Lane& LaneOf(const std::string& name);

  const IntakeOptions options_;
  LiveSource* const source_;
  PendingQueue* const queue_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> opened_{false};
  std::atomic<bool> begun_{false};

  // Of Run's thread.
  std::shared_ptr<const EngineConfig> config_;
  std::unique_ptr<Observer> observer_;
  BatchDecoder decoder_;
  LiveBatch batch_;
  absl::Time looked_ = absl::InfinitePast();  // At the lanes.
  std::string told_;  // Why there was nothing to read, as said last.
  std::unique_ptr<Merging> merging_;
  std::map<std::string, Lane> lanes_;

  mutable std::mutex mutex_;  // Guards all below.
  std::condition_variable may_begin_;
  bool may_ = false;  // Begin was called.
  std::shared_ptr<const EngineConfig> next_config_;
  std::vector<std::string> held_;
  std::vector<LaneState> seen_lanes_;
};

}  // namespace klaxon
