#include "app/alert_output.h"

#include <algorithm>

#include "app/make_sink.h"
#include "fmt/format.h"

namespace klaxon {
namespace {

// Alerts handed to a sink at once: a file is synced once a batch.
constexpr size_t kBatchAlerts = 512;
constexpr absl::Duration kDrainTimeout = absl::Seconds(30);

bool Wants(const std::vector<std::string>& chosen, const std::string& name) {
  return chosen.empty() ||
         std::find(chosen.begin(), chosen.end(), name) != chosen.end();
}

bool WantsAlert(const SinkConfig& sink, const Alert& alert) {
  return alert.severity >= sink.min_severity &&
         Wants(sink.detectors, alert.detector) &&
         Wants(sink.clusters, alert.cluster);
}

}  // namespace

AlertOutput::AlertOutput(const CommandLine& line, const Config& config,
                         Console* console)
    : line_(line), console_(console) {
  bool has_stdout = false;
  for (const SinkConfig& sink : config.sinks) {
    has_stdout |= sink.type == SinkConfig::Type::kStdout;
    AddTarget(sink);
  }
  // Who names an output format wants to see it, whatever the file says.
  bool asked = line.output != OutputFormat::kAuto;
  if (config.sinks.empty() || (asked && !has_stdout)) {
    SinkConfig standard_output;
    standard_output.name = "stdout";
    AddTarget(standard_output);
  }
}

void AlertOutput::AddTarget(const SinkConfig& config) {
  Target target;
  target.config = config;
  absl::StatusOr<std::unique_ptr<Sink>> sink =
      MakeSink(config, line_, /*daemon=*/false, console_);
  if (!sink.ok()) {
    Fail(&target, sink.status());
  } else {
    target.sink = std::move(*sink);
    if (!config.path.empty()) files_.push_back(config.path);
  }
  targets_.push_back(std::move(target));
}

void AlertOutput::Open() {
  for (Target& target : targets_) {
    if (target.dead) continue;
    absl::Status status = target.sink->Open();
    if (!status.ok()) Fail(&target, status);
  }
}

void AlertOutput::Add(Alert&& alert) {
  if (line_.fail_on && alert.severity >= *line_.fail_on) {
    reached_fail_on_ = true;
  }
  bool wanted = false;
  Target* last = nullptr;  // Gets the alert itself, the others a copy.
  for (Target& target : targets_) {
    if (alert.severity < line_.min_severity ||
        !WantsAlert(target.config, alert)) {
      continue;
    }
    wanted = true;
    if (target.dead) continue;
    if (last != nullptr) Queue(last, alert);
    last = &target;
  }
  if (last != nullptr) Queue(last, std::move(alert));
  if (!wanted) ++filtered_;
}

void AlertOutput::Queue(Target* target, Alert alert) {
  target->pending.push_back(std::move(alert));
  if (target->pending.size() >= kBatchAlerts) Deliver(target);
}

void AlertOutput::Finish() {
  for (Target& target : targets_) {
    if (!target.pending.empty()) Deliver(&target);
    if (target.dead) continue;
    absl::Status status = target.sink->Drain(kDrainTimeout);
    if (!status.ok()) Fail(&target, status);
  }
}

void AlertOutput::Deliver(Target* target) {
  if (target->dead) return;
  // The sinks of this version answer before they return.
  absl::Status status;
  target->sink->Deliver(target->pending,
                        [&status](const absl::Status& s) { status = s; });
  target->pending.clear();
  if (!status.ok()) Fail(target, status);
}

void AlertOutput::Fail(Target* target, const absl::Status& status) {
  failed_ = true;
  target->dead = true;
  std::erase(files_, target->config.path);  // It was not written.
  target->pending.clear();
  std::string reason(status.message().data(), status.message().size());
  console_->Log(LogLevel::kError,
                fmt::format("sink {}: {}; its alerts are lost",
                            target->config.name, reason));
}

}  // namespace klaxon
