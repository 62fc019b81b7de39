#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "app/cli.h"
#include "app/commands.h"
#include "sinks/write_all.h"

namespace {

// A standard stream that the caller closed would be taken by the first file
// that is opened, and alerts would land in it. Opened the wrong way round, so
// that using it is still the error that it is.
void HoldStandardStreams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    int flags = fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY;
    if (open("/dev/null", flags) != fd) _exit(klaxon::kExitUsage);
  }
}

}  // namespace

int main(int argc, char** argv) {
  HoldStandardStreams();
  // A reader that has gone, or a file size limit, is an error of write(2).
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  // Ignored by who started us, it would hide how the child of a snapshot ended.
  std::signal(SIGCHLD, SIG_DFL);
  klaxon::ParsedCommandLine parsed =
      klaxon::ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc));
  if (parsed.command_line) return klaxon::RunCommand(*parsed.command_line);
  if (parsed.exit_code == klaxon::kExitOk) {
    return klaxon::PrintToStdout(parsed.text);
  }
  klaxon::WriteAll(STDERR_FILENO, parsed.text, "standard error").IgnoreError();
  return parsed.exit_code;
}
