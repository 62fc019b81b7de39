// `klaxon scan` and `klaxon observe`: the same reading, with the judge behind
// it or without.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

#include "app/alert_output.h"
#include "app/commands.h"
#include "app/quarantine_report.h"
#include "app/scan_monitor.h"
#include "app/scan_summary.h"
#include "fmt/format.h"
#include "sinks/write_all.h"

namespace klaxon {
namespace {

constexpr size_t kObservationBufferBytes = 1 << 20;

// Observations as NDJSON on stdout.
class ObservationOutput {
 public:
  explicit ObservationOutput(Console* console) : console_(console) {}

  void Add(const Observations& observations) {
    if (failed_) return;
    AddAll(observations.facts);
    AddAll(observations.sightings);
    AddAll(observations.refusals);
    AddAll(observations.deeds);
  }
  void Finish() {
    if (!failed_) Flush();
  }
  bool failed() const { return failed_; }

 private:
  template <typename Values>
  void AddAll(const Values& values) {
    for (const auto& value : values) {
      AppendJson(value, &buffer_);
      buffer_ += '\n';
      if (buffer_.size() >= kObservationBufferBytes) Flush();
    }
  }
  void Flush() {
    if (failed_ || buffer_.empty()) return;
    absl::Status status = WriteAll(STDOUT_FILENO, buffer_, "standard output");
    buffer_.clear();
    if (status.ok()) return;
    failed_ = true;
    console_->Log(LogLevel::kError, std::string(status.message()));
  }

  Console* const console_;
  std::string buffer_;
  bool failed_ = false;
};

// Less is read faster than another worker can be called in.
constexpr uint64_t kPartBytesMin = 4 << 20;

// A source whose interruption is its end, so that what was read until then is
// judged and shown.
class CutSource : public ArchiveSource {
 public:
  explicit CutSource(std::unique_ptr<ArchiveSource> source)
      : source_(std::move(source)) {}

  absl::Status Open(std::span<const Position> resume_from) override {
    return source_->Open(resume_from);
  }
  absl::Status Read(absl::Duration timeout, Batch& batch) override {
    absl::Status status = source_->Read(timeout, batch);
    if (!absl::IsCancelled(status)) return status;
    return absl::OutOfRangeError("interrupted");
  }
  absl::Status Commit(std::span<const Position> durable) override {
    return source_->Commit(durable);
  }
  void Interrupt() noexcept override { source_->Interrupt(); }
  InputInfo input(uint32_t index) const override {
    return source_->input(index);
  }
  std::vector<InputProblem> TakeProblems() override {
    return source_->TakeProblems();
  }
  uint64_t raw_bytes_read() const override { return source_->raw_bytes_read(); }
  uint64_t raw_bytes_total() const override {
    return source_->raw_bytes_total();
  }

 private:
  const std::unique_ptr<ArchiveSource> source_;
};

std::unique_ptr<ArchiveSource> MakeSource(const CommandLine& line,
                                          const Config& config) {
  ArchiveOptions options;
  options.paths = line.paths;
  options.line_bytes_max = config.line_bytes_max;
  options.part_bytes_min = kPartBytesMin;
  options.cluster_path_regex = config.cluster.path_regex;
  return std::make_unique<CutSource>(MakeArchiveSource(std::move(options)));
}

void LogInputProblem(const InputProblem& problem, Console* console) {
  LogMessage log;
  log.level = problem.lost ? LogLevel::kError : LogLevel::kWarning;
  log.place = problem.path;
  if (!problem.lost) log.label = "warning";
  log.message = problem.message;
  log.fields = {{"source", problem.path}, {"offset", problem.offset}};
  console->Log(log);
}

// One run of either command; the members live as long as its callbacks.
class ScanRun {
 public:
  ScanRun(const CommandLine& line, const Config& config, Console* console)
      : line_(line),
        config_(config),
        console_(console),
        quarantine_(line.quarantine_path, console),
        alerts_(line, config, console),
        observations_(console) {}

  int Run();

 private:
  bool observes() const { return line_.command == Command::kObserve; }
  ScanCallbacks Callbacks();
  int Finish(const absl::Status& status, bool interrupted);

  const CommandLine& line_;
  const Config& config_;
  Console* const console_;
  QuarantineReport quarantine_;
  AlertOutput alerts_;
  ObservationOutput observations_;
  std::unique_ptr<ArchiveSource> source_;
  ScanProgress progress_;
  SummaryInput summary_;
};

ScanCallbacks ScanRun::Callbacks() {
  ScanCallbacks callbacks;
  callbacks.on_quarantined = [this](const QuarantineRecord& record) {
    quarantine_.Add(record);
  };
  callbacks.on_problem = [this](const InputProblem& problem) {
    if (problem.lost) ++summary_.gaps;
    LogInputProblem(problem, console_);
  };
  if (!observes()) {
    callbacks.on_alert = [this](Alert&& alert) {
      alerts_.Add(std::move(alert));
    };
    return callbacks;
  }
  callbacks.on_observations = [this](const Observations& observations) {
    bool was_writable = !observations_.failed();
    observations_.Add(observations);
    // Nobody reads what is observed: stop reading the rest.
    if (was_writable && observations_.failed()) source_->Interrupt();
  };
  return callbacks;
}

int ScanRun::Run() {
  absl::Status opened = quarantine_.Open();
  if (!opened.ok()) {
    console_->Log(LogLevel::kError, fmt::format("--quarantine: {}",
                                                std::string(opened.message())));
    return kExitUsage;
  }
  if (!observes()) alerts_.Open();
  source_ = MakeSource(line_, config_);
  ScanOptions options;
  options.threads = line_.threads;
  options.since = line_.since;
  options.until = line_.until;
  options.decoder.cluster_field = config_.cluster.json_field;
  ScanMonitor monitor(line_.progress, source_.get(), &progress_, console_);
  absl::Status status = source_->Open({});
  if (status.ok()) {
    status = RunScan(config_.engine, options, *source_, Callbacks(), &progress_,
                     &summary_.scan);
  } else {
    summary_.gaps = std::max<uint64_t>(1, source_->TakeProblems().size());
  }
  monitor.Stop();
  summary_.seconds = monitor.seconds();
  return Finish(status, monitor.interrupted());
}

int ScanRun::Finish(const absl::Status& status, bool interrupted) {
  quarantine_.Finish();
  if (observes()) {
    observations_.Finish();
  } else {
    alerts_.Finish();
  }
  if (!status.ok()) {
    console_->Log(LogLevel::kError, std::string(status.message()));
  }
  summary_.filtered = alerts_.filtered();
  summary_.quarantine_path = line_.quarantine_path;
  summary_.alert_files = alerts_.files();
  summary_.interrupted = interrupted;
  summary_.judged = !observes() && status.ok();
  if (line_.summary == SummaryFormat::kJson) {
    console_->Print(FormatSummaryJson(summary_));
  } else if (line_.summary == SummaryFormat::kText) {
    console_->Print(FormatSummaryText(summary_));
  }
  if (alerts_.reached_fail_on()) return kExitFailOn;
  bool incomplete = !status.ok() || summary_.gaps > 0 ||
                    summary_.scan.unreadable_inputs > 0 || alerts_.failed() ||
                    quarantine_.failed() || observations_.failed();
  return incomplete ? kExitIncomplete : kExitOk;
}

}  // namespace

int RunScanCommand(const CommandLine& line, const Config& config,
                   Console* console) {
  return ScanRun(line, config, console).Run();
}

}  // namespace klaxon
