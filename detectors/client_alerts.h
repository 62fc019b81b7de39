// Rules burst, workload and low_and_slow of unauthorized-burst: what the
// failures of one key come to, an address or the /64 of one. The judge's one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "detectors/detector.h"
#include "detectors/failing_client.h"
#include "detectors/failure.h"
#include "detectors/failure_samples.h"
#include "detectors/unauthorized_burst_text.h"

namespace klaxon {

// group.kept[begin, end), of one minute, none of them counted before.
struct FailureRow {
  const RefusalGroup& group;
  uint32_t begin;
  uint32_t end;  // Above `begin`.
  bool late;     // Told at the end of their minute.
};

class ClientAlerts {
 public:
  // Both outlive this.
  ClientAlerts(const BurstSettings& settings, FailureSamples* samples);

  static EpisodeKey BurstKey(std::string_view client);
  // The open burst of `client`, touched; null: it has none. `name`: its key.
  static Episode* OpenBurst(FailingClient& client, std::string_view name,
                            EventTime now, JudgeContext& context);

  // One failure. `source`: hash of the address, where `key` is its /64, else
  // 0. False: the request was counted before.
  bool Add(const std::string& key, FailingClient& client,
           const Failure& failure, uint64_t source, JudgeContext& context);
  // Several of an address, between which nothing opens or closes. `burst` and
  // `slow`: its open episodes, null: none. REQUIRES: with `burst`,
  // client.burst.
  void AddRow(FailingClient& client, const FailureRow& row, Episode* burst,
              Episode* slow);

 private:
  // One more of an open burst, or of the one that opens.
  struct Grade {
    Severity severity;
    std::string_view rule;
  };
  Grade GradeBurst(FailingClient& client, const Failure& failure,
                   uint64_t source);
  void ExtendBurst(FailingClient& client, const Failure& failure,
                   uint64_t source, Episode& open);
  // `peak`: the most failures that the window held.
  static void TellNumbers(FailingClient::Burst& burst, size_t peak,
                          Episode& episode);
  FailingMinutes::Sum WindowThatFired(const FailingClient& client,
                                      const Failure& failure) const;
  void JudgeBurst(const std::string& key, FailingClient& client,
                  const Failure& failure, uint64_t source,
                  JudgeContext& context);
  void JudgeSlow(const std::string& key, FailingClient& client,
                 const Failure& failure, uint64_t source,
                 JudgeContext& context);

  const BurstSettings& settings_;
  const size_t kept_;  // Failures of a client's window.
  FailureSamples* samples_;
};

}  // namespace klaxon
