#include "app/live_quarantine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "app/quarantine_report.h"
#include "fmt/format.h"
#include "sinks/write_all.h"

namespace klaxon {

LiveQuarantine::LiveQuarantine(std::string path, Console* console)
    : path_(std::move(path)), console_(console) {}

LiveQuarantine::~LiveQuarantine() {
  if (fd_ >= 0) close(fd_);
}

absl::Status LiveQuarantine::Open() {
  if (path_.empty()) return absl::OkStatus();
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat status;
  if (fd_ < 0 || fstat(fd_, &status) != 0) {
    return absl::UnavailableError(fmt::format(
        "quarantine: {} cannot be written: {}", path_, strerror(errno)));
  }
  bytes_ = static_cast<uint64_t>(status.st_size);
  return absl::OkStatus();
}

void LiveQuarantine::Add(const LiveUnreadable& unreadable) {
  std::lock_guard lock(mutex_);
  ++count_;
  Say(unreadable);
  if (fd_ < 0) return;
  QuarantineRecord record;
  record.path = unreadable.input;
  record.offset = unreadable.offset;
  record.reason = unreadable.what->reason;
  record.message = unreadable.what->message;
  record.bytes = unreadable.what->bytes;
  std::string json;
  AppendJson(record, &json);
  json += '\n';
  if (bytes_ > 0 && bytes_ + json.size() > kFileBytesMax) {
    // The older half goes: kept does not mean for ever.
    if (rename(path_.c_str(), (path_ + ".1").c_str()) == 0) {
      close(fd_);
      bytes_ = 0;
      if (!Open().ok()) return;
    }
  }
  absl::Status status = WriteAll(fd_, json, path_);
  if (status.ok() && fdatasync(fd_) != 0) {
    status = absl::UnavailableError(
        fmt::format("{} cannot be synced: {}", path_, strerror(errno)));
  }
  bytes_ += json.size();
  if (status.ok()) {
    failed_ = false;
  } else if (!std::exchange(failed_, true)) {
    console_->Log(LogLevel::kError,
                  fmt::format("quarantine: {}", std::string(status.message())));
  }
}

void LiveQuarantine::Say(const LiveUnreadable& unreadable) {
  if (count_ > kShownMax && count_ % kShownEvery != 0) return;
  LogMessage log;
  log.level = LogLevel::kWarning;
  log.place = std::string(unreadable.input);
  log.label = "warning";
  log.message = unreadable.what->message;
  log.fields = {
      {"source", std::string(unreadable.input)},
      {"offset", unreadable.offset},
      {"reason", std::string(QuarantineReasonName(unreadable.what->reason))},
      {"quarantined", count_}};
  console_->Log(log);
}

}  // namespace klaxon
