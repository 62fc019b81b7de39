#include "detectors/failure_samples.h"

#include "event/wire.h"

namespace klaxon {

FailureSamples::FailureSamples(uint64_t keys_max, Nanos window)
    : samples_({.name = "unauthorized-burst/samples",
                .keys_max = keys_max,
                .expiry = window + kMinute}) {}

FailureSamples::Shared FailureSamples::Share(const EncodedSample& sample,
                                             EventTime now) {
  samples_.ExpireUntil(now);
  return {sample, now, CountedText(sample.bytes)};
}

void FailureSamples::Remember(std::string_view key, const Shared& sample,
                              Nanos window) {
  samples_.Touch(key, sample.now)
      .Add(sample.place, sample.bytes,
           static_cast<size_t>(window / kMinute) + 1);
}

void FailureSamples::AddTo(std::string_view key, EventTime now, Told* told,
                           Episode& episode) {
  // The first failure of a minute brings its sample.
  if (now < told->evidence_until) return;
  const auto done = [&] {
    if (episode.evidence.size() == Episode::kEvidenceMax) {
      told->evidence_until = kMaxTime;
    } else if (!episode.evidence.empty()) {
      told->evidence_until = MinuteOf(episode.evidence.back().time) + kMinute;
    }
    return now < told->evidence_until;
  };
  if (done()) return;
  const RecentSamples* recent = samples_.Find(key);
  if (recent == nullptr) return;
  for (const RecentSamples::Minute& minute : recent->minutes()) {
    // Of an earlier minute than the episode's first: not of its window.
    if (MinuteOf(minute.time) < MinuteOf(episode.first_seen)) continue;
    if (!episode.WantsEvidence(minute)) continue;
    episode.AddEvidence(minute.Decoded());
  }
  done();
}

}  // namespace klaxon
