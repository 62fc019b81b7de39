#include "pipeline/minute_feed.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "event/wire.h"
#include "pipeline/sort_key.h"

namespace klaxon {
namespace {

// A minute that goes to disk is sorted and decoded twice more, which costs as
// much as all the rest: the tens of thousands of clients that a failing load
// balancer sends in a minute are still held.
constexpr size_t kHeldShare = 4;

}  // namespace

// A minute on disk: its items in judging order, then its totals by key.
//
// Keys of the sorter: for an item 0, time, kind, hash, detail, index; for a
// total 1 (refusals) or 2 and the observation's own key. Payloads: the
// observation, of a refusal's group only what may be used with it (Judged).
class MinuteFeed::Spilled {
 public:
  Spilled(const Options& options, EventTime end, uint64_t* next_group_id)
      : end_(end),
        next_group_id_(next_group_id),
        first_group_id_(*next_group_id),
        sorter_({options.memory_bytes, options.spill_dir},
                [](std::string_view, std::string*, std::string_view) {}) {}

  absl::Status Add(std::string_view key, std::string_view payload) {
    switch (KindOf(key)) {
      case ObservationKind::kFact:
        return Decode(payload, &fact_) ? Add(fact_, payload) : absl::OkStatus();
      case ObservationKind::kSighting:
        return Decode(payload, &sighting_) ? Add(sighting_, key, payload)
                                           : absl::OkStatus();
      case ObservationKind::kRefusals:
        return Decode(payload, &group_) ? Add(group_, key, payload)
                                        : absl::OkStatus();
      case ObservationKind::kDeed:
        return Decode(payload, &deed_) ? Add(deed_, payload) : absl::OkStatus();
    }
    return absl::OkStatus();
  }

  absl::Status HandOn(EventTime total_time, const JudgedSink& sink) {
    if (absl::Status s = sorter_.Finish(); !s.ok()) return s;
    std::string key;
    std::string payload;
    while (sorter_.Next(&key, &payload)) {
      if (key[0] == 0) {
        HandOnItem(key, payload, sink);
      } else {
        HandOnTotal(std::string_view(key).substr(1), payload, total_time, sink);
      }
    }
    return sorter_.status();
  }

 private:
  static constexpr size_t kTimeAt = 1;
  static constexpr size_t kKindAt = kTimeAt + 8;
  static constexpr size_t kDetailAt = kKindAt + 1 + 16;
  static constexpr size_t kIndexAt = kDetailAt + 4;

  absl::Status AddItem(const JudgedItem& item, const ItemHash& hash,
                       std::string_view payload) {
    key_.clear();
    key_.push_back('\0');
    AppendTime(item.time, &key_);
    key_.push_back(static_cast<char>(item.kind));
    AppendBigEndian(hash.high, 8, &key_);
    AppendBigEndian(hash.low, 8, &key_);
    AppendBigEndian(item.detail, 4, &key_);
    AppendBigEndian(item.index, 4, &key_);
    return sorter_.Add(key_, payload);
  }
  absl::Status AddTotal(std::string_view key, std::string_view payload) {
    key_.clear();
    key_.push_back(KindOf(key) == ObservationKind::kRefusals ? '\1' : '\2');
    key_ += key;
    return sorter_.Add(key_, payload);
  }

  absl::Status Add(const Fact& fact, std::string_view payload) {
    if (fact.first_event == kNoTime || fact.first_event >= end_) {
      return absl::OkStatus();
    }
    return AddItem({fact.first_event, JudgedKind::kFact, facts_++, 0},
                   HashOf(fact), payload);
  }
  absl::Status Add(const Sighting& sighting, std::string_view key,
                   std::string_view payload) {
    items_.clear();
    AppendSeen(sighting, sightings_++, false, 0, end_, &items_);
    absl::Status status = AddTotal(key, payload);
    for (const JudgedItem& item : items_) {
      status.Update(AddItem(item, HashOf(sighting), payload));
    }
    return status;
  }
  absl::Status Add(RefusalGroup& group, std::string_view key,
                   std::string_view payload) {
    const auto index =
        static_cast<uint32_t>((*next_group_id_)++ - first_group_id_);
    absl::Status status = AddTotal(key, payload);
    // What is not for each refusal is taken out; the sample goes with the
    // first.
    const KeptRefusals kept = std::exchange(group.kept, KeptRefusals());
    group.times.clear();
    group.gone_paths.clear();
    group.gone_agents.clear();
    group.claimed_ips = SmallTextSet();
    const size_t first = std::min<size_t>(group.keep, kept.size());
    for (uint32_t k = 0; k < first && kept[k].time < end_; ++k) {
      if (k == 1) group.sample.Clear();
      group.kept.clear();
      group.kept.push_back(kept[k]);
      payload_.clear();
      EncodeTo(group, &payload_);
      status.Update(AddItem({kept[k].time, JudgedKind::kRefusal, index, k},
                            HashOf(group, kept[k]), payload_));
    }
    return status;
  }
  absl::Status Add(const Deed& deed, std::string_view payload) {
    if (deed.time >= end_) return absl::OkStatus();
    return AddItem({deed.time, JudgedKind::kDeed, deeds_++, 0}, HashOf(deed),
                   payload);
  }

  void HandOnItem(std::string_view key, std::string_view payload,
                  const JudgedSink& sink) {
    const auto detail =
        static_cast<uint32_t>(ReadBigEndian(key.substr(kDetailAt, 4)));
    Judged judged;
    judged.kind = static_cast<JudgedKind>(key[kKindAt]);
    judged.time = ReadTime(key.substr(kTimeAt, kTimeBytes));
    switch (judged.kind) {
      case JudgedKind::kFact:
        if (!Decode(payload, &fact_)) return;
        judged.fact = &fact_;
        return sink(fact_.cluster, judged);
      case JudgedKind::kSeen:
        if (!Decode(payload, &sighting_)) return;
        judged.sighting = &sighting_;
        judged.new_key = detail & JudgedItem::kNewKey;
        judged.raised = detail & ~JudgedItem::kNewKey;
        return sink(sighting_.cluster, judged);
      case JudgedKind::kRefusal:
        if (!Decode(payload, &group_) || group_.kept.empty()) return;
        judged.group = &group_;
        judged.group_id = first_group_id_ + ReadBigEndian(key.substr(kIndexAt));
        judged.refusal = &group_.kept.front();
        judged.first_of_group = detail == 0;
        return sink(group_.cluster, judged);
      default:
        if (!Decode(payload, &deed_)) return;
        judged.deed = &deed_;
        return sink(deed_.cluster, judged);
    }
  }

  void HandOnTotal(std::string_view key, std::string_view payload,
                   EventTime time, const JudgedSink& sink) {
    Judged judged;
    judged.kind = JudgedKind::kTotal;
    judged.time = time;
    if (KindOf(key) == ObservationKind::kSighting) {
      if (!Decode(payload, &sighting_)) return;
      judged.sighting = &sighting_;
      return sink(sighting_.cluster, judged);
    }
    if (!Decode(payload, &group_)) return;
    judged.group = &group_;
    judged.rest_begin = std::min<size_t>(group_.keep, group_.kept.size());
    sink(group_.cluster, judged);
  }

  const EventTime end_;
  uint64_t* next_group_id_;
  const uint64_t first_group_id_;
  RecordSorter sorter_;
  uint32_t facts_ = 0;
  uint32_t sightings_ = 0;
  uint32_t deeds_ = 0;
  std::vector<JudgedItem> items_;
  std::string key_;
  std::string payload_;
  Fact fact_;
  Sighting sighting_;
  RefusalGroup group_;
  Deed deed_;
};

MinuteFeed::MinuteFeed(Options options, JudgedSink sink)
    : options_(std::move(options)),
      sink_(std::move(sink)),
      minute_(&next_group_id_) {}
MinuteFeed::~MinuteFeed() = default;

absl::Status MinuteFeed::Add(std::string_view key, std::string_view payload) {
  if (key.substr(0, kTimeBytes) != prefix_) {
    if (!prefix_.empty()) {
      absl::Status status = EndMinute(begin_ + kMinute - 1);
      if (!status.ok()) return status;
    }
    prefix_ = key.substr(0, kTimeBytes);
    begin_ = ReadTime(prefix_);
  }
  if (spilled_ == nullptr) {
    Hold(key, payload);
    return held_bytes_ / kHeldShare > options_.memory_bytes ? Spill()
                                                            : absl::OkStatus();
  }
  return spilled_->Add(key, payload);
}

void MinuteFeed::Hold(std::string_view key, std::string_view payload) {
  // Ours: a payload that cannot be decoded does not happen.
  switch (KindOf(key)) {
    case ObservationKind::kFact:
      Decode(payload, &minute_.AddFact());
      held_bytes_ += sizeof(Fact);
      return;
    case ObservationKind::kSighting:
      Decode(payload, &minute_.AddSighting());
      held_bytes_ += sizeof(Sighting) + payload.size();
      return;
    case ObservationKind::kRefusals: {
      RefusalGroup& group = minute_.AddGroup();
      Decode(payload, &group);
      held_bytes_ += sizeof(RefusalGroup) + payload.size() +
                     group.kept.size() * sizeof(JudgedItem);
      return;
    }
    case ObservationKind::kDeed:
      Decode(payload, &minute_.AddDeed());
      held_bytes_ += sizeof(Deed) + payload.size();
      return;
  }
}

absl::Status MinuteFeed::Spill() {
  ++spilled_minutes_;
  spilled_ =
      std::make_unique<Spilled>(options_, begin_ + kMinute, &next_group_id_);
  std::string key;
  std::string payload;
  absl::Status status;
  const auto move_over = [&](const auto& value) {
    key.clear();
    payload.clear();
    AppendKey(value, &key);
    EncodeTo(value, &payload);
    status.Update(spilled_->Add(key, payload));
  };
  for (const Fact& fact : minute_.facts()) move_over(fact);
  for (uint32_t i = 0; i < minute_.sightings(); ++i) {
    move_over(minute_.sighting(i));
  }
  for (uint32_t i = 0; i < minute_.groups(); ++i) move_over(minute_.group(i));
  for (const Deed& deed : minute_.deeds()) move_over(deed);
  minute_.Release();
  return status;
}

absl::Status MinuteFeed::EndMinute(EventTime total_time) {
  held_bytes_ = 0;
  if (spilled_ != nullptr) {
    const std::unique_ptr<Spilled> spilled = std::move(spilled_);
    return spilled->HandOn(total_time, sink_);
  }
  minute_.HandOn(begin_ + kMinute, /*stays=*/false, sink_);
  for (uint32_t i = 0; i < minute_.groups(); ++i) {
    minute_.HandOnGroupTotal(i, total_time, sink_);
  }
  for (uint32_t i = 0; i < minute_.sightings(); ++i) {
    minute_.HandOnTotal(minute_.sighting(i), total_time, sink_);
  }
  minute_.Clear();
  return absl::OkStatus();
}

absl::Status MinuteFeed::Finish(EventTime newest) {
  if (prefix_.empty()) return absl::OkStatus();
  return EndMinute(std::min(begin_ + kMinute - 1, newest));
}

}  // namespace klaxon
