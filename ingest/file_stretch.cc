#include "ingest/file_stretch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "ingest/log_chunks.h"

namespace klaxon {
namespace {

// Read around a stretch's end: the lines before it, and the next ones.
constexpr size_t kBackBytes = 256 << 10;
constexpr size_t kPieceBytes = 64 << 10;

// As FileStream, of a part of the file.
class RangeStream : public ByteStream {
 public:
  RangeStream(std::shared_ptr<const OpenFile> file, uint64_t begin,
              uint64_t end, StreamContext* context,
              std::atomic<uint64_t>* raw_bytes)
      : file_(std::move(file)),
        context_(context),
        raw_bytes_(raw_bytes),
        at_(begin),
        end_(end) {}

  StreamRead Read(char* out, size_t capacity) override {
    while (at_ < end_) {
      if (context_->interrupter->interrupted()) {
        return {0, StreamState::kInterrupted};
      }
      const ssize_t got = file_->access().ReadAt(
          file_->fd(), out, std::min<uint64_t>(capacity, end_ - at_), at_);
      if (got > 0) {
        at_ += static_cast<uint64_t>(got);
        raw_bytes_->fetch_add(static_cast<uint64_t>(got),
                              std::memory_order_relaxed);
        return {static_cast<size_t>(got), StreamState::kData};
      }
      if (got == -EINTR || got == -EAGAIN) continue;
      if (got < 0) {
        context_->Report(ProblemCause::kUnreadable, true,
                         fmt::format("the rest of it could not be read: {}",
                                     ExplainFileError(static_cast<int>(-got))));
      }
      at_ = end_;
    }
    return {0, StreamState::kEnd};
  }

 private:
  const std::shared_ptr<const OpenFile> file_;
  StreamContext* const context_;
  std::atomic<uint64_t>* const raw_bytes_;
  uint64_t at_;
  const uint64_t end_;
};

class StretchReader : public BatchReader {
 public:
  StretchReader(std::shared_ptr<const OpenFile> file,
                const StretchOptions& options, Interrupter* interrupter,
                std::atomic<uint64_t>* raw_bytes)
      : input_(options.input),
        path_(options.path),
        context_(interrupter),
        stream_(std::move(file), options.begin, options.end, &context_,
                raw_bytes),
        framer_(options.framer, &context_) {
    framer_.BeginLines(&stream_, options.begin);
  }

  absl::Status Read(Batch& batch) override {
    if (framer_.finished()) return absl::OutOfRangeError("end of the stretch");
    const StreamState state = framer_.Next(batch);
    batch.begin.input = input_;
    if (state == StreamState::kData) return absl::OkStatus();
    return absl::CancelledError("interrupted");
  }

  std::vector<InputProblem> TakeProblems() override {
    std::vector<InputProblem> problems;
    for (StreamProblem& problem : std::exchange(context_.problems, {})) {
      problems.push_back(
          {path_, problem.offset, std::move(problem.message), problem.lost});
    }
    return problems;
  }

 private:
  const uint32_t input_;
  const std::string path_;
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

}  // namespace

uint64_t StretchEnd(const OpenFile& file, uint64_t from) {
  uint64_t begin = from > kBackBytes ? from - kBackBytes : 0;  // Of `window`.
  std::string window;
  while (begin + window.size() < from) {
    if (!Append(file, begin + window.size(), from - begin - window.size(),
                &window)) {
      return kToEnd;
    }
  }
  size_t searched = window.size();
  for (;;) {
    const size_t newline = window.find('\n', searched);
    if (newline != std::string::npos) {
      const size_t cut = newline + 1;
      if (CutBeforeOpenChunks(window, cut) == cut) return begin + cut;
      searched = cut;
      continue;
    }
    searched = window.size();
    if (window.size() >= 4 * kBackBytes) {
      // A long line, or chunks of one: only its end is of interest.
      window.erase(0, window.size() - kBackBytes);
      begin += searched - window.size();
      searched = window.size();
    }
    if (!Append(file, begin + window.size(), kPieceBytes, &window)) {
      return kToEnd;
    }
  }
}

std::unique_ptr<BatchReader> MakeStretchReader(
    std::shared_ptr<const OpenFile> file, const StretchOptions& options,
    Interrupter* interrupter, std::atomic<uint64_t>* raw_bytes) {
  return std::make_unique<StretchReader>(std::move(file), options, interrupter,
                                         raw_bytes);
}

}  // namespace klaxon
