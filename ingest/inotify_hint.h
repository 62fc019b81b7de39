// Wakes early when something happens in a directory. A hint: where the system
// has no watches left, or loses events, nothing depends on it.
//
// Not thread-safe.
#pragma once

#include <map>
#include <string>

namespace klaxon {

class InotifyHint {
 public:
  InotifyHint();
  ~InotifyHint();
  InotifyHint(const InotifyHint&) = delete;
  InotifyHint& operator=(const InotifyHint&) = delete;

  // Becomes readable; -1: never.
  int fd() const { return fd_; }
  // Cheap where it is watched already. One that does not exist yet is tried
  // again with the next call.
  void Watch(const std::string& directory);
  // Something happened since the last call.
  bool Take();

 private:
  int fd_;
  std::map<std::string, int> watches_;
};

}  // namespace klaxon
