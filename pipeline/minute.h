// Everything of one minute, and the order in which it is judged: facts, `seen`,
// refusals and deeds by time, at one instant by a hash of the event's own
// fields; then the totals, by key: those of the refusals first, so that what a
// sighting's total is judged by is all that was refused in its minute.
//
// One thread. Nothing is merged here: each key is added once. What was added
// stays where it is until Clear, which keeps its memory for the next minute.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "detectors/detector.h"
#include "detectors/stable_list.h"
#include "event/observation.h"

namespace klaxon {

// `cluster` of the judged thing, and it.
using JudgedSink =
    std::function<void(const std::string& cluster, const Judged& judged)>;

// One thing to judge, before it is looked up.
struct JudgedItem {
  static constexpr uint32_t kNewKey = 1u << 31;
  static constexpr uint32_t kFolded = 1u << 31;

  EventTime time;
  JudgedKind kind;
  // Into the minute's list of its kind; of a group that is folded its number,
  // and kFolded.
  uint32_t index;
  uint32_t detail;  // kSeen: raised flags, kNewKey; kRefusal: its index.
};

// Order of two items of equal time and kind, whatever path they came.
struct ItemHash {
  uint64_t high;
  uint64_t low;
  auto operator<=>(const ItemHash&) const = default;
};
ItemHash HashOf(const Fact& fact);
ItemHash HashOf(const Sighting& sighting);
ItemHash HashOf(const RefusalGroup& group, const Refusal& refusal);
ItemHash HashOf(const Deed& deed);

// Adds what appears of a sighting before `until`, but for what was handed on:
// the key, the flags.
void AppendSeen(const Sighting& sighting, uint32_t index, bool key_done,
                uint32_t flags_done, EventTime until,
                std::vector<JudgedItem>* items);

// Refusal groups of a minute that are kept elsewhere, in another form.
class FoldedGroups {
 public:
  virtual ~FoldedGroups() = default;
  // Adds what is to be judged of them before `until`, and was not added before.
  virtual void AppendItems(EventTime until, std::vector<JudgedItem>* items) = 0;
  virtual void Prefetch(uint32_t number) const = 0;
  // Lives until the next call.
  virtual const RefusalGroup& Read(uint32_t number) = 0;
};

class Minute {
 public:
  // `*next_group_id` numbers the groups (Judged::group_id); shared by all
  // minutes that one judge is fed from.
  explicit Minute(uint64_t* next_group_id) : next_group_id_(next_group_id) {}

  // They are handed on with what is here, but for their totals. `folded` must
  // outlive every HandOn.
  void SetFolded(FoldedGroups* folded) { folded_ = folded; }

  // Each returns a value to be written over, as large as it was before.
  Fact& AddFact() { return facts_.emplace_back(); }
  Sighting& AddSighting();
  RefusalGroup& AddGroup();
  Deed& AddDeed() { return deeds_.emplace_back(); }
  void Clear();
  // The same, and gives the memory back.
  void Release();

  uint32_t sightings() const { return static_cast<uint32_t>(seen_.size()); }
  uint32_t groups() const { return static_cast<uint32_t>(sent_.size()); }
  const std::vector<Fact>& facts() const { return facts_; }
  const std::vector<Deed>& deeds() const { return deeds_; }
  Sighting& sighting(uint32_t index) { return sightings_[index]; }
  RefusalGroup& group(uint32_t index) { return groups_[index]; }

  // A sighting or group was added or merged, so there may be something of it to
  // hand on. Only needed where HandOn is called with `stays`.
  void Touch(ObservationKind kind, uint32_t index);
  // Of a group that was just added, these were handed on before.
  void SetSent(uint32_t index, std::span<const uint64_t> requests) {
    sent_[index].requests.assign(requests.begin(), requests.end());
  }

  // Hands on all before `until` that was not yet. `stays`: more of this minute
  // may come, so what went is remembered, or forgotten where nothing will ask;
  // and only what was touched is looked at, for this happens with every record.
  void HandOn(EventTime until, bool stays, const JudgedSink& sink);
  void HandOnTotal(const Sighting& sighting, EventTime time,
                   const JudgedSink& sink) const;
  void HandOnGroupTotal(uint32_t index, EventTime time,
                        const JudgedSink& sink) const;

 private:
  struct Seen {  // Of a sighting: what was handed on.
    bool key = false;
    bool touched = false;
    uint32_t flags = 0;
  };
  struct Sent {
    uint64_t group_id = 0;
    const std::string* cluster = nullptr;  // Once it has items.
    bool touched = false;
    std::vector<uint64_t> requests;  // Handed on while the minute was open.
  };
  void CollectItems(EventTime until, bool stays);
  void KeepTouched(EventTime until);
  const std::string* OneOf(const std::string& cluster);
  void AppendRefusals(uint32_t index, EventTime until);
  void SortItems();
  ItemHash HashOf(const JudgedItem& item) const;
  // `judged`: of a refusal before, or a new one of that kind.
  void HandOnRefusal(size_t item, bool stays, Judged* judged,
                     const JudgedSink& sink);
  void HandOn(const JudgedItem& item, const JudgedSink& sink);
  // What comes after items_[item] is fetched into the cache, and noted in
  // soon_.
  void LookAhead(size_t item);

  uint64_t* next_group_id_;
  FoldedGroups* folded_ = nullptr;  // Null: there are none.
  std::vector<Fact> facts_;
  std::vector<Deed> deeds_;
  // Large: never moved once made. Those past the parallel list's end are spare.
  std::deque<Sighting> sightings_;
  std::vector<Seen> seen_;
  StableList<RefusalGroup> groups_;
  std::vector<Sent> sent_;
  std::vector<JudgedItem> items_;
  std::vector<JudgedItem> sorted_items_;
  // The group_id of what is to come, by its place in items_: a ring.
  static constexpr size_t kSoonIds = 16;
  static_assert(Judged::kSoon[0] < kSoonIds);
  std::array<uint64_t, kSoonIds> soon_{};
  static constexpr uint32_t kNoGroup = UINT32_MAX;
  std::set<std::string> clusters_;
  const std::string* last_cluster_ = nullptr;  // One of clusters_, if any.
  // Those with something that was not handed on yet, perhaps.
  std::vector<uint32_t> touched_sightings_;
  std::vector<uint32_t> touched_groups_;
};

}  // namespace klaxon
