// klaxon.db as a file: made whole or not at all, opened, configured so that a
// commit is on the disk when it returns, brought up to the format of today.
// What is in it: pipeline/journal_format.h.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "pipeline/database.h"
#include "pipeline/state_dir.h"

namespace klaxon {

// REQUIRES: `dir` was opened with kOwn. What the last run left half-written is
// rolled back. The structure was checked, the rows were not. InvalidArgument: a
// budget too small for anything; FailedPrecondition: a version that we cannot
// read; DataLoss: damaged.
absl::StatusOr<Database> OpenJournalFile(const StateDir& dir,
                                         const std::string& vfs,
                                         uint64_t disk_bytes_max);

}  // namespace klaxon
