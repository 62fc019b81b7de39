#include "pipeline/reorder.h"

#include <xxhash.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace klaxon {
namespace {

void AppendMinute(EventTime minute, ObservationKind kind, std::string* key) {
  const uint64_t biased = static_cast<uint64_t>(minute) ^ (uint64_t{1} << 63);
  for (int shift = 56; shift >= 0; shift -= 8) {
    key->push_back(static_cast<char>(biased >> shift));
  }
  key->push_back(static_cast<char>(kind));
}

// One thing to hand on, before it is looked up again.
struct Item {
  EventTime time;
  JudgedKind kind;
  XXH128_hash_t hash;  // Order at one instant: of the event's own fields.
  uint32_t index;      // Into the bucket's list of its kind.
  uint32_t detail;     // kSeen: raised flags, kNewKey; kRefusal: its index.
};
constexpr uint32_t kNewKey = 1u << 31;
static_assert(kSightingFlags < 31);

bool Before(const Item& a, const Item& b) {
  if (a.time != b.time) return a.time < b.time;
  if (a.kind != b.kind) return a.kind < b.kind;
  if (a.hash.high64 != b.hash.high64) return a.hash.high64 < b.hash.high64;
  if (a.hash.low64 != b.hash.low64) return a.hash.low64 < b.hash.low64;
  return a.detail < b.detail;
}

}  // namespace

void AppendKey(const Fact& value, std::string* key) {
  AppendMinute(value.minute, ObservationKind::kFact, key);
  WireWriter(key).Text(value.cluster);
}

void AppendKey(const Sighting& value, std::string* key) {
  AppendMinute(value.minute, ObservationKind::kSighting, key);
  WireWriter w(key);
  w.Text(value.cluster);
  w.Text(value.user);
  w.Text(value.credential);
  w.Text(value.client);
  w.Uint(static_cast<uint64_t>(value.family));
  w.Text(value.pod);
  w.Text(value.node);
}

void AppendKey(const RefusalGroup& value, std::string* key) {
  AppendMinute(value.minute, ObservationKind::kRefusals, key);
  WireWriter w(key);
  w.Text(value.cluster);
  w.Text(value.user);
  w.Text(value.client);
  w.Uint(static_cast<uint64_t>(value.cls));
}

void AppendKey(const Deed& value, std::string* key) {
  AppendMinute(MinuteOf(value.time), ObservationKind::kDeed, key);
  WireWriter w(key);
  w.Text(value.cluster);
  w.Text(value.topic);
  w.Int(value.time);
  w.Text({reinterpret_cast<const char*>(value.request.data()),
          value.request.size()});
  for (const auto& [name, text] : value.fields) w.Text(text);
}

// Everything of one minute.
struct Reorder::Bucket {
  struct SeenState {
    bool key = false;
    uint32_t flags = 0;
    bool total = false;
  };
  EventTime minute = 0;
  absl::flat_hash_map<std::string, uint32_t> sighting_index;
  absl::flat_hash_map<std::string, uint32_t> group_index;
  std::deque<Sighting> sightings;  // Large: never moved once made.
  std::vector<SeenState> seen;     // Parallel to sightings.
  std::deque<RefusalGroup> groups;
  // Parallel to groups: requests handed on while the minute was still open.
  std::vector<std::vector<uint64_t>> released;
  std::vector<Deed> deeds;
  std::vector<Fact> facts;

  // What is to be handed on before `until` and was not yet, in order.
  std::vector<Item> ItemsUntil(EventTime until) const;
  // `minute_stays`: more of this minute may come, so remember what went.
  void HandOn(const Item& item, bool minute_stays, const Sink& sink);
  void HandOnTotals(EventTime time, const Sink& sink) const;

  void Add(Sighting&& value) {
    std::string key;
    AppendKey(value, &key);
    auto [it, inserted] =
        sighting_index.try_emplace(std::move(key), sightings.size());
    if (inserted) {
      sightings.push_back(std::move(value));
      seen.emplace_back();
    } else {
      sightings[it->second].Merge(value);
    }
  }
  void Add(RefusalGroup&& value) {
    std::string key;
    AppendKey(value, &key);
    auto [it, inserted] =
        group_index.try_emplace(std::move(key), groups.size());
    if (inserted) {
      groups.push_back(std::move(value));
      released.emplace_back();
    } else {
      groups[it->second].Merge(value);
    }
  }
};

Reorder::Reorder() = default;
Reorder::~Reorder() = default;

Reorder::Bucket& Reorder::BucketFor(EventTime minute) {
  std::unique_ptr<Bucket>& bucket = buckets_[minute];
  if (bucket == nullptr) {
    bucket = std::make_unique<Bucket>();
    bucket->minute = minute;
  }
  return *bucket;
}

void Reorder::Add(Observations&& observations) {
  for (Sighting& s : observations.sightings) {
    if (s.seen.first < watermark_) ++late_;
    BucketFor(s.minute).Add(std::move(s));
  }
  for (RefusalGroup& g : observations.refusals) {
    if (!g.kept.empty() && g.kept.front().time < watermark_) ++late_;
    BucketFor(g.minute).Add(std::move(g));
  }
  for (Deed& d : observations.deeds) {
    if (d.time < watermark_) ++late_;
    BucketFor(MinuteOf(d.time)).deeds.push_back(std::move(d));
  }
  for (Fact& f : observations.facts) {
    BucketFor(f.minute).facts.push_back(std::move(f));
  }
}

namespace {

// Items of a sighting that appear in [.., until) and were not handed on yet.
void AddSeenItems(const Sighting& s, uint32_t index, bool key_done,
                  uint32_t flags_done, EventTime until,
                  std::vector<Item>* items) {
  std::string key;
  AppendKey(s, &key);
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  // Times are few and mostly equal: the first event raises most flags.
  std::vector<std::pair<EventTime, uint32_t>> at;
  const auto raise = [&](EventTime time, uint32_t detail) {
    for (auto& [t, d] : at) {
      if (t == time) {
        d |= detail;
        return;
      }
    }
    at.emplace_back(time, detail);
  };
  if (!key_done && s.seen.first < until) raise(s.seen.first, kNewKey);
  for (uint32_t i = 0; i < kSightingFlags; ++i) {
    if (!s.flags[i].ever() || (flags_done >> i & 1)) continue;
    if (s.flags[i].first < until) raise(s.flags[i].first, 1u << i);
  }
  for (const auto& [time, detail] : at) {
    items->push_back({time, JudgedKind::kSeen, hash, index, detail});
  }
}

XXH128_hash_t RefusalHash(const RefusalGroup& group, const Refusal& refusal) {
  return XXH3_128bits_withSeed(group.client.data(), group.client.size(),
                               refusal.request);
}

}  // namespace

std::vector<Item> Reorder::Bucket::ItemsUntil(EventTime until) const {
  std::vector<Item> items;
  for (uint32_t i = 0; i < facts.size(); ++i) {
    const Fact& fact = facts[i];
    if (fact.first_event == kNoTime || fact.first_event >= until) continue;
    items.push_back({fact.first_event, JudgedKind::kFact,
                     XXH3_128bits(fact.cluster.data(), fact.cluster.size()), i,
                     0});
  }
  for (uint32_t i = 0; i < sightings.size(); ++i) {
    AddSeenItems(sightings[i], i, seen[i].key, seen[i].flags, until, &items);
  }
  for (uint32_t i = 0; i < groups.size(); ++i) {
    const RefusalGroup& group = groups[i];
    const size_t first = std::min<size_t>(group.keep, group.kept.size());
    for (uint32_t k = 0; k < first; ++k) {
      const Refusal& refusal = group.kept[k];
      if (refusal.time >= until) break;
      if (std::find(released[i].begin(), released[i].end(), refusal.request) !=
          released[i].end()) {
        continue;
      }
      items.push_back({refusal.time, JudgedKind::kRefusal,
                       RefusalHash(group, refusal), i, k});
    }
  }
  std::string key;
  for (uint32_t i = 0; i < deeds.size(); ++i) {
    if (deeds[i].time >= until) continue;
    key.clear();
    AppendKey(deeds[i], &key);
    items.push_back({deeds[i].time, JudgedKind::kDeed,
                     XXH3_128bits(key.data(), key.size()), i, 0});
  }
  std::sort(items.begin(), items.end(), Before);
  return items;
}

void Reorder::Bucket::HandOn(const Item& item, bool minute_stays,
                             const Sink& sink) {
  Judged judged;
  judged.kind = item.kind;
  judged.time = item.time;
  switch (item.kind) {
    case JudgedKind::kFact:
      judged.fact = &facts[item.index];
      return sink(judged.fact->cluster, judged);
    case JudgedKind::kSeen:
      judged.sighting = &sightings[item.index];
      judged.new_key = item.detail & kNewKey;
      judged.raised = item.detail & ~kNewKey;
      seen[item.index].key |= judged.new_key;
      seen[item.index].flags |= judged.raised;
      return sink(judged.sighting->cluster, judged);
    case JudgedKind::kRefusal:
      judged.group = &groups[item.index];
      judged.refusal = &judged.group->kept[item.detail];
      judged.first_of_group = item.detail == 0;
      if (minute_stays) {
        released[item.index].push_back(judged.refusal->request);
      }
      return sink(judged.group->cluster, judged);
    default:
      judged.deed = &deeds[item.index];
      return sink(judged.deed->cluster, judged);
  }
}

void Reorder::Bucket::HandOnTotals(EventTime time, const Sink& sink) const {
  std::vector<std::pair<std::string_view, Judged>> totals;
  for (const auto& [key, index] : sighting_index) {
    Judged judged;
    judged.sighting = &sightings[index];
    totals.emplace_back(key, judged);
  }
  for (const auto& [key, index] : group_index) {
    Judged judged;
    judged.group = &groups[index];
    judged.rest_begin =
        std::min<size_t>(judged.group->keep, judged.group->kept.size());
    totals.emplace_back(key, judged);
  }
  std::sort(totals.begin(), totals.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [key, judged] : totals) {
    judged.kind = JudgedKind::kTotal;
    judged.time = time;
    sink(judged.sighting ? judged.sighting->cluster : judged.group->cluster,
         judged);
  }
}

void Reorder::ReleaseMinute(Bucket& bucket, EventTime until,
                            EventTime total_time, const Sink& sink) {
  const bool minute_stays = total_time == kNoTime;
  for (const Item& item : bucket.ItemsUntil(until)) {
    bucket.HandOn(item, minute_stays, sink);
  }
  if (!minute_stays) {
    bucket.HandOnTotals(total_time, sink);
    return;
  }
  std::erase_if(bucket.deeds, [&](const Deed& d) { return d.time < until; });
  std::erase_if(bucket.facts, [&](const Fact& f) {
    return f.first_event == kNoTime || f.first_event < until;
  });
}

void Reorder::Release(EventTime watermark, const Sink& sink) {
  if (watermark <= watermark_) return;
  while (!buckets_.empty() && buckets_.begin()->first < watermark) {
    auto it = buckets_.begin();
    const EventTime end = it->first + kMinute;
    const bool over = end <= watermark;
    ReleaseMinute(*it->second, std::min(watermark, end),
                  over ? end - 1 : kNoTime, sink);
    if (!over) break;
    buckets_.erase(it);
  }
  watermark_ = watermark;
}

void Reorder::Finish(EventTime newest, const Sink& sink) {
  while (!buckets_.empty()) {
    auto it = buckets_.begin();
    const EventTime end = it->first + kMinute;
    ReleaseMinute(*it->second, end, std::min(end - 1, newest), sink);
    buckets_.erase(it);
  }
  watermark_ = std::max(watermark_, newest + 1);
}

}  // namespace klaxon
