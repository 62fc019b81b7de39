#include "ingest/payload_pieces.h"

#include <algorithm>
#include <cstring>

#include "ingest/content_kind.h"

namespace klaxon {
namespace {

class PayloadStream : public ByteStream {
 public:
  explicit PayloadStream(std::string_view bytes) : bytes_(bytes) {}

  StreamRead Read(char* out, size_t capacity) override {
    const size_t bytes = std::min(capacity, bytes_.size());
    if (bytes == 0) return {0, StreamState::kEnd};
    std::memcpy(out, bytes_.data(), bytes);
    bytes_.remove_prefix(bytes);
    return {bytes, StreamState::kData};
  }

 private:
  std::string_view bytes_;
};

bool IsPlain(std::string_view payload) {
  if (payload.empty() || payload[0] == '{' || payload[0] == '[') return true;
  return RecognizeContent(payload.substr(0, kContentHeadBytes),
                          /*at_end=*/true) == ContentKind::kPlain;
}

}  // namespace

bool NeedsPieces(std::string_view payload, size_t line_bytes_max) {
  if (payload.size() > line_bytes_max || !IsPlain(payload)) return true;
  // What is one line is no document, even if it breaks off.
  if (payload.empty()) return false;
  if (std::memchr(payload.data(), '\n', payload.size() - 1) == nullptr) {
    return false;
  }
  return BeginsPretty(payload, /*ended=*/true).value_or(false);
}

PayloadPieces::PayloadPieces(std::string_view payload,
                             const FramerOptions& options)
    : context_(&interrupter_),
      content_(std::make_unique<PayloadStream>(payload), 0, &context_),
      framer_(options, &context_) {}

bool PayloadPieces::Next(uint64_t within, Batch* batch) {
  if (!prepared_) {
    content_.Prepare();  // From memory: never blocked.
    framer_.Begin(&content_);
    prepared_ = true;
  }
  bool found = false;
  while (!found && !framer_.finished()) {
    if (framer_.Next(*batch) != StreamState::kData) break;
    found = batch->input_bytes > 0 &&
            batch->begin.offset + batch->input_bytes > within;
  }
  if (!found || framer_.finished()) finished_ = true;
  for (const StreamProblem& problem : context_.problems) {
    if (problem.lost && problem_.empty()) problem_ = problem.message;
  }
  return found;
}

}  // namespace klaxon
