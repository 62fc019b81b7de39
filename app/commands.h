// What each command does once its line was parsed. Every function returns the
// exit code; the ones that judge log to `console`.
#pragma once

#include "app/cli.h"
#include "app/config.h"
#include "app/console.h"

namespace klaxon {

// Loads the configuration and runs the command.
int RunCommand(const CommandLine& line);

// scan_command.cc: scan and observe.
int RunScanCommand(const CommandLine& line, const Config& config,
                   Console* console);
// judge_command.cc
int RunJudgeCommand(const CommandLine& line, const Config& config,
                    Console* console);
// daemon_command.cc: tail, serve and run.
int RunDaemonCommand(const CommandLine& line, Config config, Console* console);
// state_command.cc
int RunStateCommand(const CommandLine& line);
// detectors_command.cc: one detector, or all where the name is empty.
int RunDetectorsCommand(const std::string& name);
// What `klaxon detectors` and `klaxon detectors NAME` print; the latter is
// empty for a name that is unknown.
std::string DetectorList();
std::string DetectorPage(std::string_view name);

// Writes `text` to stdout; a failure is said on stderr and is exit code 1.
int PrintToStdout(std::string_view text);

}  // namespace klaxon
