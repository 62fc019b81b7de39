#include "detectors/recent_samples.h"

#include <algorithm>
#include <utility>

namespace klaxon {

EventSample RecentSamples::Minute::Decoded() const {
  WireReader r(bytes.view());
  EventSample sample;
  GetSample(&r, &sample);
  return sample;
}

void RecentSamples::Add(const SamplePlace& place, const CountedText& bytes,
                        size_t keep) {
  const EventTime minute = MinuteOf(place.time);
  Minute* at = nullptr;
  for (Minute& held : minutes_) {
    if (held.time < minute || held.time >= minute + kMinute) continue;
    if (!place.Before(held)) return;
    at = &held;
  }
  if (at == nullptr && minutes_.size() >= keep) {
    std::rotate(minutes_.begin(), minutes_.begin() + 1, minutes_.end());
    at = &minutes_.back();
  }
  if (at == nullptr) at = &minutes_.emplace_back();
  static_cast<SamplePlace&>(*at) = place;
  at->bytes = bytes;
}

void RecentSamples::Save(WireWriter* out) const {
  out->Uint(minutes_.size());
  for (const Minute& minute : minutes_) out->Text(minute.bytes.view());
}

void RecentSamples::Load(WireReader* in) {
  minutes_.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    Minute& minute = minutes_.emplace_back();
    minute.bytes = CountedText(in->Text());
    static_cast<SamplePlace&>(minute) = minute.Decoded();
  }
}

}  // namespace klaxon
