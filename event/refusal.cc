#include "event/refusal.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace klaxon {
namespace {

// Whether no two are one request; false where that takes long to tell, as of
// requests that somebody made to meet.
bool SurelyDistinct(const std::vector<Refusal>& list) {
  constexpr size_t kProbesMax = 32;
  const auto bits = static_cast<int>(std::bit_width(list.size())) + 1;
  std::vector<uint64_t> table(size_t{1} << bits);  // 0: free.
  const size_t mask = table.size() - 1;
  for (const Refusal& refusal : list) {
    if (refusal.request == 0) return false;
    size_t at = refusal.request * 0x9e3779b97f4a7c15 >> (64 - bits);
    for (size_t probes = 0; table[at] != 0; at = (at + 1) & mask) {
      if (table[at] == refusal.request || ++probes > kProbesMax) return false;
    }
    table[at] = refusal.request;
  }
  return true;
}

// Of a sorted list.
template <typename List>
auto LowerBound(List& list, uint64_t request) {
  return std::lower_bound(list.begin(), list.end(),
                          std::pair(request, uint64_t{0}));
}

}  // namespace

void SmallestHashes::Add(uint64_t value) {
  if (size_ == kMax && value >= values_[kMax - 1]) return;
  size_t at = 0;
  while (at < size_ && values_[at] < value) ++at;
  if (at < size_ && values_[at] == value) return;
  if (size_ < kMax) ++size_;
  for (size_t i = size_ - 1; i > at; --i) values_[i] = values_[i - 1];
  values_[at] = value;
}

void SmallestHashes::Merge(const SmallestHashes& other) {
  for (uint64_t value : other) Add(value);
}

uint64_t RequestTimes::Of(uint64_t request) const {
  const auto it = LowerBound(entries_, request);
  return it != entries_.end() && it->first == request ? it->second : 1;
}

void RequestTimes::AddOne(uint64_t request) {
  const auto it = LowerBound(entries_, request);
  if (it != entries_.end() && it->first == request) {
    it->second = CappedSum(it->second, 1);
  } else {
    entries_.insert(it, {request, 2});
  }
}

uint64_t RequestTimes::Remove(uint64_t request) {
  const auto it = LowerBound(entries_, request);
  if (it == entries_.end() || it->first != request) return 1;
  const uint64_t times = it->second;
  entries_.erase(it);
  return times;
}

void RequestTimes::Merge(const RequestTimes& other,
                         const std::vector<uint64_t>& both) {
  if (both.empty() && other.empty()) return;
  // Of each side what it has, and a 1 for each of `both` that it has not: then
  // equal ones are neighbours, and add up.
  std::vector<Entry> all = entries_;
  all.insert(all.end(), other.begin(), other.end());
  for (const uint64_t request : both) {
    for (const RequestTimes* side : {&std::as_const(*this), &other}) {
      if (side->Of(request) == 1) all.emplace_back(request, 1);
    }
  }
  std::sort(all.begin(), all.end());
  entries_.clear();
  for (const auto& [request, times] : all) {
    if (!entries_.empty() && entries_.back().first == request) {
      entries_.back().second = CappedSum(entries_.back().second, times);
    } else {
      entries_.emplace_back(request, times);
    }
  }
}

bool RequestTimes::Assign(std::vector<Entry> entries) {
  entries_ = std::move(entries);
  const auto bad = [](const Entry& entry) { return entry.second < 2; };
  const auto follows = [](const Entry& a, const Entry& b) {
    return a.first >= b.first;
  };
  return std::none_of(entries_.begin(), entries_.end(), bad) &&
         std::adjacent_find(entries_.begin(), entries_.end(), follows) ==
             entries_.end();
}

size_t KeptRefusals::PlaceOf(size_t index) const {
  if (index < first_) return index;
  const size_t ring = list_.size() - first_;
  const size_t place = index - first_ + turned_;
  return first_ + (place < ring ? place : place - ring);
}

void KeptRefusals::PrefetchFor(uint64_t request) const {
  __builtin_prefetch(list_.data() + list_.size());
  if (!many_.empty()) __builtin_prefetch(&many_[WordOf(request)]);
}

const Refusal* KeptRefusals::Find(uint64_t request) {
  if (few_ == kUnmarked) MarkAll();
  if (many_.empty()) {
    if ((few_ & FewMarkOf(request)) == 0) return nullptr;
  } else {
    const uint64_t marks = ManyMarksOf(request);
    if ((many_[WordOf(request)] & marks) != marks) return nullptr;
  }
  const auto it =
      std::find_if(list_.begin(), list_.end(),
                   [&](const Refusal& r) { return r.request == request; });
  return it != list_.end() ? &*it : nullptr;
}

void KeptRefusals::clear() {
  list_.clear();
  many_.clear();
  few_ = 0;
  first_ = turned_ = 0;
}

void KeptRefusals::push_back(const Refusal& refusal) {
  Straighten();
  Append(refusal);
}

void KeptRefusals::Append(const Refusal& refusal) {
  if (list_.capacity() == 0) list_.reserve(4);
  list_.push_back(refusal);
  Mark(refusal.request);
}

void KeptRefusals::Insert(const Refusal& refusal) {
  Straighten();
  list_.insert(std::upper_bound(list_.begin(), list_.end(), refusal), refusal);
  Mark(refusal.request);
}

Refusal KeptRefusals::Replace(const Refusal& refusal, uint32_t keep) {
  if (first_ != keep) Straighten();
  first_ = keep;
  const Refusal gone = std::exchange(list_[first_ + turned_], refusal);
  if (++turned_ == keep) {
    turned_ = 0;
    Unmark();
  } else {
    Mark(refusal.request);
  }
  return gone;
}

void KeptRefusals::Straighten() {
  if (turned_ != 0) {
    std::rotate(list_.begin() + first_, list_.begin() + first_ + turned_,
                list_.end());
    turned_ = 0;
  }
  first_ = 0;
}

// The last one of the list, or one in it.
void KeptRefusals::Mark(uint64_t request) {
  if (few_ == kUnmarked) return;
  if (list_.size() > std::max(kFew, many_.size() * kPerWord)) return Unmark();
  if (many_.empty()) {
    few_ |= FewMarkOf(request);
  } else {
    many_[WordOf(request)] |= ManyMarksOf(request);
  }
}

void KeptRefusals::MarkAll() {
  // As many again may come before they are made anew.
  const size_t places = 2 * std::bit_ceil(list_.size());
  few_ = 0;
  many_.assign(list_.size() > kFew ? places / kPerWord : 0, 0);
  for (const Refusal& refusal : list_) Mark(refusal.request);
}

void KeptRefusals::MergeAll(const KeptRefusals& other,
                            std::vector<Again>* gone) {
  Straighten();
  const auto here = static_cast<ptrdiff_t>(list_.size());
  list_.insert(list_.end(), other.begin(), other.end());
  const auto middle = list_.begin() + here;
  if (std::is_sorted(list_.begin(), middle) &&
      std::is_sorted(middle, list_.end()) && SurelyDistinct(list_)) {
    std::inplace_merge(list_.begin(), middle, list_.end());
    return Unmark();
  }
  std::sort(list_.begin(), list_.end(), [](const Refusal& a, const Refusal& b) {
    return a.request != b.request ? a.request < b.request : a < b;
  });
  size_t distinct = 0;
  for (const Refusal& refusal : list_) {
    if (distinct > 0 && list_[distinct - 1].request == refusal.request) {
      gone->push_back({refusal, list_[distinct - 1]});
    } else {
      list_[distinct++] = refusal;
    }
  }
  list_.resize(distinct);
  std::sort(list_.begin(), list_.end());
  Unmark();
}

}  // namespace klaxon
