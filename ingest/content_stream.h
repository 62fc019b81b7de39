// Peels an input: looks at its first bytes, inflates if they are compressed,
// looks again, until a log or a tar appears.
//
// Not thread-safe: belongs to one input.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "ingest/byte_stream.h"
#include "ingest/content_kind.h"

namespace klaxon {

// A stream whose first bytes can be looked at before they are read.
class PeekStream : public ByteStream {
 public:
  explicit PeekStream(std::unique_ptr<ByteStream> in) : in_(std::move(in)) {}

  // Reads on until Recognize decides. kData: decided, see `kind`.
  StreamState Recognize(ContentKind* kind);
  StreamRead Read(char* out, size_t capacity) override;

 private:
  const std::unique_ptr<ByteStream> in_;
  char head_[kContentHeadBytes];
  size_t head_begin_ = 0;
  size_t head_end_ = 0;
};

class ContentStream : public ByteStream {
 public:
  // Layers (compressions and archives) peeled off one input at most.
  static constexpr int kDepthMax = 8;

  // `depth`: layers peeled off before. `context` outlives the stream.
  ContentStream(std::unique_ptr<ByteStream> in, int depth,
                StreamContext* context);

  // kData: Read and is_tar may be called. Else call again, as with Read.
  StreamState Prepare();
  // What Read gives is a tar, to be taken apart.
  bool is_tar() const { return is_tar_; }
  int depth() const { return depth_; }
  // Nothing was peeled off: it gives the bytes of the file itself.
  bool plain() const { return prepared_ && below_.empty() && !is_tar_; }
  StreamRead Read(char* out, size_t capacity) override;

 private:
  StreamContext* const context_;
  int depth_;
  bool prepared_ = false;
  bool is_tar_ = false;
  // Each reads from the one before. Destroyed last to first.
  std::vector<std::unique_ptr<ByteStream>> below_;
  std::unique_ptr<PeekStream> top_;
};

}  // namespace klaxon
