// Alerts on standard output: NDJSON for programs, text for a person.
#pragma once

#include <memory>

#include "sinks/sink.h"
#include "sinks/text_format.h"

namespace klaxon {

struct StdoutSinkOptions {
  enum class Format { kNdjson, kText };
  Format format = Format::kNdjson;
  TextFormatOptions text;  // kText only.
};

// What suits `fd`: text, as wide as the terminal, where it is one (coloured
// unless NO_COLOR is set or TERM is "dumb"; ASCII where the locale's variables
// do not say UTF-8); NDJSON where it is not. Reads the environment.
StdoutSinkOptions StdoutOptionsFor(int fd);

// Writes to `fd`, which stays open and must outlive the sink. Deliver blocks
// until everything is written, then calls `done`, on the caller's thread. A
// failed write may leave half a line behind, so every later Deliver fails with
// the same status. REQUIRES: SIGPIPE is ignored (see write_all.h).
std::unique_ptr<Sink> MakeStdoutSink(int fd, StdoutSinkOptions options);

}  // namespace klaxon
