// Reads the records of a journal ahead of who applies them: reading, checking,
// inflating and decoding are a thread's, applying is the caller's. A replay
// takes as long as the slower of the two.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "pipeline/journal.h"
#include "pipeline/journal_record.h"

namespace klaxon {

// Calls `apply` with each record from `from_seq` on, in order, in this thread;
// the journal is another's until it returns. What `apply` leaves of the record
// is written over. The first error ends it: where both sides have one, that of
// the earlier record.
absl::Status ReadAhead(
    Journal* journal, uint64_t from_seq,
    const std::function<absl::Status(uint64_t seq, JournalRecord&& record)>&
        apply);

}  // namespace klaxon
