// klaxon state show|verify DIR.
#include <unistd.h>

#include <utility>

#include "app/commands.h"
#include "fmt/format.h"
#include "pipeline/state_report.h"

namespace klaxon {

int RunStateCommand(const CommandLine& line) {
  absl::StatusOr<StateReport> report = InspectState(line.state_dir);
  if (!report.ok()) {
    Console console(STDERR_FILENO, line.log);
    console.Log(LogLevel::kError, std::string(report.status().message()));
    return kExitIncomplete;
  }
  std::string text;
  if (line.json) {
    text = StateReportJson(*report) + "\n";
  } else if (line.state_action == "verify") {
    text = StateVerdictText(*report);
  } else {
    text = StateReportText(*report);
  }
  if (!text.ends_with('\n')) text += '\n';
  const int printed = PrintToStdout(text);
  return report->damage.ok() ? printed : kExitIncomplete;
}

}  // namespace klaxon
