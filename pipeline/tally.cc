#include "pipeline/tally.h"

#include <algorithm>

#include "detectors/alert_wire.h"
#include "detectors/options.h"
#include "event/decode.h"

namespace klaxon {
namespace {

// An age is told to this precision.
constexpr absl::Duration kAgeStep = absl::Seconds(1);

// Why a stretch of input may be lost, by kind of source (ingest/*_source.h,
// file_follower.h).
constexpr std::pair<std::string_view, std::string_view> kGapReasons[] = {
    {"file:", "truncated"},    {"file:", "copied"},
    {"file:", "replaced"},     {"file:", "vanished"},
    {"file:", "damaged"},      {"file:", "unreadable"},
    {"file:", "ambiguous"},    {"kafka:", "retention"},
    {"kafka:", "recreated"},   {"kafka:", "undecodable"},
    {"kafka:", "deleted"},     {"webhook:", "not_resent"},
    {"webhook:", "too_large"},
};

bool IsFile(const std::string& lane) { return lane.starts_with("file:"); }

// Bytes known to be lost. Kafka's offsets are records.
uint64_t LostBytes(const BatchRecord& record) {
  uint64_t bytes = 0;
  for (const Gap& gap : record.gaps) {
    if (gap.end == Gap::kUnknown || gap.end < gap.begin) continue;
    if (IsFile(record.lane)) bytes += gap.end - gap.begin;
  }
  return bytes;
}

}  // namespace

void InputTally::AddSource(const std::string& source) {
  SourceMetrics& metrics = sources_[source];
  for (auto at = static_cast<int>(QuarantineReason::kNotJson);
       at <= static_cast<int>(QuarantineReason::kNesting); ++at) {
    const auto reason = static_cast<QuarantineReason>(at);
    metrics.quarantined.insert({std::string(QuarantineReasonName(reason)), 0});
  }
  for (const auto& [kind, reason] : kGapReasons) {
    if (source.starts_with(kind)) metrics.gaps.insert({std::string(reason), 0});
  }
}

LaneMetrics& InputTally::AddLane(const std::string& source,
                                 const std::string& lane) {
  const auto [it, added] = index_.insert({lane, lanes_.size()});
  if (added) lanes_.emplace_back().lane = lane;
  lanes_[it->second].source = source;
  return lanes_[it->second];
}

void InputTally::Add(const std::string& source, const BatchRecord& record,
                     const ReasonCounts& unreadable) {
  LaneMetrics& lane = AddLane(source, record.lane);
  const BatchCounts& counts = record.counts;
  const uint64_t lost = LostBytes(record);
  lane.bytes += counts.bytes + lost;
  lane.gap_bytes += lost;
  lane.quarantined_bytes += counts.quarantined_bytes;
  lane.repeated_bytes += counts.repeated_bytes;
  lane.processed_bytes +=
      counts.bytes -
      std::min(counts.bytes, counts.quarantined_bytes + counts.repeated_bytes);
  lane.lines += counts.lines;
  lane.events += counts.events;
  lane.requests += counts.requests;
  lane.future += counts.future;
  lane.newest_event = std::max(lane.newest_event, record.newest);
  SourceMetrics& totals = sources_[source];
  for (const auto& [reason, count] : unreadable) {
    totals.quarantined[reason] += count;
  }
  for (const Gap& gap : record.gaps) ++totals.gaps[gap.reason];
  const Observations& made = record.observations;
  observations_["deed"] += made.deeds.size();
  observations_["fact"] += made.facts.size();
  observations_["refusals"] += made.refusals.size();
  observations_["sighting"] += made.sightings.size();
}

void InputTally::AddLate(const std::string& lane, uint64_t late) {
  const auto known = index_.find(lane);
  if (known != index_.end()) lanes_[known->second].late += late;
}

std::vector<LaneMetrics> InputTally::Lanes(
    const std::map<std::string, uint64_t>& in_flight) const {
  std::vector<LaneMetrics> lanes = lanes_;
  for (const auto& [name, bytes] : in_flight) {
    const auto known = index_.find(name);
    if (known == index_.end()) continue;
    lanes[known->second].in_flight_bytes = bytes;
    lanes[known->second].bytes += bytes;
  }
  return lanes;
}

AlertTally::AlertTally() {
  for (const DetectorInfo* info : AllDetectors()) {
    for (const RuleInfo& rule : info->rules) {
      for (const Severity severity :
           {Severity::kInfo, Severity::kLow, Severity::kMedium, Severity::kHigh,
            Severity::kCritical}) {
        raised_[{std::string(info->name), std::string(rule.name),
                 std::string(SeverityName(severity))}] = 0;
      }
    }
  }
}

void AlertTally::Count(const Alert& alert) {
  ++raised_[{alert.detector, alert.rule,
             std::string(SeverityName(alert.severity))}];
  ++raised_in_all_;
}

void AlertTally::Begin(const OutboxLedger& ledger, absl::Time now) {
  for (const OutboxItem& item : ledger.Owed()) {
    Alert alert;
    if (!Decode(*item.alert, &alert)) alert = Alert();  // It still counts.
    Count(alert);
  }
  ages_.clear();
  ages_.emplace_back(ledger.next_sequence(), now);
  bases_.clear();
  Configure(ledger);
}

void AlertTally::Raise(const Alert& alert) { Count(alert); }

void AlertTally::Configure(const OutboxLedger& ledger) {
  for (const std::string& sink : ledger.sinks()) {
    if (!ledger.configured(sink)) {
      bases_.erase(sink);
    } else if (!bases_.contains(sink)) {
      const OutboxCounts counts = ledger.counts(sink);
      bases_[sink] = {counts, raised_in_all_ - counts.pending};
    }
  }
}

void AlertTally::Look(const OutboxLedger& ledger, absl::Time now) {
  uint64_t oldest = ledger.next_sequence();
  for (const auto& [sink, base] : bases_) {
    oldest = std::min(oldest, ledger.OldestPending(sink));
  }
  while (!ages_.empty() && ages_.front().first <= oldest) ages_.pop_front();
  if (oldest == ledger.next_sequence()) return;  // Nothing waits.
  if (!ages_.empty() && ages_.back().first == ledger.next_sequence()) return;
  if (!ages_.empty() && ages_.size() > 1 &&
      now - ages_[ages_.size() - 2].second < kAgeStep) {
    ages_.back().first = ledger.next_sequence();
    return;
  }
  ages_.emplace_back(ledger.next_sequence(), now);
}

double AlertTally::AgeOf(uint64_t sequence, absl::Time now) const {
  const auto raised = std::upper_bound(
      ages_.begin(), ages_.end(), sequence,
      [](uint64_t value, const auto& age) { return value < age.first; });
  if (raised == ages_.end()) return 0;
  return std::max(0.0, absl::ToDoubleSeconds(now - raised->second));
}

std::vector<AlertMetrics> AlertTally::alerts() const {
  std::vector<AlertMetrics> alerts;
  alerts.reserve(raised_.size());
  for (const auto& [labels, count] : raised_) {
    const auto& [detector, rule, severity] = labels;
    alerts.push_back({detector, rule, severity, count});
  }
  return alerts;
}

std::vector<SinkMetrics> AlertTally::Sinks(const OutboxLedger& ledger,
                                           absl::Time now) const {
  std::vector<SinkMetrics> sinks;
  for (const auto& [name, base] : bases_) {
    const OutboxCounts counts = ledger.counts(name);
    SinkMetrics& sink = sinks.emplace_back();
    sink.sink = name;
    sink.delivered = counts.delivered - base.counts.delivered;
    sink.pending = counts.pending;
    sink.dead_lettered = counts.dead - base.counts.dead;
    sink.filtered = counts.filtered - base.counts.filtered + base.missed;
    sink.shed = counts.shed - base.counts.shed;
    if (counts.pending > 0) {
      sink.oldest_pending_seconds = AgeOf(ledger.OldestPending(name), now);
    }
  }
  return sinks;
}

}  // namespace klaxon
