// The content of one message that is more than some lines: compressed, a
// pretty-printed document, or too long. Cut as a file of the same bytes is.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ingest/batch_framer.h"
#include "ingest/byte_stream.h"
#include "ingest/content_stream.h"
#include "ingest/source.h"

namespace klaxon {

// Else the bytes are whole lines, and can be put behind others.
bool NeedsPieces(std::string_view payload, size_t line_bytes_max);

class PayloadPieces {
 public:
  // `payload` outlives this. Pieces depend on it and on the options.
  PayloadPieces(std::string_view payload, const FramerOptions& options);

  // The next piece that ends behind byte `within` of the content; false: there
  // is none. Sets bytes, framing and begin.offset, the oversize fields, and
  // input_bytes.
  bool Next(uint64_t within, Batch* batch);
  // Every piece was given.
  bool finished() const { return finished_; }
  // What could not be read, as a damaged .gz; empty: all could.
  const std::string& problem() const { return problem_; }

 private:
  Interrupter interrupter_;  // Never used.
  StreamContext context_;
  ContentStream content_;
  BatchFramer framer_;
  bool prepared_ = false;
  bool finished_ = false;
  std::string problem_;
};

}  // namespace klaxon
