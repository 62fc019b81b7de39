#include "pipeline/daemon.h"

#include <algorithm>
#include <set>
#include <utility>

#include "event/random_bytes.h"
#include "fmt/format.h"
#include "pipeline/daemon_running.h"
#include "pipeline/engine_config_wire.h"
#include "pipeline/failpoint.h"

namespace klaxon {
namespace {

using Clock = std::chrono::steady_clock;

// Records that wait for the journal: beyond it sources wait.
constexpr size_t kQueueBytesMax = 32 << 20;
// So much is written without waiting for the commit interval to pass.
constexpr size_t kCommitBytes = 1 << 20;
constexpr std::chrono::milliseconds kTick(200);
constexpr std::chrono::milliseconds kSnapshotTick(10);
// What a scrape sees is at most so old, or a tick.
constexpr std::chrono::milliseconds kPublishInterval(100);
// A journal without room is tried again so often.
constexpr std::chrono::milliseconds kRetry(1000);
std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

std::string RandomInstance() {
  uint64_t random[2] = {};
  FillWithRandom(random, sizeof(random));
  return fmt::format("{:016x}{:016x}", random[0], random[1]);
}

}  // namespace

std::string AppliedBytes(const ReloadRecord& reload) {
  std::string bytes;
  WireWriter w(&bytes);
  w.Text(reload.configuration);
  for (const OutboxSinkOptions& sink : reload.sinks) Put(sink, &w);
  return bytes;
}

Daemon::Daemon(DaemonOptions options, EngineConfig config)
    : options_(std::move(options)),
      config_(std::make_shared<const EngineConfig>(std::move(config))),
      queue_(kQueueBytesMax),
      schedule_(
          {.interval = absl::ToChronoNanoseconds(options_.snapshot_interval),
           .journal_bytes = options_.snapshot_journal_bytes,
           .replay = absl::ToChronoNanoseconds(options_.snapshot_replay)},
          Clock::now()) {}

Daemon::~Daemon() {
  Stop();
  queue_.Close();
  for (const auto& [id, running] : running_) {
    if (running->thread.joinable()) running->thread.join();
  }
}

void Daemon::AddSource(DaemonSource source) {
  sources_.push_back(std::move(source));
}

void Daemon::AddSink(DaemonSink sink) { sinks_.push_back(std::move(sink)); }

void Daemon::Say(bool error, const std::string& message) const {
  if (options_.log) options_.log(error, message);
}

void Daemon::Stop() {
  stopping_.store(true);
  queue_.Wake();
}

void Daemon::ReopenSinks() {
  std::lock_guard lock(mutex_);
  if (dispatcher_ != nullptr) dispatcher_->Reopen();
}

// ------------------------------------------------------------------ starting

absl::Status Daemon::Run() {
  if (absl::Status s = OpenState(); !s.ok()) return s;
  if (absl::Status s = Begin(); !s.ok()) return s;
  for (DaemonSource& source : sources_) {
    StartSource(std::move(source), /*trial=*/false);
  }
  absl::Status status = Loop();
  for (const auto& [id, running] : running_) running->intake->Stop();
  if (!status.ok()) queue_.Close();
  if (status.ok()) status = Finish();
  queue_.Close();
  for (const auto& [id, running] : running_) running->thread.join();
  running_.clear();
  dispatcher_->Stop(absl::ZeroDuration());
  return status;
}

ReloadRecord Daemon::MakeReload() const {
  ReloadRecord reload;
  EncodeTo(*config_, &reload.configuration);
  for (const DetectorInfo* info : AllDetectors()) {
    reload.detectors.push_back(
        {std::string(info->name),
         DetectorHash(config_->base, config_->keys_max, info->name)});
  }
  std::sort(
      reload.detectors.begin(), reload.detectors.end(),
      [](const auto& a, const auto& b) { return a.detector < b.detector; });
  for (const DaemonSink& sink : sinks_) reload.sinks.push_back(sink.options);
  return reload;
}

// Says that a run began and by which configuration, and wakes the sinks.
absl::Status Daemon::Begin() {
  absl::Status status = AppendNow(RunStartedRecord{
      options_.version, RandomInstance(), absl::ToUnixNanos(options_.clock())});
  if (!status.ok()) return status;
  ReloadRecord reload = MakeReload();
  if (AppliedBytes(reload) != applied_) {
    status = AppendNow(std::move(reload));
    if (!status.ok()) return status;
  }
  state_->UseHere(*config_);
  dispatcher_ = std::make_unique<OutboxDispatcher>(DispatchClock::Steady(),
                                                   [this] { queue_.Wake(); });
  for (DaemonSink& sink : sinks_) {
    dispatcher_->Add(sink.options.name, std::move(sink.sink), sink.delivery);
  }
  RefillOutbox(ledger_, dispatcher_.get());
  live_ = true;
  alerts_.Begin(ledger_, options_.clock());
  reconfigured_before_ = state_->reconfigured();
  state_->judge()->ForEachTable([this](const Persistent& table) {
    evicted_before_[std::string(table.name())] += table.evicted();
  });
  return absl::OkStatus();
}

IntakeOptions Daemon::MakeIntake(size_t id, const Running& running) {
  IntakeOptions intake;
  intake.index = id;
  intake.decoder = running.config.decoder;
  intake.since = running.config.since;
  intake.idle_after = running.config.idle_after;
  intake.lanes_wake_together = running.config.lanes_wake_together;
  intake.clock = options_.clock;
  intake.on_unreadable = options_.on_unreadable;
  intake.on_gap = [this](const Gap& gap) {
    incomplete_.store(true);
    Say(true, fmt::format("{}: {}", gap.input, gap.message));
  };
  intake.take_problems = running.made.take_problems;
  intake.on_problem = [this](const InputProblem& p) {
    if (p.lost) incomplete_.store(true);
    Say(p.lost,
        p.path.empty() ? p.message : fmt::format("{}: {}", p.path, p.message));
  };
  return intake;
}

// `trial`: of a reload, which fails if it cannot be opened.
void Daemon::StartSource(DaemonSource source, bool trial) {
  const size_t id = next_source_++;
  Running& running = *(running_[id] = std::make_unique<Running>());
  running.config = std::move(source);
  running.trial = trial;
  running.made = running.config.make();
  running.intake = std::make_unique<Intake>(MakeIntake(id, running),
                                            running.made.source.get(), &queue_);
  running.intake->SetHeld(held_);
  if (!trial) running.intake->Begin();
  input_.AddSource(running.config.label);
  ++threads_running_;
  running.thread = std::thread(
      [this, &running, trial, resume = state_->Resume(), config = config_] {
        const absl::Status status = running.intake->Run(resume, config);
        if (!status.ok() && trial && !running.intake->opened()) {
          running.failure = status;
        } else if (!status.ok()) {
          Say(true, fmt::format("{}: {}", running.config.name, Text(status)));
          std::lock_guard lock(mutex_);
          source_failed_ = true;
        }
        running.done.store(true);
        --threads_running_;
        queue_.Wake();
      });
}

// --------------------------------------------------------------------- going

absl::Status Daemon::Loop() {
  Publish();
  while (!stopping_.load()) {
    if (absl::Status s = Step(); !s.ok()) return s;
    {
      std::lock_guard lock(mutex_);
      if (source_failed_) break;
    }
    if (!options_.until_end || !AllSourcesEnded()) continue;
    if (absl::Status s = EndInput(); !s.ok()) return s;
    if (ledger_.all_delivered()) break;
  }
  return absl::OkStatus();
}

bool Daemon::AllSourcesEnded() const {
  return std::all_of(running_.begin(), running_.end(),
                     [](const auto& entry) { return entry.second->ended; });
}

absl::Status Daemon::Step() {
  BeginReload();
  const bool all_left = AllLeft();
  std::vector<PendingRecord> records = Collect();
  AddAcks(&records);
  last_commit_ = absl::ZeroDuration();
  if (absl::Status s = Write(std::move(records)); !s.ok()) return s;
  if (reloading_ != nullptr && all_left) {
    if (absl::Status s = GoOnReload(); !s.ok()) return s;
  }
  if (!strangers_idle_) ForgetLanesOfOthers();
  HoldBack();
  RefillOutbox(ledger_, dispatcher_.get());
  HitFailpoint("outbox.offer.after");
  if (absl::Status s = StepSnapshot(); !s.ok()) return s;
  if (Clock::now() - published_ >= kPublishInterval) Publish();
  return absl::OkStatus();
}

// What is to be written next. A required sink without room stops the intake:
// what waits goes on waiting, and so do the sources behind it.
std::vector<PendingRecord> Daemon::Collect() {
  const auto tick = Clock::now() + kTick;
  // Sources that leave are not kept waiting: what they have is little, and the
  // reload may be what the sink needs.
  if (ledger_.Blocked() && !AnyLeaving()) {
    queue_.WaitForWake(tick);
    return {};
  }
  // A snapshot under way wants to be looked after.
  queue_.WaitForMore(1, snapshot_.busy() ? Clock::now() + kSnapshotTick : tick);
  // Once all was read there is nothing that could go with it.
  if (!options_.until_end || !AllSourcesEnded()) {
    queue_.WaitForMore(
        kCommitBytes,
        committed_ + absl::ToChronoMilliseconds(options_.commit_interval));
  }
  return queue_.Take();
}

bool Daemon::AnyLeaving() const {
  return std::any_of(running_.begin(), running_.end(),
                     [](const auto& entry) { return entry.second->leaving; });
}

void Daemon::AddAcks(std::vector<PendingRecord>* records) {
  std::vector<OutboxAck> acks = dispatcher_->TakeAcks();
  if (acks.empty()) return;
  HitFailpoint("acks.append.before");
  PendingRecord& record = records->emplace_back();
  record.record = AcknowledgementRecord{std::move(acks)};
  EncodeTo(record.record, &record.encoded);
}

// Two sources that lead to one log would each tell what is in it. What the
// configuration shows of that was refused; globs may meet later.
absl::Status Daemon::CheckLaneSources(
    const std::vector<PendingRecord>& records) {
  for (const PendingRecord& record : records) {
    const std::string* const lane = LaneOf(record.record);
    if (record.source_ended || lane == nullptr) continue;
    if (record.source == PendingRecord::kNoSource) continue;
    const auto [it, added] = lane_sources_.emplace(*lane, record.source);
    if (it->second == record.source) continue;
    const auto other = running_.find(it->second);
    if (other != running_.end() && !other->second->leaving) {
      return absl::FailedPreconditionError(fmt::format(
          "{} comes from two sources, {} and {}: name each log once", *lane,
          other->second->config.label,
          running_.at(record.source)->config.label));
    }
    it->second = record.source;
  }
  return absl::OkStatus();
}

absl::Status Daemon::Write(std::vector<PendingRecord> records) {
  if (absl::Status s = CheckLaneSources(records); !s.ok()) return s;
  std::vector<std::string> encoded;
  for (PendingRecord& record : records) {
    if (!record.source_ended) encoded.push_back(std::move(record.encoded));
  }
  HitFailpoint("journal.append.before");
  writing_ = &records;
  absl::Status appended = Append(encoded);
  writing_ = nullptr;
  if (!appended.ok()) return appended;
  if (!encoded.empty()) HitFailpoint("journal.append.after");
  for (PendingRecord& record : records) {
    if (record.source_ended) {
      running_.at(record.source)->ended = true;
      continue;
    }
    if (absl::Status s = Apply(++seq_, std::move(record)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// Waits while there is no room; nothing that was not written is believed.
absl::Status Daemon::Append(const std::vector<std::string>& encoded) {
  if (encoded.empty()) return absl::OkStatus();
  while (journal_ != nullptr) {
    const Clock::time_point begin = Clock::now();
    const absl::Status status = journal_->Append(encoded);
    last_commit_ = absl::FromChrono(Clock::now() - begin);
    journal_metrics_.commit_duration.Observe(last_commit_);
    if (!absl::IsResourceExhausted(status)) {
      if (!status.ok()) return status;
      if (paused_) Say(false, "the journal has room again; going on");
      paused_ = false;
      break;
    }
    if (!paused_) {
      Say(true, fmt::format("intake pauses: {}", Text(status)));
      paused_ = true;
    }
    if (stopping_.load()) return status;
    Publish();  // It waits, but does not hang.
    queue_.WaitForWake(Clock::now() + kRetry);
  }
  committed_ = Clock::now();
  ++journal_metrics_.commits;
  for (const std::string& record : encoded) {
    journal_metrics_.bytes += record.size();
  }
  return absl::OkStatus();
}

absl::Status Daemon::AppendNow(JournalRecord record) {
  std::string encoded;
  EncodeTo(record, &encoded);
  if (absl::Status s = Append({encoded}); !s.ok()) return s;
  return ApplyStored(++seq_, std::move(record));
}

absl::Status Daemon::Apply(uint64_t seq, PendingRecord&& record) {
  if (const auto* batch = std::get_if<BatchRecord>(&record.record)) {
    input_.Add(running_.at(record.source)->config.label, *batch,
               record.unreadable);
  }
  if (!record.lane.empty()) {
    const absl::Status committed =
        running_.at(record.source)
            ->made.source->Commit(record.lane, record.resume);
    if (!committed.ok()) {
      // It is durable here all the same; only others' knowledge of it is old.
      Say(true, fmt::format("{}: {}", record.lane, Text(committed)));
    }
  }
  HitFailpoint("source.commit.after");
  const uint64_t late = state_->late();
  absl::Status applied = ApplyStored(seq, std::move(record.record));
  input_.AddLate(record.lane, state_->late() - late);
  HitFailpoint("judge.apply.after");
  return applied;
}

// Lanes of an earlier run that no source has any more hold nobody back.
void Daemon::ForgetLanesOfOthers() {
  std::set<std::string> known;
  for (const auto& [id, running] : running_) {
    if (!running->intake->begun()) return;
    for (const LaneState& lane : running->intake->lanes()) {
      known.insert(lane.name);
    }
  }
  strangers_idle_ = true;
  std::vector<PendingRecord> records;
  const auto add = [&records](JournalRecord record) {
    EncodeTo(record, &records.emplace_back().encoded);
    records.back().record = std::move(record);
  };
  for (const auto& [name, lane] : state_->lane_states()) {
    if (known.contains(name)) continue;
    if (!lane.idle) add(LaneIdleRecord{name, true});
    if (lane.hold) {
      add(LaneHoldRecord{name, false, lane.newest,
                         absl::ToUnixNanos(options_.clock())});
    }
  }
  // A failure shows with the next record.
  if (!records.empty()) Write(std::move(records)).IgnoreError();
}

void Daemon::HoldBack() {
  std::vector<std::string> held = state_->TooFarAhead();
  if (held == held_) return;
  held_ = std::move(held);
  for (const auto& [id, running] : running_) running->intake->SetHeld(held_);
}

// -------------------------------------------------------------------- ending

absl::Status Daemon::EndInput() {
  if (state_->ended()) return absl::OkStatus();
  absl::Status status = AppendNow(EndOfInputRecord{});
  RefillOutbox(ledger_, dispatcher_.get());
  Publish();
  return status;
}

// Everything that was read is written and judged, sinks get what they can in
// time, and a snapshot makes the next start short.
absl::Status Daemon::Finish() {
  while (threads_running_.load() > 0 || queue_.bytes() > 0) {
    std::vector<PendingRecord> records;
    queue_.WaitForMore(1, Clock::now() + kTick);
    records = queue_.Take();
    AddAcks(&records);
    if (absl::Status s = Write(std::move(records)); !s.ok()) return s;
    if (ledger_.Blocked()) RefillOutbox(ledger_, dispatcher_.get());
  }
  RefillOutbox(ledger_, dispatcher_.get());
  dispatcher_->Stop(options_.drain_timeout);
  std::vector<PendingRecord> records;
  AddAcks(&records);
  if (absl::Status s = Write(std::move(records)); !s.ok()) return s;
  absl::Status status = Snapshot(/*now=*/true);
  Publish();
  if (state_->late() > 0) {
    Say(false, fmt::format("{} observations came late, when their event time "
                           "had passed; they were judged all the same. Raise "
                           "state.reorder, or find out what held them up",
                           state_->late()));
  }
  std::lock_guard lock(mutex_);
  if (status.ok() && source_failed_) {
    return absl::UnavailableError("a source failed");
  }
  return status.ok() && options_.until_end ? WhatIsMissing() : status;
}

// OK: all was read and delivered.
absl::Status Daemon::WhatIsMissing() const {
  if (incomplete_.load()) {
    return absl::UnavailableError(
        "not all of the input could be read; the rest was processed");
  }
  for (const SinkMetrics& sink : alerts_.Sinks(ledger_, options_.clock())) {
    if (sink.dead_lettered == 0 && sink.shed == 0) continue;
    return absl::UnavailableError(
        fmt::format("sink {}: {} alerts were refused for good, or had no room",
                    sink.sink, sink.dead_lettered + sink.shed));
  }
  return absl::OkStatus();
}

}  // namespace klaxon
