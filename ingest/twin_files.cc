#include "ingest/twin_files.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "ingest/content_stream.h"
#include "ingest/file_stream.h"

namespace klaxon {
namespace {

constexpr size_t kPieceBytes = 64 << 10;

enum class Relation : uint8_t {
  kDifferent,
  kFirstHoldsSecond,  // Equal, or the second is the beginning of the first.
  kSecondHoldsFirst,
  kInterrupted,
};

// One of the two files, read piece by piece.
class Side {
 public:
  Side(const InputFile& file, FileAccess* access, Interrupter* interrupter)
      : context_(interrupter),
        buffer_(std::make_unique_for_overwrite<char[]>(kPieceBytes)) {
    std::string error;
    auto raw = FileStream::Open(file.path, access, &context_, &error);
    if (raw == nullptr) return;
    content_ = std::make_unique<ContentStream>(std::move(raw), 0, &context_);
  }

  bool open() const { return content_ != nullptr; }
  // kData: the next piece. Again only when all of it was taken.
  StreamState Next() {
    StreamState state = content_->Prepare();
    if (state != StreamState::kData) return state;
    const StreamRead read = content_->Read(buffer_.get(), kPieceBytes);
    begin_ = buffer_.get();
    bytes_ = read.bytes;
    return read.state;
  }
  const char* data() const { return begin_; }
  size_t size() const { return bytes_; }
  void Take(size_t bytes) {
    begin_ += bytes;
    bytes_ -= bytes;
  }
  // Its end is not known: bytes of the file itself could not be read.
  bool unreadable() const {
    return std::any_of(context_.problems.begin(), context_.problems.end(),
                       [](const StreamProblem& problem) {
                         return problem.cause == ProblemCause::kUnreadable;
                       });
  }

 private:
  StreamContext context_;
  std::unique_ptr<ContentStream> content_;
  const std::unique_ptr<char[]> buffer_;
  const char* begin_ = nullptr;
  size_t bytes_ = 0;
};

Relation Compare(const InputFile& first, const InputFile& second,
                 FileAccess* access, Interrupter* interrupter) {
  Side a(first, access, interrupter);
  if (!a.open()) return Relation::kDifferent;
  Side b(second, access, interrupter);
  if (!b.open()) return Relation::kDifferent;
  for (;;) {
    StreamState a_state = StreamState::kData;
    StreamState b_state = StreamState::kData;
    if (a.size() == 0) a_state = a.Next();
    if (b.size() == 0) b_state = b.Next();
    if (interrupter->interrupted()) return Relation::kInterrupted;
    if (a_state != StreamState::kData || b_state != StreamState::kData) {
      if (a.unreadable() || b.unreadable()) return Relation::kDifferent;
      return b_state == StreamState::kEnd ? Relation::kFirstHoldsSecond
                                          : Relation::kSecondHoldsFirst;
    }
    const size_t bytes = std::min(a.size(), b.size());
    if (std::memcmp(a.data(), b.data(), bytes) != 0) {
      return Relation::kDifferent;
    }
    a.Take(bytes);
    b.Take(bytes);
  }
}

}  // namespace

StreamState DropTwins(FileAccess* access, Interrupter* interrupter,
                      std::vector<InputFile>* files) {
  std::vector<InputFile> kept;
  for (const InputFile& file : *files) {
    bool needed = true;
    for (size_t i = 0; i < kept.size() && needed;) {
      switch (Compare(kept[i], file, access, interrupter)) {
        case Relation::kInterrupted:
          return StreamState::kInterrupted;
        case Relation::kFirstHoldsSecond:
          needed = false;
          break;
        case Relation::kSecondHoldsFirst:
          kept.erase(kept.begin() + i);
          break;
        case Relation::kDifferent:
          ++i;
          break;
      }
    }
    if (needed) kept.push_back(file);
  }
  *files = std::move(kept);
  return StreamState::kData;
}

}  // namespace klaxon
