#include "pipeline/live_state.h"

#include <algorithm>

#include "fmt/format.h"
#include "pipeline/engine_config_wire.h"

namespace klaxon {
namespace {

constexpr uint64_t kVersion = 1;
constexpr size_t kPartBytes = 1 << 18;

// Names of a snapshot's parts. The judge's bytes come in many.
constexpr std::string_view kConfigPart = "config";
constexpr std::string_view kStreamPart = "stream";
constexpr std::string_view kJudgePart = "judge";

void PutCounts(const BatchCounts& counts, WireWriter* w) {
  for (uint64_t value :
       {counts.bytes, counts.lines, counts.events, counts.requests,
        counts.quarantined, counts.quarantined_bytes, counts.skipped,
        counts.odd, counts.future, counts.repeated_bytes}) {
    w->Uint(value);
  }
}

void GetCounts(WireReader* r, BatchCounts* counts) {
  for (uint64_t* value :
       {&counts->bytes, &counts->lines, &counts->events, &counts->requests,
        &counts->quarantined, &counts->quarantined_bytes, &counts->skipped,
        &counts->odd, &counts->future, &counts->repeated_bytes}) {
    *value = r->Uint();
  }
}

void AddCounts(const BatchCounts& from, BatchCounts* to) {
  to->bytes += from.bytes;
  to->lines += from.lines;
  to->events += from.events;
  to->requests += from.requests;
  to->quarantined += from.quarantined;
  to->quarantined_bytes += from.quarantined_bytes;
  to->skipped += from.skipped;
  to->odd += from.odd;
  to->future += from.future;
  to->repeated_bytes += from.repeated_bytes;
}

Nanos ReorderOf(const std::string& lane, const ReorderTimes& times) {
  if (lane.starts_with("kafka:")) return times.kafka;
  if (lane.starts_with("webhook:")) return times.webhook;
  return times.file;
}

// The newest minute that an observation is of.
EventTime NewestMinute(const Observations& observations) {
  EventTime newest = kNoTime;
  for (const Sighting& s : observations.sightings) {
    newest = std::max(newest, s.minute);
  }
  for (const RefusalGroup& g : observations.refusals) {
    newest = std::max(newest, g.minute);
  }
  for (const Deed& d : observations.deeds) {
    newest = std::max(newest, MinuteOf(d.time));
  }
  for (const Fact& f : observations.facts) newest = std::max(newest, f.minute);
  return newest;
}

}  // namespace

LiveState::LiveState(Emit emit)
    : emit_(std::move(emit)), reorder_(std::make_unique<Reorder>()) {}
LiveState::~LiveState() = default;

std::unique_ptr<Judge> LiveState::MakeJudge(const EngineConfig& config) {
  return std::make_unique<Judge>(
      config, Judge::Options{.revisions = true, .emit = emit_});
}

absl::Status LiveState::Apply(uint64_t seq, JournalRecord&& record) {
  if (const auto* reload = std::get_if<ReloadRecord>(&record)) {
    return ApplyReload(*reload);
  }
  if (const auto* started = std::get_if<RunStartedRecord>(&record)) {
    wall_ns_ = std::max(wall_ns_, started->wall_ns);
    return absl::OkStatus();
  }
  lanes_.Apply(record);
  if (config_ == nullptr) {
    return absl::DataLossError(
        "the journal does not begin with a configuration");
  }
  if (auto* batch = std::get_if<BatchRecord>(&record)) {
    ApplyBatch(seq, std::move(*batch));
  } else if (const auto* idle = std::get_if<LaneIdleRecord>(&record)) {
    AddLane(idle->lane);
    watermark_.SetIdle(idle->lane, idle->idle);
    Release();
  } else if (const auto* hold = std::get_if<LaneHoldRecord>(&record)) {
    AddLane(hold->lane);
    watermark_.SetHold(hold->lane, hold->hold, hold->at);
    Release();
  } else if (std::holds_alternative<EndOfInputRecord>(record)) {
    ApplyEnd();
  }
  return absl::OkStatus();
}

absl::Status LiveState::ApplyReload(const ReloadRecord& record) {
  auto config = std::make_unique<EngineConfig>();
  if (!Decode(record.configuration, config.get())) {
    return absl::FailedPreconditionError(
        "the journal holds a configuration that this version cannot read");
  }
  if (config_ != nullptr) {
    // Where memory and spill files are is this run's affair.
    config->reorder_memory_bytes = config_->reorder_memory_bytes;
    config->spill_dir = config_->spill_dir;
  }
  std::unique_ptr<Judge> judge = MakeJudge(*config);
  if (judge_ != nullptr) reconfigured_ += judge->Adopt(*judge_);
  judge_ = std::move(judge);
  config_ = std::move(config);
  for (const auto& [lane, state] : lanes_.lanes()) {
    watermark_.AddLane(lane, ReorderOf(lane, config_->reorder));
  }
  return absl::OkStatus();
}

void LiveState::UseHere(const EngineConfig& config) {
  if (config_ == nullptr) return;
  config_->reorder_memory_bytes = config.reorder_memory_bytes;
  config_->spill_dir = config.spill_dir;
}

void LiveState::AddLane(const std::string& lane) {
  if (watermark_.Has(lane)) return;
  totals_[lane];
  watermark_.AddLane(lane, ReorderOf(lane, config_->reorder));
}

void LiveState::ApplyBatch(uint64_t seq, BatchRecord&& record) {
  AddLane(record.lane);
  wall_ns_ = std::max(wall_ns_, record.ingested_ns);
  LaneTotals& totals = totals_[record.lane];
  AddCounts(record.counts, &totals.counts);
  for (const Gap& gap : record.gaps) {
    ++totals.gaps;
    if (gap.end != Gap::kUnknown) totals.gap_bytes += gap.end - gap.begin;
  }
  observations_ += record.observations.size();
  if (record.observations.size() > 0) ended_ = false;
  RememberSpan(seq, record.observations);
  reorder_->Add(std::move(record.observations));
  watermark_.See(record.lane, record.newest);
  Release();
}

void LiveState::Release() {
  reorder_->Release(watermark_.value(),
                    [this](const std::string& cluster, const Judged& judged) {
                      judge_->Feed(cluster, judged);
                    });
}

void LiveState::ApplyEnd() {
  EventTime newest = watermark_.newest();
  // Nothing but stamps of the future: they moved nothing, but are judged.
  if (newest == kNoTime) newest = reorder_->newest_held();
  if (ended_ || newest == kNoTime) return;
  ended_ = true;
  reorder_->Finish(newest,
                   [this](const std::string& cluster, const Judged& judged) {
                     judge_->Feed(cluster, judged);
                   });
  judge_->Finish(newest);
}

std::vector<std::string> LiveState::lanes() const {
  std::vector<std::string> names;
  for (const auto& [name, lane] : lanes_.lanes()) names.push_back(name);
  return names;
}

std::vector<LaneResume> LiveState::Resume() const {
  std::vector<LaneResume> resume = lanes_.ResumeFrom(wall_ns_);
  // A lane that was only announced stands nowhere yet.
  std::erase_if(resume, [](const LaneResume& lane) {
    return lane.resume.empty() && lane.digests.empty();
  });
  return resume;
}

// ---------------------------------------------------------------- snapshots

void LiveState::RememberSpan(uint64_t seq, const Observations& observations) {
  const EventTime newest = NewestMinute(observations);
  if (newest != kNoTime) spans_.emplace_back(seq, newest);
  // What lies wholly before the minute at hand was judged, totals and all.
  if (reorder_->watermark() == kNoTime) return;
  const EventTime minute = MinuteOf(reorder_->watermark());
  while (!spans_.empty() && spans_.front().second < minute) spans_.pop_front();
}

uint64_t LiveState::KeepFrom(uint64_t next_seq) const {
  const EventTime minute = reorder_->watermark() == kNoTime
                               ? kNoTime
                               : MinuteOf(reorder_->watermark());
  for (const auto& [seq, newest] : spans_) {
    if (newest >= minute) return seq;
  }
  return next_seq;
}

void LiveState::Save(const PutPart& put) const {
  std::string bytes;
  EncodeTo(*config_, &bytes);
  put(kConfigPart, bytes);
  bytes.clear();
  WireWriter w(&bytes);
  w.Uint(kVersion);
  watermark_.Save(&w);
  w.Int(reorder_->watermark());
  w.Uint(late());
  w.Uint(reconfigured_);
  w.Uint(observations_);
  w.Bool(ended_);
  w.Int(wall_ns_);
  w.Uint(totals_.size());
  for (const auto& [name, totals] : totals_) {
    w.Text(name);
    PutCounts(totals.counts, &w);
    w.Uint(totals.gaps);
    w.Uint(totals.gap_bytes);
  }
  put(kStreamPart, bytes);
  bytes.clear();
  lanes_.Save(&w);
  put(kLanesPart, bytes);
  const std::string judge = judge_->Save();
  for (size_t at = 0; at < judge.size(); at += kPartBytes) {
    put(kJudgePart, std::string_view(judge).substr(at, kPartBytes));
  }
}

absl::Status LiveState::Load(std::string_view name, std::string_view bytes) {
  absl::Status damaged = absl::DataLossError(
      fmt::format("the snapshot's part {} cannot be read", name));
  if (name == kConfigPart) {
    config_ = std::make_unique<EngineConfig>();
    if (!Decode(bytes, config_.get())) return damaged;
    judge_ = MakeJudge(*config_);
    return absl::OkStatus();
  }
  if (name == kJudgePart) {
    judge_bytes_ += bytes;
    return absl::OkStatus();
  }
  WireReader r(bytes);
  if (name == kLanesPart) {
    return lanes_.Load(&r) && r.done() ? absl::OkStatus() : damaged;
  }
  if (name != kStreamPart) return absl::OkStatus();  // Another's.
  if (r.Uint() != kVersion || !watermark_.Load(&r)) return damaged;
  reorder_ = std::make_unique<Reorder>();
  reorder_->StartAt(r.Int());
  late_before_ = r.Uint();
  reconfigured_ = r.Uint();
  observations_ = r.Uint();
  ended_ = r.Bool();
  wall_ns_ = r.Int();
  for (uint64_t n = r.Count(); n > 0; --n) {
    LaneTotals& totals = totals_[std::string(r.Text())];
    GetCounts(&r, &totals.counts);
    totals.gaps = r.Uint();
    totals.gap_bytes = r.Uint();
  }
  return r.done() ? absl::OkStatus() : damaged;
}

// Reorder buffer and judge know nothing of each other.
void LiveState::BeginRefeed() {
  if (judge_ == nullptr) return;
  judge_loading_ = std::async(std::launch::async,
                              [this] { return judge_->Load(judge_bytes_); });
}

void LiveState::Refeed(uint64_t seq, JournalRecord&& record) {
  auto* batch = std::get_if<BatchRecord>(&record);
  if (batch == nullptr) return;
  RememberSpan(seq, batch->observations);
  reorder_->AddJudged(std::move(batch->observations));
}

absl::Status LiveState::EndRefeed() {
  if (!judge_loading_.valid() || !judge_loading_.get()) {
    return absl::DataLossError("the snapshot's judge cannot be read");
  }
  judge_bytes_ = std::string();
  return absl::OkStatus();
}

}  // namespace klaxon
