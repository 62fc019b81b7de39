#include "pipeline/intake.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace klaxon {
namespace {

EventTime EventTimeOf(absl::Time time) { return absl::ToUnixNanos(time); }

// How long a source may keep us waiting before lanes are looked at again.
constexpr absl::Duration kLookInterval = absl::Milliseconds(200);
// See LaneState::failing.
constexpr absl::Duration kFailingMax = absl::Minutes(1);
// What is read without delay and moves event time by nothing for so long (a
// clock that is ahead, so that every stamp is of the future; lists without an
// event) holds up the others no longer, however much of it there is.
constexpr absl::Duration kStillMax = absl::Minutes(1);
// Of Lane::stood; beyond it every second one goes, and a hold that names such a
// one stands a little earlier.
constexpr size_t kStoodMax = 1024;

// Tokens that a hold names are numbers, in decimal.
bool IsLaterToken(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() > b.size() : a > b;
}

}  // namespace

struct Intake::Merging {
  BatchRecord record;
  absl::Time since;
  std::string cluster;
  std::map<std::string, uint64_t> unreadable;  // By reason.
  bool any = false;
};

Intake::Intake(IntakeOptions options, LiveSource* source, PendingQueue* queue)
    : options_(std::move(options)),
      source_(source),
      queue_(queue),
      decoder_(options_.decoder),
      merging_(std::make_unique<Merging>()) {}
Intake::~Intake() = default;

void Intake::Stop() {
  {
    std::lock_guard lock(mutex_);  // Or the wait in Run would miss it.
    stopped_.store(true);
  }
  may_begin_.notify_all();
  source_->Interrupt();
}

void Intake::Begin() {
  {
    std::lock_guard lock(mutex_);
    may_ = true;
  }
  may_begin_.notify_all();
}

void Intake::SetConfig(std::shared_ptr<const EngineConfig> config) {
  std::lock_guard lock(mutex_);
  next_config_ = std::move(config);
}

void Intake::SetHeld(std::vector<std::string> lanes) {
  std::lock_guard lock(mutex_);
  held_ = std::move(lanes);
}

std::vector<LaneState> Intake::lanes() const {
  std::lock_guard lock(mutex_);
  return seen_lanes_;
}

absl::Status Intake::Run(std::span<const LaneResume> resume_from,
                         std::shared_ptr<const EngineConfig> config) {
  config_ = std::move(config);
  observer_ = std::make_unique<Observer>(*config_);
  if (absl::Status s = source_->Open(resume_from); !s.ok()) return s;
  opened_.store(true);
  {
    std::unique_lock lock(mutex_);
    may_begin_.wait(lock, [&] { return may_ || stopped_.load(); });
  }
  if (stopped_.load()) return absl::OkStatus();
  absl::Status status =
      CheckLanes() ? absl::OkStatus() : absl::CancelledError("stopped");
  begun_.store(true);
  while (status.ok() && !stopped_.load(std::memory_order_relaxed)) {
    status = Step();
  }
  if (stopped_.load(std::memory_order_relaxed)) {
    Flush();
    return absl::OkStatus();
  }
  if (!absl::IsOutOfRange(status)) {
    Flush();
    return absl::IsCancelled(status) ? absl::OkStatus() : status;
  }
  if (Flush() && CheckLanes() && EndLanes()) {
    PendingRecord last;
    last.source = options_.index;
    last.source_ended = true;
    queue_->Push(std::move(last));
  }
  return absl::OkStatus();
}

// One look at the source. Cancelled: nobody wants any more.
absl::Status Intake::Step() {
  TakeConfig();
  std::vector<std::string> held;
  {
    std::lock_guard lock(mutex_);
    held = held_;
  }
  absl::Status status = source_->Read(
      merging_->any ? absl::ZeroDuration() : kLookInterval, held, batch_);
  TakeProblems(status);
  if (absl::IsUnavailable(status)) {
    return Flush() && CheckLanes() ? absl::OkStatus()
                                   : absl::CancelledError("closed");
  }
  if (!status.ok()) return status;
  return TakeBatch() && LookIfDue() ? absl::OkStatus()
                                    : absl::CancelledError("closed");
}

// Lanes are looked at also while there is always something to read.
bool Intake::LookIfDue() {
  if (options_.clock() - looked_ < kLookInterval) return true;
  return Flush() && CheckLanes();
}

// A source says once, with Unavailable, why there is nothing to be had; and at
// its end what it could not read.
void Intake::TakeProblems(const absl::Status& read) {
  if (!options_.on_problem) return;
  if (absl::IsOutOfRange(read) && !read.message().empty()) {
    options_.on_problem({"", 0, std::string(read.message()), /*lost=*/true});
  }
  if (options_.take_problems) {
    for (const InputProblem& problem : options_.take_problems()) {
      options_.on_problem(problem);
    }
  } else if (absl::IsUnavailable(read) && !read.message().empty() &&
             read.message() != told_) {
    told_ = std::string(read.message());
    options_.on_problem({"", 0, told_, /*lost=*/false});
  }
}

void Intake::TakeConfig() {
  std::shared_ptr<const EngineConfig> next;
  {
    std::lock_guard lock(mutex_);
    next = std::exchange(next_config_, nullptr);
  }
  if (next == nullptr) return;
  Flush();
  observer_ = std::make_unique<Observer>(*next);
  config_ = std::move(next);
}

Intake::Lane& Intake::LaneOf(const std::string& name) {
  auto [it, inserted] = lanes_.try_emplace(name);
  if (inserted) it->second.active = it->second.moved = options_.clock();
  return it->second;
}

bool Intake::TakeBatch() {
  // Lanes that came with this one must be known first: event time would run
  // past what they have to say.
  if (!lanes_.contains(batch_.lane) && !(Flush() && CheckLanes())) return false;
  if (LaneOf(batch_.lane).idle && !(Flush() && WakeLanes())) return false;
  BatchRecord& record = merging_->record;
  if (merging_->any && record.lane != batch_.lane && !Flush()) return false;
  const absl::Time now = options_.clock();
  if (!merging_->any) {
    merging_->any = true;
    merging_->since = now;
    record = BatchRecord();
    record.lane = batch_.lane;
    record.newest = kNoTime;
  }
  merging_->cluster = batch_.cluster;
  Lane& lane = LaneOf(batch_.lane);
  lane.active = now;
  lane.idle = false;
  const EventTime newest_before = lane.newest;
  for (Gap& gap : batch_.gaps) {
    if (options_.on_gap) options_.on_gap(gap);
    record.gaps.push_back(std::move(gap));
  }
  batch_.gaps.clear();
  record.resume = batch_.resume;
  record.digest = batch_.digest;
  record.ingested_ns = EventTimeOf(now);
  const uint64_t odd_before = decoder_.counters().odd_events;
  const BatchOutcome outcome =
      decoder_.Decode(batch_.batch, [&](const EventView& event) {
        ++record.counts.events;
        Observe(event, &lane);
      });
  record.counts.odd += decoder_.counters().odd_events - odd_before;
  record.counts.bytes += batch_.batch.input_bytes;
  record.counts.lines += outcome.lines;
  record.counts.skipped += outcome.skipped;
  for (const UnreadableBytes& unreadable : outcome.unreadable) {
    ++record.counts.quarantined;
    ++merging_
          ->unreadable[std::string(QuarantineReasonName(unreadable.reason))];
    record.counts.quarantined_bytes += unreadable.bytes.size();
    if (!options_.on_unreadable) continue;
    options_.on_unreadable({batch_.input,
                            batch_.batch.begin.offset + unreadable.offset,
                            &unreadable});
  }
  record.newest = lane.newest;
  if (lane.newest > newest_before) lane.moved = now;
  Remember(batch_.resume, &lane);
  const bool whole = observer_->full() || !record.digest.empty() ||
                     now - merging_->since >= options_.merge;
  return !whole || Flush();
}

void Intake::Remember(const std::string& token, Lane* lane) {
  auto& stood = lane->stood;
  stood.emplace_back(token, lane->newest);
  if (stood.size() <= kStoodMax) return;
  size_t kept = 0;
  for (size_t at = 0; at < stood.size(); at += 2) {
    stood[kept++] = std::move(stood[at]);
  }
  stood.resize(kept);
}

void Intake::Observe(const EventView& event, Lane* lane) {
  const EventTime now = merging_->record.ingested_ns;
  const EventTime time = event.time();
  if (time < options_.since) return;
  if (time <= now + absl::ToInt64Nanoseconds(options_.future_after)) {
    lane->newest = std::max(lane->newest, time);
    observer_->Observe(event, merging_->cluster);
    return;
  }
  // Judged at the newest time that was believable, and moves nothing.
  ++merging_->record.counts.future;
  EventView believable = event;
  believable.stage_time = lane->newest == kNoTime ? now : lane->newest;
  observer_->Observe(believable, merging_->cluster);
}

bool Intake::Flush() {
  if (!merging_->any) return true;
  merging_->any = false;
  BatchRecord& record = merging_->record;
  record.observations = observer_->Take();
  observer_->TakeLongRunning();
  for (const Fact& fact : record.observations.facts) {
    record.counts.requests += fact.requests;
  }
  return Tell(std::move(record));
}

bool Intake::Tell(JournalRecord record) {
  PendingRecord pending;
  pending.unreadable = std::exchange(merging_->unreadable, {});
  pending.source = options_.index;
  if (const auto* batch = std::get_if<BatchRecord>(&record)) {
    pending.lane = batch->lane;
    pending.resume = batch->resume;
  }
  EncodeTo(record, &pending.encoded);
  pending.record = std::move(record);
  return queue_->Push(std::move(pending));
}

bool Intake::CheckLanes() {
  std::vector<LaneState> states = source_->Lanes();
  const absl::Time now = options_.clock();
  looked_ = now;
  for (const LaneState& state : states) {
    const bool known = lanes_.contains(state.name);
    Lane& lane = LaneOf(state.name);
    // A lane of an earlier run may be remembered as idle, but what it got
    // since then was not read yet.
    if (!known && !Tell(LaneIdleRecord{state.name, false})) return false;
    if (!TellHold(state, &lane, now)) return false;
    lane.ended = state.ended;
    // Silence counts from then: after an outage much may be under way.
    if (state.caught_up && !lane.caught_up) lane.active = now;
    lane.caught_up = state.caught_up;
    lane.failing_since = state.failing ? std::min(lane.failing_since, now)
                                       : absl::InfiniteFuture();
    const bool idle = state.ended || now - lane.failing_since >= kFailingMax ||
                      (state.caught_up &&
                       (lane.idle || now - lane.active >= options_.idle_after ||
                        now - lane.moved >= kStillMax));
    if (idle == lane.idle) continue;
    if (!idle && !WakeLanes()) return false;
    if (std::exchange(lane.idle, idle) == idle) continue;  // Woken, then.
    if (!Tell(LaneIdleRecord{state.name, idle})) return false;
  }
  std::lock_guard lock(mutex_);
  seen_lanes_ = std::move(states);
  return true;
}

// Event time stands where the lane stood after the batch that the hold names;
// what was read since then moves nothing.
bool Intake::TellHold(const LaneState& state, Lane* lane, absl::Time now) {
  auto& stood = lane->stood;
  auto from = stood.end();
  if (state.hold) {
    while (from != stood.begin() &&
           IsLaterToken(std::prev(from)->first, state.hold_after)) {
      --from;
    }
  }
  EventTime at = lane->newest;
  if (state.hold) {
    at = from == stood.begin() ? kNoTime : std::prev(from)->second;
  }
  // No later hold names an earlier batch: the source knows what it was given.
  if (from != stood.begin()) stood.erase(stood.begin(), std::prev(from));
  if (state.hold == lane->hold && (!state.hold || at == lane->hold_at)) {
    return true;
  }
  lane->hold = state.hold;
  lane->hold_at = at;
  return Tell(LaneHoldRecord{state.name, state.hold, at, EventTimeOf(now)});
}

// A lane that was silent is not: neither may its siblings be.
bool Intake::WakeLanes() {
  if (!options_.lanes_wake_together) return true;
  const absl::Time now = options_.clock();
  for (auto& [name, lane] : lanes_) {
    if (!lane.idle || lane.ended) continue;
    lane.idle = false;
    lane.active = now;
    if (!Tell(LaneIdleRecord{name, false})) return false;
  }
  return true;
}

// What has ended holds nobody back.
bool Intake::EndLanes() {
  for (auto& [name, lane] : lanes_) {
    if (std::exchange(lane.idle, true)) continue;
    if (!Tell(LaneIdleRecord{name, true})) return false;
  }
  return true;
}

}  // namespace klaxon
