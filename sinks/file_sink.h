// Alerts in a file: NDJSON, appended, each (id, revision) once.
#pragma once

#include <memory>
#include <string>

#include "sinks/sink.h"

namespace klaxon {

struct FileSinkOptions {
  std::string path;  // A regular file; created with mode 0600.
  // How many of the alerts written last are remembered so as not to be written
  // again (each costs about 40 bytes); twice as many at most.
  size_t remembered_min = 500'000;
  // How much of the end of a file that is there already is read for that.
  uint64_t reread_bytes_max = uint64_t{1} << 30;
};

// Open takes the file for itself (a lock: one Klaxon a file), creates it
// durably, cuts off the half line that a crash left, and learns which alerts it
// holds. FailedPrecondition: the file is not one of ours, or locked.
//
// Deliver blocks until the lines are written and synced, then calls `done`, on
// the caller's thread. It is all or nothing: where a write fails (no space
// left), what was written of the call is cut off again and the status says why;
// a later Deliver may succeed. After a failed sync nobody knows what the disk
// holds, so every later Deliver fails too: restart.
// REQUIRES: SIGXFSZ is ignored (see write_all.h).
std::unique_ptr<Sink> MakeFileSink(FileSinkOptions options);

}  // namespace klaxon
