// The state directory: made if need be, and locked against a second process.
//
//   DIR/klaxon.db          journal and snapshot (pipeline/journal.h)
//   DIR/klaxon.db-journal  SQLite's rollback journal; part of the former
//   DIR/klaxon.lock        flock; holds the pid of its last owner as text
//
// A directory that we make has mode 0700, files 0600. The modes of one that
// stands already are its owner's business. The lock lives as long as the
// object and dies with the process, however that ends.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace klaxon {

class StateDir {
 public:
  enum class Use {
    kOwn,   // Read and write; nobody else may have it open. Made if missing.
    kLook,  // Read; others may look too. Nothing is made.
  };
  // Unavailable: another process has it, and the message says which.
  // NotFound (kLook): there is no such directory, or no state in it.
  static absl::StatusOr<StateDir> Open(const std::string& path, Use use);

  StateDir(StateDir&& other) noexcept;
  StateDir& operator=(StateDir&& other) noexcept;
  ~StateDir();

  // Absolute, without symbolic links.
  const std::string& path() const { return path_; }
  std::string database() const { return path_ + "/klaxon.db"; }
  std::string rollback_journal() const { return database() + "-journal"; }
  // What was created in or renamed within the directory is there for good.
  absl::Status Sync() const;

 private:
  StateDir() = default;
  absl::Status Lock(Use use);

  std::string path_;
  int lock_fd_ = -1;
};

}  // namespace klaxon
