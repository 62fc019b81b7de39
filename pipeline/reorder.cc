#include "pipeline/reorder.h"

#include <malloc.h>

#include <algorithm>
#include <deque>
#include <numeric>
#include <utility>
#include <vector>

#include "pipeline/minute_keys.h"
#include "pipeline/open_groups.h"

namespace klaxon {
namespace {

// The heap keeps what such a minute held, up to gigabytes, unless it is told
// not to; and each snapshot's fork would copy the page tables of that. Telling
// takes little beside the judging of so many.
constexpr uint32_t kManyObservations = 1 << 16;

// Another thread may have made them: they are far away.
void FetchSoon(const std::deque<RefusalGroup>& groups, size_t at) {
  constexpr size_t kGroup = 6;    // Before it is looked at,
  constexpr size_t kContent = 3;  // and what it points to.
  if (at + kGroup < groups.size()) {
    const auto* bytes = reinterpret_cast<const char*>(&groups[at + kGroup]);
    for (size_t i = 0; i < sizeof(RefusalGroup); i += 64) {
      __builtin_prefetch(bytes + i);
    }
  }
  if (at + kContent < groups.size()) {
    const RefusalGroup& group = groups[at + kContent];
    group.kept.Prefetch(0);
    __builtin_prefetch(group.client.data());
    __builtin_prefetch(group.sample.bytes.data());
    __builtin_prefetch(group.sample.bytes.data() + 64);
  }
}

}  // namespace

// One minute, with parts of equal keys merged.
struct Reorder::Bucket {
  Bucket(uint64_t* next_group_id, size_t whole_groups_max)
      : content(next_group_id), groups(&content, whole_groups_max) {
    content.SetFolded(&groups);
  }

  void Add(Sighting&& value) {
    const uint32_t index = sightings.Find(value);
    if (index == content.sightings()) {
      std::swap(content.AddSighting(), value);
    } else {
      content.sighting(index).Merge(value);
    }
    content.Touch(ObservationKind::kSighting, index);
  }

  Minute content;
  MinuteKeys sightings;
  OpenGroups groups;
};

Reorder::Reorder(size_t whole_groups_max)
    : whole_groups_max_(whole_groups_max) {}
Reorder::~Reorder() = default;

Reorder::Bucket& Reorder::BucketFor(EventTime minute) {
  std::unique_ptr<Bucket>& bucket = buckets_[minute];
  if (bucket == nullptr) {
    bucket = std::make_unique<Bucket>(&next_group_id_, whole_groups_max_);
  }
  return *bucket;
}

void Reorder::Add(Observations&& observations) {
  const uint64_t late_before = late_;
  for (const Sighting& s : observations.sightings) {
    if (s.seen.first < watermark_) ++late_;
  }
  for (const Deed& d : observations.deeds) {
    if (d.time < watermark_) ++late_;
  }
  Put(std::move(observations), /*judged=*/false);
  late_waits_ |= late_ != late_before;
}

uint64_t Reorder::pending() const {
  uint64_t pending = 0;
  for (const auto& [minute, bucket] : buckets_) {
    pending += bucket->content.facts().size() + bucket->content.deeds().size() +
               bucket->content.sightings() + bucket->groups.size();
  }
  return pending;
}

void Reorder::AddJudged(Observations&& observations) {
  Put(std::move(observations), /*judged=*/true);
  // At once, as then: what is over goes.
  ReleaseUntil(watermark_, [](const std::string&, const Judged&) {});
}

void Reorder::Put(Observations&& observations, bool judged) {
  for (Sighting& s : observations.sightings) {
    BucketFor(s.minute).Add(std::move(s));
  }
  for (size_t i = 0; i < observations.refusals.size(); ++i) {
    FetchSoon(observations.refusals, i);
    RefusalGroup& g = observations.refusals[i];
    const bool late = !g.kept.empty() && g.kept.front().time < watermark_;
    if (late && !judged) ++late_;
    BucketFor(g.minute).groups.Add(std::move(g));
  }
  for (Deed& d : observations.deeds) {
    BucketFor(MinuteOf(d.time)).content.AddDeed() = std::move(d);
  }
  for (Fact& f : observations.facts) {
    BucketFor(f.minute).content.AddFact() = std::move(f);
  }
}

void Reorder::ReleaseMinute(Bucket& bucket, EventTime until,
                            EventTime total_time, const Sink& sink) {
  const bool stays = total_time == kNoTime;
  bucket.content.HandOn(until, stays, sink);
  if (stays) return;
  bucket.groups.HandOnTotals(total_time, sink);
  std::vector<uint32_t> sightings(bucket.content.sightings());
  std::iota(sightings.begin(), sightings.end(), 0);
  bucket.sightings.Sort(&sightings);
  for (uint32_t index : sightings) {
    bucket.content.HandOnTotal(bucket.content.sighting(index), total_time,
                               sink);
  }
}

void Reorder::Release(EventTime watermark, const Sink& sink) {
  if (watermark < watermark_ || (watermark == watermark_ && !late_waits_)) {
    return;
  }
  late_waits_ = false;
  ReleaseUntil(watermark, sink);
}

void Reorder::ReleaseUntil(EventTime watermark, const Sink& sink) {
  while (!buckets_.empty() && buckets_.begin()->first < watermark) {
    auto it = buckets_.begin();
    const EventTime end = it->first + kMinute;
    const bool over = end <= watermark;
    ReleaseMinute(*it->second, std::min(watermark, end),
                  over ? end - 1 : kNoTime, sink);
    if (!over) break;
    const Bucket& bucket = *it->second;
    const bool many =
        bucket.groups.size() + bucket.content.sightings() >= kManyObservations;
    buckets_.erase(it);
    if (many) malloc_trim(0);
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
