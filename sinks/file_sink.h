// Alerts in a file: NDJSON, appended, each (id, revision) once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "sinks/file_codec.h"
#include "sinks/sink.h"

namespace klaxon {

struct FileSinkOptions {
  std::string path;  // A regular file; created with mode 0600.
  // Rotation by ourselves: before the file would grow beyond so many bytes it
  // becomes PATH.000001, the next one PATH.000002, …; a delivery is never
  // spread over two files. 0: off.
  uint64_t rotate_bytes = 0;
  uint64_t keep = 10;  // Rotated files; older ones are removed. At least 1.
  Compression compression = Compression::kNone;  // Of rotated files.
  // Whether what somebody else renamed from `path` (PATH.1, PATH-20260102.gz)
  // counts as written too: for a daemon, which is given again only what it did
  // not acknowledge before it crashed.
  bool reread_renamed = false;
  // How many of the alerts written last are remembered so as not to be written
  // again (each costs about 60 bytes); twice as many at most.
  size_t remembered_min = 500'000;
  // How much of the end of what is there already is read for that: of the file
  // and, while that is less, of the rotated ones, newest first.
  uint64_t reread_bytes_max = uint64_t{1} << 30;
  // Told of what went wrong beside the delivery itself: a rotation that was put
  // off, an old file that could not be compressed. On the caller's thread.
  std::function<void(std::string_view)> warn;
};

// Open takes the file for itself (a lock: one Klaxon a file), creates it
// durably, cuts off what a crash left half-written, completes a rotation that
// it broke off, and learns which alerts are written. FailedPrecondition: the
// file is not one of ours, or locked.
//
// Deliver blocks until the lines are written and synced, then calls `done`, on
// the caller's thread; compressing a rotated file comes after that. It is all
// or nothing: where a write or the sync fails, what was written of the call is
// cut off again, at once or with the next Deliver, before anything is written,
// and the status says why. A file that was renamed or removed is left for a new
// one of the same name, at the latest when Reopen asks for it.
// REQUIRES: SIGXFSZ is ignored (see write_all.h).
std::unique_ptr<Sink> MakeFileSink(FileSinkOptions options);

}  // namespace klaxon
