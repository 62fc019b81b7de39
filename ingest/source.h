// Where bytes come from.
//
// Protocol. One thread at a time calls Open once, then Read until it returns
// OutOfRange, and Commit now and then; only Interrupt may come from any
// thread. Which thread that is may change between calls (a scan's workers
// take turns under a mutex: whoever is free reads the next batch and decodes
// it while another reads on).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace klaxon {

// A growable buffer with `kPadding` readable bytes behind its content, as the
// decoder needs. Never shrinks; reused from batch to batch.
class BatchBuffer {
 public:
  static constexpr size_t kPadding = 256;  // == kDecodePadding
  char* data() { return data_.get(); }
  const char* data() const { return data_.get(); }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  // Keeps the first min(size, bytes) bytes.
  void Reserve(size_t bytes);
  // REQUIRES: size <= capacity.
  void set_size(size_t size) { size_ = size; }
  std::string_view view() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

enum class BatchFraming : uint8_t {
  kLines,     // Whole lines, each but perhaps the last of the input ends '\n'.
  kDocument,  // One JSON document that may span lines.
  kOversize,  // One line longer than line_bytes_max: head and tail of it.
};

// Where in its source a batch lies: what is committed and resumed from.
struct Position {
  uint32_t input = 0;   // Index into Source::inputs().
  uint64_t offset = 0;  // In the decompressed bytes of that input.
};

class BatchReader;

struct Batch {
  // Set: there are no bytes here; they are to be read from there.
  std::shared_ptr<BatchReader> part;
  BatchBuffer bytes;
  BatchFraming framing = BatchFraming::kLines;
  Position begin;         // Of the batch's first byte.
  uint64_t sequence = 0;  // 0, 1, 2, … over the whole source, no gaps.
  bool first_of_input = false;
  bool last_of_input = false;
  // kOversize: bytes = head then tail; bytes left out between them.
  size_t oversize_head_bytes = 0;
  uint64_t oversize_line_bytes = 0;  // Of the whole line.
  // Bytes of input from `begin` to the next batch's begin.
  uint64_t input_bytes = 0;
};

// A problem with an input that the user must hear of: a file that cannot be
// opened, a truncated .gz, trailing garbage. Reading goes on with the rest.
struct InputProblem {
  std::string path;
  uint64_t offset = 0;  // Decompressed bytes delivered before it.
  std::string message;  // What is wrong and what to do.
  // Nothing of the input could be read, or bytes of it are lost: exit code 1.
  bool lost = true;
};

// A part of an input that whoever was handed it reads alone, on any one thread,
// beside the source and other parts. Must not outlive its source.
class BatchReader {
 public:
  virtual ~BatchReader() = default;
  // The next batch of the part; its `sequence` means nothing, and last_of_input
  // is that of the batch that brought the part. OutOfRange: the end. Cancelled:
  // the source was interrupted.
  virtual absl::Status Read(Batch& batch) = 0;
  virtual std::vector<InputProblem> TakeProblems() = 0;

  // Any thread, beside a Read: about so many bytes it has still to read.
  virtual uint64_t bytes_left() const = 0;
  // Any thread, beside a Read: takes the second half of what is left away and
  // returns it as a part that comes just behind this one. Null: there is no
  // place to cut, or less than `bytes_min` left.
  virtual std::unique_ptr<BatchReader> Split(uint64_t bytes_min) = 0;
};

struct InputInfo {
  std::string path;     // As shown to the user ("-": stdin; "a.tar:x/b.log").
  std::string cluster;  // From path_regex; empty: the default cluster.
};

class Source {
 public:
  virtual ~Source() = default;
  // Finds the inputs. Not OK: none of them can be read at all.
  virtual absl::Status Open(std::span<const Position> resume_from) = 0;
  // Fills `batch` (its buffer is reused). OutOfRange: the end. Unavailable:
  // nothing within `timeout`, call again. Anything else: fatal.
  virtual absl::Status Read(absl::Duration timeout, Batch& batch) = 0;
  // Nothing before `durable` will be asked for again.
  virtual absl::Status Commit(std::span<const Position> durable) = 0;
  virtual void Interrupt() noexcept = 0;  // From any thread.
};

}  // namespace klaxon
