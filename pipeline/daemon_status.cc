// What the daemon says of itself (docs/METRICS.md).
#include <algorithm>
#include <chrono>
#include <utility>

#include "fmt/format.h"
#include "pipeline/daemon.h"
#include "pipeline/daemon_running.h"

namespace klaxon {
namespace {

using Clock = std::chrono::steady_clock;

// Asking the file system is not free.
constexpr std::chrono::seconds kUsageInterval(1);

absl::Duration Since(EventTime newest, absl::Time now) {
  return std::max(now - absl::FromUnixNanos(newest), absl::ZeroDuration());
}

}  // namespace

DaemonStatus Daemon::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

void Daemon::Publish() {
  published_ = Clock::now();
  DaemonStatus status;
  status.at = options_.clock();
  status.opened = std::all_of(
      running_.begin(), running_.end(),
      [](const auto& entry) { return entry.second->intake->begun(); });
  status.blocked = ledger_.Blocked();
  status.paused = paused_;
  FillInput(&status.metrics);
  FillJudging(&status.metrics);
  FillAlerts(&status.metrics);
  FillJournal(&status.metrics);
  status.metrics.reloads_ok = reloads_ok_;
  status.metrics.reloads_failed = reloads_failed_.load();
  std::lock_guard lock(mutex_);
  status_ = std::move(status);
}

void Daemon::FillInput(MetricsSnapshot* metrics) {
  std::map<std::string, LaneState> states;
  for (const auto& [id, running] : running_) {
    for (LaneState& lane : running->intake->lanes()) {
      input_.AddLane(running->config.label, lane.name);
      std::string name = lane.name;
      states.insert_or_assign(std::move(name), std::move(lane));
    }
  }
  std::map<std::string, uint64_t> in_flight;
  queue_.AddInput(&in_flight);
  if (writing_ != nullptr) AddInput(*writing_, &in_flight);
  metrics->lanes = input_.Lanes(in_flight);
  metrics->sources = input_.sources();
  metrics->observations = input_.observations();
  const absl::Time now = options_.clock();
  const auto& known = state_->lane_states();
  for (LaneMetrics& lane : metrics->lanes) {
    const auto before = known.find(lane.lane);
    if (before != known.end()) lane.newest_event = before->second.newest;
    const auto found = states.find(lane.lane);
    if (found == states.end()) continue;
    const LaneState& state = found->second;
    const bool kept_back =
        std::binary_search(held_.begin(), held_.end(), lane.lane);
    lane.lag_bytes = state.lag_bytes;
    lane.lag_records = state.lag_records;
    lane.held = state.hold || kept_back;
    const bool unread = lane.lag_bytes > 0 || lane.lag_records > 0;
    lane.behind = !state.caught_up || (kept_back && unread);
    if (lane.behind && lane.newest_event != kNoTime) {
      lane.lag_seconds = absl::ToDoubleSeconds(Since(lane.newest_event, now));
    }
  }
}

void Daemon::FillJudging(MetricsSnapshot* metrics) {
  metrics->watermark = state_->watermark();
  metrics->newest_event = state_->newest();
  metrics->reorder_pending = state_->reorder_pending();
  metrics->reconfigured = state_->reconfigured() - reconfigured_before_;
  if (state_->judge() == nullptr) return;  // Its configuration comes first.
  std::map<std::string, TableMetrics> tables;
  state_->judge()->ForEachTable([&tables](const Persistent& table) {
    TableMetrics& sum = tables[std::string(table.name())];
    sum.keys += table.keys();
    sum.keys_max += table.keys_max();
    sum.evicted += table.evicted();
  });
  for (auto& [name, table] : tables) {
    table.table = name;
    // A reload empties some: they begin anew.
    uint64_t& before = evicted_before_[name];
    if (table.evicted < before) before = 0;
    table.evicted -= before;
    metrics->tables.push_back(std::move(table));
  }
  metrics->open_episodes = state_->judge()->open_episodes();
}

void Daemon::FillAlerts(MetricsSnapshot* metrics) {
  const absl::Time now = options_.clock();
  alerts_.Look(ledger_, now);
  metrics->alerts = alerts_.alerts();
  metrics->sinks = alerts_.Sinks(ledger_, now);
  if (dispatcher_ == nullptr) return;
  for (const SinkHealth& health : dispatcher_->Health()) {
    SayProblem(health);
    for (SinkMetrics& sink : metrics->sinks) {
      if (sink.sink == health.sink) sink.retries = health.retries;
    }
  }
}

// Once for each problem, however often it is tried again.
void Daemon::SayProblem(const SinkHealth& health) {
  std::string& said = sink_problems_[health.sink];
  if (said == health.problem) return;
  said = health.problem;
  Say(!said.empty(), said.empty()
                         ? fmt::format("sink {}: it is well again", health.sink)
                         : fmt::format("sink {}: {}; tried again and again",
                                       health.sink, said));
}

void Daemon::FillJournal(MetricsSnapshot* metrics) {
  if (journal_ != nullptr && Clock::now() - usage_at_ >= kUsageInterval) {
    usage_at_ = Clock::now();
    const absl::StatusOr<Journal::Usage> usage = journal_->usage();
    if (usage.ok()) {
      journal_metrics_.size_bytes = usage->file_bytes - usage->free_bytes;
    }
  }
  if (snapshot_.taken() != journal_metrics_.snapshots) {
    journal_metrics_.snapshots = snapshot_.taken();
    journal_metrics_.snapshot_size_bytes = snapshot_.taken_bytes();
    journal_metrics_.snapshot_duration_seconds =
        absl::ToDoubleSeconds(absl::FromChrono(snapshot_.took()));
    journal_metrics_.snapshot_time = options_.clock();
  }
  metrics->journal = journal_metrics_;
}

}  // namespace klaxon
