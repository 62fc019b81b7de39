// A sink as the configuration describes it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "app/cli.h"
#include "app/config.h"
#include "app/console.h"
#include "sinks/sink.h"

namespace klaxon {

// `daemon`: it may be given again what it did not acknowledge before a crash.
// `console` outlives the sink. InvalidArgument: its options cannot work.
absl::StatusOr<std::unique_ptr<Sink>> MakeSink(const SinkConfig& config,
                                               const CommandLine& line,
                                               bool daemon, Console* console);
// Equal where the same would be made; of certificates what their files hold
// now. InvalidArgument: a secret or certificate cannot be read.
absl::StatusOr<std::string> SinkKey(const SinkConfig& config);
// Alerts that it takes at once.
size_t SinkBatch(const SinkConfig& config);

}  // namespace klaxon
