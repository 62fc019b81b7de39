// The daemon: sources → journal → live state → outbox → sinks.
//
// One thread (Run's) writes the journal, feeds the state machine and keeps the
// outbox; each source and each sink has one of its own. Nothing is believed
// before it is durable: a record is written and synced first, then its source
// is told (Commit), then it is judged, then its alerts are offered to sinks;
// their acknowledgements go into the journal before anything is forgotten. So
// whatever the instant of a crash, the next run does what this one did, and
// goes on.
//
// Without a state directory all of this happens in memory alone.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ingest/live_source.h"
#include "pipeline/engine_config.h"
#include "pipeline/intake.h"
#include "pipeline/journal.h"
#include "pipeline/live_state.h"
#include "pipeline/metrics.h"
#include "pipeline/outbox.h"
#include "pipeline/outbox_dispatcher.h"
#include "pipeline/pending_queue.h"
#include "pipeline/snapshot_schedule.h"
#include "pipeline/snapshot_writer.h"
#include "pipeline/tally.h"
#include "sinks/sink.h"

namespace klaxon {

// A source at work.
struct MadeSource {
  std::shared_ptr<LiveSource> source;
  // See IntakeOptions; may be null.
  std::function<std::vector<InputProblem>()> take_problems;
};

// How to make one.
struct DaemonSource {
  std::string name;  // For messages.
  // For metrics: "file:/var/log/audit.log". Distinct.
  std::string label;
  // All that it is made of: one with an equal key is the same source, and a
  // reload lets it go on.
  std::string key;
  // Called on the daemon's thread; must neither fail nor wait.
  std::function<MadeSource()> make;
  DecoderOptions decoder;
  EventTime since = kNoTime;
  absl::Duration idle_after = absl::Seconds(2);
  bool lanes_wake_together = false;  // As in IntakeOptions.
};

struct DaemonSink {
  OutboxSinkOptions options;
  DeliveryOptions delivery;
  std::string key;  // As DaemonSource's.
  std::unique_ptr<Sink> sink;
};

// What a reload puts in place of what there is. Sources are identified by their
// keys, sinks by name and key.
struct DaemonReload {
  EngineConfig engine;
  std::vector<DaemonSource> sources;
  std::vector<DaemonSink> sinks;
  // Called once, on the daemon's thread. Not OK: nothing was taken over, and
  // what there was goes on.
  std::function<void(const absl::Status&)> done;
};

struct DaemonOptions {
  std::string state_dir;  // Empty: nothing is kept over a restart.
  uint64_t disk_bytes_max = uint64_t{4} << 30;
  // At least so long between two commits, unless much waits.
  absl::Duration commit_interval = absl::Milliseconds(50);
  // A snapshot is due after so long, so much journal, or so much judging.
  absl::Duration snapshot_interval = absl::Minutes(10);
  uint64_t snapshot_journal_bytes = 64 << 20;
  absl::Duration snapshot_replay = absl::Seconds(2);
  // How long sinks may take for what they were given when we end.
  absl::Duration drain_timeout = absl::Seconds(10);
  // Ends when every source has been read to its end and every sink has all.
  bool until_end = false;
  std::string version;
  std::function<absl::Time()> clock;  // Any thread.
  // For messages; from any thread. `error`: it needs somebody's attention.
  std::function<void(bool error, const std::string& message)> log;
  std::function<void(const LiveUnreadable&)> on_unreadable;
};

// One consistent moment.
struct DaemonStatus {
  // What the daemon itself knows: all but build, readiness, HTTP and process.
  // The sums of docs/METRICS.md hold in it.
  MetricsSnapshot metrics;
  absl::Time at;         // By the clock.
  bool opened = false;   // Every source was, and said what lanes it has.
  bool blocked = false;  // A required sink holds up the intake.
  bool paused = false;   // The journal has no room.
};

class Daemon {
 public:
  Daemon(DaemonOptions options, EngineConfig config);
  ~Daemon();

  // Before Run.
  void AddSource(DaemonSource source);
  void AddSink(DaemonSink sink);
  // Called when the state directory is there and ours, before anything else.
  void on_state_open(std::function<absl::Status()> hook) {
    on_state_open_ = std::move(hook);
  }

  // Until the end (until_end), Stop, or an error that only a restart cures.
  // Unavailable with until_end also where not all could be read or delivered:
  // all else was processed.
  absl::Status Run();

  // Any thread.
  void Stop();
  // Judges by the new configuration from its place in the journal on; detectors
  // whose configuration did not change keep what they know. Sources and sinks
  // that did not change go on; new and changed ones are opened where the state
  // says. One that cannot be opened undoes the reload. False: another is under
  // way, call again.
  bool Reload(DaemonReload reload);
  // One was refused before it came here; for the metrics.
  void CountRefusedReload() { ++reloads_failed_; }
  void ReopenSinks();
  DaemonStatus status() const;

 private:
  // A source and its thread.
  struct Running;
  // A reload under way (daemon_reload.cc).
  struct Reloading;

  absl::Status OpenState();
  absl::Status Replay();
  absl::Status ApplyStored(uint64_t seq, JournalRecord&& record);
  absl::Status ApplyToState(uint64_t seq, JournalRecord&& record);
  absl::Status Begin();
  ReloadRecord MakeReload() const;
  void StartSource(DaemonSource source, bool trial);
  IntakeOptions MakeIntake(size_t id, const Running& running);
  absl::Status Loop();
  absl::Status Step();
  std::vector<PendingRecord> Collect();
  void AddAcks(std::vector<PendingRecord>* records);
  absl::Status CheckLaneSources(const std::vector<PendingRecord>& records);
  absl::Status Write(std::vector<PendingRecord> records);
  absl::Status Append(const std::vector<std::string>& encoded);
  absl::Status AppendNow(JournalRecord record);
  absl::Status Apply(uint64_t seq, PendingRecord&& record);
  void HoldBack();
  void ForgetLanesOfOthers();
  absl::Status StepSnapshot();
  absl::Status Snapshot(bool now);
  absl::Status EndInput();
  absl::Status Finish();
  absl::Status WhatIsMissing() const;
  void Say(bool error, const std::string& message) const;
  bool AllSourcesEnded() const;

  // daemon_reload.cc
  void BeginReload();
  bool AnyLeaving() const;
  bool AllLeft() const;
  absl::Status GoOnReload();
  void StartOpening();
  absl::Status LookAtOpening();
  void GoBack(const absl::Status& why);
  absl::Status TakeOver();
  void RemoveSinks();
  void Leave(Running* running);
  void JoinLeft();
  void EndReload(const absl::Status& status);

  // daemon_status.cc
  void Publish();
  void FillInput(MetricsSnapshot* metrics);
  void FillJudging(MetricsSnapshot* metrics);
  void FillAlerts(MetricsSnapshot* metrics);
  void SayProblem(const SinkHealth& health);
  void FillJournal(MetricsSnapshot* metrics);

  DaemonOptions options_;
  std::shared_ptr<const EngineConfig> config_;
  std::vector<DaemonSource> sources_;  // Until Run starts them.
  std::vector<DaemonSink> sinks_;      // Their sinks are the dispatcher's.

  std::function<absl::Status()> on_state_open_;
  std::unique_ptr<Journal> journal_;  // Null: no state directory.
  uint64_t seq_ = 0;                  // Of the last record.
  std::string applied_;  // Configuration and sinks of the newest reload.
  OutboxLedger ledger_;
  std::unique_ptr<LiveState> state_;
  std::unique_ptr<OutboxDispatcher> dispatcher_;
  SnapshotWriter snapshot_;
  PendingQueue queue_;
  std::map<size_t, std::unique_ptr<Running>> running_;  // By PendingRecord's.
  size_t next_source_ = 0;
  std::map<std::string, size_t> lane_sources_;  // Of records that were written.
  std::unique_ptr<Reloading> reloading_;
  std::vector<std::string> held_;
  std::chrono::steady_clock::time_point committed_;
  SnapshotSchedule schedule_;
  bool strangers_idle_ = false;  // ForgetLanesOfOthers was done.
  bool paused_ = false;

  // For Publish.
  bool live_ = false;  // The journal was replayed.
  InputTally input_;
  AlertTally alerts_;
  const std::vector<PendingRecord>* writing_ = nullptr;  // By Write, or null.
  JournalMetrics journal_metrics_;
  absl::Duration last_commit_;  // Of this step.
  std::chrono::steady_clock::time_point usage_at_;
  std::chrono::steady_clock::time_point published_;
  std::map<std::string, std::string> sink_problems_;  // As said.
  std::map<std::string, uint64_t> evicted_before_;    // By table, at the start.
  uint64_t reconfigured_before_ = 0;
  uint64_t reloads_ok_ = 0;
  std::atomic<uint64_t> reloads_failed_{0};

  std::atomic<bool> stopping_{false};
  std::atomic<bool> incomplete_{false};  // Something could not be read.
  std::atomic<size_t> threads_running_{0};
  mutable std::mutex mutex_;  // Guards all below.
  std::unique_ptr<DaemonReload> next_reload_;
  bool reload_under_way_ = false;
  bool source_failed_ = false;
  DaemonStatus status_;
};

}  // namespace klaxon
