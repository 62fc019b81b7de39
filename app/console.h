// The one writer of standard error: messages, progress line, summary.
//
// Thread-safe. A message never lands in the middle of a progress line, and
// what an attacker wrote into a log reaches the terminal only as printable
// characters.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace klaxon {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

// One message. As text "PLACE: MESSAGE", or "klaxon: MESSAGE" without a place,
// with "warning: " or "note: " before it where `label` says so; as JSON an
// object with time, level, place, message and the fields.
struct LogMessage {
  LogLevel level = LogLevel::kInfo;
  std::string place;  // "audit.log:3:7"; may be empty.
  std::string label;  // "warning"; may be empty.
  std::string message;
  std::vector<std::pair<std::string, std::variant<std::string, uint64_t>>>
      fields;  // JSON only.
};

class Console {
 public:
  struct Options {
    LogLevel level = LogLevel::kInfo;
    LogFormat format = LogFormat::kText;
  };
  // Writes to `fd`, which must outlive the console.
  Console(int fd, Options options);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void Log(const LogMessage& message);
  // The most common form: no place.
  void Log(LogLevel level, std::string message);
  // Writes lines as they are (the summary). REQUIRES: ends in a newline, and
  // is safe for a terminal.
  void Print(std::string_view lines);
  // Shows `status` on the last line of the terminal until the next call; ""
  // takes it away. REQUIRES: no newline in it.
  void ShowStatus(std::string_view status);

  bool is_terminal() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace klaxon
