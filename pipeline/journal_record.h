// What a record of the journal says: a batch that was observed, or something
// that was decided or learnt. Nothing else reaches the judge
// (docs/ARCHITECTURE.md), so a restart that reads the same records does the
// same.
//
// Encoding: event/wire.h; the version, the kind, then the fields in the order
// below. The set of kinds is closed: a reader refuses a kind or version that
// it does not know, a byte too many or too few, and whatever no writer writes;
// what it accepts gives the same bytes when encoded again.
//   Good: small, one pass, nothing optional. Bad: any change is a new version.
//
// All values; any thread may own one. Wall times are nanoseconds since the
// Unix epoch, of the injected clock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "event/observation.h"
#include "event/time.h"
#include "ingest/live_source.h"
#include "pipeline/outbox.h"

namespace klaxon {

inline constexpr uint64_t kJournalRecordVersion = 1;
inline constexpr size_t kDigestBytes = 32;  // SHA-256

// What became of the bytes of a batch; for the conservation sums.
struct BatchCounts {
  uint64_t bytes = 0;  // Of input, all told.
  uint64_t lines = 0;
  uint64_t events = 0;
  uint64_t requests = 0;
  uint64_t quarantined = 0;  // Unreadable lines, kept and counted.
  uint64_t quarantined_bytes = 0;
  uint64_t skipped = 0;         // Lines of a wrapper that hold no event.
  uint64_t odd = 0;             // Judged, but with something strange in them.
  uint64_t future = 0;          // Stamps too far after the wall clock.
  uint64_t repeated_bytes = 0;  // Of `bytes`: in a batch sent again.
  bool operator==(const BatchCounts&) const = default;
};

// One batch of one lane, as far as it concerns anybody later.
struct BatchRecord {
  std::string lane;    // LiveBatch::lane
  std::string resume;  // LiveBatch::resume
  std::string digest;  // LiveBatch::digest: kDigestBytes, or empty.
  // The newest event time of the batch that may move the watermark; kNoTime:
  // it has none.
  EventTime newest = kNoTime;
  int64_t ingested_ns = 0;  // Wall time.
  BatchCounts counts;
  std::vector<Gap> gaps;
  Observations observations;
};

// A lane stops holding the others back, or does so again.
struct LaneIdleRecord {
  std::string lane;
  bool idle = false;
};

// What a lane sent may be sent again: its event time stands still meanwhile.
struct LaneHoldRecord {
  std::string lane;
  bool hold = false;
  EventTime at = kNoTime;  // Where it stands still.
  int64_t wall_ns = 0;     // Since when; at the end: when it was over.
};

// From here on another configuration holds.
struct ReloadRecord {
  struct DetectorHash {
    std::string detector;
    std::string hash;  // kDigestBytes, of all that the detector depends on.
  };
  std::string configuration;            // All of it, with what its files held.
  std::vector<DetectorHash> detectors;  // Ascending by name.
  std::vector<OutboxSinkOptions> sinks;
};

// Sinks have taken alerts for good, or never will.
struct AcknowledgementRecord {
  std::vector<OutboxAck> acks;
};

// Every source was told of its end: held decisions are taken.
struct EndOfInputRecord {};

struct RunStartedRecord {
  std::string version;   // Of the program.
  std::string instance;  // Random, one a run.
  int64_t wall_ns = 0;
};

using JournalRecord =
    std::variant<BatchRecord, LaneIdleRecord, LaneHoldRecord, ReloadRecord,
                 AcknowledgementRecord, EndOfInputRecord, RunStartedRecord>;

// "batch", "lane_idle", …
std::string_view JournalRecordName(const JournalRecord& record);
// Whose it is; null: of no lane.
const std::string* LaneOf(const JournalRecord& record);

// Appends to `out`, which knows the length. REQUIRES: digests, hashes and
// orders are as said above.
void EncodeTo(const JournalRecord& record, std::string* out);

// FailedPrecondition: a version or kind that a newer program wrote. DataLoss:
// malformed, and which kind it claims to be.
absl::StatusOr<JournalRecord> DecodeJournalRecord(std::string_view bytes);
// The same into `*record`, whose memory is used again. Not OK: it holds
// anything.
absl::Status DecodeOver(std::string_view bytes, JournalRecord* record);

}  // namespace klaxon
