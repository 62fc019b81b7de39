#include "ingest/content_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ingest/libarchive_reader.h"
#include "ingest/member_stream.h"

namespace klaxon {

StreamState PeekStream::Recognize(ContentKind* kind) {
  bool at_end = false;
  for (;;) {
    *kind = RecognizeContent({head_, head_end_}, at_end);
    if (*kind != ContentKind::kUndecided) return StreamState::kData;
    const StreamRead read =
        in_->Read(head_ + head_end_, sizeof(head_) - head_end_);
    head_end_ += read.bytes;
    if (read.state == StreamState::kEnd) {
      at_end = true;
    } else if (read.state != StreamState::kData) {
      return read.state;
    }
  }
}

StreamRead PeekStream::Read(char* out, size_t capacity) {
  const size_t bytes = std::min(capacity, head_end_ - head_begin_);
  if (bytes == 0) return in_->Read(out, capacity);
  std::memcpy(out, head_ + head_begin_, bytes);
  head_begin_ += bytes;
  return {bytes, StreamState::kData};
}

ContentStream::ContentStream(std::unique_ptr<ByteStream> in, int depth,
                             StreamContext* context)
    : context_(context),
      depth_(depth),
      top_(std::make_unique<PeekStream>(std::move(in))) {}

StreamState ContentStream::Prepare() {
  while (!prepared_) {
    ContentKind kind;
    const StreamState state = top_->Recognize(&kind);
    if (state != StreamState::kData) return state;
    is_tar_ = kind == ContentKind::kTar;
    prepared_ = is_tar_ || kind == ContentKind::kPlain;
    if (kind == ContentKind::kPlain) break;
    if (depth_ == kDepthMax) {
      prepared_ = true;
      is_tar_ = false;
      context_->Report(ProblemCause::kDamaged, true,
                       fmt::format("compressed or archived more than {} times "
                                   "over: unpack it first",
                                   kDepthMax));
      break;
    }
    ++depth_;
    if (is_tar_) break;
    ByteStream* in = top_.get();
    below_.push_back(std::move(top_));
    std::unique_ptr<ByteStream> layer;
    if (kind == ContentKind::kFiltered) {
      layer = std::make_unique<FilterStream>(in, context_);
    } else {
      layer = std::make_unique<MemberStream>(
          kind == ContentKind::kGzip ? MakeGzipCodec() : MakeZstdCodec(), in,
          context_);
    }
    top_ = std::make_unique<PeekStream>(std::move(layer));
  }
  return StreamState::kData;
}

StreamRead ContentStream::Read(char* out, size_t capacity) {
  return top_->Read(out, capacity);
}

}  // namespace klaxon
