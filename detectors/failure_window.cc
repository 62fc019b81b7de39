#include "detectors/failure_window.h"

#include <algorithm>
#include <bitset>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "detectors/pace.h"

namespace klaxon {
namespace {

// Of what a window of the default options holds no copy is allocated.
template <typename T>
using Scratch = absl::InlinedVector<T, 128>;

}  // namespace

bool FailureWindow::Holds(uint64_t request) const {
  if (capacity_ > kUntagged) {
    const auto tag = static_cast<uint16_t>(request);
    const uint16_t* const tags = this->tags();
    uint16_t seen = 0;  // No bool, no early exit: one vector loop.
    for (uint32_t i = 0; i < capacity_; ++i) seen |= tags[i] == tag ? 1 : 0;
    if (seen == 0) return false;
  }
  for (uint32_t i = 0; i < size_; ++i) {
    if (rests()[Place(i)].request == request) return true;
  }
  return false;
}

FailureWindow::Entry FailureWindow::At(uint32_t place) const {
  const Rest& rest = rests()[place];
  return {{times()[place], rest.request, rest.path, rest.agent},
          rest.source,
          rest.after_dropped};
}

void FailureWindow::Put(uint32_t place, const Entry& entry) {
  const Refusal& refusal = entry.refusal;
  times()[place] = refusal.time;
  rests()[place] = {refusal.request, refusal.path, refusal.agent, entry.source,
                    entry.after_dropped};
  if (capacity_ > kUntagged) {
    tags()[place] = static_cast<uint16_t>(refusal.request);
  }
}

void FailureWindow::Grow() {
  FailureWindow grown;
  grown.capacity_ = 2 * capacity_;
  const size_t entry = sizeof(EventTime) + sizeof(uint16_t) + sizeof(Rest);
  grown.more_ = std::make_unique<std::byte[]>(grown.capacity_ * entry);
  grown.ring_ = grown.more_.get();
  for (uint32_t i = 0; i < size_; ++i) grown.Put(i, (*this)[i]);
  grown.size_ = size_;
  *this = std::move(grown);
}

void FailureWindow::Clear() {
  capacity_ = 1;
  head_ = size_ = 0;
  ring_ = one_.data();
  more_.reset();
}

FailureWindow& FailureWindow::operator=(FailureWindow&& other) noexcept {
  capacity_ = other.capacity_;
  head_ = other.head_;
  size_ = other.size_;
  one_ = other.one_;
  more_ = std::move(other.more_);
  ring_ = more_ != nullptr ? more_.get() : one_.data();
  other.Clear();
  return *this;
}

bool FailureWindow::Repeats(const KeptRefusals& refusals, size_t begin,
                            size_t end) const {
  // A bit for each tag that was seen: of few of the others is more looked at.
  constexpr size_t kMarks = 4096;
  std::bitset<kMarks> marks;
  if (capacity_ > kUntagged) {
    for (uint32_t i = 0; i < capacity_; ++i) marks.set(tags()[i] % kMarks);
  }
  for (size_t i = begin; i < end; ++i) {
    const uint64_t request = refusals[i].request;
    const bool marked = marks.test(request % kMarks);
    marks.set(request % kMarks);
    if ((marked || capacity_ <= kUntagged) && Holds(request)) return true;
    for (size_t k = begin; marked && k < i; ++k) {
      if (refusals[k].request == request) return true;
    }
  }
  return false;
}

bool FailureWindow::Add(const Entry& added, Nanos span, size_t entries_max) {
  if (Holds(added.refusal.request)) return false;
  AddNew(added, span, entries_max);
  return true;
}

void FailureWindow::AddNew(const Entry& added, Nanos span, size_t entries_max) {
  if (size_ == capacity_) Grow();
  const EventTime* const times = this->times();
  const uint32_t mask = capacity_ - 1;
  const EventTime time = added.refusal.time;
  uint32_t at = size_;  // Almost always the newest.
  while (at > 0 && time < times[(head_ + at - 1) & mask]) {
    Put(Place(at), (*this)[at - 1]);
    --at;
  }
  Put(Place(at), added);
  uint32_t first = head_;
  const EventTime newest = times[(head_ + size_) & mask];
  if (++size_ > entries_max) first = (first + 1) & mask;
  while (newest - times[first] > span) first = (first + 1) & mask;
  size_ -= (first - head_) & mask;
  head_ = first;
}

void FailureWindow::RemoveSource(uint64_t source) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < size_; ++i) {
    const Entry entry = (*this)[i];
    if (entry.source == source) continue;
    if (kept != i) Put(Place(kept), entry);
    ++kept;
  }
  size_ = kept;
}

bool FailureWindow::Whole(size_t entries_max) const {
  if (size_ >= entries_max) return false;  // Perhaps more.
  for (uint32_t i = 0; i + 1 < size_; ++i) {
    if ((*this)[i].after_dropped) return false;
  }
  return true;
}

size_t FailureWindow::DistinctPaths() const {
  Scratch<uint64_t> paths;
  for (uint32_t i = 0; i < size_; ++i) {
    paths.push_back((*this)[i].refusal.path);
  }
  std::sort(paths.begin(), paths.end());
  return static_cast<size_t>(std::unique(paths.begin(), paths.end()) -
                             paths.begin());
}

bool FailureWindow::HoldsPath(uint64_t path) const {
  for (uint32_t i = 0; i < size_; ++i) {
    if ((*this)[i].refusal.path == path) return true;
  }
  return false;
}

bool FailureWindow::Steady() const {
  Scratch<Nanos> gaps;
  for (uint32_t i = 1; i < size_; ++i) {
    const Entry entry = (*this)[i];
    if (entry.after_dropped) continue;
    gaps.push_back(entry.refusal.time - (*this)[i - 1].refusal.time);
  }
  return IsSteady({gaps.data(), gaps.size()});
}

void FailureWindow::Save(WireWriter* out) const {
  out->Uint(size_);
  for (uint32_t i = 0; i < size_; ++i) {
    const Entry entry = (*this)[i];
    out->Int(entry.refusal.time);
    out->Fixed64(entry.refusal.request);
    out->Fixed64(entry.refusal.path);
    out->Fixed64(entry.refusal.agent);
    out->Fixed64(entry.source);
    out->Bool(entry.after_dropped);
  }
}

void FailureWindow::Load(WireReader* in) {
  Clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    Entry entry;
    entry.refusal.time = in->Int();
    entry.refusal.request = in->Fixed64();
    entry.refusal.path = in->Fixed64();
    entry.refusal.agent = in->Fixed64();
    entry.source = in->Fixed64();
    entry.after_dropped = in->Bool();
    if (size_ == capacity_) Grow();
    Put(Place(size_++), entry);
  }
}

}  // namespace klaxon
