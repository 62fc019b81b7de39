#include "pipeline/database.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace klaxon {
namespace {

// SQLite knows only ENOSPC for a full disk; a quota and a file size limit are
// the same to us. It keeps the errno of a failed write per file.
bool FailedForRoom(sqlite3* handle) {
  for (int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = nullptr;
    sqlite3_file_control(handle, "main", which, static_cast<void*>(&file));
    // Closed, or a rollback journal in memory.
    if (file == nullptr || file->pMethods == nullptr ||
        file->pMethods->xFileControl == nullptr) {
      continue;
    }
    int last_errno = 0;
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &last_errno);
    if (last_errno == EDQUOT || last_errno == EFBIG) return true;
  }
  return false;
}

absl::StatusCode CodeOf(sqlite3* handle, int result, int system_errno) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    // Our statements are right, so the tables are not those we made.
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CANTOPEN:
      return system_errno == EACCES || system_errno == EROFS
                 ? absl::StatusCode::kPermissionDenied
                 : absl::StatusCode::kInternal;
    case SQLITE_IOERR:
      return result == SQLITE_IOERR_WRITE && FailedForRoom(handle)
                 ? absl::StatusCode::kResourceExhausted
                 : absl::StatusCode::kInternal;
    default:
      return absl::StatusCode::kInternal;
  }
}

// What a "disk I/O error" was, and what to do; SQLite does not say.
std::string_view AdviceOf(int result) {
  switch (result) {
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
      return ": a sync failed. Look at the disk and at the kernel's log; the "
             "next start goes on from what was synced before";
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_TRUNCATE:
    case SQLITE_IOERR_DELETE:
      return ": a write failed. Look at the disk and at the kernel's log; the "
             "next start goes on from what was synced before";
    default:
      return "";
  }
}

absl::Status ErrorOf(sqlite3* handle, int result, std::string_view path) {
  const int system_errno = handle != nullptr ? sqlite3_system_errno(handle) : 0;
  std::string message = fmt::format(
      "{}: {} (SQLite error {}", path,
      handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(result),
      result);
  if (system_errno != 0) {
    message += fmt::format(", {}", std::strerror(system_errno));
  }
  message += ")";
  const absl::StatusCode code = CodeOf(handle, result, system_errno);
  if (code == absl::StatusCode::kInternal) message += AdviceOf(result);
  return absl::Status(code, message);
}

}  // namespace

void Query::BindInt(int index, int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
}

void Query::BindBlob(int index, std::string_view bytes) {
  // A null pointer would bind NULL, not an empty blob.
  const char* data = bytes.data() != nullptr ? bytes.data() : "";
  sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(),
                      SQLITE_STATIC);
}

void Query::BindText(int index, std::string_view text) {
  const char* data = text.data() != nullptr ? text.data() : "";
  sqlite3_bind_text64(statement_.get(), index, data, text.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
}

absl::StatusOr<bool> Query::Step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    Reset();
    return false;
  }
  absl::Status status =
      ErrorOf(sqlite3_db_handle(statement_.get()), result, path_);
  Reset();
  return status;
}

absl::Status Query::Run() {
  for (;;) {
    absl::StatusOr<bool> row = Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
  }
}

void Query::Reset() { sqlite3_reset(statement_.get()); }

int64_t Query::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Query::Blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

absl::StatusOr<Database> Database::Open(const std::string& path,
                                        const Options& options) {
  const int flags =
      (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
  sqlite3* handle = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &handle, flags,
                      options.vfs.empty() ? nullptr : options.vfs.c_str());
  Database database;
  database.handle_.reset(handle);
  database.path_ = path;
  if (result != SQLITE_OK) return ErrorOf(handle, result, path);
  // A person's sqlite3 shell may look at the file for a moment.
  sqlite3_busy_timeout(handle, 2000);
  return database;
}

absl::Status Database::Exec(const std::string& sql) {
  const int result =
      sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return ErrorOf(handle_.get(), result, path_);
  return absl::OkStatus();
}

absl::StatusOr<Query> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(
      handle_.get(), sql.data(), static_cast<int>(sql.size()),
      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return ErrorOf(handle_.get(), result, path_);
  Query query;
  query.statement_.reset(statement);
  query.path_ = path_;
  return query;
}

absl::StatusOr<int64_t> Database::Int(std::string_view sql) {
  absl::StatusOr<Query> query = Prepare(sql);
  if (!query.ok()) return query.status();
  absl::StatusOr<bool> row = query->Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::NotFoundError(path_ + ": no such row");
  return query->Int(0);
}

absl::StatusOr<std::string> Database::Text(std::string_view sql) {
  absl::StatusOr<Query> query = Prepare(sql);
  if (!query.ok()) return query.status();
  absl::StatusOr<bool> row = query->Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::NotFoundError(path_ + ": no such row");
  return std::string(query->Blob(0));
}

}  // namespace klaxon
