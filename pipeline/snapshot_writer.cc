#include "pipeline/snapshot_writer.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "detectors/large_blocks.h"
#include "fmt/format.h"
#include "pipeline/failpoint.h"

namespace klaxon {
namespace {

// Carried with each commit, at most, and a part; compressed.
constexpr size_t kCarryBytes = 512 << 10;
// As much as whoever is not root may ask for. Less does as well, but slower.
constexpr int kPipeBytes = 1 << 20;
// At a time, between two commits.
constexpr std::chrono::microseconds kMendTime(500);
// The child has time.
constexpr int kNice = 10;

// Before each part; as the machine has its numbers.
struct PartHead {
  uint32_t name_bytes;
  uint32_t row_bytes;
  uint64_t part_bytes;
};

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(wrote));
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

void Schedule(pid_t process, int policy) {
  const sched_param none{};
  sched_setscheduler(process, policy, &none);
}

// In the child.
void StepBack() {
  setpriority(PRIO_PROCESS, 0, kNice + 1);
  // Only who may become less nice again may leave SCHED_IDLE again.
  if (setpriority(PRIO_PROCESS, 0, kNice) == 0) Schedule(0, SCHED_IDLE);
}

bool WriteParts(int fd, Journal* journal, const SnapshotWriter::Save& save) {
  bool ok = true;
  save([&](std::string_view name, std::string_view bytes) {
    if (!ok) return;
    const std::string row = journal->EncodePart(bytes);
    const PartHead head{static_cast<uint32_t>(name.size()),
                        static_cast<uint32_t>(row.size()), bytes.size()};
    ok = WriteAll(fd, {reinterpret_cast<const char*>(&head), sizeof(head)}) &&
         WriteAll(fd, name) && WriteAll(fd, row);
  });
  return ok;
}

absl::Status Unavailable(std::string_view what, int error) {
  return absl::UnavailableError(
      fmt::format("no snapshot: {}: {}", what, strerror(error)));
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
  mended_ = false;
  mend_from_ = nullptr;
  end_ = false;
  read_ = std::string();
}

void SnapshotWriter::Mend() {
  if (mended_) return;
  mend_from_ = MendLargeBlocks(mend_from_, kMendTime);
  mended_ = mend_from_ == nullptr;
}

void SnapshotWriter::Taken() {
  ++taken_;
  taken_bytes_ = bytes_;
  took_ = std::chrono::steady_clock::now() - begun_;
}

absl::Status SnapshotWriter::Begin(uint64_t seq, uint64_t keep_from,
                                   Journal* journal, const Save& save) {
  begun_ = std::chrono::steady_clock::now();
  keep_from_ = keep_from;
  bytes_ = 0;
  if (absl::Status s = journal->BeginSnapshot(seq); !s.ok()) return s;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    journal->AbortSnapshot();
    return Unavailable("cannot make a pipe", errno);
  }
  fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  fd_ = ends[0];
  HitFailpoint("snapshot.begin");
  const pid_t self = getpid();
  child_ = fork();
  if (child_ == 0) {
    LetGoOfAllBut(ends[1], self);
    StepBack();
    _exit(WriteParts(ends[1], journal, save) ? 0 : 1);
  }
  const int error = errno;
  close(ends[1]);
  idle_ = true;
  if (child_ > 0) return absl::OkStatus();
  GiveUp();
  journal->AbortSnapshot();
  return Unavailable("cannot fork", error);
}

absl::Status SnapshotWriter::Step(Journal* journal) {
  if (!busy()) return absl::OkStatus();
  absl::Status carried = Carry(journal);
  if (!carried.ok()) {
    GiveUp();
    journal->AbortSnapshot();
  }
  return carried;
}

absl::Status SnapshotWriter::Carry(Journal* journal) {
  if (idle_ && std::chrono::steady_clock::now() - begun_ >= idle_time_) {
    if (child_ > 0) Schedule(child_, SCHED_OTHER);
    idle_ = false;
  }
  if (child_ < 0) return Commit(journal);
  absl::Status status = Read();
  if (status.ok()) status = PutParts(journal);
  if (!status.ok()) return status;
  HitFailpoint("snapshot.carry");
  return end_ ? Complete(journal) : absl::OkStatus();
}

absl::Status SnapshotWriter::Read() {
  const size_t begin = read_.size();
  size_t size = begin;
  read_.resize(begin + kCarryBytes);
  while (!end_ && size < read_.size()) {
    const ssize_t got = read(fd_, read_.data() + size, read_.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) return Unavailable("it cannot be read", errno);
    end_ = got == 0;
    size += static_cast<size_t>(got);
  }
  read_.resize(size);
  return absl::OkStatus();
}

absl::Status SnapshotWriter::PutParts(Journal* journal) {
  std::string_view left = read_;
  PartHead head;
  while (left.size() >= sizeof(head)) {
    std::memcpy(&head, left.data(), sizeof(head));
    const size_t size = sizeof(head) + head.name_bytes + head.row_bytes;
    if (left.size() < size) break;
    const std::string_view part = left.substr(sizeof(head));
    absl::Status put = journal->PutSnapshotRow(
        part.substr(0, head.name_bytes),
        std::string(part.substr(head.name_bytes, head.row_bytes)));
    if (!put.ok()) return put;
    bytes_ += head.name_bytes + head.part_bytes;
    left.remove_prefix(size);
  }
  read_.erase(0, read_.size() - left.size());
  return absl::OkStatus();
}

absl::Status SnapshotWriter::Complete(Journal* journal) {
  int status = 0;
  const pid_t done = waitpid(child_, &status, WNOHANG);
  // It still gives its memory back.
  if (done == 0 || (done < 0 && errno == EINTR)) return absl::OkStatus();
  child_ = -1;
  if (done < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
      !read_.empty()) {
    return absl::UnavailableError(
        "no snapshot: the process that writes it failed");
  }
  return journal->CommitSnapshotWithNext(keep_from_);
}

absl::Status SnapshotWriter::Commit(Journal* journal) {
  // It went with the records that came meanwhile; if none did, it goes alone.
  absl::Status committed = journal->writing_snapshot()
                               ? journal->CommitSnapshot(keep_from_)
                               : journal->snapshot_given_up();
  HitFailpoint("snapshot.commit.after");
  if (!committed.ok()) return committed;
  Taken();
  GiveUp();  // It is done: closes the pipe.
  return committed;
}

absl::Status SnapshotWriter::TakeNow(uint64_t seq, uint64_t keep_from,
                                     Journal* journal, const Save& save) {
  GiveUp();
  begun_ = std::chrono::steady_clock::now();
  journal->AbortSnapshot();
  if (absl::Status s = journal->BeginSnapshot(seq); !s.ok()) return s;
  absl::Status put;
  bytes_ = 0;
  save([&](std::string_view name, std::string_view bytes) {
    bytes_ += name.size() + bytes.size();
    if (put.ok()) put = journal->PutSnapshotPart(name, bytes);
  });
  if (put.ok()) put = journal->CommitSnapshot(keep_from);
  if (put.ok()) Taken();
  return put;
}

}  // namespace klaxon
