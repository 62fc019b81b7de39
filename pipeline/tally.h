// What a daemon has counted since its process began, for its metrics
// (docs/METRICS.md).
//
// It counts what becomes durable, and each alert revision that is raised; a
// replay of the journal is not counted. One thread, the daemon's.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "detectors/alert.h"
#include "pipeline/journal_record.h"
#include "pipeline/metrics.h"
#include "pipeline/outbox.h"

namespace klaxon {

// By QuarantineReasonName.
using ReasonCounts = std::map<std::string, uint64_t>;

// Of the input, by lane.
class InputTally {
 public:
  // Series of `source` begin at 0, so that the first of a kind is a rise.
  void AddSource(const std::string& source);
  // `record` of a source called `source` is durable. `unreadable`: why its
  // quarantined lines could not be read.
  void Add(const std::string& source, const BatchRecord& record,
           const ReasonCounts& unreadable);
  // It held so many observations whose event time had passed.
  void AddLate(const std::string& lane, uint64_t late);

  // What is known of each lane, in the order in which they were first heard of;
  // `in_flight` (bytes by lane) is added.
  std::vector<LaneMetrics> Lanes(
      const std::map<std::string, uint64_t>& in_flight) const;
  // A lane of `source`, though nothing came of it yet.
  LaneMetrics& AddLane(const std::string& source, const std::string& lane);
  const std::map<std::string, SourceMetrics>& sources() const {
    return sources_;
  }
  const std::map<std::string, uint64_t>& observations() const {
    return observations_;
  }

 private:
  std::vector<LaneMetrics> lanes_;
  std::map<std::string, size_t> index_;  // By name, of lanes_.
  std::map<std::string, SourceMetrics> sources_;
  std::map<std::string, uint64_t> observations_ = {
      {"deed", 0}, {"fact", 0}, {"refusals", 0}, {"sighting", 0}};
};

// Of the alerts. What a restart finds pending counts as raised; a sink that had
// such a revision already, or was not there when one was raised, counts it as
// filtered.
class AlertTally {
 public:
  AlertTally();

  // Once, when the journal was replayed.
  void Begin(const OutboxLedger& ledger, absl::Time now);
  void Raise(const Alert& alert);
  // After each change of the sinks.
  void Configure(const OutboxLedger& ledger);
  // Remembers when the newest revision was raised, by and by.
  void Look(const OutboxLedger& ledger, absl::Time now);

  std::vector<AlertMetrics> alerts() const;
  // Of the configured sinks.
  std::vector<SinkMetrics> Sinks(const OutboxLedger& ledger,
                                 absl::Time now) const;

 private:
  // Of a sink when it was first seen.
  struct Base {
    OutboxCounts counts;
    uint64_t missed = 0;  // Raised, and no affair of its.
  };
  void Count(const Alert& alert);
  double AgeOf(uint64_t sequence, absl::Time now) const;

  // Detector, rule, severity.
  std::map<std::tuple<std::string, std::string, std::string>, uint64_t> raised_;
  uint64_t raised_in_all_ = 0;
  std::map<std::string, Base> bases_;
  // All numbers below `first` were raised at `second` or before. Ascending.
  std::deque<std::pair<uint64_t, absl::Time>> ages_;
};

}  // namespace klaxon
