#include "ingest/file_access.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace klaxon {
namespace {

class SystemFileAccess : public FileAccess {
 public:
  int Open(const std::string& path) override {
    // O_NONBLOCK matters to FIFOs only, O_NOCTTY to terminals.
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return -errno;
    // Advice: what it returns (ESPIPE for a FIFO) changes nothing.
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return fd;
  }

  int Stat(int fd, struct stat* status) override {
    return fstat(fd, status) == 0 ? 0 : -errno;
  }

  ssize_t Read(int fd, char* out, size_t bytes) override {
    ssize_t got = read(fd, out, bytes);
    return got >= 0 ? got : -errno;
  }

  ssize_t ReadAt(int fd, char* out, size_t bytes, uint64_t offset) override {
    ssize_t got = pread(fd, out, bytes, static_cast<off_t>(offset));
    return got >= 0 ? got : -errno;
  }

  void Close(int fd) override { close(fd); }
};

}  // namespace

FileAccess& SystemFiles() {
  static SystemFileAccess files;
  return files;
}

}  // namespace klaxon
