#include "detectors/failing_client.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace klaxon {
namespace {

// Beyond this many the earliest is given up (bounded memory).
constexpr size_t kMinuteEntriesMax = 4096;
// The times of so many failures are kept at least.
constexpr size_t kPaceMin = 400;

template <typename List, typename Predicate>
void EraseIf(List* list, Predicate predicate) {
  list->erase(std::remove_if(list->begin(), list->end(), predicate),
              list->end());
}

}  // namespace

void FewDistinct::Add(uint64_t value) {
  if (size_ == kMax) return;
  for (size_t i = 0; i < size_; ++i) {
    if (values_[i] == value) return;
  }
  values_[size_++] = value;
}

void FewDistinct::Save(WireWriter* out) const {
  out->Uint(size_);
  for (size_t i = 0; i < size_; ++i) out->Fixed64(values_[i]);
}

void FewDistinct::Load(WireReader* in) {
  size_ = 0;
  for (uint64_t n = in->Count(); n > 0; --n) Add(in->Fixed64());
}

bool FailingMinutes::Merge(EventTime time, uint64_t count, uint64_t source) {
  const EventTime minute = MinuteOf(time);
  for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
    if (it->last < minute) return false;
    if (it->source != source || MinuteOf(it->last) != minute) continue;
    it->first = std::min(it->first, time);
    it->last = std::max(it->last, time);
    it->count += count;
    return true;
  }
  return false;
}

void FailingMinutes::Add(EventTime time, uint64_t count, uint64_t source,
                         Nanos span) {
  if (!Merge(time, count, source)) {
    auto at = std::upper_bound(
        entries_.begin(), entries_.end(), time,
        [](EventTime t, const Entry& e) { return t < e.first; });
    entries_.insert(at, {time, time, count, source});
    distinct_ = 0;
  }
  oldest_ = std::min(oldest_, time);
  if (oldest_ <= time && time - oldest_ > span) Forget(time, span);
  if (entries_.size() <= kMinuteEntriesMax) return;
  entries_.erase(entries_.begin());
  distinct_ = 0;
}

void FailingMinutes::Forget(EventTime now, Nanos span) {
  EraseIf(&entries_, [&](const Entry& e) { return now - e.last > span; });
  oldest_ = kMaxTime;
  for (Entry& e : entries_) {
    // A minute that the window's edge cuts: of its failures only the first and
    // the last are known by time, so the first alone is surely outside.
    if (now - e.first > span && e.count >= 2) {
      e.first = e.last;
      --e.count;
    }
    oldest_ = std::min(oldest_, e.first);
  }
  distinct_ = 0;
}

void FailingMinutes::RemoveSource(uint64_t source) {
  EraseIf(&entries_, [&](const Entry& e) { return e.source == source; });
  distinct_ = 0;
}

size_t FailingMinutes::DistinctMinutes() const {
  if (distinct_ != 0) return distinct_;
  EventTime previous = kNoTime;
  for (const Entry& entry : entries_) {
    const EventTime minute = MinuteOf(entry.last);
    if (minute != previous) ++distinct_;
    previous = minute;
  }
  return distinct_;
}

uint64_t FailingMinutes::Failures() const {
  uint64_t count = 0;
  for (const Entry& entry : entries_) count += entry.count;
  return count;
}

FailingMinutes::Sum FailingMinutes::Within(EventTime now, Nanos span) const {
  Sum sum;
  for (const Entry& e : entries_) {
    if (now - e.last > span) continue;
    const bool cut = now - e.first > span;
    sum.count += cut ? e.count - 1 : e.count;
    sum.first = std::min(sum.first, cut ? e.last : e.first);
  }
  return sum;
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
  oldest_ = kMaxTime;
  distinct_ = 0;
  for (uint64_t n = in->Count(); n > 0; --n) {
    Entry entry;
    entry.first = in->Int();
    entry.last = in->Int();
    entry.count = in->Uint();
    entry.source = in->Fixed64();
    entries_.push_back(entry);
    oldest_ = std::min(oldest_, entry.first);
  }
}

bool FailingClient::Burst::Steady(const FailureWindow& window,
                                  const FailureWindow::Entry& added,
                                  size_t kept, Nanos span) {
  if (window.size() < kept) {
    pace.reset();
    return window.Steady();
  }
  if (pace == nullptr) {
    pace = std::make_unique<Pace>(window);
  } else {
    // Of a minute the first `kept` and the last are told, and a window of a
    // minute has two.
    constexpr size_t kTold = 4;
    pace->Add(added.refusal.time, added.after_dropped, span,
              std::max(kPaceMin, kTold * kept));
  }
  return pace->Steady();
}

void FailingClient::Save(WireWriter* out) const {
  static const Burst kNone;
  static const Pace kNoPace;
  const Burst& open = burst != nullptr ? *burst : kNone;
  window.Save(out);
  minutes.Save(out);
  out->Int(open.fired);
  out->Int(last_failure);
  open.agents.Save(out);
  open.paths.Save(out);
  (open.pace != nullptr ? *open.pace : kNoPace).Save(out);
  out->Int(slow_day);
}

void FailingClient::Load(WireReader* in) {
  auto open = std::make_unique<Burst>();
  window.Load(in);
  minutes.Load(in);
  open->fired = in->Int();
  last_failure = in->Int();
  open->agents.Load(in);
  open->paths.Load(in);
  open->pace = std::make_unique<Pace>();
  open->pace->Load(in);
  if (open->pace->empty()) open->pace.reset();
  slow_day = in->Int();
  if (open->fired != kNoTime) burst = std::move(open);
}

void RecentIdentities::Add(uint64_t user, EventTime time, size_t most) {
  for (Entry& entry : entries_) {
    if (entry.user != user) continue;
    if (MinuteOf(time) > MinuteOf(entry.last)) {
      entry.before = entry.last;
      entry.since = entry.last = time;
    } else if (MinuteOf(time) < MinuteOf(entry.last)) {
      entry.before = std::max(entry.before, time);
    } else {
      entry.since = std::min(entry.since, time);
      entry.last = std::max(entry.last, time);
    }
    return;
  }
  entries_.push_back({user, time, time, kNoTime});
  if (entries_.size() <= 4 * most) return;
  EventTime newest = time;
  for (const Entry& entry : entries_) newest = std::max(newest, entry.last);
  Trim(MinuteOf(newest), most);
}

// Keeps the `most` that came latest before `minute`, those that came first in
// it, and those that came last in it. Whoever goes leaves `most` others that
// are counted whenever it would have been: before `minute` is over the first
// two of the three, afterwards the first and the last.
void RecentIdentities::Trim(EventTime minute, size_t most) {
  auto kept = entries_.begin();
  // Of those that are left the `most` with the greatest `rank`.
  const auto keep = [&](auto rank) {
    const auto left = static_cast<size_t>(entries_.end() - kept);
    const auto end = kept + static_cast<std::ptrdiff_t>(std::min(most, left));
    std::partial_sort(
        kept, end, entries_.end(), [&](const Entry& a, const Entry& b) {
          return std::pair(rank(a), a.user) > std::pair(rank(b), b.user);
        });
    kept = end;
  };
  keep([&](const Entry& e) { return e.last < minute ? e.last : e.before; });
  keep([&](const Entry& e) { return e.last < minute ? kNoTime : -e.since; });
  keep([&](const Entry& e) { return e.last; });
  entries_.erase(kept, entries_.end());
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

}  // namespace klaxon
