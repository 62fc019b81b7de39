#include "pipeline/journal_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "absl/status/status.h"
#include "pipeline/journal_format.h"

namespace klaxon {
namespace {

// SQLite's rollback journal is cut back to this after a larger transaction.
constexpr uint64_t kRollbackBytesMax = 4 << 20;
constexpr uint64_t kDiskBytesMin = 8 << 20;

absl::Status SystemError(const std::string& path, std::string_view what) {
  const int error = errno;
  std::string message =
      fmt::format("{}: {}: {}", path, what, std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(message);
  }
  if (error == EACCES || error == EROFS || error == EPERM) {
    return absl::PermissionDeniedError(message);
  }
  return absl::InternalError(message);
}

// Aside, then renamed: klaxon.db is whole or not there, so that an empty one
// is damage and never a first start.
absl::Status CreateFile(const StateDir& dir, const std::string& vfs) {
  const std::string path = dir.database() + ".new";
  unlink(path.c_str());
  const int fd =
      open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return SystemError(path, "cannot be made");
  close(fd);
  {
    absl::StatusOr<Database> database =
        Database::Open(path, {.read_only = false, .vfs = vfs});
    if (!database.ok()) return database.status();
    absl::Status status = CreateJournalFormat(*database);
    if (!status.ok()) return status;
  }
  if (rename(path.c_str(), dir.database().c_str()) != 0) {
    return SystemError(path, "cannot be renamed");
  }
  return dir.Sync();
}

absl::Status CreateUnlessThere(const StateDir& dir, const std::string& vfs) {
  const std::string path = dir.database();
  struct stat file{};
  if (lstat(path.c_str(), &file) != 0) {
    if (errno != ENOENT) return SystemError(path, "cannot be looked at");
    if (stat(dir.rollback_journal().c_str(), &file) == 0 && file.st_size > 0) {
      return JournalDamage(
          path,
          "it is gone, but its rollback journal is there (remove that "
          "too to start without state)");
    }
    return CreateFile(dir, vfs);
  }
  if (!S_ISREG(file.st_mode)) {
    return absl::FailedPreconditionError(path + ": is not a regular file");
  }
  if (file.st_size == 0) return JournalDamage(path, "it is empty");
  // By path: closing a descriptor of ours would drop SQLite's locks.
  if ((file.st_mode & 077) != 0 && chmod(path.c_str(), 0600) != 0) {
    return SystemError(path, "its mode cannot be set to 0600");
  }
  return absl::OkStatus();
}

absl::Status Configure(Database& database, uint64_t disk_bytes_max) {
  // No spilling: the file changes at commits only. No secure_delete (Debian's
  // default): it would write every page of what is deleted.
  absl::Status status = database.Exec(
      fmt::format("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; "
                  "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; "
                  "PRAGMA secure_delete = OFF; PRAGMA cache_spill = OFF; "
                  "PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; "
                  "PRAGMA journal_size_limit = {}; BEGIN EXCLUSIVE; COMMIT",
                  kRollbackBytesMax));
  if (!status.ok()) return status;
  absl::StatusOr<std::string> mode =
      database.Text("PRAGMA journal_mode = PERSIST");
  if (!mode.ok()) return mode.status();
  if (*mode != "persist") {
    return absl::InternalError(fmt::format(
        "{}: SQLite insists on journal_mode {}", database.path(), *mode));
  }
  absl::StatusOr<int64_t> page_bytes = database.Int("PRAGMA page_size");
  if (!page_bytes.ok()) return page_bytes.status();
  return database.Exec(fmt::format(
      "PRAGMA max_page_count = {}",
      (disk_bytes_max - kRollbackBytesMax) /
          static_cast<uint64_t>(std::max<int64_t>(*page_bytes, 1))));
}

absl::Status BringUpToDate(Database& database) {
  absl::StatusOr<int64_t> format = ReadJournalFormat(database);
  if (format.ok() && *format < kJournalFormat) {
    absl::Status status =
        MigrateJournal(database, kJournalFormat, JournalMigrations());
    if (!status.ok()) return status;
    format = ReadJournalFormat(database);
  }
  if (!format.ok()) return format.status();
  return CheckJournalFormat(database.path(), *format);
}

}  // namespace

absl::StatusOr<Database> OpenJournalFile(const StateDir& dir,
                                         const std::string& vfs,
                                         uint64_t disk_bytes_max) {
  if (disk_bytes_max < kDiskBytesMin) {
    return absl::InvalidArgumentError(fmt::format(
        "the disk budget of the state must be at least {} bytes, not {}",
        kDiskBytesMin, disk_bytes_max));
  }
  absl::Status status = CreateUnlessThere(dir, vfs);
  if (!status.ok()) return status;
  absl::StatusOr<Database> database =
      Database::Open(dir.database(), {.read_only = false, .vfs = vfs});
  if (!database.ok()) return database;
  status = Configure(*database, disk_bytes_max);
  if (status.ok()) status = BringUpToDate(*database);
  if (status.ok()) status = CheckJournalStructure(*database);
  if (!status.ok()) return status;
  return database;
}

}  // namespace klaxon
