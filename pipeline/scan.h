// The scan: inputs → N workers (decode, observe) → sorter → judge → alerts.
//
// RunScan blocks until the end and is called from one thread; the callbacks
// named below come from any one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "detectors/alert.h"
#include "event/decode.h"
#include "ingest/archive_source.h"
#include "pipeline/engine_config.h"

namespace klaxon {

// Something that could not be read, for the user and the quarantine file.
// They come in input order (input, offset), whatever the threads.
struct QuarantineRecord {
  std::string path;
  uint64_t offset = 0;  // Of `bytes`, in the decompressed input.
  uint64_t line = 0;    // 1-based, of the error.
  uint64_t column = 0;  // 1-based, in bytes, of the error.
  QuarantineReason reason = QuarantineReason::kNone;
  std::string message;
  std::string_view bytes;  // Valid during the callback only.
};

struct ScanSummary {
  uint64_t bytes = 0;  // Decompressed.
  uint64_t lines = 0;
  uint64_t events = 0;
  uint64_t requests = 0;
  uint64_t observations = 0;
  uint64_t quarantined = 0;
  uint64_t quarantined_bytes = 0;
  uint64_t skipped = 0;
  uint64_t odd = 0;
  uint64_t inputs = 0;
  // Inputs of which nothing could be read although they hold bytes.
  uint64_t unreadable_inputs = 0;
  uint64_t evicted = 0;
  EventTime first_event = kNoTime;
  EventTime last_event = kNoTime;
  std::map<std::string, uint64_t> alerts_by_detector;
  std::map<std::string, uint64_t> alerts_by_severity;
};

struct ScanCallbacks {
  std::function<void(const QuarantineRecord&)> on_quarantined;
  std::function<void(const InputProblem&)> on_problem;
  // Final alerts, in printing order, at the end.
  std::function<void(Alert&&)> on_alert;
  // `observe` only: the observations, instead of judging them. In any order.
  std::function<void(const Observations&)> on_observations;
};

struct ScanOptions {
  int threads = 0;             // 0: one a core.
  EventTime since = kNoTime;   // --since, --until: events outside are not
  EventTime until = kMaxTime;  // observed ([since, until)).
  DecoderOptions decoder;
  // A worker with nothing to do takes half of what another has still to read,
  // if that is so many bytes. More would go at the cost of observations of
  // which each has a part.
  uint64_t split_bytes_min = 8 << 20;
  // So many quarantined bytes may wait for those that stand before them.
  uint64_t waiting_bytes_max = 8 << 20;
};

// For a progress display, updated while RunScan runs.
struct ScanProgress {
  std::atomic<uint64_t> bytes{0};  // Decompressed.
  std::atomic<uint64_t> events{0};
};

absl::Status RunScan(const EngineConfig& config, const ScanOptions& options,
                     ArchiveSource& source, const ScanCallbacks& callbacks,
                     ScanProgress* progress, ScanSummary* summary);

// `klaxon judge`: judges NDJSON observations read line by line.
// `next_line` returns false at the end. A line that is no observation is
// handed to on_quarantined with `path`.
absl::Status RunJudge(const EngineConfig& config, const std::string& path,
                      const std::function<bool(std::string*)>& next_line,
                      const ScanCallbacks& callbacks, ScanSummary* summary);

}  // namespace klaxon
