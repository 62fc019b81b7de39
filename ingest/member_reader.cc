#include "ingest/member_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ingest/content_kind.h"

namespace klaxon {
namespace {

constexpr size_t kPieceBytes = 64 << 10;

}  // namespace

// The file as it is stored, from its beginning.
class MemberReader::RawStream : public ByteStream {
 public:
  explicit RawStream(MemberReader* reader) : reader_(reader) {}

  StreamRead Read(char* out, size_t capacity) override {
    if (reader_->context_.interrupter->interrupted()) {
      return {0, StreamState::kInterrupted};
    }
    const ssize_t got = reader_->ReadAt(out, capacity, offset_);
    if (got <= 0) return {0, StreamState::kEnd};
    offset_ += got;
    reader_->context_.raw_bytes = offset_;
    return {static_cast<size_t>(got), StreamState::kData};
  }

 private:
  MemberReader* const reader_;
  uint64_t offset_ = 0;
};

MemberReader::MemberReader(LogFiles* files, int fd, bool named_compressed,
                           Interrupter* interrupter)
    : files_(files), fd_(fd), context_(interrupter) {
  char head[kContentHeadBytes];
  const ssize_t got = ReadAt(head, sizeof(head), 0);
  ContentKind kind = ContentKind::kUndecided;
  if (got > 0) {
    kind = RecognizeContent({head, static_cast<size_t>(got)}, false);
  }
  const bool undecided = kind == ContentKind::kUndecided;
  if (undecided ? !named_compressed : kind == ContentKind::kPlain) return;
  if (kind == ContentKind::kTar) return;  // Junk, as far as a log goes.
  content_ = std::make_unique<ContentStream>(std::make_unique<RawStream>(this),
                                             0, &context_);
  final_ = true;
  if (got == 0) {
    damage_ =
        "an empty file, though its name says that it is compressed: "
        "whoever compressed it was stopped";
  }
}

ssize_t MemberReader::ReadAt(char* out, size_t bytes, uint64_t offset) {
  const iovec piece = {out, bytes};
  const ssize_t got = files_->Read(fd_, &piece, 1, offset);
  error_ = got < 0 ? static_cast<int>(-got) : 0;
  return got;
}

uint64_t MemberReader::raw_position() const {
  return compressed() ? context_.raw_bytes.load() : position_;
}

void MemberReader::Remember(std::string_view bytes) {
  if (head_.size() < kMarkBytes && head_.size() == position_) {
    head_.append(bytes.substr(0, kMarkBytes - head_.size()));
  }
  position_ += bytes.size();
  if (bytes.size() >= kMarkBytes) {
    window_.assign(bytes.substr(bytes.size() - kMarkBytes));
    return;
  }
  const size_t keep = std::min(window_.size(), kMarkBytes - bytes.size());
  window_.erase(0, window_.size() - keep);
  window_.append(bytes);
}

StreamRead MemberReader::Read(char* out, size_t capacity) {
  if (abandoned_) return {0, StreamState::kEnd};
  return compressed() ? ReadCompressed(out, capacity)
                      : ReadPlain(out, capacity);
}

StreamRead MemberReader::ReadPlain(char* out, size_t capacity) {
  const StreamRead nothing = {
      0, final_ ? StreamState::kEnd : StreamState::kBlocked};
  if (changed_) return nothing;
  char before[kMarkBytes];
  const size_t known = window_.size();
  const iovec pieces[2] = {{before, known}, {out, capacity}};
  const ssize_t got = files_->Read(fd_, pieces, 2, position_ - known);
  error_ = got < 0 ? static_cast<int>(-got) : 0;
  if (got < 0) return nothing;
  if (static_cast<size_t>(got) < known ||
      std::memcmp(before, window_.data(), known) != 0) {
    changed_ = true;
    return nothing;
  }
  const size_t bytes = got - known;
  if (bytes == 0) return nothing;
  Remember({out, bytes});
  return {bytes, StreamState::kData};
}

StreamRead MemberReader::ReadCompressed(char* out, size_t capacity) {
  StreamState state = content_->Prepare();
  StreamRead read = {0, state};
  if (state == StreamState::kData) read = content_->Read(out, capacity);
  if (read.bytes > 0) Remember({out, read.bytes});
  for (const StreamProblem& problem : context_.problems) {
    if (problem.lost && damage_.empty()) damage_ = problem.message;
  }
  context_.problems.clear();
  return read;
}

StreamState MemberReader::SkipTo(uint64_t offset) {
  if (!compressed()) return SeekTo(offset);
  const auto scratch = std::make_unique_for_overwrite<char[]>(kPieceBytes);
  while (position_ < offset) {
    const size_t bytes = std::min<uint64_t>(kPieceBytes, offset - position_);
    const StreamRead read = ReadCompressed(scratch.get(), bytes);
    if (read.state != StreamState::kData) return read.state;
  }
  return StreamState::kData;
}

StreamState MemberReader::SeekTo(uint64_t offset) {
  std::string head(std::min<uint64_t>(offset, kMarkBytes), '\0');
  std::string window(head.size(), '\0');
  const ssize_t wanted = static_cast<ssize_t>(head.size());
  ssize_t got = ReadAt(head.data(), head.size(), 0);
  if (got == wanted) {
    got = ReadAt(window.data(), window.size(), offset - window.size());
  }
  if (got != wanted) return StreamState::kEnd;
  head_ = std::move(head);
  window_ = std::move(window);
  position_ = offset;
  return StreamState::kData;
}

void MemberReader::SkipHole() {
  if (compressed()) return;
  const auto scratch = std::make_unique_for_overwrite<char[]>(kPieceBytes);
  uint64_t offset = 0;
  for (;;) {
    const ssize_t got = ReadAt(scratch.get(), kPieceBytes, offset);
    if (got <= 0) return;  // Nothing but zeros so far.
    const char* end = scratch.get() + got;
    const char* data = std::find_if(scratch.get(), scratch.get() + got,
                                    [](char c) { return c != '\0'; });
    offset += data - scratch.get();
    if (data != end) break;
  }
  if (offset > 0) SeekTo(offset);
}

}  // namespace klaxon
