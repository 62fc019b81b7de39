#include "pipeline/state_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

namespace klaxon {
namespace {

absl::Status ErrorOf(int error, const std::string& path,
                     std::string_view what) {
  std::string message =
      fmt::format("{}: {}: {}", path, what, std::strerror(error));
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrorOf(errno, path, "cannot be opened");
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  if (result != 0) return ErrorOf(error, path, "cannot be synced");
  return absl::OkStatus();
}

// Its parent must be there: a mistyped path shall not become a tree.
absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0) {
    if (errno == EEXIST) return absl::OkStatus();
    return ErrorOf(errno, path, "the state directory cannot be made");
  }
  return SyncDirectory(path + "/..");
}

absl::StatusOr<std::string> RealPath(const std::string& path) {
  std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr),
                                              std::free);
  if (real == nullptr) {
    return ErrorOf(errno, path, "no such state directory");
  }
  struct stat info{};
  if (stat(real.get(), &info) != 0) {
    return ErrorOf(errno, path, "cannot be looked at");
  }
  if (!S_ISDIR(info.st_mode)) {
    return absl::NotFoundError(path + ": is not a directory");
  }
  return std::string(real.get());
}

// The pid that the lock file names; empty if it names none.
std::string OwnerOf(int fd) {
  char text[24];
  const ssize_t size = pread(fd, text, sizeof text, 0);
  std::string owner;
  for (ssize_t i = 0; i < size && text[i] >= '0' && text[i] <= '9'; ++i) {
    owner.push_back(text[i]);
  }
  return owner;
}

bool IsGone(const std::string& pid_text) {
  pid_t pid = 0;
  const char* const end = pid_text.data() + pid_text.size();
  if (std::from_chars(pid_text.data(), end, pid).ec != std::errc() || pid < 1) {
    return false;
  }
  return kill(pid, 0) != 0 && errno == ESRCH;
}

// 0 or errno. An owner that was killed may have left a child that was about to
// let go of the lock (SnapshotWriter): for that one it waits a moment.
int TakeLock(int fd, int kind) {
  constexpr int kTries = 500;
  constexpr timespec kPause = {.tv_sec = 0, .tv_nsec = 10'000'000};
  for (int i = 0;; ++i) {
    if (flock(fd, kind | LOCK_NB) == 0) return 0;
    const int error = errno;
    if (error != EWOULDBLOCK || i == kTries || !IsGone(OwnerOf(fd))) {
      return error;
    }
    nanosleep(&kPause, nullptr);
  }
}

}  // namespace

absl::StatusOr<StateDir> StateDir::Open(const std::string& path, Use use) {
  if (use == Use::kOwn) {
    absl::Status status = MakeDirectory(path);
    if (!status.ok()) return status;
  }
  absl::StatusOr<std::string> real = RealPath(path);
  if (!real.ok()) return real.status();
  StateDir dir;
  dir.path_ = *std::move(real);
  absl::Status status = dir.Lock(use);
  if (!status.ok()) return status;
  return dir;
}

absl::Status StateDir::Lock(Use use) {
  const std::string path = path_ + "/klaxon.lock";
  const bool own = use == Use::kOwn;
  lock_fd_ =
      open(path.c_str(),
           (own ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_fd_ < 0) {
    if (!own && errno == ENOENT) {
      return absl::NotFoundError(path_ + ": holds no state of Klaxon's");
    }
    return ErrorOf(errno, path, "cannot be opened");
  }
  if (const int error = TakeLock(lock_fd_, own ? LOCK_EX : LOCK_SH)) {
    if (error != EWOULDBLOCK) return ErrorOf(error, path, "cannot be locked");
    const std::string owner = OwnerOf(lock_fd_);
    return absl::UnavailableError(fmt::format(
        "{}: the state directory is in use by another process{}; stop it, or "
        "give each Klaxon a directory of its own",
        path_, owner.empty() ? "" : fmt::format(" (pid {})", owner)));
  }
  if (!own) return absl::OkStatus();
  // Only so that the message above can name us: a failure does no harm.
  const std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(lock_fd_, 0) == 0) {
    [[maybe_unused]] const ssize_t written =
        pwrite(lock_fd_, pid.data(), pid.size(), 0);
  }
  return absl::OkStatus();
}

absl::Status StateDir::Sync() const { return SyncDirectory(path_); }

StateDir::StateDir(StateDir&& other) noexcept
    : path_(std::move(other.path_)),
      lock_fd_(std::exchange(other.lock_fd_, -1)) {}

StateDir& StateDir::operator=(StateDir&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_fd_, other.lock_fd_);
  return *this;
}

StateDir::~StateDir() {
  if (lock_fd_ < 0) return;
  // The pid goes with its owner; on a looker's descriptor this fails.
  [[maybe_unused]] const int result = ftruncate(lock_fd_, 0);
  close(lock_fd_);
}

}  // namespace klaxon
