// The system calls by which logs are followed, so that tests can take birth
// times away and let reads fail; and what tells one file from another.
//
// Any thread.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace klaxon {

// What the file system calls a file. A name may come to mean another file, and
// an inode number is used again as soon as its file is gone; the time of birth
// tells these apart where the file system keeps one.
struct FileId {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t birth_ns = 0;  // Since 1970; 0: not known.
  bool operator==(const FileId&) const = default;
};

enum class Sameness : uint8_t {
  kDifferent,
  kPerhaps,  // Only the content can tell.
  kSame,
};

// Whether a file seen before (by another process, before a reboot that numbered
// the devices anew) is the one seen now.
Sameness CompareIds(const FileId& before, const FileId& now);

struct FileStat {
  FileId id;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  uint32_t links = 1;  // Names it has.
  bool regular = true;
};

class LogFiles {
 public:
  virtual ~LogFiles() = default;
  // All of these: less than 0 is -errno.
  virtual int Open(const std::string& path);
  virtual int Stat(const std::string& path, FileStat* stat);  // Follows links.
  virtual int StatOpen(int fd, FileStat* stat);
  virtual ssize_t Read(int fd, const iovec* pieces, int count, uint64_t offset);
  // The names in a directory, in any order.
  virtual int List(const std::string& directory,
                   std::vector<std::string>* names);
};

// An open file. Movable.
class LogFile {
 public:
  LogFile() = default;
  explicit LogFile(int fd) : fd_(fd) {}
  LogFile(LogFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LogFile& operator=(LogFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~LogFile();
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace klaxon
