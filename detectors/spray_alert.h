// Rule spray of unauthorized-burst: failures of many clients at once, or a
// rotation of keys. The judge's one thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "detectors/detector.h"
#include "detectors/failure.h"
#include "detectors/failure_samples.h"
#include "detectors/spray.h"
#include "detectors/unauthorized_burst_text.h"

namespace klaxon {

class SprayAlert {
 public:
  // `settings` and `samples` outlive this.
  SprayAlert(const BurstSettings& settings, uint64_t keys_max,
             FailureSamples* samples);

  // `unit`, `at`: as Spray's.
  void Add(const Failure& failure, std::string_view unit, TableHandle* at,
           JudgeContext& context);
  void AddAgents(std::string_view unit, const SmallestHashes& agents,
                 EventTime time, TableHandle* at) {
    spray_.AddAgents(unit, agents, time, at);
  }
  void Prefetch(TableHandle at) const { spray_.Prefetch(at); }
  void Prefetch(std::string_view unit) const { spray_.Prefetch(unit); }
  Persistent* state() { return &spray_; }

 private:
  Episode& Open(const Failure& failure, JudgeContext& context);
  bool LooksLikeRotation(const Spray::State& spray) const;

  const BurstSettings& settings_;
  Spray spray_;
  FailureSamples* samples_;
  Told told_;  // Of the open episode.
};

}  // namespace klaxon
