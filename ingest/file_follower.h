// Followed log files: each log a lane, "file:PATH", through whatever rotation
// does to it. docs/TAIL.md says how.
//
// Bytes are handed on in whole lines. Half a line waits for its rest, for as
// long as its file may grow; it is handed on without a newline when the file
// has a successor.
//
// Gap::reason is one of:
//   truncated  the file was cut off (copytruncate without a copy, `> file`)
//   copied     it was cut off after a copy was made, which was read to its end:
//              what was written between copy and cut is lost
//   replaced   other content stands in the same file
//   vanished   deleted before it was read; or files may have come and gone
//   damaged    compressed, and not to the end
//   unreadable an I/O error, or no permission
//   ambiguous  several files look like the one that was being read
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "event/time.h"
#include "ingest/live_source.h"

namespace klaxon {

struct FollowOptions {
  enum class From : uint8_t { kBegin, kEnd, kTime };

  // Files or globs ("/var/log/kubernetes/audit*.log"); either may match nothing
  // yet. What rotation made of a log belongs to its lane.
  std::vector<std::string> paths;
  // For a first start: lanes without a token. Logs that appear while we run
  // are read from their beginning.
  From from = From::kBegin;
  // kTime: rotated files of that time or before are skipped. Lines of the
  // others that are older are for the caller to skip, by event time.
  EventTime from_time = kNoTime;
  // Read gives OutOfRange once all was read; an unfinished last line too is
  // handed on then. Its message, if any, is what could not be read: a log
  // without permission, or that there is no log at all.
  bool until_end = false;
  // As ArchiveOptions.
  size_t batch_bytes = 256 << 10;
  size_t line_bytes_max = 16 << 20;
  size_t oversize_keep_bytes = 64 << 10;
  std::string cluster_path_regex;
  // How long a change may go unseen where inotify does not tell.
  absl::Duration poll = absl::Milliseconds(500);
  // For `poll` while there is something to read; nothing: absl::Now.
  std::function<absl::Time()> clock;
};

// Read gives Unavailable with a message, once, where a file is missing or may
// not be read, and goes on trying. Read(0) looks at everything once. After
// Interrupt it gives Cancelled, for good.
std::unique_ptr<LiveSource> MakeFileFollower(FollowOptions options);

// The logs that `path` (as in FollowOptions::paths) means now, without links,
// each by its live file; a path that is no glob is one, though it does not
// exist.
std::vector<std::string> FollowedLogs(const std::string& path);

// Where Kubernetes distributions write audit logs.
std::vector<std::string> UsualAuditLogPaths();

}  // namespace klaxon
