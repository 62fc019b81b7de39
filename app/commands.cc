#include "app/commands.h"

#include <unistd.h>

#include <utility>

#include "fmt/format.h"
#include "sinks/write_all.h"

namespace klaxon {
namespace {

void LogProblem(const ConfigProblem& problem, Console* console) {
  LogMessage log;
  log.place = problem.place.ToString();
  log.message = problem.message;
  if (problem.place.line > 0) {
    log.fields = {{"source", problem.place.origin},
                  {"line", static_cast<uint64_t>(problem.place.line)},
                  {"column", static_cast<uint64_t>(problem.place.column)}};
  }
  switch (problem.level) {
    case ProblemLevel::kError:
      log.level = LogLevel::kError;
      break;
    case ProblemLevel::kWarning:
      log.level = LogLevel::kWarning;
      log.label = "warning";
      break;
    case ProblemLevel::kNote:
      log.level = LogLevel::kInfo;
      log.label = "note";
      break;
  }
  console->Log(log);
}

// Whether whoever needs the secrets could read them.
bool CheckSecrets(const Config& config, Console* console) {
  ConfigProblems problems;
  for (const Secret& secret : config.secrets) {
    const absl::Status status = CheckSecret(secret);
    if (status.ok()) continue;
    problems.Error(secret.place, std::string(status.message()));
  }
  for (const ConfigProblem& problem : problems.Sorted()) {
    LogProblem(problem, console);
  }
  return !problems.has_errors();
}

}  // namespace

int PrintToStdout(std::string_view text) {
  absl::Status status = WriteAll(STDOUT_FILENO, text, "standard output");
  if (status.ok()) return kExitOk;
  Console console(STDERR_FILENO, {});
  console.Log(LogLevel::kError, std::string(status.message()));
  return kExitIncomplete;
}

int RunCommand(const CommandLine& line) {
  Console console(STDERR_FILENO, line.log);
  Config config;
  ConfigProblems problems;
  bool ok = LoadConfig(line.config, &config, &problems);
  size_t errors = 0;
  for (const ConfigProblem& problem : problems.Sorted()) {
    LogProblem(problem, &console);
    errors += problem.level == ProblemLevel::kError ? 1 : 0;
  }
  if (!ok) {
    console.Log(LogLevel::kError,
                fmt::format("{} error{} in the configuration; nothing was "
                            "processed",
                            errors, errors == 1 ? "" : "s"));
    return kExitUsage;
  }
  switch (line.command) {
    case Command::kScan:
    case Command::kObserve:
      return RunScanCommand(line, config, &console);
    case Command::kJudge:
      return RunJudgeCommand(line, config, &console);
    case Command::kTail:
    case Command::kKafka:
    case Command::kServe:
    case Command::kRun:
      return RunDaemonCommand(line, std::move(config), &console);
    case Command::kState:
      return RunStateCommand(line);
    case Command::kDetectors:
      return RunDetectorsCommand(line.detector);
    case Command::kCheck:
      if (!CheckSecrets(config, &console)) return kExitUsage;
      return PrintToStdout(fmt::format("{}: ok\n", line.config.path));
    case Command::kConfig:
      return PrintToStdout(ConfigReference());
  }
  return kExitUsage;
}

}  // namespace klaxon
