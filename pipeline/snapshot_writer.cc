#include "pipeline/snapshot_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "pipeline/failpoint.h"

namespace klaxon {
namespace {

// Carried with each commit, at most.
constexpr size_t kCarryBytes = 2 << 20;
// Nor is more carried than this takes: all else waits meanwhile.
constexpr std::chrono::milliseconds kCarryTime(3);
// name length, bytes length; both 32 bit, little-endian as the machine.
constexpr size_t kHeadBytes = 8;

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return true;
}

bool ReadAll(int fd, char* out, size_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const ssize_t got = pread(fd, out, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    bytes -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
  return true;
}

// In the child. What it inherited it must not hold on to when the parent is
// killed: the locks of the state directory and of the sinks' files, ports that
// are listened on, connections. The next process could not start.
void LetGoOfAllBut(int fd, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // It was killed before we said so.
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  const auto kept = static_cast<unsigned>(fd);
  if (kept > STDERR_FILENO + 1) close_range(STDERR_FILENO + 1, kept - 1, 0);
  close_range(kept + 1, ~0U, 0);
}

bool WriteParts(int fd, const SnapshotWriter::Save& save) {
  bool ok = true;
  save([&](std::string_view name, std::string_view bytes) {
    char head[kHeadBytes];
    const auto name_bytes = static_cast<uint32_t>(name.size());
    const auto part_bytes = static_cast<uint32_t>(bytes.size());
    std::memcpy(head, &name_bytes, 4);
    std::memcpy(head + 4, &part_bytes, 4);
    ok = ok && WriteAll(fd, std::string_view(head, kHeadBytes)) &&
         WriteAll(fd, name) && WriteAll(fd, bytes);
  });
  return ok;
}

}  // namespace

SnapshotWriter::~SnapshotWriter() { GiveUp(); }

void SnapshotWriter::GiveUp() {
  if (child_ > 0) {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = -1;
  }
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  phase_ = Phase::kNone;
}

void SnapshotWriter::Taken(uint64_t bytes) {
  ++taken_;
  taken_bytes_ = bytes;
  took_ = std::chrono::steady_clock::now() - begun_;
}

absl::Status SnapshotWriter::Begin(uint64_t seq, uint64_t keep_from,
                                   const std::string& dir, const Save& save) {
  begun_ = std::chrono::steady_clock::now();
  std::string path = dir + "/snapshot.XXXXXX";
  fd_ = mkostemp(path.data(), O_CLOEXEC);
  if (fd_ < 0) {
    return absl::UnavailableError(fmt::format(
        "no snapshot: cannot write in {}: {}", dir, strerror(errno)));
  }
  unlink(path.c_str());
  seq_ = seq;
  keep_from_ = keep_from;
  HitFailpoint("snapshot.begin");
  const pid_t self = getpid();
  child_ = fork();
  if (child_ < 0) {
    GiveUp();
    return absl::UnavailableError(
        fmt::format("no snapshot: cannot fork: {}", strerror(errno)));
  }
  if (child_ == 0) {
    LetGoOfAllBut(fd_, self);
    _exit(WriteParts(fd_, save) ? 0 : 1);
  }
  phase_ = Phase::kChild;
  return absl::OkStatus();
}

absl::Status SnapshotWriter::Step(Journal* journal) {
  if (phase_ == Phase::kChild) {
    int status = 0;
    const pid_t done = waitpid(child_, &status, WNOHANG);
    if (done == 0 || (done < 0 && errno == EINTR)) return absl::OkStatus();
    child_ = -1;
    struct stat file;
    if (done < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
        fstat(fd_, &file) != 0) {
      GiveUp();
      return absl::UnavailableError(
          "no snapshot: the process that writes it failed; is the disk full?");
    }
    size_ = static_cast<uint64_t>(file.st_size);
    at_ = 0;
    phase_ = Phase::kCarry;
    absl::Status begun = journal->BeginSnapshot(seq_);
    if (!begun.ok()) GiveUp();
    return begun;
  }
  if (phase_ != Phase::kCarry) return absl::OkStatus();
  absl::Status carried = Carry(journal, kCarryBytes);
  if (!carried.ok()) GiveUp();
  return carried;
}

absl::Status SnapshotWriter::Carry(Journal* journal, size_t bytes_max) {
  std::string name;
  std::string bytes;
  const auto begin = std::chrono::steady_clock::now();
  for (const uint64_t end = at_ + bytes_max; at_ < size_ && at_ < end;) {
    if (std::chrono::steady_clock::now() - begin >= kCarryTime) break;
    char head[kHeadBytes];
    uint32_t name_bytes = 0;
    uint32_t part_bytes = 0;
    if (!ReadAll(fd_, head, kHeadBytes, at_)) {
      return absl::UnavailableError("no snapshot: it cannot be read back");
    }
    std::memcpy(&name_bytes, head, 4);
    std::memcpy(&part_bytes, head + 4, 4);
    name.resize(name_bytes);
    bytes.resize(part_bytes);
    if (!ReadAll(fd_, name.data(), name_bytes, at_ + kHeadBytes) ||
        !ReadAll(fd_, bytes.data(), part_bytes,
                 at_ + kHeadBytes + name_bytes)) {
      return absl::UnavailableError("no snapshot: it cannot be read back");
    }
    if (absl::Status s = journal->PutSnapshotPart(name, bytes); !s.ok()) {
      return s;
    }
    at_ += kHeadBytes + name_bytes + part_bytes;
  }
  HitFailpoint("snapshot.carry");
  if (at_ < size_) return absl::OkStatus();
  absl::Status committed = journal->CommitSnapshot(keep_from_);
  HitFailpoint("snapshot.commit.after");
  if (committed.ok()) {
    Taken(size_);
    GiveUp();  // It is done: closes the file.
  }
  return committed;
}

absl::Status SnapshotWriter::TakeNow(uint64_t seq, uint64_t keep_from,
                                     Journal* journal, const Save& save) {
  GiveUp();
  begun_ = std::chrono::steady_clock::now();
  journal->AbortSnapshot();
  if (absl::Status s = journal->BeginSnapshot(seq); !s.ok()) return s;
  absl::Status put;
  uint64_t bytes_put = 0;
  save([&](std::string_view name, std::string_view bytes) {
    bytes_put += kHeadBytes + name.size() + bytes.size();
    if (put.ok()) put = journal->PutSnapshotPart(name, bytes);
  });
  if (put.ok()) put = journal->CommitSnapshot(keep_from);
  if (put.ok()) Taken(bytes_put);
  return put;
}

}  // namespace klaxon
