// What the parts of the daemon (daemon*.cc) share beside daemon.h.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/daemon.h"
#include "pipeline/intake.h"

namespace klaxon {

// By what a run goes that applied `reload`.
std::string AppliedBytes(const ReloadRecord& reload);

struct Daemon::Running {
  // Constant once the thread runs.
  DaemonSource config;
  MadeSource made;
  // Of a reload: that it cannot be opened does not end the daemon.
  bool trial = false;
  std::unique_ptr<Intake> intake;
  std::thread thread;

  // Of the daemon's thread.
  bool ended = false;    // Read to its end (until_end).
  bool leaving = false;  // Told to stop; what it pushed is still to be written.

  std::atomic<bool> done{false};  // Its thread pushes nothing more.
  absl::Status failure;           // Of a trial. Written before `done`.
};

// Sources that leave go first: told to stop, their last records written, their
// threads joined. Then the new ones are opened, while all others go on, but not
// read yet. Then configuration and sinks change, in one record. A new source
// that cannot be opened makes the others of its kind leave again, and those
// that left come back.
struct Daemon::Reloading {
  enum class Phase { kLeaving, kOpening, kGoingBack };

  Phase phase = Phase::kLeaving;
  DaemonReload next;
  std::vector<DaemonSource> left;  // To come back if it fails.
  absl::Status failure;            // Of kGoingBack.
};

}  // namespace klaxon
