#include "detectors/failing_client.h"

#include <algorithm>

namespace klaxon {
namespace {

// Beyond this many, neighbouring failures of the spray window share an entry
// (bounded memory; the count stays exact, its edge gets a little coarser).
constexpr size_t kSprayEntriesMax = 16384;
constexpr size_t kMinuteEntriesMax = 4096;

}  // namespace

void FewDistinct::Add(uint64_t value) {
  if (values_.size() == kMax ||
      std::find(values_.begin(), values_.end(), value) != values_.end()) {
    return;
  }
  values_.push_back(value);
}

void FewDistinct::Save(WireWriter* out) const {
  out->Uint(values_.size());
  for (uint64_t value : values_) out->Fixed64(value);
}

void FewDistinct::Load(WireReader* in) {
  values_.clear();
  for (uint64_t n = in->Count(); n > 0; --n) values_.push_back(in->Fixed64());
}

void FailingMinutes::Add(EventTime time, uint64_t count, uint64_t source,
                         Nanos span) {
  const EventTime minute = MinuteOf(time);
  bool merged = false;
  for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
    if (MinuteOf(it->last) < minute) break;
    if (MinuteOf(it->last) != minute || it->source != source) continue;
    it->first = std::min(it->first, time);
    it->last = std::max(it->last, time);
    it->count += count;
    merged = true;
    break;
  }
  if (!merged) {
    auto at = std::upper_bound(
        entries_.begin(), entries_.end(), time,
        [](EventTime t, const Entry& e) { return t < e.first; });
    entries_.insert(at, {time, time, count, source});
  }
  std::erase_if(entries_, [&](const Entry& e) { return time - e.last > span; });
  // A minute that the window's edge cuts: of its failures only the first and
  // the last are known by time, so the first alone is surely outside.
  for (Entry& e : entries_) {
    if (time - e.first <= span || e.count < 2) continue;
    e.first = e.last;
    --e.count;
  }
  if (entries_.size() > kMinuteEntriesMax) entries_.erase(entries_.begin());
}

void FailingMinutes::RemoveSource(uint64_t source) {
  std::erase_if(entries_, [&](const Entry& e) { return e.source == source; });
}

size_t FailingMinutes::DistinctMinutes() const {
  size_t distinct = 0;
  EventTime previous = kNoTime;
  for (const Entry& entry : entries_) {
    const EventTime minute = MinuteOf(entry.last);
    if (minute != previous) ++distinct;
    previous = minute;
  }
  return distinct;
}

uint64_t FailingMinutes::Failures() const {
  uint64_t count = 0;
  for (const Entry& entry : entries_) count += entry.count;
  return count;
}

void FailingMinutes::Save(WireWriter* out) const {
  out->Uint(entries_.size());
  for (const Entry& entry : entries_) {
    out->Int(entry.first);
    out->Int(entry.last);
    out->Uint(entry.count);
    out->Fixed64(entry.source);
  }
}

void FailingMinutes::Load(WireReader* in) {
  entries_.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    Entry entry;
    entry.first = in->Int();
    entry.last = in->Int();
    entry.count = in->Uint();
    entry.source = in->Fixed64();
    entries_.push_back(entry);
  }
}

void FailingClient::Save(WireWriter* out) const {
  window.Save(out);
  minutes.Save(out);
  out->Int(fired);
  out->Int(last_failure);
  agents.Save(out);
  paths.Save(out);
  out->Int(slow_day);
}

void FailingClient::Load(WireReader* in) {
  window.Load(in);
  minutes.Load(in);
  fired = in->Int();
  last_failure = in->Int();
  agents.Load(in);
  paths.Load(in);
  slow_day = in->Int();
}

void RecentIdentities::Add(uint64_t user, EventTime time) {
  for (Entry& entry : entries_) {
    if (entry.user != user) continue;
    if (MinuteOf(time) > MinuteOf(entry.last)) {
      entry.before = entry.last;
      entry.since = entry.last = time;
    } else {
      entry.since = std::min(entry.since, time);
      entry.last = std::max(entry.last, time);
    }
    return;
  }
  if (entries_.size() == kMax) {
    entries_.erase(std::min_element(
        entries_.begin(), entries_.end(),
        [](const Entry& a, const Entry& b) { return a.last < b.last; }));
  }
  entries_.push_back({user, time, time, kNoTime});
}

size_t RecentIdentities::Within(EventTime time, Nanos span) const {
  return static_cast<size_t>(
      std::count_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
        if (e.since <= time && time - e.last <= span) return true;
        return e.before != kNoTime && e.before <= time &&
               time - e.before <= span;
      }));
}

void RecentIdentities::Save(WireWriter* out) const {
  out->Uint(entries_.size());
  for (const Entry& e : entries_) {
    out->Fixed64(e.user);
    out->Int(e.since);
    out->Int(e.last);
    out->Int(e.before);
  }
}

void RecentIdentities::Load(WireReader* in) {
  entries_.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    Entry e;
    e.user = in->Fixed64();
    e.since = in->Int();
    e.last = in->Int();
    e.before = in->Int();
    entries_.push_back(e);
  }
}

Spray::Spray(uint64_t keys_max, Nanos window)
    : window_(window),
      units_({.name = "unauthorized-burst/spray",
              .keys_max = keys_max,
              .expiry = window}) {}

void Spray::Forget(const Unit& unit) {
  if (unit.internal) --internal_;
  if (unit.single) --single_;
}

Spray::State Spray::Add(std::string_view unit, bool internal, uint64_t agent,
                        EventTime time, uint64_t count) {
  const auto forget = [this](std::string_view, Unit& u) { Forget(u); };
  units_.ExpireUntil(time, forget);
  const size_t before = units_.size();
  const uint64_t evicted = units_.evicted();
  Unit& u = units_.Touch(unit, time, forget);
  if (units_.size() == before && evicted == units_.evicted()) Forget(u);
  u.internal = internal;
  if (u.agent_last != kNoTime && u.agent != agent) u.other_last = u.agent_last;
  u.agent = agent;
  u.agent_last = time;
  u.single = u.other_last == kNoTime || time - u.other_last > window_;
  if (u.internal) ++internal_;
  if (u.single) ++single_;

  while (!failures_.empty() && time - failures_.front().first > window_) {
    failure_count_ -= failures_.front().second;
    failures_.pop_front();
  }
  if (failures_.size() < kSprayEntriesMax) {
    failures_.emplace_back(time, count);
  } else {
    failures_.back().second += count;
  }
  failure_count_ += count;
  return {units_.size(), internal_, single_, failure_count_,
          failures_.front().first};
}

void Spray::Unit::Save(WireWriter* out) const {
  out->Bool(internal);
  out->Bool(single);
  out->Fixed64(agent);
  out->Int(agent_last);
  out->Int(other_last);
}

void Spray::Unit::Load(WireReader* in) {
  internal = in->Bool();
  single = in->Bool();
  agent = in->Fixed64();
  agent_last = in->Int();
  other_last = in->Int();
}

void Spray::Save(WireWriter* out) const {
  units_.Save(out);
  out->Uint(internal_);
  out->Uint(single_);
  out->Uint(failures_.size());
  for (const auto& [time, count] : failures_) {
    out->Int(time);
    out->Uint(count);
  }
}

bool Spray::Load(WireReader* in) {
  if (!units_.Load(in)) return false;
  internal_ = in->Uint();
  single_ = in->Uint();
  failures_.clear();
  failure_count_ = 0;
  for (uint64_t n = in->Count(); n > 0; --n) {
    const EventTime time = in->Int();
    failures_.emplace_back(time, in->Uint());
    failure_count_ += failures_.back().second;
  }
  return in->ok();
}

}  // namespace klaxon
