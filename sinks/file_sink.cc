#include "sinks/file_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "sinks/delivery_status.h"
#include "sinks/rotated_files.h"
#include "sinks/write_all.h"
#include "sinks/written_alerts.h"

namespace klaxon {
namespace {

constexpr size_t kReadBytes = 1 << 20;
// A buffer that grew beyond it is not kept.
constexpr size_t kBufferBytesKept = 4 << 20;
// What was not synced at a crash is the last delivery; damage further from the
// end is not a crash's.
constexpr uint64_t kUnsyncedBytesMax = 16 << 20;

class FileSink : public Sink {
 public:
  explicit FileSink(FileSinkOptions options)
      : options_(std::move(options)),
        rotated_(options_.path),
        written_(options_.remembered_min) {}
  ~FileSink() override { Close(); }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  absl::Status Open() override;
  void Deliver(std::span<const Alert> alerts, DeliveryDone done) override {
    done(Append(alerts));
    if (tidy_) Tidy();
  }
  absl::Status Drain(absl::Duration) override { return absl::OkStatus(); }
  void Reopen() noexcept override { reopen_ = true; }

 private:
  absl::Status Error(std::string_view what) const {
    return absl::UnavailableError(
        fmt::format("{}: {}: {}", options_.path, what, std::strerror(errno)));
  }
  absl::Status OpenFile();
  void Close();
  absl::Status CheckAndLock() const;
  absl::Status ReadExisting();
  absl::Status CutUnsynced(const AlertLineScanner& scanner) const;
  void ReadOlder();
  uint64_t ReadOlderFile(const std::string& path);
  bool WasMovedAway() const;
  absl::Status Append(std::span<const Alert> alerts);
  absl::Status FollowPath();
  std::vector<AlertRevision> Format(std::span<const Alert> alerts);
  absl::Status RotateIfFull();
  absl::Status Write();
  absl::Status CutBack();
  void Tidy();
  void Warn(const absl::Status& status) const {
    if (options_.warn) options_.warn(MessageOf(status));
  }

  const FileSinkOptions options_;
  const RotatedFiles rotated_;
  int fd_ = -1;
  WrittenAlerts written_;
  std::string buffer_;  // The lines of one delivery.
  // Set while the file may end in lines (or half of one) that were not
  // acknowledged: its length before them.
  std::optional<off_t> cut_to_;
  bool tidy_ = false;  // Rotated files are to be compressed or removed.
  std::atomic<bool> reopen_ = false;
};

absl::Status FileSink::Open() {
  absl::Status status = OpenFile();
  if (status.ok() && options_.rotate_bytes > 0) {
    status = rotated_.Repair();
    tidy_ = true;
  }
  // Older files first, so that the newest alerts are remembered longest.
  if (status.ok()) ReadOlder();
  if (status.ok()) status = ReadExisting();
  if (!status.ok()) Close();
  return status;
}

void FileSink::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

// Leaves the file that is open for the one that bears the path.
absl::Status FileSink::OpenFile() {
  Close();
  const char* path = options_.path.c_str();
  // Not blocking, lest a FIFO without a reader holds us up.
  constexpr int kFlags = O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK;
  fd_ = open(path, kFlags);
  bool created = false;
  if (fd_ < 0 && errno == ENOENT) {
    fd_ = open(path, kFlags | O_CREAT, 0600);
    created = true;
  }
  if (fd_ < 0) return Error("cannot be opened");
  absl::Status status = CheckAndLock();
  if (status.ok() && created) status = rotated_.SyncDirectory();
  if (!status.ok()) Close();
  return status;
}

absl::Status FileSink::CheckAndLock() const {
  struct stat file{};
  if (fstat(fd_, &file) != 0) return Error("cannot be looked at");
  if (!S_ISREG(file.st_mode)) {
    return absl::FailedPreconditionError(
        fmt::format("{}: is not a regular file; for a pipe use the stdout sink",
                    options_.path));
  }
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return Error("cannot be locked");
  return absl::FailedPreconditionError(
      fmt::format("{}: another process writes to it; give each its own file",
                  options_.path));
}

// Learns the alerts at the end of the file, and makes them durable.
absl::Status FileSink::ReadExisting() {
  struct stat file{};
  if (fstat(fd_, &file) != 0) return Error("cannot be looked at");
  const auto size = static_cast<uint64_t>(file.st_size);
  const uint64_t begin = size - std::min(size, options_.reread_bytes_max);
  AlertLineScanner scanner(&written_, begin, /*whole_line=*/begin == 0);
  std::string block(kReadBytes, '\0');
  while (scanner.offset() < size) {
    const ssize_t got = pread(fd_, block.data(), block.size(),
                              static_cast<off_t>(scanner.offset()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error("cannot be read");
    if (got == 0) break;
    scanner.Feed(std::string_view(block).substr(0, static_cast<size_t>(got)));
  }
  absl::Status status = CutUnsynced(scanner);
  // What is taken for written may still be only in memory.
  if (status.ok() && fsync(fd_) != 0) return Error("cannot be synced");
  return status;
}

// Cuts off what a crash left of a delivery: it was never acknowledged. Anything
// else is somebody's data.
absl::Status FileSink::CutUnsynced(const AlertLineScanner& scanner) const {
  uint64_t cut_to = scanner.line_begin();
  if (scanner.damaged_at()) {
    cut_to = *scanner.damaged_at();
    if (scanner.offset() - cut_to > kUnsyncedBytesMax) {
      return absl::FailedPreconditionError(
          fmt::format("{}: holds NUL bytes far from its end (at {}), which no "
                      "crash of Klaxon leaves; move it away",
                      options_.path, cut_to));
    }
  } else if (cut_to == scanner.offset()) {
    return absl::OkStatus();
  } else {
    const std::string_view head =
        scanner.head().substr(0, kAlertLineHead.size());
    if (head.empty() || !kAlertLineHead.starts_with(head)) {
      return absl::FailedPreconditionError(
          fmt::format("{}: ends in half a line that Klaxon did not write; name "
                      "another file",
                      options_.path));
    }
  }
  if (ftruncate(fd_, static_cast<off_t>(cut_to)) != 0) {
    return Error("half a line cannot be cut off");
  }
  return absl::OkStatus();
}

// A crash may have come right after a rotation, so that what was written last
// stands in other files. What cannot be read of them is not known to be
// written: at worst it is written twice, which is said.
void FileSink::ReadOlder() {
  std::vector<std::string> paths;  // Newest first.
  if (options_.rotate_bytes > 0) {
    const auto files = rotated_.List();
    if (!files.ok()) return Warn(files.status());
    for (const RotatedFile& file : *files) paths.push_back(file.path);
    std::reverse(paths.begin(), paths.end());
  }
  if (options_.reread_renamed) {
    const auto files = rotated_.ListRenamed();
    if (!files.ok()) return Warn(files.status());
    paths.insert(paths.end(), files->begin(), files->end());
  }
  struct stat file{};
  uint64_t bytes =
      fstat(fd_, &file) == 0 ? static_cast<uint64_t>(file.st_size) : 0;
  for (const std::string& path : paths) {
    if (bytes >= options_.reread_bytes_max ||
        written_.size() >= options_.remembered_min) {
      return;
    }
    bytes += ReadOlderFile(path);
  }
}

// Returns how many bytes it says.
uint64_t FileSink::ReadOlderFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    Warn(absl::UnavailableError(
        fmt::format("{}: cannot be opened: {}", path, std::strerror(errno))));
    return 0;
  }
  AlertLineScanner scanner(&written_, 0, /*whole_line=*/true);
  const absl::Status status = ReadDecompressed(
      fd, path, [&](std::string_view block) { scanner.Feed(block); });
  close(fd);
  if (!status.ok()) Warn(status);
  return scanner.offset();
}

absl::Status FileSink::Append(std::span<const Alert> alerts) {
  absl::Status status = FollowPath();
  if (!status.ok()) return status;
  std::vector<AlertRevision> added = Format(alerts);
  if (added.empty()) return absl::OkStatus();
  status = RotateIfFull();
  if (status.ok()) status = Write();
  buffer_.clear();
  if (buffer_.capacity() > kBufferBytesKept) std::string().swap(buffer_);
  if (!status.ok()) return status;
  for (const AlertRevision& alert : added) written_.Add(alert);
  return absl::OkStatus();
}

// Makes the file at the path the one that is open, and fit to be appended to.
absl::Status FileSink::FollowPath() {
  if (fd_ < 0 && !reopen_) {
    return absl::FailedPreconditionError(
        fmt::format("{}: is not open", options_.path));
  }
  if (cut_to_) {  // Nothing may be glued to what an earlier call left.
    absl::Status status = CutBack();
    if (!status.ok()) return status;
  }
  if (!reopen_ && !WasMovedAway()) return absl::OkStatus();
  reopen_ = true;  // Until it has succeeded.
  absl::Status status = OpenFile();
  if (status.ok()) status = ReadExisting();
  if (status.ok()) {
    reopen_ = false;
  } else {
    Close();
  }
  return status;
}

bool FileSink::WasMovedAway() const {
  struct stat open_file{};
  struct stat named{};
  if (fstat(fd_, &open_file) != 0) return false;
  if (stat(options_.path.c_str(), &named) != 0) return errno == ENOENT;
  return named.st_ino != open_file.st_ino || named.st_dev != open_file.st_dev;
}

// Fills buffer_ with the lines that are not written yet.
std::vector<AlertRevision> FileSink::Format(std::span<const Alert> alerts) {
  std::vector<AlertRevision> added;
  WrittenAlerts here(alerts.size() + 1);
  for (const Alert& alert : alerts) {
    AlertRevision revision{alert.id, alert.revision};
    if (written_.Contains(revision) || here.Contains(revision)) continue;
    here.Add(revision);
    AppendJson(alert, &buffer_);
    buffer_.push_back('\n');
    added.push_back(std::move(revision));
  }
  return added;
}

// Not OK: there is no file to write to. A rotation that does not come about is
// put off: alerts go before order.
absl::Status FileSink::RotateIfFull() {
  if (options_.rotate_bytes == 0) return absl::OkStatus();
  struct stat file{};
  if (fstat(fd_, &file) != 0) return Error("cannot be looked at");
  const auto size = static_cast<uint64_t>(file.st_size);
  if (size == 0 || size + buffer_.size() <= options_.rotate_bytes) {
    return absl::OkStatus();
  }
  // An earlier call may have cut it back since the last sync.
  if (fsync(fd_) != 0) return Error("cannot be synced");
  absl::Status status = rotated_.MoveAway();
  if (!status.ok()) Warn(status);
  if (!WasMovedAway()) return absl::OkStatus();
  tidy_ = true;
  reopen_ = true;  // Until it has succeeded.
  return status.ok() ? FollowPath() : status;
}

absl::Status FileSink::Write() {
  struct stat file{};
  if (fstat(fd_, &file) != 0) return Error("cannot be looked at");
  cut_to_ = file.st_size;
  absl::Status status = WriteAll(fd_, buffer_, options_.path);
  if (!status.ok()) {
    absl::Status cut = CutBack();
    if (cut.ok()) return status;
    return absl::Status(status.code(), fmt::format("{}; {}", MessageOf(status),
                                                   MessageOf(cut)));
  }
  if (fsync(fd_) != 0) {
    // What the disk holds is unknown, and the kernel believes it is all right:
    // syncing again would prove nothing. The next call cuts it off and writes
    // it anew.
    return Error("cannot be synced");
  }
  cut_to_.reset();
  return absl::OkStatus();
}

absl::Status FileSink::CutBack() {
  if (fd_ < 0) {
    cut_to_.reset();
    return absl::OkStatus();
  }
  struct stat file{};
  if (fstat(fd_, &file) != 0) return Error("cannot be looked at");
  // Somebody may have emptied it meanwhile: never grow it.
  if (file.st_size > *cut_to_ && ftruncate(fd_, *cut_to_) != 0) {
    return Error("the half-written lines cannot be cut off");
  }
  cut_to_.reset();
  return absl::OkStatus();
}

void FileSink::Tidy() {
  tidy_ = false;
  const absl::Status status =
      rotated_.Tidy(options_.compression, options_.keep);
  if (!status.ok()) Warn(status);
}

}  // namespace

std::unique_ptr<Sink> MakeFileSink(FileSinkOptions options) {
  options.keep = std::max<uint64_t>(options.keep, 1);
  return std::make_unique<FileSink>(std::move(options));
}

}  // namespace klaxon
