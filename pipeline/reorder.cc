#include "pipeline/reorder.h"

#include <xxhash.h>

#include <algorithm>
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
  bool totals_given = false;
  absl::flat_hash_map<std::string, uint32_t> sighting_index;
  absl::flat_hash_map<std::string, uint32_t> group_index;
  std::vector<Sighting> sightings;
  std::vector<SeenState> seen;  // Parallel to sightings.
  std::vector<RefusalGroup> groups;
  // Parallel to groups: requests handed on while the minute was still open.
  std::vector<std::vector<uint64_t>> released;
  std::vector<Deed> deeds;
  std::vector<Fact> facts;

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
    bucket->totals_given =
        watermark_ != kNoTime && minute + kMinute <= watermark_;
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

void Reorder::ReleaseMinute(Bucket& bucket, EventTime until,
                            EventTime total_time, const Sink& sink) {
  std::vector<Item> items;
  for (uint32_t i = 0; i < bucket.facts.size(); ++i) {
    const Fact& fact = bucket.facts[i];
    if (fact.first_event == kNoTime || fact.first_event >= until) continue;
    items.push_back({fact.first_event, JudgedKind::kFact,
                     XXH3_128bits(fact.cluster.data(), fact.cluster.size()), i,
                     0});
  }
  for (uint32_t i = 0; i < bucket.sightings.size(); ++i) {
    Bucket::SeenState& state = bucket.seen[i];
    AddSeenItems(bucket.sightings[i], i, state.key, state.flags, until, &items);
  }
  for (uint32_t i = 0; i < bucket.groups.size(); ++i) {
    const RefusalGroup& group = bucket.groups[i];
    const size_t first = std::min<size_t>(group.keep, group.kept.size());
    for (uint32_t k = 0; k < first; ++k) {
      const EventTime time = group.kept[k].time;
      const std::vector<uint64_t>& done = bucket.released[i];
      if (time >= until || std::find(done.begin(), done.end(),
                                     group.kept[k].request) != done.end()) {
        continue;
      }
      items.push_back({time, JudgedKind::kRefusal,
                       RefusalHash(group, group.kept[k]), i, k});
    }
  }
  for (uint32_t i = 0; i < bucket.deeds.size(); ++i) {
    const Deed& deed = bucket.deeds[i];
    if (deed.time >= until) continue;
    std::string key;
    AppendKey(deed, &key);
    items.push_back({deed.time, JudgedKind::kDeed,
                     XXH3_128bits(key.data(), key.size()), i, 0});
  }
  std::sort(items.begin(), items.end(), Before);
  for (const Item& item : items) {
    Judged judged;
    judged.kind = item.kind;
    judged.time = item.time;
    const std::string* cluster = nullptr;
    if (item.kind == JudgedKind::kFact) {
      judged.fact = &bucket.facts[item.index];
      cluster = &judged.fact->cluster;
    } else if (item.kind == JudgedKind::kSeen) {
      judged.sighting = &bucket.sightings[item.index];
      judged.new_key = item.detail & kNewKey;
      judged.raised = item.detail & ~kNewKey;
      bucket.seen[item.index].key |= judged.new_key;
      bucket.seen[item.index].flags |= judged.raised;
      cluster = &judged.sighting->cluster;
    } else if (item.kind == JudgedKind::kRefusal) {
      judged.group = &bucket.groups[item.index];
      judged.refusal = &judged.group->kept[item.detail];
      if (total_time == kNoTime) {
        bucket.released[item.index].push_back(judged.refusal->request);
      }
      judged.first_of_group = item.detail == 0;
      cluster = &judged.group->cluster;
    } else {
      judged.deed = &bucket.deeds[item.index];
      cluster = &judged.deed->cluster;
    }
    sink(*cluster, judged);
  }
  std::erase_if(bucket.deeds,
                [&](const Deed& d) { return d.time < until; });
  std::erase_if(bucket.facts, [&](const Fact& f) {
    return f.first_event == kNoTime || f.first_event < until;
  });
  if (total_time == kNoTime) return;

  std::vector<std::pair<std::string, Judged>> totals;
  for (const auto& [key, index] : bucket.sighting_index) {
    Judged judged;
    judged.sighting = &bucket.sightings[index];
    totals.emplace_back(key, judged);
  }
  for (const auto& [key, index] : bucket.group_index) {
    Judged judged;
    judged.group = &bucket.groups[index];
    judged.rest_begin =
        std::min<size_t>(judged.group->keep, judged.group->kept.size());
    totals.emplace_back(key, judged);
  }
  std::sort(totals.begin(), totals.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [key, judged] : totals) {
    judged.kind = JudgedKind::kTotal;
    judged.time = total_time;
    judged.incremental = bucket.totals_given;
    sink(judged.sighting ? judged.sighting->cluster : judged.group->cluster,
         judged);
  }
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
