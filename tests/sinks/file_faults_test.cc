#include "tests/sinks/file_faults.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

namespace klaxon {
namespace {

FileFaults::Before before_call;
FileFaults::After after_call;

// The result of a call that is made unless a fault was asked for.
template <typename Call>
auto Faulty(FileCall kind, Call call) -> decltype(call(false)) {
  FileFault fault;
  if (before_call) fault = before_call(kind);
  if (fault.error != 0) {
    errno = fault.error;
    return -1;
  }
  const auto result = call(fault.half);
  if (after_call) {
    const int saved = errno;
    after_call(kind);
    errno = saved;
  }
  return result;
}

}  // namespace

FileFaults::FileFaults(Before before, After after) {
  EXPECT_FALSE(before_call);
  before_call = std::move(before);
  after_call = std::move(after);
}
FileFaults::~FileFaults() {
  before_call = nullptr;
  after_call = nullptr;
}

}  // namespace klaxon

using klaxon::Faulty;
using klaxon::FileCall;

extern "C" int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return Faulty(FileCall::kOpen, [&](bool) {
    return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  });
}
extern "C" ssize_t write(int fd, const void* bytes, size_t count) {
  return Faulty(FileCall::kWrite, [&](bool half) {
    return ssize_t{syscall(SYS_write, fd, bytes, half ? count / 2 : count)};
  });
}
extern "C" int fsync(int fd) {
  return Faulty(FileCall::kFsync,
                [&](bool) { return static_cast<int>(syscall(SYS_fsync, fd)); });
}
extern "C" int ftruncate(int fd, off_t length) noexcept {
  return Faulty(FileCall::kFtruncate, [&](bool) {
    return static_cast<int>(syscall(SYS_ftruncate, fd, length));
  });
}
extern "C" int rename(const char* from, const char* to) noexcept {
  return Faulty(FileCall::kRename, [&](bool) {
    return static_cast<int>(
        syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
  });
}
extern "C" int unlink(const char* path) noexcept {
  return Faulty(FileCall::kUnlink, [&](bool) {
    return static_cast<int>(syscall(SYS_unlinkat, AT_FDCWD, path, 0));
  });
}

namespace klaxon {
namespace {

TEST(FileFaults, StandBeforeEachCall) {
  const std::string path =
      ::testing::TempDir() + "/klaxon-faults-" + std::to_string(getpid());
  std::vector<FileCall> done;
  const auto note = [&done](FileCall call) { done.push_back(call); };
  int fd = -1;
  {
    FileFaults faults(
        [](FileCall call) {
          return FileFault{.half = call == FileCall::kWrite};
        },
        note);
    fd = open(path.c_str(), O_CREAT | O_RDWR, 0600);
    EXPECT_EQ(write(fd, "abcd", 4), 2);
    EXPECT_EQ(fsync(fd), 0);
    EXPECT_EQ(ftruncate(fd, 1), 0);
    EXPECT_EQ(rename(path.c_str(), (path + "-b").c_str()), 0);
    EXPECT_EQ(unlink((path + "-b").c_str()), 0);
  }
  EXPECT_EQ(done,
            (std::vector<FileCall>{FileCall::kOpen, FileCall::kWrite,
                                   FileCall::kFsync, FileCall::kFtruncate,
                                   FileCall::kRename, FileCall::kUnlink}));
  EXPECT_EQ(lseek(fd, 0, SEEK_END), 1);
  {
    FileFaults faults(FileFaults::Failing(FileCall::kWrite, ENOSPC));
    EXPECT_EQ(write(fd, "abcd", 4), -1);
    EXPECT_EQ(errno, ENOSPC);
    EXPECT_EQ(fsync(fd), 0);
  }
  EXPECT_EQ(write(fd, "abcd", 4), 4);
  close(fd);
}

}  // namespace
}  // namespace klaxon
