// tail, serve, run: configuration → sources, sinks, daemon.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <utility>

#include "app/commands.h"
#include "app/config_values.h"
#include "app/daemon_endpoint.h"
#include "app/live_quarantine.h"
#include "app/make_sink.h"
#include "app/make_source.h"
#include "app/service_notify.h"
#include "fmt/format.h"
#include "ingest/file_follower.h"
#include "ingest/webhook_source.h"
#include "pipeline/daemon.h"

namespace klaxon {
namespace {

// Without FILE: the first of the usual paths that can be read.
std::vector<std::string> UsualPath() {
  for (const std::string& path : UsualAuditLogPaths()) {
    if (access(path.c_str(), R_OK) == 0) return {path};
  }
  return {};
}

// --from.
bool ReadFrom(const CommandLine& line, SourceConfig* source, Console* console) {
  if (line.from.empty()) return true;
  source->from = line.from;
  if (line.from == "begin" || line.from == "end") return true;
  if (line.from == "committed" && line.command == Command::kKafka) return true;
  const std::optional<EventTime> time = ParseTimeOrDate(line.from, false);
  if (!time.has_value()) {
    console->Log(LogLevel::kError,
                 fmt::format("--from: \"{}\" is neither begin, end nor a time",
                             line.from));
    return false;
  }
  source->from = "time";
  source->from_time = *time;
  return true;
}

// What the command line says for the configuration: tail and serve have one
// source each, whatever the file's `sources` are.
bool AddCommandLine(const CommandLine& line, Config* config, Console* console) {
  if (!line.state_dir.empty()) config->state.dir = line.state_dir;
  if (line.command == Command::kRun) {
    if (!config->sources.empty()) return true;
    console->Log(LogLevel::kError,
                 "run: the configuration has no sources; write e.g. sources: "
                 "[{file: {path: /var/log/kubernetes/audit.log}}]");
    return false;
  }
  config->sources.clear();
  SourceConfig& source = config->sources.emplace_back();
  if (line.command == Command::kKafka) {
    source.type = SourceConfig::Type::kKafka;
    source.brokers = line.brokers;
    source.topics = line.topics;
    if (!line.group.empty()) source.group = line.group;
    if (source.brokers.empty() || source.topics.empty()) {
      console->Log(LogLevel::kError,
                   "kafka: write klaxon kafka --brokers HOST:PORT --topic "
                   "NAME");
      return false;
    }
  } else if (line.command == Command::kServe) {
    source.type = SourceConfig::Type::kWebhook;
    source.listen = line.listen.empty() ? "127.0.0.1:9443" : line.listen;
  } else {
    source.paths = line.paths.empty() ? UsualPath() : line.paths;
    if (source.paths.empty()) {
      console->Log(LogLevel::kError,
                   "tail: none of the usual audit logs can be read; name one: "
                   "klaxon tail FILE");
      return false;
    }
  }
  return ReadFrom(line, &source, console);
}

// Sources and sinks as configured; what cannot be made says why.
struct Plan {
  std::vector<DaemonSource> sources;
  std::vector<DaemonSink> sinks;
};

class DaemonRun {
 public:
  DaemonRun(const CommandLine& line, Config config, Console* console)
      : line_(line),
        config_(std::move(config)),
        console_(console),
        quarantine_(QuarantinePath(), console) {}

  int Run();

 private:
  std::string QuarantinePath() const {
    if (!line_.quarantine_path.empty()) return line_.quarantine_path;
    return config_.state.dir.empty() ? ""
                                     : config_.state.dir + "/quarantine.ndjson";
  }
  DaemonOptions Options();
  absl::StatusOr<Plan> MakePlan(const Config& config);
  absl::StatusOr<DaemonSink> DescribeSink(const SinkConfig& sink);
  absl::Status Prepare();
  void WatchSignals();
  void Reload();
  absl::Status StartReload();
  void EndReload(const absl::Status& status);
  void Beat();

  const CommandLine& line_;
  Config config_;
  Console* const console_;
  LiveQuarantine quarantine_;
  LiveWebhooks webhooks_;  // Outlives the daemon.
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<DaemonEndpoint> endpoint_;
  std::atomic<bool> done_{false};
};

DaemonOptions DaemonRun::Options() {
  DaemonOptions options;
  options.state_dir = config_.state.dir;
  options.disk_bytes_max = config_.state.disk_bytes_max;
  options.commit_interval = absl::Nanoseconds(config_.state.commit_interval);
  options.snapshot_interval =
      absl::Nanoseconds(config_.state.snapshot_interval);
  options.snapshot_journal_bytes = config_.state.snapshot_journal_bytes;
  options.snapshot_replay = absl::Nanoseconds(config_.state.snapshot_replay);
  options.until_end = line_.until_end;
  options.version = KLAXON_VERSION;
  options.clock = [] { return absl::Now(); };
  options.log = [this](bool error, const std::string& message) {
    console_->Log(error ? LogLevel::kError : LogLevel::kInfo, message);
  };
  options.on_unreadable = [this](const LiveUnreadable& unreadable) {
    quarantine_.Add(unreadable);
  };
  return options;
}

absl::StatusOr<DaemonSink> DaemonRun::DescribeSink(const SinkConfig& sink) {
  DaemonSink made;
  made.options.name = sink.name;
  made.options.min_severity = std::max(sink.min_severity, line_.min_severity);
  made.options.detectors = sink.detectors;
  made.options.clusters = sink.clusters;
  made.options.required = sink.required;
  made.delivery.batch_max = SinkBatch(sink);
  absl::StatusOr<std::string> key = SinkKey(sink);
  if (!key.ok()) return key.status();
  made.key = *std::move(key);
  absl::StatusOr<std::unique_ptr<Sink>> opened =
      MakeSink(sink, line_, /*daemon=*/true, console_);
  if (!opened.ok()) return opened.status();
  made.sink = std::move(*opened);
  return made;
}

absl::StatusOr<Plan> DaemonRun::MakePlan(const Config& config) {
  Plan plan;
  for (const SourceConfig& source : config.sources) {
    absl::StatusOr<DaemonSource> made =
        DescribeSource(source, config, line_, console_, &webhooks_);
    if (!made.ok()) return made.status();
    for (const DaemonSource& other : plan.sources) {
      if (other.label == made->label) {
        return absl::InvalidArgumentError(
            fmt::format("two sources read {}; keep one of them", made->label));
      }
    }
    plan.sources.push_back(std::move(*made));
  }
  std::vector<SinkConfig> sinks = config.sinks;
  const bool has_stdout =
      std::any_of(sinks.begin(), sinks.end(), [](const SinkConfig& sink) {
        return sink.type == SinkConfig::Type::kStdout;
      });
  if (sinks.empty() || (line_.output != OutputFormat::kAuto && !has_stdout)) {
    sinks.emplace_back().name = "stdout";
  }
  for (const SinkConfig& sink : sinks) {
    absl::StatusOr<DaemonSink> made = DescribeSink(sink);
    if (!made.ok()) return made.status();
    plan.sinks.push_back(std::move(*made));
  }
  return plan;
}

// A bad new configuration is refused, and the old one goes on.
void DaemonRun::Reload() {
  NotifyService("RELOADING=1");
  const absl::Status started = StartReload();
  if (started.ok()) return;  // EndReload says how it ended.
  daemon_->CountRefusedReload();
  EndReload(started);
}

// OK: the daemon has it, and calls EndReload.
absl::Status DaemonRun::StartReload() {
  Config config;
  ConfigProblems problems;
  bool ok = LoadConfig(line_.config, &config, &problems);
  for (const ConfigProblem& problem : problems.Sorted()) {
    if (problem.level != ProblemLevel::kError) continue;
    LogMessage log;
    log.level = LogLevel::kError;
    log.place = problem.place.ToString();
    log.message = problem.message;
    console_->Log(log);
  }
  if (!ok || !AddCommandLine(line_, &config, console_)) {
    return absl::InvalidArgumentError("it has errors");
  }
  if (config.state != config_.state ||
      config.http_listen != config_.http_listen) {
    return absl::InvalidArgumentError(
        "state and http.listen cannot change while the daemon runs; restart "
        "it, which loses nothing");
  }
  absl::StatusOr<Plan> plan = MakePlan(config);
  if (!plan.ok()) return plan.status();
  if (absl::Status s = webhooks_.ReloadCertificates(plan->sources); !s.ok()) {
    return s;
  }
  if (endpoint_ != nullptr) endpoint_->SetReadyLag(config.ready_lag);
  DaemonReload reload;
  reload.engine = config.engine;
  reload.sources = std::move(plan->sources);
  reload.sinks = std::move(plan->sinks);
  reload.done = [this](const absl::Status& status) { EndReload(status); };
  if (daemon_->Reload(std::move(reload))) return absl::OkStatus();
  return absl::UnavailableError(
      "the reload before is still under way; send SIGHUP again");
}

void DaemonRun::EndReload(const absl::Status& status) {
  if (status.ok()) {
    webhooks_.UseTokens();
    console_->Log(LogLevel::kInfo,
                  "SIGHUP: the new configuration is taken over");
  } else {
    console_->Log(LogLevel::kError,
                  fmt::format("SIGHUP: the new configuration is refused, the "
                              "old one goes on: {}",
                              std::string(status.message())));
  }
  daemon_->ReopenSinks();
  NotifyService("READY=1");
}

void DaemonRun::Beat() {
  static const absl::Duration interval = WatchdogInterval();
  if (interval == absl::InfiniteDuration()) return;
  // The core must have gone round since: a daemon that hangs is no daemon.
  if (absl::Now() - daemon_->status().at < interval) {
    NotifyService("WATCHDOG=1");
  }
}

// Runs on a thread of its own; every other thread has these signals blocked.
void DaemonRun::WatchSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int s : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&signals, s);
  int stops = 0;
  while (!done_.load()) {
    const timespec wait = {0, 200'000'000};
    const int signal = sigtimedwait(&signals, nullptr, &wait);
    if (done_.load()) return;
    Beat();
    switch (signal) {
      case SIGINT:
      case SIGTERM:
        if (++stops > 1) _exit(128 + signal);
        NotifyService("STOPPING=1");
        daemon_->Stop();
        break;
      case SIGHUP:
        Reload();
        break;
      case SIGUSR1:
        daemon_->ReopenSinks();
        break;
      default:
        break;
    }
  }
}

absl::Status DaemonRun::Prepare() {
  absl::StatusOr<Plan> plan = MakePlan(config_);
  if (!plan.ok()) return plan.status();
  for (DaemonSource& source : plan->sources) {
    daemon_->AddSource(std::move(source));
  }
  for (DaemonSink& sink : plan->sinks) daemon_->AddSink(std::move(sink));
  if (config_.http_listen.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<DaemonEndpoint>> endpoint =
      DaemonEndpoint::Start(config_.http_listen, config_.ready_lag,
                            daemon_.get(), &webhooks_);
  if (!endpoint.ok()) return endpoint.status();
  endpoint_ = std::move(*endpoint);
  return absl::OkStatus();
}

int DaemonRun::Run() {
  // Before anybody can know of us: a SIGHUP that nobody waits for would end us.
  sigset_t signals;
  sigemptyset(&signals);
  for (int s : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&signals, s);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (config_.state.dir.empty()) {
    console_->Log(LogLevel::kInfo,
                  "no --state-dir: nothing is kept over a restart");
  } else {
    std::error_code ignored;  // The journal says what is wrong with it.
    std::filesystem::create_directories(
        std::filesystem::path(config_.state.dir).parent_path(), ignored);
  }
  daemon_ = std::make_unique<Daemon>(Options(), config_.engine);
  if (absl::Status s = Prepare(); !s.ok()) {
    console_->Log(LogLevel::kError, std::string(s.message()));
    return kExitUsage;
  }
  daemon_->on_state_open([this] { return quarantine_.Open(); });
  std::thread watcher([this] { WatchSignals(); });
  NotifyService("READY=1");
  const absl::Status status = daemon_->Run();
  done_.store(true);
  pthread_kill(watcher.native_handle(), SIGUSR1);  // Or it waits its time out.
  watcher.join();
  endpoint_.reset();
  if (status.ok()) return kExitOk;
  console_->Log(LogLevel::kError, std::string(status.message()));
  return kExitIncomplete;
}

}  // namespace

int RunDaemonCommand(const CommandLine& line, Config config, Console* console) {
  if (line.print_apiserver_config) {
    ApiserverConfigOptions options;
    const std::string listen =
        line.listen.empty() ? "127.0.0.1:9443" : line.listen;
    options.url = "https://" + listen;
    options.cluster = config.engine.default_cluster;
    return PrintToStdout(PrintApiserverConfig(options));
  }
  if (!AddCommandLine(line, &config, console)) return kExitUsage;
  return DaemonRun(line, std::move(config), console).Run();
}

}  // namespace klaxon
