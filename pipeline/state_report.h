// What a state directory holds: `klaxon state show` and `klaxon state verify`.
//
// Reads everything there is once, changes nothing, and needs the directory for
// itself: while a daemon has it, InspectState says Unavailable and who. One
// exception to the reading: what the last run left half-written is rolled back
// first, as the next run would (StateReport::rolled_back).
//
// Any thread; nothing is shared.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "event/time.h"
#include "pipeline/lane_states.h"

namespace klaxon {

// Rows, as stored (compressed) and unpacked.
struct StoredBytes {
  uint64_t rows = 0;
  uint64_t stored_bytes = 0;
  uint64_t content_bytes = 0;
};

struct StateReport {
  std::string dir;
  int64_t format = 0;
  uint64_t file_bytes = 0;
  uint64_t free_bytes = 0;  // Of these, for what comes next.
  bool rolled_back = false;

  StoredBytes journal;
  std::map<std::string, uint64_t> records_by_kind;
  uint64_t first_seq = 1;
  uint64_t last_seq = 0;
  // Least and greatest of the batches' newest times; kNoTime: none has one.
  EventTime oldest_event = kNoTime;
  EventTime newest_event = kNoTime;

  bool has_snapshot = false;
  uint64_t snapshot_seq = 0;
  StoredBytes snapshot;
  // By what stands before the last '/' of a part's name: a detector.
  std::map<std::string, StoredBytes> snapshot_groups;

  LaneStates lanes;
  uint64_t garbage_rows = 0;  // Not needed any more, to be deleted.

  // The first damage found, with what to do about it. What follows it was not
  // read, so the numbers above are too low.
  absl::Status damage;
};

// NotFound: no state there. Unavailable: in use. PermissionDenied, Internal:
// cannot be read. OK also if there is damage.
absl::StatusOr<StateReport> InspectState(const std::string& dir);

// For people, several lines; safe for a terminal.
std::string StateReportText(const StateReport& report);
// One line that says whether all is well, or what is not.
std::string StateVerdictText(const StateReport& report);
// {"schema":"klaxon.state/v1",…}, one line without '\n'; `damage` is absent if
// there is none.
std::string StateReportJson(const StateReport& report);

}  // namespace klaxon
