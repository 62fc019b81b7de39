#include "ingest/file_stretch.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/unwrap.h"

namespace klaxon {
namespace {

// Read at a time where a stretch may end, and how far that is looked for.
constexpr size_t kPieceBytes = 64 << 10;
constexpr size_t kLookBytesMax = 4 << 20;

// What is still to be read of a stretch. One thread reads, others may cut.
class Range {
 public:
  Range(uint64_t begin, uint64_t end, uint64_t file_bytes)
      : at_(begin), end_(end), file_bytes_(file_bytes) {}

  struct Piece {
    uint64_t offset;
    size_t bytes;  // 0: there is no more.
  };
  // What is to be read next; from then on it is nobody else's.
  Piece Take(size_t capacity) {
    std::lock_guard lock(mutex_);
    const Piece piece = {at_, std::min<uint64_t>(capacity, end_ - at_)};
    at_ += piece.bytes;
    return piece;
  }
  // Only so many bytes of it were there; 0: and no more will be.
  void TookOnly(const Piece& piece, size_t bytes) {
    std::lock_guard lock(mutex_);
    at_ = bytes > 0 ? piece.offset + bytes : end_;
  }
  struct Rest {
    uint64_t begin;
    uint64_t end;  // Perhaps kToEnd.
    uint64_t bytes;
  };
  Rest rest() const {
    std::lock_guard lock(mutex_);
    const uint64_t end = std::min(end_, file_bytes_);
    return {at_, end_, end > at_ ? end - at_ : 0};
  }
  // Ends the stretch at `cut`, if it has not come so far and ends where it did.
  bool Cut(uint64_t cut, uint64_t end) {
    std::lock_guard lock(mutex_);
    if (end_ != end || cut <= at_ || cut >= end_) return false;
    end_ = cut;
    return true;
  }

 private:
  mutable std::mutex mutex_;
  uint64_t at_;
  uint64_t end_;
  const uint64_t file_bytes_;  // When it was opened.
};

// As FileStream, of a part of the file.
class RangeStream : public ByteStream {
 public:
  RangeStream(std::shared_ptr<const OpenFile> file, Range* range,
              StreamContext* context, std::atomic<uint64_t>* raw_bytes)
      : file_(std::move(file)),
        context_(context),
        raw_bytes_(raw_bytes),
        range_(range) {}

  StreamRead Read(char* out, size_t capacity) override {
    const Range::Piece piece = range_->Take(capacity);
    if (piece.bytes == 0) return {0, StreamState::kEnd};
    ssize_t got = 0;
    do {
      if (context_->interrupter->interrupted()) {
        return {0, StreamState::kInterrupted};
      }
      got = file_->access().ReadAt(file_->fd(), out, piece.bytes, piece.offset);
    } while (got == -EINTR || got == -EAGAIN);
    if (got < 0) {
      context_->Report(ProblemCause::kUnreadable, true,
                       fmt::format("the rest of it could not be read: {}",
                                   ExplainFileError(static_cast<int>(-got))));
    }
    const auto bytes = static_cast<size_t>(std::max<ssize_t>(got, 0));
    if (bytes < piece.bytes) range_->TookOnly(piece, bytes);
    if (bytes == 0) return {0, StreamState::kEnd};
    raw_bytes_->fetch_add(bytes, std::memory_order_relaxed);
    return {bytes, StreamState::kData};
  }

 private:
  const std::shared_ptr<const OpenFile> file_;
  StreamContext* const context_;
  std::atomic<uint64_t>* const raw_bytes_;
  Range* const range_;
};

class StretchReader : public BatchReader {
 public:
  StretchReader(std::shared_ptr<const OpenFile> file, StretchOptions options,
                Interrupter* interrupter, std::atomic<uint64_t>* raw_bytes)
      : file_(std::move(file)),
        options_(std::move(options)),
        interrupter_(interrupter),
        raw_bytes_(raw_bytes),
        range_(options_.begin, options_.end, FileBytes(*file_)),
        context_(interrupter),
        stream_(file_, &range_, &context_, raw_bytes),
        framer_(options_.framer, &context_) {
    framer_.BeginLines(&stream_, options_.begin);
  }

  absl::Status Read(Batch& batch) override {
    if (framer_.finished()) return absl::OutOfRangeError("end of the stretch");
    const StreamState state = framer_.Next(batch);
    batch.begin.input = options_.input;
    if (state == StreamState::kData) return absl::OkStatus();
    return absl::CancelledError("interrupted");
  }

  std::vector<InputProblem> TakeProblems() override {
    std::vector<InputProblem> problems;
    for (StreamProblem& problem : std::exchange(context_.problems, {})) {
      problems.push_back({options_.path, problem.offset,
                          std::move(problem.message), problem.lost});
    }
    return problems;
  }

  uint64_t bytes_left() const override { return range_.rest().bytes; }

  std::unique_ptr<BatchReader> Split(uint64_t bytes_min) override {
    const Range::Rest rest = range_.rest();
    if (rest.bytes == 0 || rest.bytes < bytes_min) return nullptr;
    const uint64_t cut = StretchEnd(*file_, rest.begin + rest.bytes / 2);
    if (cut >= rest.begin + rest.bytes) return nullptr;  // kToEnd, too.
    if (!range_.Cut(cut, rest.end)) return nullptr;
    StretchOptions second = options_;
    second.begin = cut;
    second.end = rest.end;
    return MakeStretchReader(file_, second, interrupter_, raw_bytes_);
  }

 private:
  static uint64_t FileBytes(const OpenFile& file) {
    struct stat status;
    if (file.access().Stat(file.fd(), &status) != 0) return 0;
    return static_cast<uint64_t>(status.st_size);
  }

  const std::shared_ptr<const OpenFile> file_;
  const StretchOptions options_;
  Interrupter* const interrupter_;
  std::atomic<uint64_t>* const raw_bytes_;
  Range range_;
  StreamContext context_;
  RangeStream stream_;
  BatchFramer framer_;
};

// Appends what stands at `offset`; false at the end, or where it is unreadable.
bool Append(const OpenFile& file, uint64_t offset, size_t bytes,
            std::string* out) {
  const size_t before = out->size();
  out->resize(before + bytes);
  ssize_t got = 0;
  do {
    got = file.access().ReadAt(file.fd(), out->data() + before, bytes, offset);
  } while (got == -EINTR || got == -EAGAIN);
  out->resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return got > 0;
}

bool EndsAnEvent(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return BeginsAnEvent(line) && line.ends_with('}');
}

}  // namespace

bool BeginsAnEvent(std::string_view line) {
  return line.starts_with("{\"") && !line.starts_with(kDockerHead);
}

uint64_t StretchEnd(const OpenFile& file, uint64_t from) {
  std::string ahead;
  const auto read_on = [&] {
    return ahead.size() < kLookBytesMax &&
           Append(file, from + ahead.size(), kPieceBytes, &ahead);
  };
  size_t line = std::string::npos;  // The first one that is seen whole.
  for (size_t at = 0;;) {
    const size_t newline = ahead.find('\n', at);
    if (newline == std::string::npos) {
      at = ahead.size();
      if (!read_on()) return kToEnd;
      continue;
    }
    const size_t cut = newline + 1;
    if (line != std::string::npos) {
      if (ahead.size() < cut + kDockerHead.size() && read_on()) continue;
      const std::string_view view(ahead);
      if (EndsAnEvent(view.substr(line, newline - line)) &&
          BeginsAnEvent(view.substr(cut))) {
        return from + cut;
      }
    }
    line = at = cut;
  }
}

std::unique_ptr<BatchReader> MakeStretchReader(
    std::shared_ptr<const OpenFile> file, const StretchOptions& options,
    Interrupter* interrupter, std::atomic<uint64_t>* raw_bytes) {
  return std::make_unique<StretchReader>(std::move(file), options, interrupter,
                                         raw_bytes);
}

}  // namespace klaxon
