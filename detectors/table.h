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
// erased, expired or evicted (values never move). Who comes back to a key again
// and again keeps its TableHandle: no hashing, and it tells when the key went.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "detectors/key_index.h"
#include "detectors/persistent.h"
#include "detectors/stable_list.h"
#include "detectors/table_key.h"
#include "event/time.h"

namespace klaxon {

struct TableOptions {
  std::string_view name;  // For snapshots and metrics.
  uint64_t keys_max = 1'000'000;
  Nanos expiry = kMaxTime;  // A key untouched for longer goes.
};

// Where a key was found. Never dangles: a key that went, and came again, has
// another one. Only for the table that gave it, and not for snapshots.
struct TableHandle {
  uint32_t id = UINT32_MAX;
  uint32_t generation = 0;
  bool operator==(const TableHandle&) const = default;
};

// What does not depend on the value type.
class TableBase : public Persistent {
 public:
  explicit TableBase(TableOptions options) : options_(options) {}
  std::string_view name() const override { return options_.name; }
  virtual size_t size() const = 0;
  uint64_t evicted() const override { return evicted_; }
  uint64_t keys() const override { return size(); }
  uint64_t keys_max() const override { return options_.keys_max; }

 protected:
  TableOptions options_;
  uint64_t evicted_ = 0;
};

template <typename V>
class Table final : public TableBase {
 public:
  explicit Table(TableOptions options) : TableBase(options) {}

  // `at`, where given, is where `key` was found before, or a new handle; it
  // becomes where the key is now. Where it holds nothing is searched.

  // Null: not there. Does not touch.
  V* Find(std::string_view key, TableHandle* at = nullptr) {
    const uint32_t id = IdOf(key, at);
    return id == kNone ? nullptr : &slot(id).value;
  }
  V* Find(TableHandle at) { return Holds(at) ? &slot(at.id).value : nullptr; }

  // Fetches what Find and Touch of that handle will look at, and the first
  // 128 bytes of the value.
  void Prefetch(TableHandle at) const {
    if (at.id >= used_) return;
    constexpr size_t kBytes = std::min<size_t>(sizeof(V), 128);
    const auto* value = reinterpret_cast<const char*>(&slot(at.id).value);
    __builtin_prefetch(&node(at.id));
    for (size_t i = 0; i < kBytes; i += 64) __builtin_prefetch(value + i);
    __builtin_prefetch(value + kBytes - 1);
  }

  // … what a Touch of that handle will, if its value is not asked for.
  void PrefetchNode(TableHandle at) const {
    if (at.id < used_) __builtin_prefetch(&node(at.id));
  }

  // What Find and Touch of that key will look at first.
  void Prefetch(std::string_view key) const {
    index_.Prefetch(KeyIndex::HashOf(key));
  }

  // Touches the key that `at` holds; null: it holds none.
  V* Touch(TableHandle at, EventTime now) {
    if (!Holds(at)) return nullptr;
    Relink(at.id, now);
    return &slot(at.id).value;
  }
  // Finds or makes the value and touches the key at `now`.
  V& Touch(std::string_view key, EventTime now, TableHandle* at = nullptr) {
    return Touch(key, now, [](std::string_view, V&) {}, at);
  }
  // … calling `on_remove(key, value)` for a key that must be evicted for it.
  template <typename OnRemove>
  V& Touch(std::string_view key, EventTime now, OnRemove on_remove,
           TableHandle* at = nullptr) {
    uint32_t hash = 0;
    uint32_t id = IdOf(key, at, &hash);
    if (id != kNone) {
      Relink(id, now);
      return slot(id).value;
    }
    if (index_.size() >= options_.keys_max) EvictOne(on_remove);
    id = NewSlot();
    slot(id).key.Set(key);
    node(id).weight = 1;
    node(id).hash = hash;
    index_.Add(hash, id);
    if (at != nullptr) *at = {id, node(id).generation};
    Link(id, now);
    return slot(id).value;
  }

  void Erase(std::string_view key) {
    const uint32_t id = IdOf(key, nullptr);
    if (id != kNone) Remove(id);
  }

  // Removes what was not touched since `now - expiry`.
  void ExpireUntil(EventTime now) {
    ExpireUntil(now, [](std::string_view, V&) {});
  }
  template <typename OnRemove>
  void ExpireUntil(EventTime now, OnRemove on_remove) {
    if (!IsOver(oldest_, now)) return;
    oldest_ = kMaxTime;
    for (List& list : lists_) {
      while (list.head != kNone) {
        PutHeadInOrder(list);
        const EventTime touched = node(list.head).touched;
        if (!IsOver(touched, now)) {
          oldest_ = std::min(oldest_, touched);
          break;
        }
        Slot& s = slot(list.head);
        on_remove(s.key.view(), s.value);
        Remove(list.head);
      }
    }
  }

  size_t size() const override { return index_.size(); }

  // Calls `visit(key, value)` for every key, weight class by class, each from
  // the key touched longest ago: an order that depends on the input alone.
  // `visit` may look for keys, and neither touch nor erase any.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (List& list : lists_) {
      PutInOrder(list);
      for (uint32_t id = list.head; id != kNone; id = node(id).next) {
        visit(slot(id).key.view(), slot(id).value);
      }
    }
  }

  void Save(WireWriter* out) const override {
    out->Uint(evicted_);
    out->Uint(index_.size());
    for (const List& list : lists_) {
      for (const uint32_t id : InOrder(list)) {
        const Slot& s = slot(id);
        out->Text(s.key.view());
        out->Int(node(id).touched);
        out->Uint(node(id).weight);
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
      const std::string_view key = in->Text();
      const uint32_t hash = KeyIndex::HashOf(key);
      const bool known = Lookup(key, hash) != kNone;
      s.key.Set(key);
      node(id).hash = hash;
      index_.Add(hash, id);
      const EventTime touched = in->Int();
      node(id).weight = static_cast<uint16_t>(
          std::clamp<uint64_t>(in->Uint(), 1, kWeightMax));
      s.value.Load(in);
      if (!in->ok() || known) return false;
      Link(id, touched);
    }
    return in->ok();
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  // Small: every table of every cluster that has a key has a page.
  static constexpr size_t kPageSlots = 128;
  static constexpr size_t kClasses = 16;
  // That of the last class: more says no more.
  static constexpr uint16_t kWeightMax = 1 << (kClasses - 1);

  struct Slot {
    TableKey key;
    V value{};
  };
  // Apart from the slots: those of a few thousand keys fit into a cache that
  // the values would not.
  struct Node {
    EventTime touched = kNoTime;
    // Its last touch, of all of the table's: eight years of a million a second.
    uint64_t turn : 48 = 0;
    uint64_t weight : 16 = 0;  // Touches; saturates.
    uint32_t generation = 0;   // How many keys this slot has given up.
    uint32_t prev = kNone;
    uint32_t next = kNone;
    uint32_t hash = 0;  // Of the key.
  };
  static_assert(sizeof(Node) == 32);
  struct Page {
    std::array<Node, kPageSlots> nodes;
    std::array<Slot, kPageSlots> slots;
  };
  // The keys of a class. Those at its head stand in the order of their touches;
  // behind them is who was touched from turn `loose` on, where a further touch
  // moves nobody: else it changes three nodes, and most keys that are touched
  // again were so a short while ago. These are put in order when somebody must
  // know the first or the last of them; until then there were at least as many
  // touches as there are keys to sort.
  struct List {
    uint32_t head = kNone;
    uint32_t tail = kNone;
    uint32_t last = kNone;       // Was touched last; none: that one went.
    bool disordered = false;     // Else the loose ones too stand in order.
    EventTime newest = kNoTime;  // No key was touched later.
    uint64_t loose = 0;
  };

  // The last touch of a key: without it, to sort looks for a node at each step.
  struct Turn {
    uint64_t turn;
    uint32_t id;
    bool operator<(const Turn& o) const { return turn < o.turn; }
  };

  Slot& slot(uint32_t id) {
    return pages_[id / kPageSlots].slots[id % kPageSlots];
  }
  const Slot& slot(uint32_t id) const {
    return pages_[id / kPageSlots].slots[id % kPageSlots];
  }
  Node& node(uint32_t id) {
    return pages_[id / kPageSlots].nodes[id % kPageSlots];
  }
  const Node& node(uint32_t id) const {
    return pages_[id / kPageSlots].nodes[id % kPageSlots];
  }
  List& ListOf(uint32_t weight) {
    const size_t cls = std::bit_width(weight) - 1;
    return lists_[cls < kClasses ? cls : kClasses - 1];
  }
  // A slot that is free has the generation of its next key.
  bool Holds(TableHandle at) const {
    return at.id < used_ && node(at.id).generation == at.generation;
  }

  uint32_t Lookup(std::string_view key, uint32_t hash) const {
    return index_.Find(hash,
                       [&](uint32_t id) { return slot(id).key.view() == key; });
  }
  // `*hash` is set where there is none.
  uint32_t IdOf(std::string_view key, TableHandle* at,
                uint32_t* hash = nullptr) const {
    if (at != nullptr && Holds(*at)) return at->id;
    const uint32_t hash_of_key = KeyIndex::HashOf(key);
    if (hash != nullptr) *hash = hash_of_key;
    const uint32_t id = Lookup(key, hash_of_key);
    if (id != kNone && at != nullptr) *at = {id, node(id).generation};
    return id;
  }

  uint32_t NewSlot() {
    if (!free_.empty()) {
      const uint32_t id = free_.back();
      free_.pop_back();
      return id;
    }
    if (used_ == pages_.size() * kPageSlots) pages_.emplace_back();
    return used_++;
  }

  // Not touched for longer than the expiry.
  bool IsOver(EventTime touched, EventTime now) const {
    if (options_.expiry == kMaxTime || touched >= now) return false;
    // Of stamps that are centuries apart the difference has no room in Nanos.
    const uint64_t age =
        static_cast<uint64_t>(now) - static_cast<uint64_t>(touched);
    return age > static_cast<uint64_t>(options_.expiry);
  }

  // One that is touched again.
  void Relink(uint32_t id, EventTime now) {
    Node& n = node(id);
    const bool next_class = (n.weight & (n.weight + 1)) == 0;
    List& list = ListOf(n.weight);
    if (next_class || n.turn < list.loose || IsLate(list, now)) {
      return Move(id, now);
    }
    list.disordered |= id != list.last;
    list.last = id;
    Stamp(n, list, now);
    n.weight += n.weight < kWeightMax;
  }
  [[gnu::noinline]] void Move(uint32_t id, EventTime now) {
    Node& n = node(id);
    Unlink(id, ListOf(n.weight));
    n.weight += n.weight < kWeightMax;
    Link(id, now);
  }
  // A touch at `now` comes late, and it is not known by how much.
  static bool IsLate(const List& list, EventTime now) {
    return list.last == kNone && now < list.newest;
  }
  // A late observation makes nobody older, and must not break the order that
  // expiry relies on.
  void Stamp(Node& n, List& list, EventTime now) {
    list.newest = std::max({now, list.newest, n.touched});
    n.touched = list.newest;
    n.turn = ++turns_;
  }

  void Link(uint32_t id, EventTime now) {
    Node& n = node(id);
    List& list = ListOf(n.weight);
    if (IsLate(list, now)) PutInOrder(list);
    n.prev = list.tail;
    n.next = kNone;
    (list.tail == kNone ? list.head : node(list.tail).next) = id;
    list.tail = list.last = id;
    Stamp(n, list, now);
    oldest_ = std::min(oldest_, n.touched);
  }

  void Unlink(uint32_t id, List& list) {
    const Node& n = node(id);
    (n.prev == kNone ? list.head : node(n.prev).next) = n.next;
    (n.next == kNone ? list.tail : node(n.next).prev) = n.prev;
    if (list.head == kNone) {
      list = List();
    } else if (id == list.last) {
      list.last = kNone;
      if (!list.disordered) EndAtTail(list);
    }
  }

  // The loose ones, by turn; `*before`: who stands before them.
  std::vector<Turn> Loose(const List& list, uint32_t* before) const {
    std::vector<Turn> loose;
    uint32_t id = list.tail;
    for (; id != kNone && node(id).turn >= list.loose; id = node(id).prev) {
      loose.push_back({node(id).turn, id});
    }
    std::reverse(loose.begin(), loose.end());
    if (list.disordered) std::sort(loose.begin(), loose.end());
    *before = id;
    return loose;
  }
  // All of them, by turn.
  std::vector<uint32_t> InOrder(const List& list) const {
    std::vector<uint32_t> ids;
    uint32_t before = kNone;
    const std::vector<Turn> loose = Loose(list, &before);
    for (; before != kNone; before = node(before).prev) ids.push_back(before);
    std::reverse(ids.begin(), ids.end());
    for (const Turn& turn : loose) ids.push_back(turn.id);
    return ids;
  }

  void PutInOrder(List& list) {
    if (!list.disordered) return;
    uint32_t before = kNone;
    for (const Turn& turn : Loose(list, &before)) {
      node(turn.id).prev = before;
      (before == kNone ? list.head : node(before).next) = turn.id;
      before = turn.id;
    }
    node(before).next = kNone;
    list.tail = before;
    list.disordered = false;
    list.loose = turns_ + 1;
    EndAtTail(list);
  }
  void EndAtTail(List& list) {
    list.last = list.tail;
    list.newest = node(list.tail).touched;
  }
  // The first is who was touched longest ago. REQUIRES: there is one.
  void PutHeadInOrder(List& list) {
    if (node(list.head).turn >= list.loose) PutInOrder(list);
  }

  void Remove(uint32_t id) {
    Unlink(id, ListOf(node(id).weight));
    index_.Remove(node(id).hash, id);
    Free(id);
  }

  void Free(uint32_t id) {
    std::destroy_at(&slot(id));
    std::construct_at(&slot(id));
    node(id) = {.generation = node(id).generation + 1};
    free_.push_back(id);
  }

  template <typename OnRemove>
  void EvictOne(OnRemove on_remove) {
    for (List& list : lists_) {
      if (list.head == kNone) continue;
      PutHeadInOrder(list);
      Slot& s = slot(list.head);
      on_remove(s.key.view(), s.value);
      Remove(list.head);
      ++evicted_;
      if (list.head != kNone) FetchNext(list.head);
      return;
    }
  }

  // Who will be evicted next, in a flood.
  void FetchNext(uint32_t id) const {
    index_.Prefetch(node(id).hash);
    const auto* bytes = reinterpret_cast<const char*>(&slot(id));
    for (size_t i = 0; i < std::min<size_t>(sizeof(Slot), 512); i += 64) {
      __builtin_prefetch(bytes + i);
    }
  }

  void Clear() {
    index_.clear();
    free_.clear();
    for (uint32_t id = used_; id-- > 0;) Free(id);
    lists_.fill(List());
    oldest_ = kMaxTime;
  }

  KeyIndex index_;
  StableList<Page> pages_;
  std::vector<uint32_t> free_;
  uint32_t used_ = 0;
  EventTime oldest_ = kMaxTime;  // Nothing was touched before.
  uint64_t turns_ = 0;           // Touches so far.
  std::array<List, kClasses> lists_;
};

}  // namespace klaxon
