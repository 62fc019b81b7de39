// What the daemon says of itself to Prometheus (docs/METRICS.md is the
// specification, and a test holds the two together).
//
// All numbers of one scrape come from one MetricsSnapshot, which whoever fills
// it takes at one moment: so the sums of docs/METRICS.md hold at every scrape.
// A plain value; rendering is pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "event/time.h"
#include "ingest/http_server.h"
#include "ingest/webhook_source.h"

namespace klaxon {

// Of durations, with fixed bounds that suit a disk. Not thread-safe.
class DurationHistogram {
 public:
  // Upper bounds in seconds; beyond the last is +Inf.
  static constexpr std::array<double, 13> kBounds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
      0.1,    0.25,  0.5,    1,     2.5,  5};
  void Observe(absl::Duration duration);

  // Per bucket, not cumulative; the last is what lies beyond all bounds.
  const std::array<uint64_t, kBounds.size() + 1>& counts() const {
    return counts_;
  }
  double sum_seconds() const { return sum_seconds_; }

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  double sum_seconds_ = 0;
};

// A lane of a source. Bytes are counted once, as input; since the start of the
// process:
//   bytes == processed + quarantined + repeated + gap + in flight
struct LaneMetrics {
  std::string source;  // As configured: "file:/var/log/audit.log".
  std::string lane;    // LaneState.name.
  uint64_t bytes = 0;
  uint64_t processed_bytes = 0;
  uint64_t quarantined_bytes = 0;
  uint64_t repeated_bytes = 0;
  uint64_t gap_bytes = 0;  // Where the extent of the gap is known.
  uint64_t in_flight_bytes = 0;
  uint64_t lines = 0;
  uint64_t events = 0;
  uint64_t requests = 0;
  uint64_t late = 0;
  uint64_t future = 0;
  uint64_t lag_bytes = 0;
  uint64_t lag_records = 0;
  bool behind = false;  // There is more to be read now.
  // Wall clock now minus newest event, while it is behind; else 0.
  double lag_seconds = 0;
  EventTime newest_event = kNoTime;
  bool held = false;  // LaneState.hold, or too far ahead to be read.
};

struct SourceMetrics {
  std::map<std::string, uint64_t> quarantined;  // By QuarantineReasonName.
  std::map<std::string, uint64_t> gaps;         // By Gap.reason.
};

// Each sink gets every alert revision; since the start of the process, with
// what was pending then as raised:
//   alerts raised == delivered + pending + dead-lettered + filtered + shed
struct SinkMetrics {
  std::string sink;  // Its name in the configuration.
  uint64_t delivered = 0;
  uint64_t pending = 0;
  uint64_t dead_lettered = 0;
  // min_severity, detectors, clusters; raised when it was not there.
  uint64_t filtered = 0;
  uint64_t shed = 0;
  uint64_t retries = 0;
  double oldest_pending_seconds = 0;  // 0: nothing is pending.
};

struct AlertMetrics {
  std::string detector;
  std::string rule;
  std::string severity;
  uint64_t raised = 0;  // Revisions, each of which goes to the sinks.
};

struct TableMetrics {
  std::string table;  // Of the code, never of the input; all clusters in one.
  uint64_t keys = 0;
  uint64_t keys_max = 0;  // 0: not said.
  uint64_t evicted = 0;
};

struct JournalMetrics {
  uint64_t commits = 0;
  uint64_t bytes = 0;  // Written, since the start.
  uint64_t size_bytes = 0;
  DurationHistogram commit_duration;
  DurationHistogram snapshot_pause;
  uint64_t snapshots = 0;
  uint64_t snapshot_size_bytes = 0;
  double snapshot_duration_seconds = 0;             // Of the newest.
  absl::Time snapshot_time = absl::InfinitePast();  // InfinitePast: none yet.
};

struct HttpListenerMetrics {
  std::string listener;  // "api", "webhook:0.0.0.0:9443"
  HttpServerCounters counters;
};

struct WebhookMetrics {
  std::string source;
  WebhookCounters counters;
};

struct ProcessMetrics {
  double cpu_seconds = 0;
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t open_files = 0;
  uint64_t open_files_max = 0;
  uint64_t threads = 0;
  double start_time_seconds = 0;  // Since 1970.
};
// From /proc; what cannot be read there stays 0.
ProcessMetrics ReadProcessMetrics();

struct MetricsSnapshot {
  std::string version;   // klaxon_build_info.
  std::string revision;  // Of the source; may be empty.
  bool ready = false;    // As /readyz says.
  std::vector<LaneMetrics> lanes;
  std::map<std::string, SourceMetrics> sources;  // By LaneMetrics.source.
  EventTime watermark = kNoTime;
  EventTime newest_event = kNoTime;
  std::map<std::string, uint64_t> observations;  // By kind.
  uint64_t reorder_pending = 0;                  // Observations not judged yet.
  uint64_t reconfigured = 0;  // Detectors emptied by a reload.
  uint64_t reloads_ok = 0;    // Of the configuration.
  uint64_t reloads_failed = 0;
  std::vector<TableMetrics> tables;
  uint64_t open_episodes = 0;
  std::vector<AlertMetrics> alerts;
  std::vector<SinkMetrics> sinks;
  JournalMetrics journal;
  std::vector<HttpListenerMetrics> listeners;
  std::vector<WebhookMetrics> webhooks;
  ProcessMetrics process;
};

// Lanes beyond so many, in the order of the snapshot, are one: lane="other".
inline constexpr size_t kMetricLanesMax = 200;

inline constexpr std::string_view kMetricsContentType =
    "text/plain; version=0.0.4; charset=utf-8";
// Prometheus' text format, each family with HELP and TYPE. Families without a
// series are left out.
std::string RenderMetrics(const MetricsSnapshot& snapshot);

}  // namespace klaxon
