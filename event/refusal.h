// Refusals of one minute: the first and the last N are kept, of all of them
// their number and the smallest few hashes. Memory of a flood is bounded, and
// one more costs about the same whether ten or ten thousand are kept.
//
// Values; no threads of their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
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

// Distinct by request, in order (Refusal's: by time first), at most 2·N: the
// first N and the last N. Those it gives up are handed to the caller's
// `on_gone(refusal, again)`; `again`: its request stays, with an earlier stamp.
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
  // … what the next Add will.
  void Prefetch() const {
    __builtin_prefetch(list_.data() + list_.size());
    __builtin_prefetch(tags_.data());
  }

  void clear();
  size_t capacity() const { return list_.capacity(); }
  // For decoders: what was encoded, in its order. `next()` gives one.
  template <typename Next>
  void Assign(size_t count, Next next) {
    clear();
    list_.resize(count);
    for (Refusal& refusal : list_) refusal = next();
    Retag();
  }
  void push_back(const Refusal& refusal);

  template <typename OnGone>
  void Add(const Refusal& refusal, uint32_t keep, OnGone on_gone) {
    if (Holds(refusal.request)) {
      AddAgain(refusal, on_gone);
    } else if (list_.size() == 2 * size_t{keep} && keep > 0 &&
               refusal >= back()) {
      on_gone(Replace(refusal, keep), false);
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
    std::vector<Refusal> gone;
    MergeAll(other, &gone);
    for (const Refusal& refusal : gone) on_gone(refusal, true);
    Shorten(keep, on_gone);
  }

 private:
  // Up to so many are looked through themselves, where `marks_` says that it
  // is worth it; more have `tags_`.
  static constexpr size_t kUntagged = 16;

  // Once 2·N are there, the last N are a ring: where does `index` lie?
  size_t PlaceOf(size_t index) const;
  bool Holds(uint64_t request) const;
  void Append(const Refusal& refusal);
  void Insert(const Refusal& refusal);
  // Puts a last one in the place of the first of the last N, and returns that.
  Refusal Replace(const Refusal& refusal, uint32_t keep);
  void Straighten();
  void Retag();
  // Both into one list, each request once; `gone` gets the others.
  void MergeAll(const KeptRefusals& other, std::vector<Refusal>* gone);

  template <typename OnGone>
  void AddAgain(const Refusal& refusal, OnGone on_gone) {
    KeptRefusals one;
    one.push_back(refusal);
    std::vector<Refusal> gone;
    MergeAll(one, &gone);
    for (const Refusal& r : gone) on_gone(r, true);
  }
  // Past 2·N the middle goes.
  template <typename OnGone>
  void Shorten(uint32_t keep, OnGone on_gone) {
    const size_t max = 2 * size_t{keep};
    if (list_.size() <= max) return;
    Straighten();
    const auto begin = list_.begin() + keep;
    const auto end = begin + static_cast<ptrdiff_t>(list_.size() - max);
    for (auto it = begin; it != end; ++it) on_gone(*it, false);
    list_.erase(begin, end);
    Retag();
  }

  std::vector<Refusal> list_;
  // Low bits of the requests, by place in list_; empty: up to kUntagged.
  std::vector<uint16_t> tags_;
  uint64_t marks_ = 0;   // A bit for each request: none, then not kept.
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
