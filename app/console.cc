#include "app/console.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "event/json_writer.h"
#include "fmt/format.h"
#include "sinks/terminal_text.h"
#include "sinks/write_all.h"

namespace klaxon {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Writes lines above the status line. base_sink's mutex guards it all.
class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit StderrSink(int fd) : fd_(fd) {}

  void Print(std::string_view lines) {
    std::lock_guard<std::mutex> lock(mutex_);
    WriteAbove(lines);
  }
  void ShowStatus(std::string_view status) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (status == status_) return;
    status_ = status;
    Write(std::string(kEraseLine) + status_);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    WriteAbove({line.data(), line.size()});
  }
  void flush_() override {}

 private:
  void WriteAbove(std::string_view lines) {
    if (status_.empty()) {
      Write(lines);
    } else {
      Write(fmt::format("{}{}{}", kEraseLine, lines, status_));
    }
  }
  // Where stderr itself cannot be written there is nobody left to tell.
  void Write(std::string_view bytes) {
    WriteAll(fd_, bytes, "standard error").IgnoreError();
  }

  const int fd_;
  std::string status_;
};

std::string FormatText(const LogMessage& message) {
  std::string text;
  AppendTerminalSafe(message.place.empty() ? "klaxon" : message.place, &text);
  text += ": ";
  if (!message.label.empty()) text += message.label + ": ";
  AppendTerminalSafe(message.message, &text);
  return text;
}

// The members behind time and level, which spdlog's pattern writes.
std::string FormatJson(const LogMessage& message) {
  std::string object;
  JsonWriter json(&object);
  json.BeginObject();
  json.FieldUnlessEmpty("place", message.place);
  json.Field("message", message.message);
  for (const auto& [name, value] : message.fields) {
    json.Key(name);
    if (const auto* text = std::get_if<std::string>(&value)) {
      json.String(*text);
    } else {
      json.Uint(std::get<uint64_t>(value));
    }
  }
  json.EndObject();
  return object.substr(1);
}

}  // namespace

struct Console::Impl {
  Impl(int fd, Options options)
      : fd(fd),
        options(options),
        sink(std::make_shared<StderrSink>(fd)),
        logger("klaxon", sink) {
    logger.set_level(SpdlogLevel(options.level));
    logger.set_pattern(
        options.format == LogFormat::kText
            ? "%v"
            : R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%v)",
        spdlog::pattern_time_type::utc);
  }

  const int fd;
  const Options options;
  const std::shared_ptr<StderrSink> sink;
  spdlog::logger logger;
};

Console::Console(int fd, Options options)
    : impl_(std::make_unique<Impl>(fd, options)) {}

Console::~Console() { ShowStatus(""); }

void Console::Log(const LogMessage& message) {
  spdlog::level::level_enum level = SpdlogLevel(message.level);
  if (!impl_->logger.should_log(level)) return;
  impl_->logger.log(level, "{}",
                    impl_->options.format == LogFormat::kText
                        ? FormatText(message)
                        : FormatJson(message));
}

void Console::Log(LogLevel level, std::string message) {
  LogMessage log;
  log.level = level;
  if (level == LogLevel::kWarning) log.label = "warning";
  log.message = std::move(message);
  Log(log);
}

void Console::Print(std::string_view lines) { impl_->sink->Print(lines); }

void Console::ShowStatus(std::string_view status) {
  impl_->sink->ShowStatus(status);
}

bool Console::is_terminal() const { return isatty(impl_->fd) == 1; }

}  // namespace klaxon
