#include "pipeline/minute.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

#include "pipeline/sort_key.h"

namespace klaxon {
namespace {

ItemHash Hash(std::string_view bytes, uint64_t seed = 0) {
  const XXH128_hash_t hash =
      XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.high64, hash.low64};
}

template <typename T>
ItemHash HashOfKey(const T& value) {
  std::string key;
  AppendKey(value, &key);
  return Hash(key);
}

bool ByTime(const JudgedItem& a, const JudgedItem& b) {
  return a.time != b.time ? a.time < b.time : a.kind < b.kind;
}

// Into as many slices of the time between the first and the last as there are
// items, where the slices are sorted: most have one or two. `scratch` keeps its
// memory. What lies at few instants is only sorted.
void SortByTime(std::vector<JudgedItem>* items,
                std::vector<JudgedItem>* scratch) {
  constexpr size_t kFew = 64;
  const size_t count = items->size();
  if (count < kFew) return std::sort(items->begin(), items->end(), ByTime);
  const auto [first, last] = std::minmax_element(
      items->begin(), items->end(),
      [](const JudgedItem& a, const JudgedItem& b) { return a.time < b.time; });
  const auto base = static_cast<uint64_t>(first->time);
  const uint64_t span = static_cast<uint64_t>(last->time) - base;
  const auto slices_log2 = static_cast<int>(std::bit_width(count - 1));
  const int shift =
      std::max(0, static_cast<int>(std::bit_width(span)) - slices_log2);
  const auto slice = [&](const JudgedItem& item) {
    return (static_cast<uint64_t>(item.time) - base) >> shift;
  };
  // Where the next item of a slice goes.
  std::vector<uint32_t> next((size_t{1} << slices_log2) + 1);
  for (const JudgedItem& item : *items) ++next[slice(item) + 1];
  for (size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
  scratch->resize(count);
  for (const JudgedItem& item : *items) (*scratch)[next[slice(item)]++] = item;
  for (size_t begin = 0, i = 0; begin < count; begin = next[i++]) {
    if (next[i] - begin < 2) continue;
    std::sort(scratch->begin() + static_cast<ptrdiff_t>(begin),
              scratch->begin() + static_cast<ptrdiff_t>(next[i]), ByTime);
  }
  items->swap(*scratch);
}

}  // namespace

ItemHash HashOf(const Fact& fact) { return Hash(fact.cluster); }
ItemHash HashOf(const Sighting& sighting) { return HashOfKey(sighting); }
ItemHash HashOf(const RefusalGroup& group, const Refusal& refusal) {
  return Hash(group.client, refusal.request);
}
ItemHash HashOf(const Deed& deed) { return HashOfKey(deed); }

Sighting& Minute::AddSighting() {
  seen_.emplace_back();
  if (sightings_.size() < seen_.size()) sightings_.emplace_back();
  return sightings_[seen_.size() - 1];
}

RefusalGroup& Minute::AddGroup() {
  sent_.emplace_back().group_id = (*next_group_id_)++;
  if (groups_.size() < sent_.size()) groups_.emplace_back();
  return groups_[sent_.size() - 1];
}

void Minute::Clear() {
  facts_.clear();
  deeds_.clear();
  seen_.clear();
  sent_.clear();
  touched_sightings_.clear();
  touched_groups_.clear();
  clusters_.clear();
}

void Minute::Release() {
  Clear();
  sightings_ = {};
  groups_ = {};
  items_ = {};
  sorted_items_ = {};
}

void AppendSeen(const Sighting& s, uint32_t index, bool key_done,
                uint32_t flags_done, EventTime until,
                std::vector<JudgedItem>* items) {
  static_assert(kSightingFlags < 31);
  // Times are few and mostly equal: the first event raises most flags.
  const size_t begin = items->size();
  const auto raise = [&](EventTime time, uint32_t detail) {
    for (size_t i = begin; i < items->size(); ++i) {
      if ((*items)[i].time != time) continue;
      (*items)[i].detail |= detail;
      return;
    }
    items->push_back({time, JudgedKind::kSeen, index, detail});
  };
  if (!key_done && s.seen.first < until) {
    raise(s.seen.first, JudgedItem::kNewKey);
  }
  for (uint32_t i = 0; i < kSightingFlags; ++i) {
    if (!s.flags[i].ever() || (flags_done >> i & 1)) continue;
    if (s.flags[i].first < until) raise(s.flags[i].first, 1u << i);
  }
}

// The groups of a minute are of few clusters, and a minute of one cluster is
// judged without looking at each group's name.
const std::string* Minute::OneOf(const std::string& cluster) {
  if (clusters_.empty() || *last_cluster_ != cluster) {
    last_cluster_ = &*clusters_.insert(cluster).first;
  }
  return last_cluster_;
}

void Minute::AppendRefusals(uint32_t index, EventTime until) {
  const RefusalGroup& group = groups_[index];
  const std::vector<uint64_t>& sent = sent_[index].requests;
  const size_t first = std::min<size_t>(group.keep, group.kept.size());
  sent_[index].cluster = OneOf(group.cluster);
  for (uint32_t k = 0; k < first; ++k) {
    const Refusal& refusal = group.kept[k];
    if (refusal.time >= until) break;
    if (std::find(sent.begin(), sent.end(), refusal.request) != sent.end()) {
      continue;
    }
    items_.push_back({refusal.time, JudgedKind::kRefusal, index, k});
  }
}

void Minute::Touch(ObservationKind kind, uint32_t index) {
  const bool sighting = kind == ObservationKind::kSighting;
  bool& touched = sighting ? seen_[index].touched : sent_[index].touched;
  if (touched) return;
  touched = true;
  (sighting ? touched_sightings_ : touched_groups_).push_back(index);
}

// Of what was touched, only that stays which has something at or after `until`.
void Minute::KeepTouched(EventTime until) {
  std::erase_if(touched_sightings_, [&](uint32_t index) {
    const Sighting& s = sightings_[index];
    bool more = s.seen.first >= until;
    for (const Span& flag : s.flags) more |= flag.ever() && flag.first >= until;
    seen_[index].touched = more;
    return !more;
  });
  std::erase_if(touched_groups_, [&](uint32_t index) {
    const RefusalGroup& group = groups_[index];
    const size_t first = std::min<size_t>(group.keep, group.kept.size());
    const bool more = first > 0 && group.kept[first - 1].time >= until;
    sent_[index].touched = more;
    return !more;
  });
}

void Minute::CollectItems(EventTime until, bool stays) {
  items_.clear();
  for (uint32_t i = 0; i < facts_.size(); ++i) {
    const EventTime time = facts_[i].first_event;
    if (time == kNoTime || time >= until) continue;
    items_.push_back({time, JudgedKind::kFact, i, 0});
  }
  const auto append_seen = [&](uint32_t i) {
    AppendSeen(sightings_[i], i, seen_[i].key, seen_[i].flags, until, &items_);
  };
  if (stays) {
    for (const uint32_t i : touched_sightings_) append_seen(i);
    for (const uint32_t i : touched_groups_) AppendRefusals(i, until);
  } else {
    for (uint32_t i = 0; i < sightings(); ++i) append_seen(i);
    for (uint32_t i = 0; i < groups(); ++i) AppendRefusals(i, until);
  }
  for (uint32_t i = 0; i < deeds_.size(); ++i) {
    if (deeds_[i].time >= until) continue;
    items_.push_back({deeds_[i].time, JudgedKind::kDeed, i, 0});
  }
  if (folded_ != nullptr) folded_->AppendItems(until, &items_);
}

ItemHash Minute::HashOf(const JudgedItem& item) const {
  switch (item.kind) {
    case JudgedKind::kFact:
      return klaxon::HashOf(facts_[item.index]);
    case JudgedKind::kSeen:
      return klaxon::HashOf(sightings_[item.index]);
    case JudgedKind::kRefusal: {
      const RefusalGroup& group =
          item.index & JudgedItem::kFolded
              ? folded_->Read(item.index & ~JudgedItem::kFolded)
              : groups_[item.index];
      return klaxon::HashOf(group, group.kept[item.detail]);
    }
    default:
      return klaxon::HashOf(deeds_[item.index]);
  }
}

void Minute::SortItems() {
  SortByTime(&items_, &sorted_items_);
  // Only what shares its instant with others needs a hash.
  std::vector<std::pair<ItemHash, JudgedItem>> tied;
  for (size_t begin = 0, end = 0; begin < items_.size(); begin = end) {
    const JudgedItem& first = items_[begin];
    for (end = begin + 1; end < items_.size(); ++end) {
      if (items_[end].time != first.time || items_[end].kind != first.kind) {
        break;
      }
    }
    if (end - begin == 1) continue;
    tied.clear();
    for (size_t i = begin; i < end; ++i) {
      tied.emplace_back(HashOf(items_[i]), items_[i]);
    }
    std::sort(tied.begin(), tied.end(), [](const auto& a, const auto& b) {
      if (a.first != b.first) return a.first < b.first;
      if (a.second.detail != b.second.detail) {
        return a.second.detail < b.second.detail;
      }
      return a.second.index < b.second.index;
    });
    for (size_t i = begin; i < end; ++i) items_[i] = tied[i - begin].second;
  }
}

void Minute::LookAhead(size_t item) {
  constexpr size_t kGroup = 16;  // Before it is asked for its refusals.
  const auto group_at = [this](size_t at) -> uint32_t {
    if (at >= items_.size() || items_[at].kind != JudgedKind::kRefusal) {
      return kNoGroup;
    }
    return items_[at].index;
  };
  if (const uint32_t index = group_at(item + kGroup); index != kNoGroup) {
    if (index & JudgedItem::kFolded) {
      folded_->Prefetch(index & ~JudgedItem::kFolded);
    } else {
      const RefusalGroup& group = groups_[index];
      __builtin_prefetch(&group.kept);
      __builtin_prefetch(&group.dropped);
      __builtin_prefetch(&group.client);
    }
  }
  const size_t far = item + Judged::kSoon[0];
  uint64_t& id = soon_[far % kSoonIds];
  id = 0;
  const uint32_t index = group_at(far);
  if (index == kNoGroup || index & JudgedItem::kFolded) return;
  id = sent_[index].group_id;
  groups_[index].kept.Prefetch(items_[far].detail);
}

void Minute::HandOnRefusal(size_t index, bool stays, Judged* judged,
                           const JudgedSink& sink) {
  const JudgedItem& item = items_[index];
  judged->time = item.time;
  judged->first_of_group = item.detail == 0;
  for (size_t i = 0; i < Judged::kSoon.size(); ++i) {
    judged->soon[i] = soon_[(index + Judged::kSoon[i]) % kSoonIds];
  }
  if (item.index & JudgedItem::kFolded) {
    const RefusalGroup& group =
        folded_->Read(item.index & ~JudgedItem::kFolded);
    judged->group = &group;
    judged->group_id = 0;
    judged->kept_index = Judged::kNotKept;
    judged->refusal = &group.kept[item.detail];
    return sink(group.cluster, *judged);
  }
  Sent& sent = sent_[item.index];
  judged->group = &groups_[item.index];
  judged->group_id = sent.group_id;
  judged->refusal = &judged->group->kept[item.detail];
  judged->kept_index = stays ? Judged::kNotKept : item.detail;
  if (stays) sent.requests.push_back(judged->refusal->request);
  sink(*sent.cluster, *judged);
}

void Minute::HandOn(const JudgedItem& item, const JudgedSink& sink) {
  Judged judged;
  judged.kind = item.kind;
  judged.time = item.time;
  switch (item.kind) {
    case JudgedKind::kFact:
      judged.fact = &facts_[item.index];
      return sink(judged.fact->cluster, judged);
    case JudgedKind::kSeen:
      judged.sighting = &sightings_[item.index];
      judged.new_key = item.detail & JudgedItem::kNewKey;
      judged.raised = item.detail & ~JudgedItem::kNewKey;
      seen_[item.index].key |= judged.new_key;
      seen_[item.index].flags |= judged.raised;
      return sink(judged.sighting->cluster, judged);
    default:
      judged.deed = &deeds_[item.index];
      return sink(judged.deed->cluster, judged);
  }
}

void Minute::HandOn(EventTime until, bool stays, const JudgedSink& sink) {
  CollectItems(until, stays);
  SortItems();
  Judged refusal;  // Of each its own are written over.
  refusal.kind = JudgedKind::kRefusal;
  soon_.fill(0);
  for (size_t i = 0; i < items_.size(); ++i) {
    LookAhead(i);
    if (items_[i].kind == JudgedKind::kRefusal) {
      HandOnRefusal(i, stays, &refusal, sink);
    } else {
      HandOn(items_[i], sink);
    }
  }
  if (!stays) return;
  KeepTouched(until);
  std::erase_if(deeds_, [&](const Deed& d) { return d.time < until; });
  std::erase_if(facts_, [&](const Fact& f) {
    return f.first_event == kNoTime || f.first_event < until;
  });
}

void Minute::HandOnTotal(const Sighting& sighting, EventTime time,
                         const JudgedSink& sink) const {
  Judged judged;
  judged.kind = JudgedKind::kTotal;
  judged.time = time;
  judged.sighting = &sighting;
  sink(sighting.cluster, judged);
}

void Minute::HandOnGroupTotal(uint32_t index, EventTime time,
                              const JudgedSink& sink) const {
  Judged judged;
  judged.kind = JudgedKind::kTotal;
  judged.time = time;
  judged.group = &groups_[index];
  judged.group_id = sent_[index].group_id;
  judged.rest_begin =
      std::min<size_t>(judged.group->keep, judged.group->kept.size());
  sink(judged.group->cluster, judged);
}

}  // namespace klaxon
