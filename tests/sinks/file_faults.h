// Faults of the file system, at the calls that the sinks make: the executable
// comes before the C library, so open, write, fsync, ftruncate, rename and
// unlink end in file_faults_test.cc.
#pragma once

#include <functional>
#include <utility>

namespace klaxon {

enum class FileCall { kOpen, kWrite, kFsync, kFtruncate, kRename, kUnlink };

struct FileFault {
  int error = 0;      // errno with which the call fails; 0: it is done.
  bool half = false;  // kWrite: only half of the bytes are.
};

// While it lives, every such call of the process asks `before` first, and tells
// `after` when it was done. One at a time, one thread.
class FileFaults {
 public:
  using Before = std::function<FileFault(FileCall)>;
  using After = std::function<void(FileCall)>;
  explicit FileFaults(Before before, After after = nullptr);
  ~FileFaults();
  FileFaults(const FileFaults&) = delete;
  FileFaults& operator=(const FileFaults&) = delete;

  // Every call of that kind fails.
  static Before Failing(FileCall call, int error) {
    return [call, error](FileCall made) {
      return FileFault{.error = made == call ? error : 0};
    };
  }
};

}  // namespace klaxon
