#include "detectors/pace.h"

#include <algorithm>
#include <iterator>

#include "absl/container/inlined_vector.h"

namespace klaxon {

bool IsSteady(std::span<Nanos> gaps) {
  if (gaps.size() < 2) return true;
  const auto middle = gaps.begin() + static_cast<ptrdiff_t>(gaps.size() / 2);
  std::nth_element(gaps.begin(), middle, gaps.end());
  const Nanos largest = *std::max_element(middle, gaps.end());
  // Twice the median, so that the mean of the middle two stays a whole number.
  const Nanos median2 = gaps.size() % 2 == 1
                            ? 2 * *middle
                            : *std::max_element(gaps.begin(), middle) + *middle;
  return 2 * largest <= 10 * median2;
}

Pace::Pace(const FailureWindow& window) {
  for (size_t i = 0; i < window.size(); ++i) {
    failures_.push_back({window[i].refusal.time, window[i].after_dropped});
  }
}

void Pace::Add(EventTime time, bool after_dropped, Nanos span, size_t max) {
  auto at = failures_.end();
  while (at != failures_.begin() && time < std::prev(at)->time) --at;
  failures_.insert(at, {time, after_dropped});
  while (failures_.size() > max ||
         failures_.back().time - failures_.front().time > span) {
    failures_.pop_front();
  }
}

bool Pace::Steady() const {
  absl::InlinedVector<Nanos, 400> gaps;
  for (size_t i = 1; i < failures_.size(); ++i) {
    if (failures_[i].after_dropped) continue;
    gaps.push_back(failures_[i].time - failures_[i - 1].time);
  }
  return IsSteady({gaps.data(), gaps.size()});
}

void Pace::Save(WireWriter* out) const {
  out->Uint(failures_.size());
  for (const Failure& failure : failures_) {
    out->Int(failure.time);
    out->Bool(failure.after_dropped);
  }
}

void Pace::Load(WireReader* in) {
  failures_.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    const EventTime time = in->Int();
    failures_.push_back({time, in->Bool()});
  }
}

}  // namespace klaxon
