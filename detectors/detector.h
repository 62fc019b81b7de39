// What a detector is.
//
// Protocol. A detector is made once per cluster with its final options.
// Observe is const and called from any number of threads at once, only for
// events that have one of traits(); it is pure. Everything else is called from
// the judge's one thread: Judge for every judged thing in event-time order (at
// one instant: facts, `seen`, refusals, deeds; a minute's totals last), OnTimer
// for timers that the detector set, before anything at or after their time.
// Neither wall clock, randomness nor arrival order reaches a detector.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "detectors/episodes.h"
#include "detectors/knowledge.h"
#include "detectors/options.h"
#include "event/observation.h"
#include "event/request.h"

namespace klaxon {

enum class JudgedKind : uint8_t { kFact, kSeen, kRefusal, kDeed, kTotal };

// One thing to judge. Pointers live during the call.
struct Judged {
  // How far ahead `soon` looks.
  static constexpr std::array<size_t, 4> kSoon = {12, 8, 5, 2};

  JudgedKind kind = JudgedKind::kFact;
  EventTime time = 0;
  const Fact* fact = nullptr;
  const Deed* deed = nullptr;
  // kSeen: the key (`new_key`) or the flags in `raised` appear in this minute
  // for the first time, now. Of the sighting only what has a time at or before
  // `time` may be used (Has, AgentsUntil, identity, sample): the rest is not
  // yet known in a live stream. kTotal: all of it, the minute is over.
  const Sighting* sighting = nullptr;
  bool new_key = false;
  uint32_t raised = 0;  // Bit(SightingFlag).
  // kRefusal: `refusal`, one of the first N of its minute. Of the group only
  // its identity and client flags may be used, and with `first_of_group` its
  // sample. kTotal: the rest, group->kept from index `rest_begin` on, and
  // group->dropped before those.
  const RefusalGroup* group = nullptr;
  // Equal ones: of one group, so that what was found out of it once need not be
  // found again. 0: says nothing.
  uint64_t group_id = 0;
  const Refusal* refusal = nullptr;
  bool first_of_group = false;
  // kRefusal: the place of `refusal` in group->kept, where all of the group is
  // there and stays as it is until its total was judged; else kNotKept.
  static constexpr uint32_t kNotKept = UINT32_MAX;
  uint32_t kept_index = kNotKept;
  size_t rest_begin = 0;
  // The group_id of what will be judged kSoon[i] things later (0: none, or not
  // known). To fetch memory in time, each with the one before in place; nothing
  // may be decided on it.
  std::array<uint64_t, kSoon.size()> soon{};

  bool Has(SightingFlag flag) const {
    const Span& span = sighting->flag(flag);
    return span.ever() && span.first <= time;
  }
};

struct JudgeContext {
  Episodes* episodes = nullptr;
  const Knowledge* knowledge = nullptr;
  Timers* timers = nullptr;
  uint32_t owner = 0;  // Of this detector's timers.
};

// Where Observe leaves what it saw.
class DeedWriter {
 public:
  virtual ~DeedWriter() = default;
  // A deed with cluster, topic, time, request, user, client, credential,
  // claimed addresses and sample filled in; the caller adds `fields`.
  virtual Deed& Add(const RequestView& request, std::string_view topic) = 0;
};

class Detector {
 public:
  virtual ~Detector() = default;
  virtual void Observe(const RequestView& request, DeedWriter& out) const {
    (void)request;
    (void)out;
  }
  virtual void Judge(const Judged& judged, JudgeContext& context) = 0;
  virtual void OnTimer(std::string_view key, EventTime due,
                       JudgeContext& context) {
    (void)key;
    (void)due;
    (void)context;
  }
  // Does at once what Judge put off until the group's total (kept_index): what
  // it would change is about to be looked at.
  virtual void Settle(JudgeContext& context) { (void)context; }
  virtual AlertText Describe(const Episode& episode) const = 0;
  virtual std::span<Persistent* const> state() = 0;
};

// How a sighting counts for a rule that holds from `since` on (the time at
// which key and flags that the rule needs are all there).
// At kSeen at that time: 1 where that first event is the sighting's first
// request of its own, 0 where it is only the end of a long-running one. At
// kTotal: the others. (How many there were of each time is not known.)
uint64_t SightingCount(const Judged& judged, EventTime since);

// Adds a sighting, as judged, to an episode: times, count, identity, evidence.
// `since` as above. Returns the episode, to be explained and announced.
Episode& AddSighting(const Judged& judged, EventTime since,
                     const EpisodeKey& key, Nanos quiet, Severity severity,
                     std::string_view rule, Confidence confidence,
                     Episodes* episodes);

struct DetectorInput {
  const DetectorOptions* options = nullptr;
  const std::vector<struct CertificateInfo>* inventory = nullptr;
  uint64_t keys_max = 0;
};

struct DetectorEntry {
  const DetectorInfo* info;
  uint32_t traits;       // What Observe is called for.
  bool wants_sightings;  // What Judge is called for.
  bool wants_anonymous;  // RefusalClass::kAnonymous…
  bool wants_failures;   // RefusalClass::kUnauthenticated
  std::unique_ptr<Detector> (*make)(const DetectorInput& input);
};
// In judging order. detectors/registry.cc.
std::span<const DetectorEntry> DetectorRegistry();

}  // namespace klaxon
