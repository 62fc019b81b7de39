// Alerts → the configured sinks: filters, batches, and what --fail-on asks.
//
// One thread. Open, Add any number of times, Finish.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/cli.h"
#include "app/config.h"
#include "app/console.h"
#include "sinks/sink.h"

namespace klaxon {

class AlertOutput {
 public:
  // `console` must outlive it.
  AlertOutput(const CommandLine& line, const Config& config, Console* console);

  // A sink that cannot be opened is reported, and the others go on.
  void Open();
  void Add(Alert&& alert);
  void Finish();

  // Some sink could not be reached: exit code 1.
  bool failed() const { return failed_; }
  // An alert at or above --fail-on was raised, shown or not.
  bool reached_fail_on() const { return reached_fail_on_; }
  // Alerts that no sink wanted.
  uint64_t filtered() const { return filtered_; }
  // Where alerts went besides stdout: "alerts.ndjson".
  const std::vector<std::string>& files() const { return files_; }

 private:
  struct Target {
    SinkConfig config;
    std::unique_ptr<Sink> sink;
    std::vector<Alert> pending;
    bool dead = false;
  };

  void AddTarget(const SinkConfig& config);
  void Queue(Target* target, Alert alert);
  void Deliver(Target* target);
  void Fail(Target* target, const absl::Status& status);

  const CommandLine line_;
  Console* const console_;
  std::vector<Target> targets_;
  std::vector<std::string> files_;
  bool failed_ = false;
  bool reached_fail_on_ = false;
  uint64_t filtered_ = 0;
};

}  // namespace klaxon
