#include "app/quarantine_report.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "event/json_writer.h"
#include "fmt/format.h"
#include "sinks/write_all.h"

namespace klaxon {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr std::string_view kSchema = "klaxon.quarantine/v1";
constexpr std::string_view kFileHead = R"({"schema":"klaxon.quarantine/v1")";

// Length of the well-formed UTF-8 sequence (RFC 3629) that `text` begins with;
// 0: it begins with none.
size_t Utf8Length(std::string_view text) {
  auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || length > text.size()) return 0;
  uint8_t low = 0x80;
  uint8_t high = 0xbf;
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    size_t length = Utf8Length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// The first kBytesMax bytes, less the part of a sequence that the cut leaves.
std::string_view Capped(std::string_view bytes) {
  if (bytes.size() <= QuarantineReport::kBytesMax) return bytes;
  size_t end = QuarantineReport::kBytesMax;
  while (end > QuarantineReport::kBytesMax - 4 &&
         (static_cast<uint8_t>(bytes[end]) & 0xc0) == 0x80) {
    --end;
  }
  return bytes.substr(0, end);
}

absl::Status FileError(const std::string& path, std::string_view what) {
  return absl::UnavailableError(
      fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

// Whether a regular file that is there already may be replaced.
absl::Status CheckReplaceable(const std::string& path, int fd) {
  struct stat file{};
  if (fstat(fd, &file) != 0) return FileError(path, "cannot be looked at");
  if (!S_ISREG(file.st_mode) || file.st_size == 0) return absl::OkStatus();
  std::string head(kFileHead.size(), '\0');
  if (pread(fd, head.data(), head.size(), 0) ==
          static_cast<ssize_t>(head.size()) &&
      head == kFileHead) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(fmt::format(
      "{}: is there already and no quarantine file; name another", path));
}

// Not for reading: we would be the reader of our own pipe, and wait for
// ourselves once the other one left.
int OpenPipeOrDevice(const std::string& path, bool pipe, Console* console) {
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == ENXIO && pipe) {
    console->Log(LogLevel::kInfo,
                 path + ": waiting for somebody who reads this pipe");
    fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  }
  if (fd >= 0) fcntl(fd, F_SETFL, O_WRONLY);
  return fd;
}

}  // namespace

QuarantineReport::QuarantineReport(std::string path, Console* console)
    : path_(std::move(path)), console_(console) {}

QuarantineReport::~QuarantineReport() {
  if (fd_ >= 0) close(fd_);
}

absl::Status QuarantineReport::Open() {
  if (path_.empty()) return absl::OkStatus();
  struct stat file{};
  fd_ = stat(path_.c_str(), &file) == 0 && !S_ISREG(file.st_mode)
            ? OpenPipeOrDevice(path_, S_ISFIFO(file.st_mode), console_)
            : open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return FileError(path_, "cannot be made");
  absl::Status status = CheckReplaceable(path_, fd_);
  if (!status.ok()) return status;
  if (fstat(fd_, &file) == 0 && S_ISREG(file.st_mode) &&
      ftruncate(fd_, 0) != 0) {
    return FileError(path_, "cannot be emptied");
  }
  return absl::OkStatus();
}

void QuarantineReport::Add(const QuarantineRecord& record) {
  if (record.path != input_) {
    EndInput();
    input_ = record.path;
  }
  if (fd_ >= 0 && !failed_) Write(record);
  if (++counts_[record.reason] > kShownMax) return;
  LogMessage log;
  log.level = LogLevel::kWarning;
  log.place = fmt::format("{}:{}:{}", record.path, record.line, record.column);
  std::string reason(QuarantineReasonName(record.reason));
  log.message = fmt::format("{}: {}", reason, record.message);
  log.fields = {{"source", record.path},
                {"offset", record.offset},
                {"line", record.line},
                {"column", record.column},
                {"reason", reason}};
  console_->Log(log);
}

void QuarantineReport::EndInput() {
  for (const auto& [reason, count] : counts_) {
    if (count <= kShownMax) continue;
    LogMessage log;
    log.level = LogLevel::kWarning;
    log.place = input_;
    std::string name(QuarantineReasonName(reason));
    log.message =
        fmt::format("{}: … and {} more{}", name, count - kShownMax,
                    path_.empty() ? " (all of them: --quarantine FILE)" : "");
    log.fields = {{"source", input_}, {"reason", name}, {"count", count}};
    console_->Log(log);
  }
  counts_.clear();
}

void QuarantineReport::Write(const QuarantineRecord& record) {
  AppendJson(record, &buffer_);
  buffer_ += '\n';
  if (buffer_.size() >= kBufferBytes) Flush();
}

void QuarantineReport::Flush() {
  if (failed_ || buffer_.empty()) return;
  absl::Status status = WriteAll(fd_, buffer_, path_);
  buffer_.clear();
  if (status.ok()) return;
  failed_ = true;
  console_->Log(LogLevel::kError,
                fmt::format("{}; what could not be read is counted, but no "
                            "longer kept",
                            std::string(status.message())));
}

void QuarantineReport::Finish() {
  EndInput();
  if (fd_ >= 0) Flush();
}

void AppendJson(const QuarantineRecord& record, std::string* out) {
  std::string_view bytes = Capped(record.bytes);
  JsonWriter json(out);
  json.BeginObject();
  json.Field("schema", kSchema);
  json.Field("source", record.path);
  json.Key("offset");
  json.Uint(record.offset);
  json.Key("line");
  json.Uint(record.line);
  json.Key("column");
  json.Uint(record.column);
  json.Field("reason", QuarantineReasonName(record.reason));
  json.Field("message", record.message);
  if (IsUtf8(bytes)) {
    json.Field("bytes", bytes);
  } else {
    json.Field("bytes_base64",
               absl::Base64Escape({bytes.data(), bytes.size()}));
  }
  if (bytes.size() < record.bytes.size()) {
    json.Key("bytes_total");
    json.Uint(record.bytes.size());
  }
  json.EndObject();
}

}  // namespace klaxon
