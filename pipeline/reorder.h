// Puts observations into the order in which they are judged.
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
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "detectors/detector.h"
#include "event/observation.h"

namespace klaxon {

class Reorder {
 public:
  // `cluster` of the judged thing, and it.
  using Sink =
      std::function<void(const std::string& cluster, const Judged& judged)>;

  Reorder();
  ~Reorder();

  void Add(Observations&& observations);
  void Release(EventTime watermark, const Sink& sink);
  // End of input: everything left; totals of unfinished minutes are given at
  // the newest time seen.
  void Finish(EventTime newest, const Sink& sink);

  EventTime watermark() const { return watermark_; }
  uint64_t late() const { return late_; }

 private:
  struct Bucket;
  void ReleaseMinute(Bucket& bucket, EventTime until, EventTime total_time,
                     const Sink& sink);
  Bucket& BucketFor(EventTime minute);

  std::map<EventTime, std::unique_ptr<Bucket>> buckets_;
  EventTime watermark_ = kNoTime;
  uint64_t late_ = 0;
};

// Identity of an observation as sort key: equal bytes mean that the two are
// parts of one and must be merged. Begins with the minute, big-endian.
void AppendKey(const Fact& value, std::string* key);
void AppendKey(const Sighting& value, std::string* key);
void AppendKey(const RefusalGroup& value, std::string* key);
void AppendKey(const Deed& value, std::string* key);

}  // namespace klaxon
