// Decodes whole batches: every event goes to a callback, everything that could
// not be read is said with its place in the batch.
//
// Not thread-safe: one a worker. Keeps nothing between batches (no line goes
// on from one to the next, see BatchFramer) but counters and memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/decode.h"
#include "ingest/source.h"

namespace klaxon {

// Something of a batch that could not be read.
struct UnreadableBytes {
  size_t offset = 0;  // Of `bytes`, in the batch.
  std::string bytes;
  uint64_t line = 0;    // Of the error, in the batch, from 0.
  uint64_t column = 0;  // 1-based, in bytes.
  QuarantineReason reason = QuarantineReason::kNone;
  std::string message;
};

struct BatchOutcome {
  uint64_t lines = 0;
  uint64_t skipped = 0;  // Rightly no events.
  std::vector<UnreadableBytes> unreadable;
};

class BatchDecoder {
 public:
  explicit BatchDecoder(DecoderOptions options)
      : decoder_(std::move(options)) {}

  BatchOutcome Decode(const Batch& batch, EventCallback on_event);
  const DecodeCounters& counters() const { return decoder_.counters(); }

 private:
  void DecodeLines(std::string_view bytes, EventCallback on_event);
  void DecodeWhole(const Batch& batch, EventCallback on_event);
  void Take(const DecodeOutcome& outcome, std::string_view text, size_t offset,
            uint64_t line);

  Decoder decoder_;
  BatchOutcome outcome_;
};

}  // namespace klaxon
