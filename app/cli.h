// The command line: arguments → what to do. interface.md ("Command line") is
// the promise. Parses only; reads no file and starts nothing.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "app/console.h"
#include "detectors/alert.h"
#include "event/time.h"

namespace klaxon {

// Exit codes, the gravest first where several hold: kUsage, kFailOn,
// kIncomplete, kOk.
inline constexpr int kExitOk = 0;
inline constexpr int kExitIncomplete = 1;  // An input or sink failed.
inline constexpr int kExitUsage = 2;       // Nothing was processed.
inline constexpr int kExitFailOn = 3;      // An alert at or above --fail-on.

enum class Command {
  kScan,
  kObserve,
  kJudge,
  kTail,
  kKafka,
  kServe,
  kRun,
  kDetectors,
  kCheck,
  kConfig,
  kState,
};
enum class OutputFormat { kAuto, kNdjson, kText };
enum class ProgressMode { kAuto, kAlways, kNever };
enum class SummaryFormat { kText, kJson, kNone };

struct CommandLine {
  Command command = Command::kScan;
  ConfigRequest config;
  Console::Options log;
  OutputFormat output = OutputFormat::kAuto;
  Severity min_severity = Severity::kInfo;
  int threads = 0;  // 0: one a core.
  bool no_colour = false;
  // scan, observe, judge.
  std::vector<std::string> paths;
  SummaryFormat summary = SummaryFormat::kText;
  ProgressMode progress = ProgressMode::kAuto;
  std::string quarantine_path;  // Empty: none.
  std::optional<Severity> fail_on;
  EventTime since = kNoTime;  // [since, until)
  EventTime until = kMaxTime;
  std::string detector;  // detectors NAME.
  // tail, serve, run.
  std::string state_dir;
  std::string from;  // tail: begin, end or a time; empty: begin.
  bool until_end = false;
  std::string brokers;  // kafka.
  std::vector<std::string> topics;
  std::string group;
  std::string listen;  // serve.
  bool print_apiserver_config = false;
  // state show|verify DIR.
  std::string state_action;
  bool json = false;
};

struct ParsedCommandLine {
  // Set: run it. Else print `text` (to stderr if `exit_code` is not 0) and
  // exit.
  std::optional<CommandLine> command_line;
  int exit_code = kExitOk;
  std::string text;
};

// `arguments` without the program's name.
ParsedCommandLine ParseCommandLine(const std::vector<std::string>& arguments);

}  // namespace klaxon
