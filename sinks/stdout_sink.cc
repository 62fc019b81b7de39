#include "sinks/stdout_sink.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "sinks/write_all.h"

namespace klaxon {
namespace {

constexpr size_t kWriteBytes = 1 << 20;

class StdoutSink : public Sink {
 public:
  StdoutSink(int fd, StdoutSinkOptions options) : fd_(fd), options_(options) {}

  absl::Status Open() override { return absl::OkStatus(); }

  void Deliver(std::span<const Alert> alerts, DeliveryDone done) override {
    for (const Alert& alert : alerts) {
      if (!status_.ok()) break;
      Append(alert);
      if (buffer_.size() >= kWriteBytes) Flush();
    }
    if (status_.ok()) Flush();
    done(status_);
  }

  absl::Status Drain(absl::Duration) override { return status_; }

 private:
  void Append(const Alert& alert) {
    if (options_.format == StdoutSinkOptions::Format::kText) {
      AppendText(alert, options_.text, &buffer_);
    } else {
      AppendJson(alert, &buffer_);
      buffer_.push_back('\n');
    }
  }

  void Flush() {
    status_ = WriteAll(fd_, buffer_, "standard output");
    buffer_.clear();
  }

  const int fd_;
  const StdoutSinkOptions options_;
  std::string buffer_;   // Empty between calls.
  absl::Status status_;  // The first error, for good.
};

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

bool LocaleIsUtf8() {
  // The first that is set decides, as setlocale(3) has it.
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view value = Environment(name);
    if (value.empty()) continue;
    for (std::string_view utf8 : {"UTF-8", "utf-8", "UTF8", "utf8"}) {
      if (value.find(utf8) != std::string_view::npos) return true;
    }
    return false;
  }
  return false;
}

}  // namespace

StdoutSinkOptions StdoutOptionsFor(int fd) {
  StdoutSinkOptions options;
  if (isatty(fd) != 1) return options;
  options.format = StdoutSinkOptions::Format::kText;
  // https://no-color.org: set and not empty, whatever the value.
  options.text.colour =
      Environment("NO_COLOR").empty() && Environment("TERM") != "dumb";
  options.text.unicode = LocaleIsUtf8();
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    options.text.columns = size.ws_col;
  }
  return options;
}

std::unique_ptr<Sink> MakeStdoutSink(int fd, StdoutSinkOptions options) {
  return std::make_unique<StdoutSink>(fd, options);
}

}  // namespace klaxon
