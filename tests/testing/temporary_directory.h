// A directory of a test's own, gone at its end. `in_memory`: where nothing that
// another process writes can slow a sync down, if this machine has such a
// place.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace klaxon {

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(bool in_memory = false) {
    std::filesystem::path parent = std::filesystem::temp_directory_path();
    if (in_memory && std::filesystem::is_directory("/dev/shm")) {
      parent = "/dev/shm";
    }
    path_ = (parent / "klaxon-XXXXXX").string();
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string Sub(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace klaxon
