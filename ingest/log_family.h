// A log and what rotation made of it: the files of one directory that are one
// log, oldest first. Opens nothing.
//
// Not thread-safe: belongs to one lane.
#pragma once

#include <string>
#include <vector>

#include "ingest/log_files.h"
#include "ingest/log_name.h"

namespace klaxon {

struct LogMember {
  std::string path;
  LogName name;
  FileStat stat;
  bool live = false;  // The one that is written to.
  // By its name: it may only be read from its beginning, and never grows.
  bool compressed = false;
};

// When what is in it was all written: the time in its name where rotation wrote
// one that is exact, else its last change. Nanoseconds since 1970.
int64_t RotationTime(const LogMember& member);

class LogFamily {
 public:
  // `path`: of the live file, which may not exist yet; a symbolic link is
  // followed each time anew. `files` outlives this.
  LogFamily(LogFiles* files, std::string path);

  const std::string& path() const { return path_; }
  // Where the members are: the directory that the path leads to.
  const std::string& directory() const { return directory_; }
  // 0 or -errno.
  int StatLive(FileStat* live);
  // All members as they stood at one moment, old to young; of X.log and
  // X.log.gz only the first, and of several names of one file one. False: they
  // change faster than they can be listed. Call again later.
  bool List(std::vector<LogMember>* members);
  // errno of the last List, which then gave no members; 0: it could be listed.
  int list_error() const { return list_error_; }
  // A file of the directory, whatever its name. Empty: none.
  std::string FindAnywhere(const FileId& id);

 private:
  void Resolve();
  std::vector<LogMember> Snapshot();

  LogFiles* const files_;
  const std::string path_;
  std::string directory_;
  std::string live_name_;
  int list_error_ = 0;
};

}  // namespace klaxon
