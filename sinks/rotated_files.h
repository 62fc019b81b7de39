// The files that a rotated one leaves behind: PATH.000001, PATH.000002.gz, …,
// the higher the newer.
//
// One thread, and one process by the lock on PATH. Every step leaves a state
// that Repair completes, so a crash between any two loses and doubles nothing:
// a file is compressed aside, synced, renamed, and only then is the plain one
// removed. Errors as in file_codec.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sinks/file_codec.h"

namespace klaxon {

struct RotatedFile {
  uint64_t number = 0;
  Compression compression = Compression::kNone;
  std::string path;
};

class RotatedFiles {
 public:
  explicit RotatedFiles(std::string path);

  // By number; of one number, the compressed one first.
  absl::StatusOr<std::vector<RotatedFile>> List() const;

  // Completes what a crash broke off.
  absl::Status Repair() const;

  // Renames PATH to the next number, durably. REQUIRES: it is synced.
  absl::Status MoveAway() const;

  // Compresses what is plain, and removes all but the newest `keep`.
  absl::Status Tidy(Compression compression, uint64_t keep) const;

  // What else in the directory begins with PATH's name and "." or "-", newest
  // first: what logrotate and its like made of PATH. Not ours, not half-made.
  absl::StatusOr<std::vector<std::string>> ListRenamed() const;

  // Makes what was created, renamed or removed beside PATH durable.
  absl::Status SyncDirectory() const;

 private:
  absl::StatusOr<std::vector<std::string>> Siblings() const;
  absl::Status Compress(const RotatedFile& file, Compression compression) const;
  absl::Status Remove(const std::string& path) const;

  const std::string path_;
  std::string directory_;  // ".", "/", "/var/log", …
  std::string name_;       // Without the directory.
};

}  // namespace klaxon
