// SQLite without exceptions or raw handles: one connection, its statements.
//
// One thread at a time. A Query must not outlive its Database. Errors carry
// the path and are sorted by what the caller can do about them:
//   ResourceExhausted  no room: the disk, the quota or max_page_count.
//   DataLoss           the file is damaged, or no database.
//   Unavailable        another process has it locked.
//   PermissionDenied   not allowed to read or write here (or read-only).
//   Internal           an I/O error, and whatever else SQLite finds wrong.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace klaxon {

class Query {
 public:
  // Parameters count from 1. Blob and Text are not copied: they must live
  // until the next Reset or Bind of this parameter.
  void BindInt(int index, int64_t value);
  void BindBlob(int index, std::string_view bytes);
  void BindText(int index, std::string_view text);
  // True: on a row. False: done, and reset for the next use.
  absl::StatusOr<bool> Step();
  // For a statement without rows: steps to its end.
  absl::Status Run();
  void Reset();

  // Of the current row; columns count from 0. Views die with the next Step.
  int64_t Int(int column) const;
  std::string_view Blob(int column) const;

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const {
      sqlite3_finalize(statement);
    }
  };
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  std::string path_;
};

class Database {
 public:
  struct Options {
    bool read_only = false;
    // Name of a registered sqlite3_vfs; empty: the default one. For tests
    // that let the disk fail.
    std::string vfs;
  };
  // The file must exist: SQLite would make one with the modes of the umask.
  // `path` must hold no symbolic link.
  static absl::StatusOr<Database> Open(const std::string& path,
                                       const Options& options);

  // Statements without results that matter, separated by ';'.
  absl::Status Exec(const std::string& sql);
  absl::StatusOr<Query> Prepare(std::string_view sql);
  // First column of the first row; NotFound without one.
  absl::StatusOr<int64_t> Int(std::string_view sql);
  absl::StatusOr<std::string> Text(std::string_view sql);

  bool in_transaction() const {
    return sqlite3_get_autocommit(handle_.get()) == 0;
  }
  const std::string& path() const { return path_; }

 private:
  struct Closer {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Closer> handle_;
  std::string path_;
};

}  // namespace klaxon
