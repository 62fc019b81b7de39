#include "detectors/denied_watches.h"

#include <xxhash.h>

#include <algorithm>

namespace klaxon {
namespace {

// Of users that one client has at a time; more are those of a forger.
constexpr size_t kMinutesMax = 16;

uint64_t UserOf(const RefusalGroup& group) {
  return XXH3_64bits(group.user.data(), group.user.size());
}

bool Has(const std::vector<uint64_t>& list, uint64_t request) {
  return std::find(list.begin(), list.end(), request) != list.end();
}

void Put(const std::vector<uint64_t>& list, WireWriter* out) {
  out->Uint(list.size());
  for (const uint64_t request : list) out->Fixed64(request);
}

void Get(WireReader* in, std::vector<uint64_t>* list) {
  list->clear();
  for (uint64_t n = in->Count(); n > 0 && in->ok(); --n) {
    list->push_back(in->Fixed64());
  }
}

}  // namespace

DeniedWatches::Minute& DeniedWatches::MinuteFor(const RefusalGroup& group) {
  const uint64_t user = UserOf(group);
  for (Minute& minute : minutes_) {
    if (minute.minute == group.minute && minute.user == user) return minute;
  }
  // An end may come in the minute behind its begin.
  const auto since = [&](const Minute& minute) {
    return static_cast<uint64_t>(group.minute) -
           static_cast<uint64_t>(minute.minute);
  };
  std::erase_if(minutes_, [&](const Minute& minute) {
    return minute.minute < group.minute && since(minute) > kMinute;
  });
  if (minutes_.size() == kMinutesMax) minutes_.erase(minutes_.begin());
  Minute& minute = minutes_.emplace_back();
  minute.user = user;
  minute.minute = group.minute;
  return minute;
}

bool DeniedWatches::Knows(const RefusalGroup& group, uint64_t request) const {
  const uint64_t user = UserOf(group);
  return std::any_of(minutes_.begin(), minutes_.end(), [&](const Minute& m) {
    return m.user == user && (Has(m.begins, request) || Has(m.ends, request));
  });
}

void DeniedWatches::AddBegin(const RefusalGroup& group, uint64_t request) {
  std::vector<uint64_t>& begins = MinuteFor(group).begins;
  if (!Has(begins, request)) begins.push_back(request);
}

void DeniedWatches::AddDropped(const RefusalGroup& group) {
  if (group.dropped > 0) MinuteFor(group).dropped = group.dropped;
}

DeniedWatches::End DeniedWatches::AddEnd(const RefusalGroup& group,
                                         uint64_t request) {
  if (Knows(group, request)) return End::kCounted;
  Minute& minute = MinuteFor(group);
  if (minute.begins.size() >= group.keep) return End::kUnclear;
  minute.ends.push_back(request);
  return End::kNew;
}

DeniedWatches::Rest DeniedWatches::AddRest(const RefusalGroup& group) {
  Rest rest;
  const Minute& minute = MinuteFor(group);
  uint64_t matched = 0;
  for (uint32_t i = 0; i < group.kept.size(); ++i) {
    const uint64_t request = group.kept[i].request;
    if (Has(minute.begins, request)) ++matched;
    if (!Knows(group, request)) rest.ends.push_back(i);
  }
  // Begins whose end is not among those that are kept may have it among those
  // that are not; begins that were dropped may have it anywhere.
  const uint64_t told = minute.begins.size() - matched;
  const uint64_t between = group.dropped - std::min(group.dropped, told);
  if (minute.dropped == 0) {
    rest.weight = CappedSum(between, 1);
    return rest;
  }
  const uint64_t ends = CappedSum(rest.ends.size(), group.dropped);
  const uint64_t begins = CappedSum(minute.dropped, told);
  if (ends <= begins || rest.ends.empty()) return {};
  return {{rest.ends.back()}, ends - begins};
}

void DeniedWatches::Save(WireWriter* out) const {
  out->Uint(minutes_.size());
  for (const Minute& minute : minutes_) {
    out->Fixed64(minute.user);
    out->Int(minute.minute);
    out->Uint(minute.dropped);
    Put(minute.begins, out);
    Put(minute.ends, out);
  }
}

void DeniedWatches::Load(WireReader* in) {
  minutes_.clear();
  for (uint64_t n = in->Count(); n > 0 && in->ok(); --n) {
    Minute& minute = minutes_.emplace_back();
    minute.user = in->Fixed64();
    minute.minute = in->Int();
    minute.dropped = in->Uint();
    Get(in, &minute.begins);
    Get(in, &minute.ends);
  }
}

}  // namespace klaxon
