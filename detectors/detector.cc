#include "detectors/detector.h"

#include <algorithm>

namespace klaxon {
namespace {

// Whether a request of its own (not the mere end of one) happened at `time`.
bool RequestAt(const Sighting& s, EventTime time) {
  for (SightingFlag flag : {SightingFlag::kLetIn, SightingFlag::kRefused}) {
    const Span& span = s.flag(flag);
    if (span.ever() && span.first <= time) return true;
  }
  return false;
}

}  // namespace

uint64_t SightingCount(const Judged& judged, EventTime since) {
  const Sighting& s = *judged.sighting;
  if (judged.kind == JudgedKind::kTotal) {
    return s.requests - std::min<uint64_t>(RequestAt(s, since), s.requests);
  }
  return judged.time == since && RequestAt(s, since) ? 1 : 0;
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
