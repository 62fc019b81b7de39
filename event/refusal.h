// Refusals of one minute: the first and the last N are kept, of all of them
// their number and the smallest few hashes. Memory of a flood is bounded, and
// one more costs about the same whether ten or ten thousand are kept.
//
// Values; no threads of their own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "event/time.h"

namespace klaxon {

// One 401 or 403.
struct Refusal {
  EventTime time = 0;
  uint64_t request = 0;  // Hash of auditID, received stamp, verb, URI.
  uint64_t path = 0;     // Hash of the normalised path.
  uint64_t agent = 0;    // Hash of the user agent.
  auto operator<=>(const Refusal&) const = default;
};

// The `kMax` smallest of distinct values, sorted.
class SmallestHashes {
 public:
  static constexpr size_t kMax = 8;
  void Add(uint64_t value);
  void Merge(const SmallestHashes& other);
  void clear() { size_ = 0; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const uint64_t* begin() const { return values_.data(); }
  const uint64_t* end() const { return values_.data() + size_; }

 private:
  size_t size_ = 0;
  std::array<uint64_t, kMax> values_{};
};

// Nobody is refused so often within a minute. Numbers may be forged: past it
// they are cut, so that no count of an alert turns over.
inline constexpr uint64_t kTimesMax = uint64_t{1} << 40;

constexpr uint64_t CappedSum(uint64_t a, uint64_t b) {
  return std::min(std::min(a, kTimesMax) + std::min(b, kTimesMax), kTimesMax);
}
// A number that was read.
constexpr uint64_t CappedTimes(uint64_t read) { return CappedSum(read, 0); }

// How often requests were delivered, of which most were once: only the others
// take memory.
class RequestTimes {
 public:
  using Entry = std::pair<uint64_t, uint64_t>;  // Request, times: two or more.

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  size_t capacity() const { return entries_.capacity(); }
  void clear() { entries_.clear(); }
  uint64_t Of(uint64_t request) const;
  void AddOne(uint64_t request);
  // Forgets the request; returns how often it was delivered.
  uint64_t Take(uint64_t request) {
    return entries_.empty() ? 1 : Remove(request);
  }
  // Those of requests that both have, `both`, are added up.
  void Merge(const RequestTimes& other, const std::vector<uint64_t>& both);
  // For decoders. False: not what a RequestTimes holds.
  bool Assign(std::vector<Entry> entries);
  // By request.
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  uint64_t Remove(uint64_t request);
  std::vector<Entry> entries_;
};

// Distinct by request, in order (Refusal's: by time first), at most 2·N: the
// first N and the last N. Those it gives up are handed to the caller's
// `on_gone(refusal, stays)`; `*stays`: the same request, with a stamp no later;
// null: its request goes with it.
// Only requests that are kept can be recognised again.
class KeptRefusals {
 public:
  class Iterator;

  size_t size() const { return list_.size(); }
  bool empty() const { return list_.empty(); }
  // REQUIRES: index < size().
  const Refusal& operator[](size_t index) const {
    return list_[turned_ == 0 ? index : PlaceOf(index)];
  }
  const Refusal& front() const { return list_.front(); }
  const Refusal& back() const { return (*this)[size() - 1]; }
  Iterator begin() const;
  Iterator end() const;

  // Fetches what operator[] will look at.
  void Prefetch(size_t index) const {
    __builtin_prefetch(list_.data() + index);
  }
  // … what Add of this request will.
  void PrefetchFor(uint64_t request) const;

  void clear();
  size_t capacity() const { return list_.capacity(); }
  // For decoders: what was encoded, in its order. `next()` gives one.
  template <typename Next>
  void Assign(size_t count, Next next) {
    clear();
    list_.resize(count);
    for (Refusal& refusal : list_) refusal = next();
    Unmark();
  }
  void push_back(const Refusal& refusal);

  template <typename OnGone>
  void Add(const Refusal& refusal, uint32_t keep, OnGone on_gone) {
    if (const Refusal* held = Find(refusal.request); held != nullptr) {
      if (*held == refusal) return on_gone(refusal, held);
      AddAgain(refusal, on_gone);
    } else if (list_.size() == 2 * size_t{keep} && keep > 0 &&
               refusal >= back()) {
      on_gone(Replace(refusal, keep), nullptr);
    } else if (list_.empty() || refusal >= back()) {
      Append(refusal);
      Shorten(keep, on_gone);
    } else {
      Insert(refusal);
      Shorten(keep, on_gone);
    }
  }
  template <typename OnGone>
  void Merge(const KeptRefusals& other, uint32_t keep, OnGone on_gone) {
    std::vector<Again> gone;
    MergeAll(other, &gone);
    for (const Again& again : gone) on_gone(again.gone, &again.stays);
    Shorten(keep, on_gone);
  }

 private:
  struct Again {
    Refusal gone;
    Refusal stays;
  };
  // Up to so many need no more than one word of marks.
  static constexpr size_t kFew = 16;
  // More have one for every four.
  static constexpr size_t kPerWord = 4;
  // `few_` that rules nothing out: the marks must be made.
  static constexpr uint64_t kUnmarked = ~uint64_t{0};

  // Requests are hashes already.
  static uint64_t FewMarkOf(uint64_t request) {
    return uint64_t{1} << (request & 63);
  }
  static uint64_t ManyMarksOf(uint64_t request) {
    return uint64_t{1} << (request & 63) | uint64_t{1} << (request >> 6 & 63);
  }
  size_t WordOf(uint64_t request) const {
    return (request >> 12) & (many_.size() - 1);
  }

  // Once 2·N are there, the last N are a ring: where does `index` lie?
  size_t PlaceOf(size_t index) const;
  const Refusal* Find(uint64_t request);  // Null: it is not kept.
  void Append(const Refusal& refusal);
  void Insert(const Refusal& refusal);
  // Puts a last one in the place of the first of the last N, and returns that.
  Refusal Replace(const Refusal& refusal, uint32_t keep);
  void Straighten();
  void Mark(uint64_t request);
  void MarkAll();
  // For later, when somebody asks.
  void Unmark() {
    many_.clear();
    few_ = kUnmarked;
  }
  // Both into one list, each request once; `gone` gets the others.
  void MergeAll(const KeptRefusals& other, std::vector<Again>* gone);

  template <typename OnGone>
  void AddAgain(const Refusal& refusal, OnGone on_gone) {
    KeptRefusals one;
    one.push_back(refusal);
    std::vector<Again> gone;
    MergeAll(one, &gone);
    for (const Again& again : gone) on_gone(again.gone, &again.stays);
  }
  // Past 2·N the middle goes.
  template <typename OnGone>
  void Shorten(uint32_t keep, OnGone on_gone) {
    const size_t max = 2 * size_t{keep};
    if (list_.size() <= max) return;
    Straighten();
    const auto begin = list_.begin() + keep;
    const auto end = begin + static_cast<ptrdiff_t>(list_.size() - max);
    for (auto it = begin; it != end; ++it) on_gone(*it, nullptr);
    list_.erase(begin, end);
    Unmark();
  }

  std::vector<Refusal> list_;
  // A request that lacks one of its marks is not kept: most new ones, so that
  // few have the list looked through. Two in a word of `many_`, of which there
  // is a power of two; where it is empty, one in `few_`. Marks of what left
  // stay for a turn of the ring. Who makes requests that share their marks has
  // the list looked through, and no more.
  std::vector<uint64_t> many_;
  uint64_t few_ = 0;
  uint32_t first_ = 0;   // N, where the ring begins;
  uint32_t turned_ = 0;  // its first one's place in it.
};

class KeptRefusals::Iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = Refusal;
  using difference_type = ptrdiff_t;
  using pointer = const Refusal*;
  using reference = const Refusal&;

  Iterator(const KeptRefusals* list, size_t index)
      : list_(list), index_(index) {}
  const Refusal& operator*() const { return (*list_)[index_]; }
  Iterator& operator++() {
    ++index_;
    return *this;
  }
  bool operator==(const Iterator&) const = default;

 private:
  const KeptRefusals* list_;
  size_t index_;
};

inline KeptRefusals::Iterator KeptRefusals::begin() const { return {this, 0}; }
inline KeptRefusals::Iterator KeptRefusals::end() const {
  return {this, size()};
}

}  // namespace klaxon
