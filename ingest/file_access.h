// The system calls by which inputs are opened and read, so that tests can let
// them fail at a byte of their choice.
//
// Any thread.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace klaxon {

class FileAccess {
 public:
  virtual ~FileAccess() = default;
  // A descriptor to read from the beginning, or -errno. Does not wait for the
  // writer of a FIFO.
  virtual int Open(const std::string& path) = 0;
  // 0 or -errno.
  virtual int Stat(int fd, struct stat* status) = 0;
  // Bytes read (0: the end), or -errno; may be less than asked for.
  virtual ssize_t Read(int fd, char* out, size_t bytes) = 0;
  // The same from `offset` on, whatever was read before. Regular files only.
  virtual ssize_t ReadAt(int fd, char* out, size_t bytes, uint64_t offset) = 0;
  virtual void Close(int fd) = 0;
};

// The real ones. Lives for ever.
FileAccess& SystemFiles();

}  // namespace klaxon
