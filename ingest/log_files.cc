#include "ingest/log_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

namespace klaxon {
namespace {

int StatAt(int directory, const char* path, int flags, FileStat* stat) {
  struct statx found;
  constexpr unsigned kWanted = STATX_TYPE | STATX_INO | STATX_SIZE |
                               STATX_MTIME | STATX_NLINK | STATX_BTIME;
  if (statx(directory, path, flags, kWanted, &found) != 0) return -errno;
  const auto nanos = [](const statx_timestamp& time) {
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  stat->id.device = makedev(found.stx_dev_major, found.stx_dev_minor);
  stat->id.inode = found.stx_ino;
  stat->id.birth_ns =
      (found.stx_mask & STATX_BTIME) != 0 ? nanos(found.stx_btime) : 0;
  stat->bytes = found.stx_size;
  stat->modified_ns = nanos(found.stx_mtime);
  stat->links = found.stx_nlink;
  stat->regular = S_ISREG(found.stx_mode);
  return 0;
}

}  // namespace

Sameness CompareIds(const FileId& before, const FileId& now) {
  if (before.inode != now.inode) {
    // A rename keeps the inode. On another device it may be a copy.
    return before.device == now.device ? Sameness::kDifferent
                                       : Sameness::kPerhaps;
  }
  if (before.birth_ns == 0 || now.birth_ns == 0) return Sameness::kPerhaps;
  if (before.birth_ns == now.birth_ns) return Sameness::kSame;
  return before.device == now.device ? Sameness::kDifferent
                                     : Sameness::kPerhaps;
}

int LogFiles::Open(const std::string& path) {
  const int fd =
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  return fd >= 0 ? fd : -errno;
}

int LogFiles::Stat(const std::string& path, FileStat* stat) {
  return StatAt(AT_FDCWD, path.c_str(), 0, stat);
}

int LogFiles::StatOpen(int fd, FileStat* stat) {
  return StatAt(fd, "", AT_EMPTY_PATH, stat);
}

ssize_t LogFiles::Read(int fd, const iovec* pieces, int count,
                       uint64_t offset) {
  for (;;) {
    const ssize_t got = preadv(fd, pieces, count, static_cast<off_t>(offset));
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

int LogFiles::List(const std::string& directory,
                   std::vector<std::string>* names) {
  names->clear();
  DIR* handle = opendir(directory.c_str());
  if (handle == nullptr) return -errno;
  errno = 0;
  // Each thread has a handle of its own.
  while (const dirent* entry = readdir(handle)) {  // NOLINT(concurrency*)
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names->push_back(name);
  }
  const int error = errno;
  closedir(handle);
  return -error;
}

LogFile::~LogFile() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace klaxon
