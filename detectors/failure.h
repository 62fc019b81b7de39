// One failed authentication as unauthorized-burst's rules look at it, and what
// they do alike. The judge's one thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "detectors/episodes.h"
#include "detectors/failing_client.h"
#include "event/observation.h"

namespace klaxon {

// One failure, or several at once. Lives as long as what it names.
struct Failure {
  const RefusalGroup& group;
  const Refusal& refusal;
  uint32_t index;     // As Judged::kept_index.
  uint64_t weight;    // It, and those before it that were not kept.
  bool late = false;  // Told at the end of its minute.
};

// Of an episode that a failure opens: `sum` is what was counted up to it.
Contribution Opening(const Failure& failure, const FailingMinutes::Sum& sum,
                     Severity severity, std::string_view rule);

// Tells the episode a number that grew.
inline void Raise(std::string_view name, int64_t value, int64_t* told,
                  Episode& episode) {
  if (value <= *told) return;
  *told = value;
  episode.RaiseExplain(name, value);
}

}  // namespace klaxon
