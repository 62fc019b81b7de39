#include "pipeline/observation_sorter.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "pipeline/sort_key.h"

namespace klaxon {
namespace {

// RecordSorter::Merge. What it decodes is written over the last.
class Merger {
 public:
  void operator()(std::string_view key, std::string* into,
                  std::string_view payload) {
    switch (KindOf(key)) {
      case ObservationKind::kFact:
        return Merge(&facts_, into, payload);
      case ObservationKind::kSighting:
        return Merge(&sightings_, into, payload);
      case ObservationKind::kRefusals:
        return Merge(&groups_, into, payload);
      case ObservationKind::kDeed:
        return;  // The same deed twice is one.
    }
  }

 private:
  template <typename T>
  static void Merge(std::array<T, 2>* two, std::string* into,
                    std::string_view payload) {
    auto& [a, b] = *two;
    if (!Decode(*into, &a) || !Decode(payload, &b)) return;  // Ours: never.
    a.Merge(b);
    into->clear();
    EncodeTo(a, into);
  }

  std::array<Fact, 2> facts_;
  std::array<Sighting, 2> sightings_;
  std::array<RefusalGroup, 2> groups_;
};

}  // namespace

RecordSorter::Merge ObservationSorter::MakeMerge() { return Merger(); }

ObservationSorter::ObservationSorter(const EngineConfig& config, size_t sorters)
    : sorter_({config.reorder_memory_bytes / sorters, config.spill_dir},
              MakeMerge()) {}

template <typename T>
absl::Status ObservationSorter::AddOne(const T& value) {
  key_.clear();
  payload_.clear();
  AppendKey(value, &key_);
  EncodeTo(value, &payload_);
  ++observations_;
  return sorter_.Add(key_, payload_);
}

absl::Status ObservationSorter::Add(const Observations& observations) {
  std::lock_guard lock(mutex_);
  absl::Status status;
  for (const Fact& fact : observations.facts) {
    newest_ = std::max(newest_, fact.last_event);
    status.Update(AddOne(fact));
  }
  for (const Sighting& s : observations.sightings) {
    newest_ = std::max(newest_, s.seen.last);
    status.Update(AddOne(s));
  }
  for (const RefusalGroup& g : observations.refusals) {
    if (!g.kept.empty()) newest_ = std::max(newest_, g.kept.back().time);
    status.Update(AddOne(g));
  }
  for (const Deed& d : observations.deeds) {
    newest_ = std::max(newest_, d.time);
    status.Update(AddOne(d));
  }
  return status;
}

}  // namespace klaxon
