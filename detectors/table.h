// The one kind of keyed state that every detector uses.
//
// A map from a byte-string key to a value `V`, with a budget of `keys_max`
// keys and expiry by event time. One thread (the judge's).
//
// Eviction. A full table that needs room gives up one key of the lowest weight
// class, the one touched longest ago. A key's weight is the number of times it
// was touched, its class log2 of that. So a flood of new keys pushes out only
// itself (each was touched once); whoever was seen again and again stays.
// Which key goes depends on event times and counts alone, never on addresses
// or a hash seed: equal input evicts equally. Every eviction is counted.
//
// `V` is default-constructible and has `void Save(WireWriter*) const` and
// `void Load(WireReader*)`. References to values live until that key is
// erased, expired or evicted (values never move).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "detectors/persistent.h"
#include "event/time.h"

namespace klaxon {

struct TableOptions {
  std::string_view name;  // For snapshots and metrics.
  uint64_t keys_max = 1'000'000;
  Nanos expiry = kMaxTime;  // A key untouched for longer goes.
};

// What does not depend on the value type.
class TableBase : public Persistent {
 public:
  explicit TableBase(TableOptions options) : options_(options) {}
  std::string_view name() const override { return options_.name; }
  virtual size_t size() const = 0;
  uint64_t evicted() const override { return evicted_; }

 protected:
  TableOptions options_;
  uint64_t evicted_ = 0;
};

template <typename V>
class Table final : public TableBase {
 public:
  explicit Table(TableOptions options) : TableBase(options) {
    lists_.fill({kNone, kNone});
  }

  // Null: not there. Does not touch.
  V* Find(std::string_view key) {
    auto it = index_.find(Absl(key));
    return it == index_.end() ? nullptr : &slot(it->second).value;
  }

  // Finds or makes the value and touches the key at `now`.
  V& Touch(std::string_view key, EventTime now) {
    return Touch(key, now, [](std::string_view, V&) {});
  }
  // … calling `on_remove(key, value)` for a key that must be evicted for it.
  template <typename OnRemove>
  V& Touch(std::string_view key, EventTime now, OnRemove on_remove) {
    auto it = index_.find(Absl(key));
    if (it != index_.end()) {
      Slot& s = slot(it->second);
      Unlink(it->second);
      ++s.weight;
      Link(it->second, now);
      return s.value;
    }
    if (index_.size() >= options_.keys_max) EvictOne(on_remove);
    const uint32_t id = NewSlot();
    Slot& s = slot(id);
    s.key = key;
    s.weight = 1;
    index_.emplace(Absl(s.key), id);
    Link(id, now);
    return s.value;
  }

  void Erase(std::string_view key) {
    auto it = index_.find(Absl(key));
    if (it != index_.end()) Remove(it->second);
  }

  // Removes what was not touched since `now - expiry`.
  void ExpireUntil(EventTime now) {
    ExpireUntil(now, [](std::string_view, V&) {});
  }
  template <typename OnRemove>
  void ExpireUntil(EventTime now, OnRemove on_remove) {
    if (options_.expiry == kMaxTime) return;
    for (const List& list : lists_) {
      while (list.head != kNone) {
        Slot& s = slot(list.head);
        if (now - s.touched <= options_.expiry) break;
        on_remove(std::string_view(s.key), s.value);
        Remove(list.head);
      }
    }
  }

  size_t size() const override { return index_.size(); }

  // Calls `visit(key, value)` for every key, weight class by class, each from
  // the key touched longest ago: an order that depends on the input alone.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (const List& list : lists_) {
      for (uint32_t id = list.head; id != kNone; id = slot(id).next) {
        visit(std::string_view(slot(id).key), slot(id).value);
      }
    }
  }

  void Save(WireWriter* out) const override {
    out->Uint(evicted_);
    out->Uint(index_.size());
    for (const List& list : lists_) {
      for (uint32_t id = list.head; id != kNone; id = slot(id).next) {
        const Slot& s = slot(id);
        out->Text(s.key);
        out->Int(s.touched);
        out->Uint(s.weight);
        s.value.Save(out);
      }
    }
  }

  bool Load(WireReader* in) override {
    Clear();
    evicted_ = in->Uint();
    for (uint64_t n = in->Count(); n > 0; --n) {
      const uint32_t id = NewSlot();
      Slot& s = slot(id);
      s.key = in->Text();
      const EventTime touched = in->Int();
      s.weight = in->Uint();
      s.value.Load(in);
      if (!in->ok() || !index_.emplace(Absl(s.key), id).second) return false;
      Link(id, touched);
    }
    return in->ok();
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kPageSlots = 4096;  // One sub-table of a snapshot.
  static constexpr size_t kClasses = 16;

  struct Slot {
    std::string key;
    EventTime touched = 0;
    uint64_t weight = 0;
    uint32_t prev = kNone;
    uint32_t next = kNone;
    V value{};
  };
  struct List {
    uint32_t head;  // Touched longest ago.
    uint32_t tail;
  };

  static absl::string_view Absl(std::string_view s) {
    return absl::string_view(s.data(), s.size());
  }
  Slot& slot(uint32_t id) { return pages_[id / kPageSlots][id % kPageSlots]; }
  const Slot& slot(uint32_t id) const {
    return pages_[id / kPageSlots][id % kPageSlots];
  }
  List& ListOf(const Slot& s) {
    const size_t cls = std::bit_width(s.weight) - 1;
    return lists_[cls < kClasses ? cls : kClasses - 1];
  }

  uint32_t NewSlot() {
    if (!free_.empty()) {
      const uint32_t id = free_.back();
      free_.pop_back();
      return id;
    }
    if (used_ == pages_.size() * kPageSlots) {
      pages_.push_back(std::make_unique<Slot[]>(kPageSlots));
    }
    return used_++;
  }

  void Link(uint32_t id, EventTime now) {
    Slot& s = slot(id);
    List& list = ListOf(s);
    // A late observation must not break the order that expiry relies on.
    if (list.tail != kNone && slot(list.tail).touched > now) {
      now = slot(list.tail).touched;
    }
    s.touched = now;
    s.prev = list.tail;
    s.next = kNone;
    (list.tail == kNone ? list.head : slot(list.tail).next) = id;
    list.tail = id;
  }

  void Unlink(uint32_t id) {
    Slot& s = slot(id);
    List& list = ListOf(s);
    (s.prev == kNone ? list.head : slot(s.prev).next) = s.next;
    (s.next == kNone ? list.tail : slot(s.next).prev) = s.prev;
  }

  void Remove(uint32_t id) {
    Unlink(id);
    Slot& s = slot(id);
    index_.erase(Absl(s.key));
    s = Slot();
    free_.push_back(id);
  }

  template <typename OnRemove>
  void EvictOne(OnRemove on_remove) {
    for (const List& list : lists_) {
      if (list.head == kNone) continue;
      Slot& s = slot(list.head);
      on_remove(std::string_view(s.key), s.value);
      Remove(list.head);
      ++evicted_;
      return;
    }
  }

  void Clear() {
    index_.clear();
    pages_.clear();
    free_.clear();
    used_ = 0;
    lists_.fill({kNone, kNone});
  }

  absl::flat_hash_map<absl::string_view, uint32_t> index_;
  std::vector<std::unique_ptr<Slot[]>> pages_;
  std::vector<uint32_t> free_;
  uint32_t used_ = 0;
  std::array<List, kClasses> lists_;
};

}  // namespace klaxon
