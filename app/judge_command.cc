// `klaxon judge`: NDJSON observations → alerts.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "app/alert_output.h"
#include "app/commands.h"
#include "app/quarantine_report.h"
#include "app/scan_summary.h"
#include "fmt/format.h"

namespace klaxon {
namespace {

constexpr size_t kReadBytes = 1 << 20;
// Longer than any observation, whose every text is capped; what is longer is
// none, and its first bytes go to the quarantine.
constexpr size_t kLineBytesMax = 16 << 20;

// Reads the lines of several files, one after the other.
class LineReader {
 public:
  LineReader(std::vector<std::string> paths, Console* console)
      : paths_(std::move(paths)), console_(console), chunk_(kReadBytes, '\0') {}
  ~LineReader() { Close(); }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // False: all files have been read.
  bool Next(std::string* line);

  // Of the line that Next gave last.
  const std::string& path() const { return line_path_; }
  uint64_t line_number() const { return line_number_; }
  uint64_t line_offset() const { return line_offset_; }
  uint64_t bytes() const { return bytes_; }
  // Files that could not be read, or not to their end.
  uint64_t failures() const { return failures_; }

 private:
  bool OpenNext();
  void Close();
  bool Fill();
  void Fail();

  const std::vector<std::string> paths_;
  Console* const console_;
  size_t next_path_ = 0;
  int fd_ = -1;
  std::string chunk_;
  size_t begin_ = 0;  // Unread part of chunk_: [begin_, end_).
  size_t end_ = 0;
  std::string line_path_;
  uint64_t line_number_ = 0;
  uint64_t line_offset_ = 0;
  uint64_t next_offset_ = 0;
  uint64_t bytes_ = 0;
  uint64_t failures_ = 0;
};

bool LineReader::OpenNext() {
  while (next_path_ < paths_.size()) {
    line_path_ = paths_[next_path_++];
    line_number_ = 0;
    next_offset_ = 0;
    fd_ = line_path_ == "-" ? dup(STDIN_FILENO)
                            : open(line_path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ >= 0) return true;
    Fail();
  }
  return false;
}

void LineReader::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void LineReader::Fail() {
  ++failures_;
  LogMessage log;
  log.level = LogLevel::kError;
  log.place = line_path_;
  log.message = fmt::format("cannot be read: {}", std::strerror(errno));
  console_->Log(log);
}

// Reads on. False: the end of this file.
bool LineReader::Fill() {
  ssize_t got = 0;
  do {
    got = read(fd_, chunk_.data(), chunk_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) Fail();
  begin_ = 0;
  end_ = got > 0 ? static_cast<size_t>(got) : 0;
  bytes_ += end_;
  return got > 0;
}

bool LineReader::Next(std::string* line) {
  line->clear();
  bool started = false;
  while (true) {
    if (fd_ < 0 && !OpenNext()) return false;
    if (begin_ == end_ && !Fill()) {
      Close();
      if (started) return true;  // The last line, without a newline.
      continue;
    }
    if (!started) {
      started = true;
      ++line_number_;
      line_offset_ = next_offset_;
    }
    std::string_view rest(chunk_.data() + begin_, end_ - begin_);
    size_t newline = rest.find('\n');
    std::string_view piece = rest.substr(0, newline);
    size_t room = kLineBytesMax - line->size();
    line->append(piece.substr(0, room));
    size_t used = piece.size() + (newline == std::string_view::npos ? 0 : 1);
    begin_ += used;
    next_offset_ += used;
    if (newline != std::string_view::npos) return true;
  }
}

}  // namespace

int RunJudgeCommand(const CommandLine& line, const Config& config,
                    Console* console) {
  QuarantineReport quarantine(line.quarantine_path, console);
  absl::Status status = quarantine.Open();
  if (!status.ok()) {
    console->Log(LogLevel::kError, fmt::format("--quarantine: {}",
                                               std::string(status.message())));
    return kExitUsage;
  }
  AlertOutput alerts(line, config, console);
  alerts.Open();
  std::vector<std::string> paths = line.paths;
  if (paths.empty()) paths.push_back("-");
  LineReader reader(paths, console);
  SummaryInput summary;
  ScanCallbacks callbacks;
  callbacks.on_alert = [&alerts](Alert&& alert) {
    alerts.Add(std::move(alert));
  };
  callbacks.on_quarantined = [&](const QuarantineRecord& record) {
    // RunJudge counts lines over all files; people want them by file.
    QuarantineRecord placed = record;
    placed.path = reader.path();
    placed.line = reader.line_number();
    placed.offset = reader.line_offset();
    quarantine.Add(placed);
  };
  callbacks.on_problem = [](const InputProblem&) {};
  auto start = std::chrono::steady_clock::now();
  status = RunJudge(
      config.engine, paths.front(),
      [&reader](std::string* next) { return reader.Next(next); }, callbacks,
      &summary.scan);
  summary.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  quarantine.Finish();
  alerts.Finish();
  if (!status.ok()) {
    console->Log(LogLevel::kError, std::string(status.message()));
  }
  summary.scan.inputs = paths.size();
  summary.scan.bytes = reader.bytes();
  summary.gaps = reader.failures();
  summary.filtered = alerts.filtered();
  summary.quarantine_path = line.quarantine_path;
  summary.alert_files = alerts.files();
  if (line.summary == SummaryFormat::kJson) {
    console->Print(FormatSummaryJson(summary));
  } else if (line.summary == SummaryFormat::kText) {
    console->Print(FormatSummaryText(summary));
  }
  if (alerts.reached_fail_on()) return kExitFailOn;
  bool incomplete = !status.ok() || summary.gaps > 0 || alerts.failed() ||
                    quarantine.failed();
  return incomplete ? kExitIncomplete : kExitOk;
}

}  // namespace klaxon
