#include "sinks/file_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sinks/write_all.h"

namespace klaxon {
namespace {

constexpr size_t kWriteBytes = 1 << 20;
constexpr size_t kReadBytes = 1 << 20;
// How every line of ours begins, see AppendJson; the id and the revision
// follow at once.
constexpr std::string_view kLineHead = R"({"schema":"klaxon.alert/v1","id":")";
constexpr std::string_view kRevisionHead = R"(","revision":)";
constexpr size_t kHeadBytesMax = 256;  // Enough for all of that.

struct AlertRevision {
  std::string id;
  uint64_t revision = 0;
};

std::optional<AlertRevision> ParseLineHead(std::string_view line) {
  if (!line.starts_with(kLineHead)) return std::nullopt;
  line.remove_prefix(kLineHead.size());
  const size_t quote = line.find('"');
  if (quote == std::string_view::npos) return std::nullopt;
  AlertRevision result{std::string(line.substr(0, quote)), 0};
  line.remove_prefix(quote);
  if (!line.starts_with(kRevisionHead)) return std::nullopt;
  line.remove_prefix(kRevisionHead.size());
  const char* end = line.data() + line.size();
  auto [rest, error] = std::from_chars(line.data(), end, result.revision);
  if (error != std::errc() || rest == end || *rest != ',') return std::nullopt;
  return result;
}

// The revision written last of each of the alerts written last. Two
// generations: when the younger is full it becomes the older, whose alerts are
// forgotten.
class WrittenAlerts {
 public:
  explicit WrittenAlerts(size_t generation_max)
      : generation_max_(generation_max) {}

  // Revisions of an alert come in order, so a lower one was written too.
  bool Contains(const std::string& id, uint64_t revision) const {
    for (const Map* map : {&younger_, &older_}) {
      auto it = map->find(id);
      if (it != map->end() && revision <= it->second) return true;
    }
    return false;
  }

  void Add(const std::string& id, uint64_t revision) {
    if (younger_.size() >= generation_max_ && !younger_.contains(id)) {
      older_ = std::move(younger_);
      younger_.clear();
    }
    uint64_t& newest = younger_[id];
    newest = std::max(newest, revision);
  }

 private:
  using Map = absl::flat_hash_map<std::string, uint64_t>;
  const size_t generation_max_;
  Map younger_;
  Map older_;
};

class FileSink : public Sink {
 public:
  explicit FileSink(FileSinkOptions options)
      : options_(std::move(options)), written_(options_.remembered_min) {}
  ~FileSink() override {
    if (fd_ >= 0) close(fd_);
  }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  absl::Status Open() override;
  void Deliver(std::span<const Alert> alerts, DeliveryDone done) override {
    done(Append(alerts));
  }
  absl::Status Drain(absl::Duration) override { return sync_status_; }

 private:
  absl::Status Error(std::string_view what) const {
    return absl::UnavailableError(
        fmt::format("{}: {}: {}", options_.path, what, std::strerror(errno)));
  }
  absl::Status CheckAndLock();
  absl::Status SyncDirectory();
  absl::Status ReadExisting(off_t size);
  absl::Status CutHalfLine(off_t begin, std::string_view head);
  absl::Status Append(std::span<const Alert> alerts);
  absl::Status WriteLines(std::span<const Alert> alerts,
                          std::vector<AlertRevision>* added);
  absl::Status CutBack();

  const FileSinkOptions options_;
  int fd_ = -1;
  WrittenAlerts written_;
  std::string buffer_;  // Empty between calls.
  // Set while the file may end in lines (or half of one) that were not
  // acknowledged: its length before them.
  std::optional<off_t> cut_to_;
  absl::Status sync_status_;  // A failed fsync, for good.
};

absl::Status FileSink::Open() {
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
  if (!status.ok()) return status;
  if (created) {
    status = SyncDirectory();
    if (!status.ok()) return status;
  }
  struct stat file{};
  if (fstat(fd_, &file) != 0) return Error("cannot be looked at");
  return ReadExisting(file.st_size);
}

absl::Status FileSink::CheckAndLock() {
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

absl::Status FileSink::SyncDirectory() {
  const size_t slash = options_.path.rfind('/');
  std::string directory = ".";
  if (slash != std::string::npos) {
    directory = options_.path.substr(0, std::max<size_t>(slash, 1));
  }
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Error("its directory cannot be opened");
  const bool synced = fsync(fd) == 0;
  const absl::Status status =
      synced ? absl::OkStatus() : Error("its directory cannot be synced");
  close(fd);
  return status;
}

// Learns the alerts in the last reread_bytes_max of the file. Memory: one
// block and the head of one line.
absl::Status FileSink::ReadExisting(off_t size) {
  off_t at = 0;
  bool whole_line = true;  // Whether the first line read has its beginning.
  if (static_cast<uint64_t>(size) > options_.reread_bytes_max) {
    at = size - static_cast<off_t>(options_.reread_bytes_max);
    whole_line = false;
  }
  off_t line_begin = at;
  std::string head;  // The first bytes of the line at line_begin.
  std::string block(kReadBytes, '\0');
  while (at < size) {
    const ssize_t got = pread(fd_, block.data(), block.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error("cannot be read");
    if (got == 0) break;
    std::string_view rest(block.data(), static_cast<size_t>(got));
    while (!rest.empty()) {
      const size_t newline = rest.find('\n');
      const std::string_view piece = rest.substr(0, newline);
      head.append(piece.substr(0, kHeadBytesMax - head.size()));
      if (newline == std::string_view::npos) break;
      if (auto alert = ParseLineHead(head); alert && whole_line) {
        written_.Add(alert->id, alert->revision);
      }
      rest.remove_prefix(newline + 1);
      line_begin = at + got - static_cast<off_t>(rest.size());
      head.clear();
      whole_line = true;
    }
    at += got;
  }
  if (line_begin == at) return absl::OkStatus();
  return CutHalfLine(line_begin, whole_line ? head : std::string_view());
}

// The file does not end in a newline. A line of ours that a crash broke off
// was never acknowledged; anything else is somebody's data.
absl::Status FileSink::CutHalfLine(off_t begin, std::string_view head) {
  const std::string_view compared = head.substr(0, kLineHead.size());
  if (compared.empty() || !kLineHead.starts_with(compared)) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: ends in half a line that Klaxon did not write; name another file",
        options_.path));
  }
  if (ftruncate(fd_, begin) != 0) return Error("half a line cannot be cut off");
  return absl::OkStatus();
}

absl::Status FileSink::Append(std::span<const Alert> alerts) {
  if (!sync_status_.ok()) return sync_status_;
  if (fd_ < 0) {
    return absl::FailedPreconditionError(
        fmt::format("{}: is not open", options_.path));
  }
  if (cut_to_) {  // An earlier cut failed: nothing may be glued to the rest.
    absl::Status status = CutBack();
    if (!status.ok()) return status;
  }
  struct stat file{};
  if (fstat(fd_, &file) != 0) return Error("cannot be looked at");
  cut_to_ = file.st_size;
  std::vector<AlertRevision> added;
  absl::Status status = WriteLines(alerts, &added);
  if (!status.ok()) {
    absl::Status cut = CutBack();
    if (cut.ok()) return status;
    return absl::Status(status.code(),
                        fmt::format("{}; {}", std::string(status.message()),
                                    std::string(cut.message())));
  }
  if (!added.empty() && fsync(fd_) != 0) {
    sync_status_ = Error("cannot be synced, what the disk holds is unknown");
    return sync_status_;
  }
  cut_to_.reset();
  for (const AlertRevision& alert : added) {
    written_.Add(alert.id, alert.revision);
  }
  return absl::OkStatus();
}

absl::Status FileSink::WriteLines(std::span<const Alert> alerts,
                                  std::vector<AlertRevision>* added) {
  // What this call wrote so far; few alerts have more than one revision in it.
  absl::flat_hash_map<std::string, uint64_t> here;
  absl::Status status;
  for (const Alert& alert : alerts) {
    if (written_.Contains(alert.id, alert.revision)) continue;
    uint64_t& newest = here[alert.id];
    if (alert.revision <= newest) continue;
    newest = alert.revision;
    AppendJson(alert, &buffer_);
    buffer_.push_back('\n');
    added->push_back({alert.id, alert.revision});
    if (buffer_.size() < kWriteBytes) continue;
    status = WriteAll(fd_, buffer_, options_.path);
    buffer_.clear();
    if (!status.ok()) return status;
  }
  status = WriteAll(fd_, buffer_, options_.path);
  buffer_.clear();
  return status;
}

absl::Status FileSink::CutBack() {
  struct stat file{};
  if (fstat(fd_, &file) != 0) return Error("cannot be looked at");
  // Somebody may have emptied it meanwhile: never grow it.
  if (file.st_size > *cut_to_ && ftruncate(fd_, *cut_to_) != 0) {
    return Error("the half-written lines cannot be cut off");
  }
  cut_to_.reset();
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<Sink> MakeFileSink(FileSinkOptions options) {
  return std::make_unique<FileSink>(std::move(options));
}

}  // namespace klaxon
