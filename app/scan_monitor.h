// Watches a running scan from a thread of its own: the progress line, and the
// signals that end it.
//
// The first SIGINT or SIGTERM interrupts the source, so that what was read is
// judged and shown; a second one ends the process at once.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "app/cli.h"
#include "app/console.h"
#include "ingest/archive_source.h"
#include "pipeline/scan.h"

namespace klaxon {

class ScanMonitor {
 public:
  // All must outlive it. Construct it before other threads begin: it blocks
  // the two signals in the calling thread, and they inherit that.
  ScanMonitor(ProgressMode mode, ArchiveSource* source,
              const ScanProgress* progress, Console* console);
  ~ScanMonitor();  // Stops.
  ScanMonitor(const ScanMonitor&) = delete;
  ScanMonitor& operator=(const ScanMonitor&) = delete;

  void Stop();  // Takes the progress line away. Idempotent.
  bool interrupted() const { return interrupted_; }
  double seconds() const;  // Since construction.

 private:
  void Run();
  void HandleSignal();
  void ShowProgress();
  std::string ProgressLine() const;

  const bool shows_progress_;
  const bool as_line_;  // A terminal: one line that is overwritten.
  ArchiveSource* const source_;
  const ScanProgress* const progress_;
  Console* const console_;
  const std::chrono::steady_clock::time_point start_;
  int signal_fd_ = -1;
  int stop_fd_ = -1;
  std::atomic<bool> interrupted_{false};
  std::thread thread_;
  double shown_at_ = 0;  // The thread's own.
};

// "42 %  1.3 GB  812k events/s  1.1 GB/s  ETA 0:12"; `raw_total` 0: unknown.
std::string FormatProgress(uint64_t raw_read, uint64_t raw_total,
                           uint64_t bytes, uint64_t events, double seconds);

}  // namespace klaxon
