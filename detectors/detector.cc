#include "detectors/detector.h"

#include <algorithm>

namespace klaxon {
namespace {

// When it first made a request of its own (not the mere end of one).
EventTime FirstRequest(const Sighting& s) {
  EventTime first = kMaxTime;
  for (SightingFlag flag : {SightingFlag::kLetIn, SightingFlag::kRefused}) {
    const Span& span = s.flag(flag);
    if (span.ever()) first = std::min(first, span.first);
  }
  return first;
}

}  // namespace

uint64_t SightingCount(const Judged& judged, EventTime since) {
  const Sighting& s = *judged.sighting;
  if (judged.kind == JudgedKind::kTotal) {
    // The first one was counted, or came before the rule held.
    return s.requests -
           std::min<uint64_t>(FirstRequest(s) <= since, s.requests);
  }
  return judged.time == since && FirstRequest(s) == since ? 1 : 0;
}

Episode& AddSighting(const Judged& judged, EventTime since,
                     const EpisodeKey& key, Nanos quiet, Severity severity,
                     std::string_view rule, Confidence confidence,
                     Episodes* episodes) {
  const Sighting& s = *judged.sighting;
  const bool total = judged.kind == JudgedKind::kTotal;
  Contribution c;
  c.start = since;
  c.first = total ? since : judged.time;
  c.last = total ? std::max(s.seen.last, since) : judged.time;
  c.count = SightingCount(judged, since);
  c.severity = severity;
  c.rule = rule;
  c.confidence = confidence;
  c.client = s.client == "unknown" ? std::string_view() : s.client;
  c.user = s.user;
  c.credential = s.credential;
  c.claimed_ips = total ? &s.claimed_ips : nullptr;
  c.sample = &s.sample;
  return episodes->Add(key, quiet, c);
}

}  // namespace klaxon
