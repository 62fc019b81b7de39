#include "ingest/file_stream.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace klaxon {

Interrupter::Interrupter() : wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Interrupter::~Interrupter() {
  if (wake_fd_ >= 0) close(wake_fd_);
}

void Interrupter::Interrupt() noexcept {
  interrupted_.store(true, std::memory_order_relaxed);
  const uint64_t one = 1;
  // Can only fail because it is readable already.
  if (wake_fd_ >= 0 && write(wake_fd_, &one, sizeof(one)) < 0) return;
}

std::string ExplainFileError(int error_number) {
  switch (error_number) {
    case EACCES:
    case EPERM:
      return "permission denied: audit logs belong to root; run klaxon as a "
             "user that may read them, or copy them";
    case ENOENT:
      return "no such file or directory: check the path";
    case ELOOP:
      return "a loop of symbolic links: name the file itself";
    case EMFILE:
    case ENFILE:
      return "too many open files: raise `ulimit -n`";
    case ENXIO:
      return "a socket or a device without a driver, which cannot be read";
    case EIO:
      return "input/output error: the disk or file system under it is "
             "damaged; see the kernel log, and restore the file from a copy";
    default:
      return fmt::format("cannot be read: {}", strerror(error_number));
  }
}

std::unique_ptr<FileStream> FileStream::Open(const std::string& path,
                                             FileAccess* files,
                                             StreamContext* context,
                                             std::string* error) {
  const int fd = files->Open(path);
  if (fd < 0) {
    *error = ExplainFileError(-fd);
    return nullptr;
  }
  std::unique_ptr<FileStream> stream(new FileStream(
      std::make_shared<OpenFile>(fd, /*owned=*/true, files), context));
  struct stat status;
  if (const int failed = files->Stat(fd, &status); failed != 0) {
    *error = ExplainFileError(-failed);
    return nullptr;
  }
  stream->regular_ = S_ISREG(status.st_mode);
  if (S_ISFIFO(status.st_mode)) {
    // A named FIFO that nobody writes to yet reads as ended, so its writer is
    // waited for. A pipe ("/dev/fd/63") whose writer is gone has ended.
    struct statfs system;
    const bool pipe =
        fstatfs(fd, &system) == 0 && system.f_type == PIPEFS_MAGIC;
    stream->poll_first_ = !pipe;
  }
  return stream;
}

std::unique_ptr<FileStream> FileStream::Stdin(FileAccess* files,
                                              StreamContext* context) {
  std::unique_ptr<FileStream> stream(new FileStream(
      std::make_shared<OpenFile>(STDIN_FILENO, /*owned=*/false, files),
      context));
  stream->stdin_ = true;
  struct stat status;
  stream->regular_ =
      files->Stat(STDIN_FILENO, &status) == 0 && S_ISREG(status.st_mode);
  stream->poll_first_ = !stream->regular_;
  stream->nonblocking_ = false;  // Not ours to change: others share it.
  return stream;
}

FileStream::FileStream(std::shared_ptr<const OpenFile> file,
                       StreamContext* context)
    : file_(std::move(file)), context_(context) {}

StreamRead FileStream::Read(char* out, size_t capacity) {
  while (!ended_) {
    if (context_->interrupter->interrupted()) {
      return {0, StreamState::kInterrupted};
    }
    if (poll_first_) {
      const StreamState state = Wait();
      if (state != StreamState::kData) return {0, state};
      poll_first_ = false;
    }
    const ssize_t got = file_->access().Read(file_->fd(), out, capacity);
    if (got > 0) {
      context_->raw_bytes.fetch_add(got, std::memory_order_relaxed);
      poll_first_ = !regular_ && !nonblocking_;
      return {static_cast<size_t>(got), StreamState::kData};
    }
    if (got == -EINTR) {
      poll_first_ = !regular_ && !nonblocking_;
    } else if (got == -EAGAIN) {
      poll_first_ = true;
    } else {
      ended_ = true;
      if (got < 0) {
        context_->Report(ProblemCause::kUnreadable, true,
                         fmt::format("the rest of it could not be read: {}",
                                     ExplainFileError(-got)));
      }
    }
  }
  return {0, StreamState::kEnd};
}

// kData: a read will not wait.
StreamState FileStream::Wait() {
  using std::chrono::milliseconds;
  const Interrupter& interrupter = *context_->interrupter;
  // Where there is no eventfd we look often instead.
  const int64_t slice_ms = interrupter.wake_fd() >= 0 ? 60'000 : 50;
  bool looked = false;
  for (;;) {
    const auto now = StreamContext::Clock::now();
    int64_t left_ms = std::numeric_limits<int64_t>::max();
    if (context_->deadline != StreamContext::Clock::time_point::max()) {
      left_ms = std::max<int64_t>(
          0, std::chrono::ceil<milliseconds>(context_->deadline - now).count());
    }
    if (left_ms == 0 && looked) return StreamState::kBlocked;
    pollfd waits[2] = {{file_->fd(), POLLIN, 0},
                       {interrupter.wake_fd(), POLLIN, 0}};
    const int ready =
        poll(waits, 2, static_cast<int>(std::min(slice_ms, left_ms)));
    looked = true;
    if (interrupter.interrupted()) return StreamState::kInterrupted;
    if (ready > 0 && waits[0].revents != 0) return StreamState::kData;
  }
}

}  // namespace klaxon
