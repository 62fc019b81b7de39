// Where bytes come from while they are being written: a followed file, Kafka,
// the audit webhook.
//
// A source has lanes. A lane is what has an order of its own in event time and
// a position of its own: a file family, a partition, a webhook peer.
//
// Protocol. Open once. Then one thread calls Read and Lanes until Read returns
// OutOfRange, while another may call Commit; Interrupt may come from any
// thread. Bytes are handed on once each, in order within their lane, and what
// was not committed is handed on again after Open with the last committed
// token: nothing is lost and nothing comes twice as long as the token is
// written down together with what was made of the bytes.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ingest/source.h"

namespace klaxon {

// Input that is known to be lost, or cannot be shown not to be. Said, counted
// and journalled; never jumped over in silence.
struct Gap {
  static constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();
  std::string input;    // As LiveBatch.input.
  std::string reason;   // A word of a closed list: "truncated", "vanished", …
  std::string message;  // One sentence: what is lost, and what to do about it.
  uint64_t begin = 0;   // First lost byte (file) or offset (Kafka).
  uint64_t end = kUnknown;  // Behind the last.
};

struct LiveBatch {
  // As of an archive; `bytes` is empty where there is only a gap or a new
  // token. batch.begin.input and batch.sequence are not used.
  Batch batch;
  std::string lane;     // "file:/var/log/audit.log", "kafka:audit/3", …
  std::string input;    // What messages call it; the path of the very file.
  std::string cluster;  // Empty: the default cluster.
  // Lies before `batch`. A gap alone is a batch too.
  std::vector<Gap> gaps;
  // Opaque: Open with it goes on right behind this batch, in this lane.
  std::string resume;
  // Webhook: SHA-256 of the body (32 bytes), by which a batch that is sent
  // again is known for 10 minutes; empty elsewhere.
  std::string digest;
};

struct LaneState {
  std::string name;
  // All there is now was read: after 2 s of silence it holds nobody back.
  bool caught_up = false;
  // Nothing ever comes again: it holds nobody back from now on.
  bool ended = false;
  // There is something that cannot be read (no permission, EIO); it is tried
  // again and again. After a minute of that it holds nobody back.
  bool failing = false;
  // What was sent may have been missed and be sent again (webhook): event time
  // of this lane stands still until it is over.
  bool hold = false;
  // With `hold`: where it stands still, at what was newest once the batch with
  // this token had been handed on (empty: at what the last run left). A steady
  // sender always has something under way, so "where it stands now" would
  // never move again.
  // Such tokens are decimal numbers that grow within a lane; one hold never
  // names an earlier batch than a hold before it did, nor than what had been
  // handed on before a look at the lanes that found none.
  std::string hold_after;
  // Behind by so much, as far as it is known.
  uint64_t lag_bytes = 0;
  uint64_t lag_records = 0;
};

// Where a lane stood when the last run ended.
struct LaneResume {
  std::string lane;
  std::string resume;
  std::vector<std::string> digests;  // Of the last 10 minutes.
};

class LiveSource {
 public:
  virtual ~LiveSource() = default;
  // Lanes that are not named start where the configuration says.
  virtual absl::Status Open(std::span<const LaneResume> resume_from) = 0;
  // Fills `batch` (its buffers are reused) from any lane but the `held` ones,
  // which run too far ahead in event time. OutOfRange: the end (only where the
  // source was told to stop at the end; a message says what could not be read
  // of it). Unavailable: nothing within
  // `timeout`, call again (a message, if any, is for people). Anything else:
  // fatal, and says why.
  virtual absl::Status Read(absl::Duration timeout,
                            std::span<const std::string> held,
                            LiveBatch& batch) = 0;
  // The batch of `lane` with this token, and all before it, is durable.
  virtual absl::Status Commit(std::string_view lane,
                              std::string_view resume) = 0;
  // As of the last Read; same thread.
  virtual std::vector<LaneState> Lanes() const = 0;
  virtual void Interrupt() noexcept = 0;
};

}  // namespace klaxon
