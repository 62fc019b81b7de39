// The judge of a stream and all that it stands on, as one deterministic state
// machine: lanes, watermark, reorder buffer, judge. It is fed with records of
// the journal and with nothing else; equal records in equal order give equal
// alerts, revisions included (design.md, law 1).
//
// Protocol. Fresh: Apply from the first record on. After a restart: Load every
// part of the snapshot; BeginRefeed; Refeed the records up to the snapshot's
// that are still kept; EndRefeed; Apply the records behind it.
//
// One thread. (Between BeginRefeed and EndRefeed another one, inside, loads the
// judge.)
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "detectors/alert.h"
#include "ingest/live_source.h"
#include "pipeline/engine_config.h"
#include "pipeline/journal_record.h"
#include "pipeline/judge.h"
#include "pipeline/lane_states.h"
#include "pipeline/reorder.h"
#include "pipeline/watermark.h"

namespace klaxon {

// What became of a lane's input since its beginning, over all restarts.
struct LaneTotals {
  BatchCounts counts;
  uint64_t gaps = 0;
  uint64_t gap_bytes = 0;  // Of those whose extent is known.
};

class LiveState {
 public:
  using Emit = std::function<void(const Alert&)>;
  // `emit` gets every revision of every alert, in order.
  explicit LiveState(Emit emit);
  ~LiveState();

  // `record` is number `seq` of the journal. Not OK: it was written by a
  // program that knows more than this one; nothing changed.
  // Acknowledgements are not for here (OutboxLedger).
  absl::Status Apply(uint64_t seq, JournalRecord&& record);

  // Null: no configuration was applied yet.
  const EngineConfig* config() const { return config_.get(); }

  // Memory budget and place of spill files are this run's affair, not the
  // journal's. Ignored before there is a configuration.
  void UseHere(const EngineConfig& config);

  // Where every lane stands, to open sources with.
  std::vector<LaneResume> Resume() const;
  bool HasLane(const std::string& lane) const { return watermark_.Has(lane); }
  std::vector<std::string> lanes() const;
  const std::map<std::string, LaneTotals>& totals() const { return totals_; }
  std::vector<std::string> TooFarAhead() const {
    return watermark_.TooFarAhead();
  }
  EventTime watermark() { return watermark_.value(); }
  EventTime newest() const { return watermark_.newest(); }
  uint64_t late() const { return late_before_ + reorder_->late(); }
  // Observations that wait for their time.
  uint64_t reorder_pending() const { return reorder_->pending(); }
  // Null: no configuration was applied yet.
  const Judge* judge() const { return judge_.get(); }
  const std::map<std::string, LaneStates::Lane, std::less<>>& lane_states()
      const {
    return lanes_.lanes();
  }
  // Detectors that a reload left without their state.
  uint64_t reconfigured() const { return reconfigured_; }
  uint64_t observations() const { return observations_; }
  // The end of input was the last thing that happened.
  bool ended() const { return ended_; }

  // The parts of a snapshot, in order.
  using PutPart =
      std::function<void(std::string_view name, std::string_view bytes)>;
  void Save(const PutPart& put) const;
  // Records from here on are needed beside a snapshot taken now.
  uint64_t KeepFrom(uint64_t next_seq) const;
  // DataLoss: not what Save gave.
  absl::Status Load(std::string_view name, std::string_view bytes);
  void BeginRefeed();  // Every part was loaded.
  void Refeed(uint64_t seq, JournalRecord&& record);
  // DataLoss: not what Save gave.
  absl::Status EndRefeed();

 private:
  absl::Status ApplyReload(const ReloadRecord& record);
  void ApplyBatch(uint64_t seq, BatchRecord&& record);
  void ApplyEnd();
  void AddLane(const std::string& lane);
  void RememberSpan(uint64_t seq, const Observations& observations);
  void Release();
  std::unique_ptr<Judge> MakeJudge(const EngineConfig& config);

  const Emit emit_;
  std::unique_ptr<EngineConfig> config_;
  std::unique_ptr<Judge> judge_;  // Of config_.
  std::unique_ptr<Reorder> reorder_;
  Watermark watermark_;
  LaneStates lanes_;
  int64_t wall_ns_ = 0;  // Of the newest record that says it.
  std::map<std::string, LaneTotals> totals_;
  // Of records that may still be needed: number, newest minute in it.
  std::deque<std::pair<uint64_t, EventTime>> spans_;
  uint64_t late_before_ = 0;  // Before the last restart.
  uint64_t reconfigured_ = 0;
  uint64_t observations_ = 0;
  bool ended_ = false;
  std::string judge_bytes_;          // Of a snapshot being loaded.
  std::future<bool> judge_loading_;  // Before what it uses is gone.
};

}  // namespace klaxon
