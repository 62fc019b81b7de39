// Puts observations of a stream into the order in which they are judged. (In a
// scan they are all there and sorted: minute_feed.h.)
//
// Parts of one sighting (or refusal group) are merged here, never in a
// detector. Release(watermark) hands on, in order, everything with a time
// before the watermark: facts, `seen`, refusals, deeds; and of every minute
// that lies wholly before it the totals, after everything of that minute.
// What arrives behind the watermark is handed on with the next Release and
// counted as late.
//
// One thread. Memory: the minutes at and after the watermark.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "detectors/detector.h"
#include "event/observation.h"
#include "pipeline/minute.h"

namespace klaxon {

class Reorder {
 public:
  using Sink = JudgedSink;

  // So many refusal groups of a minute are never folded (open_groups.h).
  explicit Reorder(size_t whole_groups_max = 4096);
  ~Reorder();

  void Add(Observations&& observations);

  // After a restart, before all else: what was handed on before `watermark` in
  // an earlier run is not handed on again. StartAt once; then AddJudged with
  // all that was added then and may be of a minute that is not over.
  void StartAt(EventTime watermark) { watermark_ = watermark; }
  void AddJudged(Observations&& observations);

  void Release(EventTime watermark, const Sink& sink);
  // End of input: everything left; totals of unfinished minutes are given at
  // the newest time seen.
  void Finish(EventTime newest, const Sink& sink);

  EventTime watermark() const { return watermark_; }
  // The end of the newest minute of which something is held; kNoTime: nothing.
  EventTime newest_held() const {
    return buckets_.empty() ? kNoTime : buckets_.rbegin()->first + kMinute - 1;
  }
  uint64_t late() const { return late_; }
  // Observations that are held.
  uint64_t pending() const;

 private:
  struct Bucket;
  void ReleaseMinute(Bucket& bucket, EventTime until, EventTime total_time,
                     const Sink& sink);
  Bucket& BucketFor(EventTime minute);
  // Unless `judged`, what comes late is counted.
  void Put(Observations&& observations, bool judged);
  void ReleaseUntil(EventTime watermark, const Sink& sink);

  const size_t whole_groups_max_;
  uint64_t next_group_id_ = 1;
  std::map<EventTime, std::unique_ptr<Bucket>> buckets_;
  EventTime watermark_ = kNoTime;
  uint64_t late_ = 0;
  bool late_waits_ = false;  // Something late was not handed on yet.
};

}  // namespace klaxon
