#include "ingest/archive_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <utility>

#include "absl/time/time.h"
#include "ingest/archive_source_impl.h"
#include "ingest/batch_framer.h"
#include "ingest/byte_stream.h"
#include "ingest/cluster_path.h"
#include "ingest/content_stream.h"
#include "ingest/file_stream.h"
#include "ingest/file_stretch.h"
#include "ingest/input_list.h"
#include "ingest/libarchive_reader.h"
#include "ingest/twin_files.h"

namespace klaxon {
namespace {

// A tar being taken apart, and the file it stands in.
struct OpenTar {
  OpenTar(std::string path, std::unique_ptr<ContentStream> content,
          StreamContext* context)
      : path(std::move(path)),
        content(std::move(content)),
        reader(this->content.get(), context) {}

  const std::string path;
  const std::unique_ptr<ContentStream> content;
  TarReader reader;
};

// Hands a member on as a stream of its own.
class TarMember : public ByteStream {
 public:
  explicit TarMember(TarReader* tar) : tar_(tar) {}
  StreamRead Read(char* out, size_t capacity) override {
    return tar_->Read(out, capacity);
  }

 private:
  TarReader* const tar_;
};

uint64_t RawBytes(const std::vector<InputFile>& files) {
  uint64_t bytes = 0;
  for (const InputFile& file : files) bytes += file.raw_bytes;
  return bytes;
}

class ArchiveSourceImpl : public ArchiveSource {
 public:
  ArchiveSourceImpl(ArchiveOptions options, FileAccess* files);

  absl::Status Open(std::span<const Position> resume_from) override;
  absl::Status Read(absl::Duration timeout, Batch& batch) override;
  absl::Status Commit(std::span<const Position> durable) override;
  void Interrupt() noexcept override { interrupter_.Interrupt(); }

  InputInfo input(uint32_t index) const override;
  std::vector<InputProblem> TakeProblems() override;
  uint64_t raw_bytes_read() const override;
  uint64_t raw_bytes_total() const override;

 private:
  absl::Status CheckAnyReadable();
  StreamState NextInput();
  StreamState NextFile();
  StreamState NextTarMember();
  FramerOptions Framing() const;
  void BeginInput();
  void LookForParts(const Batch& batch);
  void NextPart(Batch& batch);
  void EndInput();
  void EndTar();
  void EndFile();
  std::string ClusterOf(const std::string& path);
  void TakeStreamProblems(const std::string& path);

  // Constant after construction.
  const ArchiveOptions options_;
  FileAccess* const files_;
  Interrupter interrupter_;

  // Of whoever calls Read.
  ClusterPath cluster_path_;
  StreamContext context_;
  BatchFramer framer_;
  std::vector<InputProblem> problems_;
  std::vector<InputTwins> inputs_;
  size_t next_twins_ = 0;
  std::deque<InputFile> next_files_;            // Of the twins at hand.
  uint64_t raw_bytes_done_ = 0;                 // Of files before the open one,
  uint64_t file_raw_bytes_ = 0;                 // and its size.
  std::vector<std::unique_ptr<OpenTar>> tars_;  // Each in the one before.
  std::string path_;                            // Of content_.
  std::unique_ptr<ContentStream> content_;
  // Of content_, where that is a file to be read in any order.
  std::shared_ptr<const OpenFile> file_;
  uint64_t part_begin_ = 0;  // Of the rest, if that is to be a part.
  bool framing_ = false;     // The framer reads content_; else it is prepared.
  std::vector<InputInfo> infos_;  // In reading order.
  uint32_t index_ = 0;
  uint64_t sequence_ = 0;

  // Of any thread, as context_.raw_bytes.
  std::atomic<uint64_t> raw_bytes_total_{0};
};

ArchiveSourceImpl::ArchiveSourceImpl(ArchiveOptions options, FileAccess* files)
    : options_(std::move(options)),
      files_(files),
      context_(&interrupter_),
      framer_(Framing(), &context_) {}

FramerOptions ArchiveSourceImpl::Framing() const {
  return {.batch_bytes = options_.batch_bytes,
          .line_bytes_max = options_.line_bytes_max,
          .oversize_keep_bytes = options_.oversize_keep_bytes};
}

absl::Status ArchiveSourceImpl::Open(std::span<const Position> resume_from) {
  if (!resume_from.empty()) {
    return absl::UnimplementedError(
        "a scan of archives cannot be resumed: read them from the start");
  }
  absl::Status status = cluster_path_.Compile(options_.cluster_path_regex);
  if (!status.ok()) return status;
  InputList list = ExpandInputs(options_.paths);
  inputs_ = std::move(list.inputs);
  problems_ = std::move(list.problems);
  if (!list.has_stdin) {
    uint64_t total = 0;
    for (const InputTwins& twins : inputs_) {
      for (const InputFile& file : twins.files) total += file.raw_bytes;
    }
    raw_bytes_total_ = total;
  }
  return CheckAnyReadable();
}

absl::Status ArchiveSourceImpl::CheckAnyReadable() {
  InputProblem first;
  size_t failed = problems_.size();
  if (!problems_.empty()) first = problems_[0];
  bool denied = false;
  for (const InputTwins& twins : inputs_) {
    for (const InputFile& file : twins.files) {
      // To open a FIFO and close it again would kill its writer.
      if (!file.regular) return absl::OkStatus();
      const int fd = files_->Open(file.path);
      if (fd >= 0) {
        files_->Close(fd);
        return absl::OkStatus();
      }
      denied = denied || fd == -EACCES;
      if (failed++ == 0) first = {file.path, 0, ExplainFileError(-fd)};
    }
  }
  if (failed == 0) {
    return absl::InvalidArgumentError(
        "nothing to read: name files, directories, or - for stdin");
  }
  std::string message = fmt::format("{}: {}", first.path, first.message);
  if (failed > 1) message += fmt::format(" (and {} more like it)", failed - 1);
  return denied ? absl::PermissionDeniedError(message)
                : absl::NotFoundError(message);
}

absl::Status ArchiveSourceImpl::Read(absl::Duration timeout, Batch& batch) {
  using Clock = StreamContext::Clock;
  context_.deadline =
      timeout >= absl::Hours(24)  // now() + it may not be representable.
          ? Clock::time_point::max()
          : Clock::now() + std::chrono::duration_cast<Clock::duration>(
                               absl::ToChronoNanoseconds(
                                   std::max(timeout, absl::ZeroDuration())));
  for (;;) {
    StreamState state = StreamState::kData;
    if (interrupter_.interrupted()) {
      state = StreamState::kInterrupted;
    } else if (part_begin_ == 0 && framer_.finished()) {
      state = NextInput();
    }
    batch.part.reset();
    if (state == StreamState::kData && part_begin_ != 0) {
      NextPart(batch);
    } else if (state == StreamState::kData) {
      state = framer_.Next(batch);
      TakeStreamProblems(path_);
      if (state == StreamState::kData) LookForParts(batch);
    }
    switch (state) {
      case StreamState::kData:
        batch.begin.input = index_;
        batch.sequence = sequence_++;
        return absl::OkStatus();
      case StreamState::kEnd:
        return absl::OutOfRangeError("the end of the inputs");
      case StreamState::kBlocked:
        return absl::UnavailableError("nothing came in time");
      case StreamState::kInterrupted:
        return absl::CancelledError("interrupted");
    }
  }
}

absl::Status ArchiveSourceImpl::Commit(std::span<const Position>) {
  return absl::OkStatus();
}

// kData: the framer has an input. kEnd: there is none any more.
StreamState ArchiveSourceImpl::NextInput() {
  if (framing_) EndInput();
  for (;;) {
    if (content_ == nullptr) {
      const StreamState state = tars_.empty() ? NextFile() : NextTarMember();
      if (state == StreamState::kEnd && !tars_.empty()) {
        EndTar();
        continue;
      }
      if (state != StreamState::kData) return state;
    }
    const StreamState state = content_->Prepare();
    if (state != StreamState::kData) return state;
    if (!content_->is_tar()) {
      BeginInput();
      return StreamState::kData;
    }
    TakeStreamProblems(path_);
    tars_.push_back(
        std::make_unique<OpenTar>(path_, std::move(content_), &context_));
  }
}

// kData: content_ is that of the next file that can be opened.
StreamState ArchiveSourceImpl::NextFile() {
  for (;;) {
    if (next_files_.empty()) {
      if (next_twins_ == inputs_.size()) return StreamState::kEnd;
      std::vector<InputFile> files = inputs_[next_twins_].files;
      if (files.size() > 1) {
        const uint64_t all = RawBytes(files);
        const StreamState state = DropTwins(files_, &interrupter_, &files);
        if (state != StreamState::kData) return state;
        raw_bytes_done_ += all - RawBytes(files);
      }
      next_files_.assign(files.begin(), files.end());
      ++next_twins_;
    }
    const InputFile file = std::move(next_files_.front());
    next_files_.pop_front();
    file_raw_bytes_ = file.raw_bytes;
    context_.raw_bytes = raw_bytes_done_;
    std::string error;
    std::unique_ptr<FileStream> raw =
        file.path == "-"
            ? FileStream::Stdin(files_, &context_)
            : FileStream::Open(file.path, files_, &context_, &error);
    if (raw != nullptr) {
      path_ = file.path;
      file_ = raw->seekable();
      content_ = std::make_unique<ContentStream>(std::move(raw), 0, &context_);
      return StreamState::kData;
    }
    problems_.push_back({file.path, 0, std::move(error), true});
    EndFile();
  }
}

StreamState ArchiveSourceImpl::NextTarMember() {
  OpenTar& tar = *tars_.back();
  std::string name;
  const StreamState state = tar.reader.NextMember(&name);
  TakeStreamProblems(tar.path);
  if (state != StreamState::kData) return state;
  path_ = fmt::format("{}:{}", tar.path, name);
  content_ =
      std::make_unique<ContentStream>(std::make_unique<TarMember>(&tar.reader),
                                      tar.content->depth(), &context_);
  return StreamState::kData;
}

void ArchiveSourceImpl::BeginInput() {
  index_ = static_cast<uint32_t>(infos_.size());
  infos_.push_back({path_, ClusterOf(path_)});
  framer_.Begin(content_.get());
  framing_ = true;
}

// After its first batch an input is known: are these the lines of a long file?
void ArchiveSourceImpl::LookForParts(const Batch& batch) {
  if (options_.part_bytes_min == 0 || batch.last_of_input || file_ == nullptr ||
      !tars_.empty() || !content_->plain() || !framer_.at_line() ||
      !BeginsAnEvent(batch.bytes.view())) {
    return;
  }
  struct stat status;
  const uint64_t next = framer_.next_offset();
  if (files_->Stat(file_->fd(), &status) != 0 ||
      static_cast<uint64_t>(status.st_size) < next + options_.part_bytes_min) {
    return;
  }
  part_begin_ = next;
  context_.raw_bytes = raw_bytes_done_ + next;  // What is behind comes again.
}

void ArchiveSourceImpl::NextPart(Batch& batch) {
  batch.bytes.set_size(0);
  batch.begin.offset = part_begin_;
  batch.framing = BatchFraming::kLines;
  batch.first_of_input = false;
  batch.last_of_input = true;
  batch.input_bytes = 0;
  batch.part = MakeStretchReader(file_,
                                 {.begin = part_begin_,
                                  .input = index_,
                                  .path = path_,
                                  .framer = Framing()},
                                 &interrupter_, &context_.raw_bytes);
  part_begin_ = 0;
  framer_.Abandon();
}

void ArchiveSourceImpl::EndInput() {
  framing_ = false;
  file_.reset();
  content_.reset();
  if (tars_.empty()) EndFile();
}

void ArchiveSourceImpl::EndTar() {
  tars_.pop_back();
  if (tars_.empty()) EndFile();
}

// Whatever was not read of it will not be read any more.
void ArchiveSourceImpl::EndFile() {
  // A pipe has no size, and a file may have grown.
  raw_bytes_done_ =
      std::max(raw_bytes_done_ + file_raw_bytes_, context_.raw_bytes.load());
  context_.raw_bytes = raw_bytes_done_;
}

std::string ArchiveSourceImpl::ClusterOf(const std::string& path) {
  std::string error;
  std::string cluster = cluster_path_.ClusterOf(path, &error);
  if (!error.empty()) problems_.push_back({path, 0, std::move(error), false});
  return cluster;
}

void ArchiveSourceImpl::TakeStreamProblems(const std::string& path) {
  context_.StampProblems(0);
  for (StreamProblem& problem : context_.problems) {
    problems_.push_back(
        {path, problem.offset, std::move(problem.message), problem.lost});
  }
  context_.problems.clear();
}

InputInfo ArchiveSourceImpl::input(uint32_t index) const {
  return index < infos_.size() ? infos_[index] : InputInfo();
}

std::vector<InputProblem> ArchiveSourceImpl::TakeProblems() {
  return std::exchange(problems_, {});
}

uint64_t ArchiveSourceImpl::raw_bytes_read() const {
  return context_.raw_bytes.load(std::memory_order_relaxed);
}

uint64_t ArchiveSourceImpl::raw_bytes_total() const {
  return raw_bytes_total_.load(std::memory_order_relaxed);
}

}  // namespace

std::unique_ptr<ArchiveSource> MakeArchiveSourceOver(ArchiveOptions options,
                                                     FileAccess* files) {
  return std::make_unique<ArchiveSourceImpl>(std::move(options), files);
}

std::unique_ptr<ArchiveSource> MakeArchiveSource(ArchiveOptions options) {
  return MakeArchiveSourceOver(std::move(options), &SystemFiles());
}

}  // namespace klaxon
