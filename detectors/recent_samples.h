// The earliest failure of each of the last minutes of a client, for evidence
// of a window that reaches back. Value of a table; one thread (the judge's).
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "detectors/counted_text.h"
#include "event/observation.h"
#include "event/wire.h"

namespace klaxon {

class RecentSamples {
 public:
  // One sample, kept encoded: a flood of clients leaves one each. An address
  // and its /64 share one.
  struct Minute : SamplePlace {
    CountedText bytes;
    EventSample Decoded() const;
  };

  // `bytes` is the sample encoded (PutSample): it goes to several clients. Past
  // `keep` minutes the one that came first goes.
  void Add(const SamplePlace& place, const CountedText& bytes, size_t keep);
  const absl::InlinedVector<Minute, 1>& minutes() const { return minutes_; }

  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  absl::InlinedVector<Minute, 1> minutes_;
};

}  // namespace klaxon
