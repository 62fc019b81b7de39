// Preloaded into a klaxon process: lets the disk fail at a moment of choice.
//
//   KLAXON_FAULT=KIND:N:TIMES:PATH   in the environment; of the operations that
//       change files whose path contains PATH, the N-th and TIMES - 1 more
//       fail.
//   KLAXON_FAULT_FIRED=FILE          is made when the first one fails.
//
//   eio      EIO, and nothing is done.
//   space    no room: writes and new files fail with ENOSPC.
//   sync     syncs alone are counted, and fail with EIO.
//   readonly EROFS from then on, whatever TIMES says.
//   short    half of a write is done, then EIO.
//   kill     the process dies before the operation, as of SIGKILL.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

enum class Op : uint8_t { kWrite, kSync, kOther };

struct Plan {
  std::string kind;
  int64_t first = 0;
  int64_t times = 0;
  std::string path;

  Plan() {
    const char* const text = std::getenv("KLAXON_FAULT");
    if (text == nullptr) return;
    std::string_view rest(text);
    kind = Cut(&rest);
    first = Number(Cut(&rest));
    times = Number(Cut(&rest));
    path = rest;
  }
  static std::string_view Cut(std::string_view* rest) {
    const size_t colon = rest->find(':');
    const std::string_view part = rest->substr(0, colon);
    rest->remove_prefix(colon == rest->npos ? rest->size() : colon + 1);
    return part;
  }
  static int64_t Number(std::string_view text) {
    int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
  }
};

template <class F>
F Real(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

void SayFired() {
  static std::atomic<bool> said = false;
  const char* const path = std::getenv("KLAXON_FAULT_FIRED");
  if (path == nullptr || said.exchange(true)) return;
  static const auto real = Real<int (*)(const char*, int, ...)>("open");
  const int fd = real(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
}

// 0: it goes on; else the errno of the operation; -1: half of it.
int Next(Op op, std::string_view path) {
  static const Plan* const plan = new Plan();
  static std::atomic<int64_t> count = 0;
  if (plan->kind.empty() || path.find(plan->path) == path.npos) return 0;
  if (plan->kind == "sync" && op != Op::kSync) return 0;
  const int64_t now = ++count;
  const bool forever = plan->kind == "readonly";
  if (now < plan->first || (!forever && now >= plan->first + plan->times)) {
    return 0;
  }
  SayFired();
  if (plan->kind == "kill") kill(getpid(), SIGKILL);
  if (plan->kind == "space") return op == Op::kWrite ? ENOSPC : 0;
  if (plan->kind == "readonly") return op == Op::kSync ? 0 : EROFS;
  if (plan->kind == "short" && op == Op::kWrite) return -1;
  return EIO;
}

int NextOf(Op op, int fd) {
  char link[64];
  char path[4096];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof(path));
  return length <= 0 ? 0 : Next(op, {path, static_cast<size_t>(length)});
}

int Failed(int error) {
  errno = error;
  return -1;
}

}  // namespace

extern "C" {

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  static const auto real =
      Real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  const int error = NextOf(Op::kWrite, fd);
  if (error > 0) return Failed(error);
  if (error < 0) {
    real(fd, data, size / 2, offset);
    return Failed(EIO);
  }
  return real(fd, data, size, offset);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return pwrite64(fd, data, size, offset);
}

ssize_t write(int fd, const void* data, size_t size) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t)>("write");
  const int error = NextOf(Op::kWrite, fd);
  if (error > 0) return Failed(error);
  if (error < 0) {
    real(fd, data, size / 2);
    return Failed(EIO);
  }
  return real(fd, data, size);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto real = Real<ssize_t (*)(int, const iovec*, int)>("writev");
  const int error = NextOf(Op::kWrite, fd);
  if (error != 0) return Failed(error > 0 ? error : EIO);
  return real(fd, parts, count);
}

int fsync(int fd) {
  static const auto real = Real<int (*)(int)>("fsync");
  const int error = NextOf(Op::kSync, fd);
  return error != 0 ? Failed(EIO) : real(fd);
}

int fdatasync(int fd) {
  static const auto real = Real<int (*)(int)>("fdatasync");
  const int error = NextOf(Op::kSync, fd);
  return error != 0 ? Failed(EIO) : real(fd);
}

int ftruncate64(int fd, off64_t size) {
  static const auto real = Real<int (*)(int, off64_t)>("ftruncate64");
  const int error = NextOf(Op::kOther, fd);
  return error != 0 ? Failed(error > 0 ? error : EIO) : real(fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int unlink(const char* path) {
  static const auto real = Real<int (*)(const char*)>("unlink");
  const int error = Next(Op::kOther, path);
  return error != 0 ? Failed(error > 0 ? error : EIO) : real(path);
}

int rename(const char* from, const char* to) {
  static const auto real = Real<int (*)(const char*, const char*)>("rename");
  const int error = Next(Op::kOther, to);
  return error != 0 ? Failed(error > 0 ? error : EIO) : real(from, to);
}

int open64(const char* path, int flags, ...) {
  static const auto real = Real<int (*)(const char*, int, ...)>("open64");
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0
                          ? static_cast<mode_t>(va_arg(arguments, int))
                          : 0;
  va_end(arguments);
  if ((flags & (O_CREAT | O_TRUNC)) != 0) {
    const int error = Next(Op::kWrite, path);
    if (error != 0) return Failed(error > 0 ? error : EIO);
  }
  return real(path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0
                          ? static_cast<mode_t>(va_arg(arguments, int))
                          : 0;
  va_end(arguments);
  return open64(path, flags, mode);
}
}
