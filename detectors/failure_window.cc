#include "detectors/failure_window.h"

#include <algorithm>

namespace klaxon {

bool FailureWindow::Add(const Entry& added, Nanos span, size_t entries_max) {
  const Refusal& refusal = added.refusal;
  for (const Entry& entry : entries_) {
    if (entry.refusal.request == refusal.request) return false;
  }
  auto it = entries_.end();  // Almost always the newest.
  while (it != entries_.begin() && refusal.time < std::prev(it)->refusal.time) {
    --it;
  }
  entries_.insert(it, added);
  const EventTime newest = entries_.back().refusal.time;
  auto keep = std::find_if(
      entries_.begin(), entries_.end(),
      [&](const Entry& e) { return newest - e.refusal.time <= span; });
  entries_.erase(entries_.begin(), keep);
  if (entries_.size() > entries_max) entries_.erase(entries_.begin());
  return true;
}

void FailureWindow::RemoveSource(uint64_t source) {
  std::erase_if(entries_, [&](const Entry& e) { return e.source == source; });
}

size_t FailureWindow::DistinctPaths(size_t stop_at) const {
  std::vector<uint64_t> paths;
  for (const Entry& entry : entries_) {
    if (std::find(paths.begin(), paths.end(), entry.refusal.path) ==
        paths.end()) {
      paths.push_back(entry.refusal.path);
      if (paths.size() >= stop_at) break;
    }
  }
  return paths.size();
}

bool FailureWindow::Steady() const {
  std::vector<Nanos> gaps;
  for (size_t i = 1; i < entries_.size(); ++i) {
    if (entries_[i].after_dropped) continue;
    gaps.push_back(entries_[i].refusal.time - entries_[i - 1].refusal.time);
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
  out->Uint(entries_.size());
  for (const Entry& entry : entries_) {
    out->Int(entry.refusal.time);
    out->Fixed64(entry.refusal.request);
    out->Fixed64(entry.refusal.path);
    out->Fixed64(entry.refusal.agent);
    out->Fixed64(entry.source);
    out->Bool(entry.after_dropped);
  }
}

void FailureWindow::Load(WireReader* in) {
  entries_.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    Entry& entry = entries_.emplace_back();
    entry.refusal.time = in->Int();
    entry.refusal.request = in->Fixed64();
    entry.refusal.path = in->Fixed64();
    entry.refusal.agent = in->Fixed64();
    entry.source = in->Fixed64();
    entry.after_dropped = in->Bool();
  }
}

}  // namespace klaxon
