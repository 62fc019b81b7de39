// Cuts the bytes of one input after another into batches.
//
// Lines: a batch is about `batch_bytes` of whole lines, read straight into its
// buffer; only the unfinished last line is copied over to the next batch (and a
// line that a container runtime wrote in chunks is not cut between them). No
// line in it is longer than `line_bytes_max` (without its '\n'); a longer one
// is a batch of its own, kOversize.
//
// Documents: an input that begins like pretty-printed JSON (its first line
// that is not blank begins with '{' or '[' and ends with one of "{[,"), or
// whose first line is longer than line_bytes_max and is an array or several
// values, is cut into JSON values by DocumentScanner, each a kDocument batch
// with the white space around it. One longer than line_bytes_max is
// kOversize, but for a top-level array: that is split between its elements,
// and each part is made an array again. Only then `bytes` is not what stands
// in the input: its first ',' is '[' and a ']' is added at its end, so offsets
// and lines remain right.
//
// What is cut where depends on the bytes and line_bytes_max only (documents
// and oversize lines), neither on batch_bytes nor on how the bytes arrive. A
// pipe's lines are handed on as soon as nothing more comes before the deadline.
//
// Not thread-safe. Holds up to about line_bytes_max bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ingest/byte_stream.h"
#include "ingest/document_scanner.h"
#include "ingest/source.h"

namespace klaxon {

struct FramerOptions {
  size_t batch_bytes = 1 << 20;
  size_t line_bytes_max = 16 << 20;
  size_t oversize_keep_bytes = 64 << 10;
};

// Whether bytes begin like pretty-printed JSON (see above). Nothing: the first
// line that is not blank is not all there, and they have not `ended`.
std::optional<bool> BeginsPretty(std::string_view bytes, bool ended);

class BatchFramer {
 public:
  // kData: a batch. Never kEnd.
  using Result = StreamState;

  // `context` outlives the framer.
  BatchFramer(const FramerOptions& options, StreamContext* context);

  // A new input. `stream` lives until finished().
  void Begin(ByteStream* stream);
  // A stretch of an input: lines, the first of which begins at `offset` of it.
  void BeginLines(ByteStream* stream, uint64_t offset);
  // Nothing more is wanted of the input.
  void Abandon() { finished_ = true; }
  // Fills all of `batch` but `begin.input` and `sequence`.
  // REQUIRES: Begin was called, and !finished().
  Result Next(Batch& batch);
  // The last batch of the input was handed on.
  bool finished() const { return finished_; }
  // What comes next begins with a line, at next_offset() of the input.
  bool at_line() const { return mode_ == Mode::kLines && !oversize_.active(); }
  uint64_t next_offset() const { return offset_; }

 private:
  enum class Mode : uint8_t { kUndecided, kLines, kDocuments };

  // Head and tail of what is too long to keep.
  class Oversize {
   public:
    void Begin(size_t keep_bytes);
    void Append(std::string_view bytes);
    // Moves them into the batch.
    void Finish(Batch& batch);
    bool active() const { return active_; }

   private:
    bool active_ = false;
    size_t keep_bytes_ = 0;
    uint64_t total_ = 0;
    std::string head_;
    std::string tail_;
  };

  // Bytes that were read but not handed on.
  std::string_view pending() const {
    return pending_.view().substr(pending_begin_);
  }
  StreamState ReadInto(BatchBuffer& buffer, size_t bytes_max);
  StreamState Fill(BatchBuffer& buffer, size_t target);
  size_t GrownTarget(size_t size) const;
  void TakePending(BatchBuffer& buffer, size_t capacity);
  void PutBack(std::string_view bytes);
  void PutBackAll(BatchBuffer& buffer);
  void LookAhead();

  StreamState DecideMode(BatchBuffer& buffer);
  Mode ModeOfLongLine(std::string_view bytes);

  Result NextLines(Batch& batch);
  Result NextOversizeLine(Batch& batch);

  Result NextDocument(Batch& batch);
  bool ValueTooLong() const;
  void DropScanned();
  StreamState FillPending();
  Result DeliverDocument(Batch& batch, size_t cut);
  void CopyDocument(BatchBuffer& buffer, size_t cut, bool split);

  Result Deliver(Batch& batch, BatchFraming framing, uint64_t input_bytes);

  const size_t line_bytes_max_;
  const size_t batch_bytes_;  // At most line_bytes_max_ + 1.
  const size_t keep_bytes_;   // At most half of line_bytes_max_.
  StreamContext* const context_;

  ByteStream* stream_ = nullptr;
  bool stream_ended_ = true;
  uint64_t stream_bytes_ = 0;  // Got from it.
  uint64_t offset_ = 0;        // Of the next batch.
  Mode mode_ = Mode::kUndecided;
  bool first_ = true;
  bool finished_ = true;
  BatchBuffer pending_;
  size_t pending_begin_ = 0;
  Oversize oversize_;
  uint64_t oversize_bytes_ = 0;  // Dropped into it, '\n' included.

  // Documents.
  DocumentScanner scanner_;
  size_t scanned_ = 0;            // Of pending().
  bool continues_array_ = false;  // The region begins at a split's comma.
};

}  // namespace klaxon
