#include "detectors/failure_window.h"

#include <algorithm>

namespace klaxon {

bool FailureWindow::Add(const Entry& added, Nanos span, size_t entries_max) {
  const Refusal& refusal = added.refusal;
  bool known = false;  // No early exit: so that it is one vector loop.
  for (size_t i = head_; i < requests_.size(); ++i) {
    known |= requests_[i] == refusal.request;
  }
  if (known) return false;
  size_t at = entries_.size();  // Almost always the newest.
  while (at > head_ && refusal.time < entries_[at - 1].refusal.time) --at;
  entries_.insert(entries_.begin() + static_cast<ptrdiff_t>(at), added);
  requests_.insert(requests_.begin() + static_cast<ptrdiff_t>(at),
                   refusal.request);
  const EventTime newest = entries_.back().refusal.time;
  size_t drop = size() > entries_max ? 1 : 0;
  while (newest - entries_[head_ + drop].refusal.time > span) ++drop;
  DropFront(drop);
  return true;
}

void FailureWindow::DropFront(size_t count) {
  head_ += count;
  if (head_ < 64 && head_ * 2 <= entries_.size()) return;
  entries_.erase(entries_.begin(),
                 entries_.begin() + static_cast<ptrdiff_t>(head_));
  requests_.erase(requests_.begin(),
                  requests_.begin() + static_cast<ptrdiff_t>(head_));
  head_ = 0;
}

void FailureWindow::RemoveSource(uint64_t source) {
  entries_.erase(entries_.begin(),
                 entries_.begin() + static_cast<ptrdiff_t>(head_));
  head_ = 0;
  std::erase_if(entries_, [&](const Entry& e) { return e.source == source; });
  requests_.clear();
  for (const Entry& e : entries_) requests_.push_back(e.refusal.request);
}

size_t FailureWindow::DistinctPaths() const {
  std::vector<uint64_t> paths;
  for (const Entry& entry : entries()) paths.push_back(entry.refusal.path);
  std::sort(paths.begin(), paths.end());
  return static_cast<size_t>(std::unique(paths.begin(), paths.end()) -
                             paths.begin());
}

bool FailureWindow::Steady() const {
  std::vector<Nanos> gaps;
  const std::span<const Entry> held = entries();
  for (size_t i = 1; i < held.size(); ++i) {
    if (held[i].after_dropped) continue;
    gaps.push_back(held[i].refusal.time - held[i - 1].refusal.time);
  }
  if (gaps.size() < 2) return true;
  std::sort(gaps.begin(), gaps.end());
  const size_t half = gaps.size() / 2;
  // Twice the median, so that the mean of the middle two stays a whole number.
  const Nanos median2 =
      gaps.size() % 2 == 1 ? 2 * gaps[half] : gaps[half - 1] + gaps[half];
  return 2 * gaps.back() <= 10 * median2;
}

void FailureWindow::Save(WireWriter* out) const {
  out->Uint(size());
  for (const Entry& entry : entries()) {
    out->Int(entry.refusal.time);
    out->Fixed64(entry.refusal.request);
    out->Fixed64(entry.refusal.path);
    out->Fixed64(entry.refusal.agent);
    out->Fixed64(entry.source);
    out->Bool(entry.after_dropped);
  }
}

void FailureWindow::Load(WireReader* in) {
  head_ = 0;
  entries_.clear();
  requests_.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    Entry& entry = entries_.emplace_back();
    entry.refusal.time = in->Int();
    entry.refusal.request = in->Fixed64();
    entry.refusal.path = in->Fixed64();
    entry.refusal.agent = in->Fixed64();
    entry.source = in->Fixed64();
    entry.after_dropped = in->Bool();
    requests_.push_back(entry.refusal.request);
  }
}

}  // namespace klaxon
