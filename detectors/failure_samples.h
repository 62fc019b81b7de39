// Samples of failed authentications by client, for the alert that may come of
// them. One thread (the judge's).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "detectors/counted_text.h"
#include "detectors/episodes.h"
#include "detectors/failing_client.h"
#include "detectors/recent_samples.h"
#include "detectors/table.h"

namespace klaxon {

class FailureSamples {
 public:
  // Key of all clients together; no client has this name.
  static constexpr std::string_view kAllClients = "*";

  // `window`: the longest that is given to Remember.
  FailureSamples(uint64_t keys_max, Nanos window);

  // One sample, for several keys.
  struct Shared {
    SamplePlace place;
    EventTime now;
    CountedText bytes;
  };
  Shared Share(const EncodedSample& sample, EventTime now);
  // As one of the key's within `window`.
  void Remember(std::string_view key, const Shared& sample, Nanos window);

  // What is remembered of the key since the episode began becomes evidence;
  // `told` knows until when there is nothing new.
  void AddTo(std::string_view key, EventTime now, Told* told, Episode& episode);

  void Prefetch(std::string_view key) const { samples_.Prefetch(key); }
  Persistent* state() { return &samples_; }

 private:
  Table<RecentSamples> samples_;
};

}  // namespace klaxon
