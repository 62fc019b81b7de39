#include "detectors/spray.h"

#include <algorithm>

namespace klaxon {
namespace {

// Beyond this many, neighbouring failures of the window share an entry
// (bounded memory; the count stays exact, its edge gets a little coarser).
constexpr size_t kEntriesMax = 16384;

}  // namespace

Spray::Spray(uint64_t keys_max, Nanos window)
    : window_(window),
      units_({.name = "unauthorized-burst/spray",
              .keys_max = keys_max,
              .expiry = window}) {}

void Spray::Forget(const Unit& unit) {
  if (unit.internal) --internal_;
  if (unit.single) --single_;
}

void Spray::Unit::AddAgent(uint64_t value, EventTime time) {
  if (agent_last == kNoTime || agent == value) {
    agent = value;
    agent_last = std::max(agent_last, time);
  } else if (time < agent_last) {  // Late.
    other_last = std::max(other_last, time);
  } else {
    other_last = agent_last;
    agent = value;
    agent_last = time;
  }
}

void Spray::ForgetAgents(EventTime now) {
  while (!mixed_.empty() && now - mixed_.front().other_last > window_) {
    std::pop_heap(mixed_.begin(), mixed_.end());
    Mixed& mixed = mixed_.back();
    Unit* unit = units_.Find(mixed.unit);
    if (unit == nullptr) {
      mixed_.pop_back();
    } else if (unit->other_last > mixed.other_last) {
      mixed.other_last = unit->other_last;
      std::push_heap(mixed_.begin(), mixed_.end());
    } else {
      mixed_.pop_back();
      unit->single = true;
      ++single_;
    }
  }
}

void Spray::CollectMixed() {
  mixed_.clear();
  units_.ForEach([this](std::string_view key, const Unit& unit) {
    if (unit.single) return;
    Mixed& mixed = mixed_.emplace_back(Mixed{unit.other_last, {}});
    units_.Find(key, &mixed.unit);
  });
  std::make_heap(mixed_.begin(), mixed_.end());
}

void Spray::NoteMixed(Unit& unit, EventTime now, TableHandle at) {
  if (!unit.single || unit.other_last == kNoTime ||
      now - unit.other_last > window_) {
    return;
  }
  // Those of clients that were given up are not looked for.
  if (mixed_.size() > 2 * units_.size()) CollectMixed();
  unit.single = false;
  --single_;
  mixed_.push_back({unit.other_last, at});
  std::push_heap(mixed_.begin(), mixed_.end());
}

void Spray::AddAgents(std::string_view unit, const SmallestHashes& agents,
                      EventTime time, TableHandle* at) {
  Unit* u = units_.Find(unit, at);
  if (u == nullptr) return;
  for (const uint64_t agent : agents) u->AddAgent(agent, time);
  NoteMixed(*u, time, *at);
}

Spray::Unit& Spray::Touch(std::string_view unit, EventTime time,
                          TableHandle* at) {
  const auto forget = [this](std::string_view, Unit& u) { Forget(u); };
  units_.ExpireUntil(time, forget);
  if (Unit* known = units_.Touch(*at, time)) return *known;
  const size_t before = units_.size();
  const uint64_t evicted = units_.evicted();
  Unit& u = units_.Touch(unit, time, forget, at);
  if (units_.size() != before || evicted != units_.evicted()) ++single_;
  return u;
}

size_t Spray::Add(std::string_view unit, bool internal, uint64_t agent,
                  EventTime time, uint64_t count, TableHandle* at) {
  if (!mixed_.empty() && time - mixed_.front().other_last > window_) {
    ForgetAgents(time);
  }
  TableHandle found;
  if (at == nullptr) at = &found;
  Unit& u = Touch(unit, time, at);
  if (u.internal != internal) {
    internal ? ++internal_ : --internal_;
    u.internal = internal;
  }
  u.AddAgent(agent, time);
  NoteMixed(u, time, *at);

  while (!failures_.empty() && time - failures_.front().first > window_) {
    failure_count_ -= failures_.front().second;
    failures_.pop_front();
  }
  if (failures_.size() < kEntriesMax) {
    failures_.emplace_back(time, count);
  } else {
    failures_.back().second += count;
  }
  failure_count_ += count;
  return units_.size();
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
  CollectMixed();
  return in->ok();
}

}  // namespace klaxon
