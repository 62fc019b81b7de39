#include "app/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "app/cli_help.h"
#include "app/config_values.h"
#include "app/spelling.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace klaxon {
namespace {

constexpr int kThreadsMax = 1024;

constexpr std::string_view kCommands[] = {
    "scan", "observe",   "judge", "tail",   "kafka", "serve",
    "run",  "detectors", "check", "config", "state",
};
// Commands of later versions, so that asking for one gets a clear answer.
constexpr std::string_view kLaterCommands[] = {
    "doctor", "alerts", "credentials", "explain", "outbox",
};

// What the flags say, as texts, until they are checked.
struct RawFlags {
  std::string since;
  std::string until;
  std::string cluster;
  std::string state_dir;
  std::string output = "auto";
  std::string min_severity = "info";
  std::string fail_on;
  std::string summary = "text";
  std::string progress = "auto";
  std::string log_level = "info";
  std::string log_format = "text";
  bool connect = false;
};

// Errors of this kind are listed, all of them.
using Errors = std::vector<std::string>;

template <typename Enum>
struct Choice {
  std::string_view name;
  Enum value;
};

template <typename Enum, size_t kSize>
void Choose(std::string_view flag, const std::string& typed,
            const Choice<Enum> (&choices)[kSize], Enum* value, Errors* errors) {
  std::vector<std::string_view> names;
  for (const Choice<Enum>& choice : choices) {
    if (choice.name == typed) {
      *value = choice.value;
      return;
    }
    names.push_back(choice.name);
  }
  errors->push_back(fmt::format("{}: unknown value \"{}\"{}", flag, typed,
                                SuggestName(typed, names)));
}

constexpr Choice<Severity> kSeverities[] = {{"info", Severity::kInfo},
                                            {"low", Severity::kLow},
                                            {"medium", Severity::kMedium},
                                            {"high", Severity::kHigh},
                                            {"critical", Severity::kCritical}};
constexpr Choice<OutputFormat> kOutputs[] = {{"auto", OutputFormat::kAuto},
                                             {"ndjson", OutputFormat::kNdjson},
                                             {"text", OutputFormat::kText}};
constexpr Choice<SummaryFormat> kSummaries[] = {{"text", SummaryFormat::kText},
                                                {"json", SummaryFormat::kJson},
                                                {"none", SummaryFormat::kNone}};
constexpr Choice<ProgressMode> kProgress[] = {{"auto", ProgressMode::kAuto},
                                              {"always", ProgressMode::kAlways},
                                              {"never", ProgressMode::kNever}};
constexpr Choice<LogLevel> kLogLevels[] = {{"debug", LogLevel::kDebug},
                                           {"info", LogLevel::kInfo},
                                           {"warn", LogLevel::kWarning},
                                           {"error", LogLevel::kError}};
constexpr Choice<LogFormat> kLogFormats[] = {{"text", LogFormat::kText},
                                             {"json", LogFormat::kJson}};

// One CLI11 application with all commands, bound to one CommandLine.
class CommandLineParser {
 public:
  CommandLineParser();
  ParsedCommandLine Parse(const std::vector<std::string>& arguments);

 private:
  CLI::App* AddCommand(Command command, const char* name,
                       const char* description, const char* examples);
  // A flag with one value each time it is given (CLI11 would else take the
  // paths behind it too, and split "[a,b]").
  void AddList(CLI::App* app, const char* name,
               std::vector<std::string>* values, const char* help,
               const char* type);
  void AddConfigFlags(CLI::App* app);
  void AddLogFlags(CLI::App* app);
  void AddAlertFlags(CLI::App* app);
  void AddInputFlags(CLI::App* app);
  void AddJudgeFlags(CLI::App* app);
  void AddPaths(CLI::App* app, const char* help);
  void AddScanCommands();
  void AddDaemonCommands();
  void AddOtherCommands();
  bool Given(const char* flag) const;
  void CheckChoices(Errors* errors);
  void CheckTimes(Errors* errors);
  void CheckRest(Errors* errors);
  ParsedCommandLine Fail(const Errors& errors) const;
  std::string Explain(const CLI::ParseError& error) const;

  CLI::App app_{"klaxon: finds broken authentication in Kubernetes audit logs"};
  std::map<CLI::App*, Command> commands_;
  CLI::App* chosen_ = nullptr;
  CommandLine line_;
  RawFlags raw_;
};

CommandLineParser::CommandLineParser() {
  app_.name("klaxon");
  app_.set_version_flag("--version", "klaxon " KLAXON_VERSION);
  app_.require_subcommand(1, 1);
  AddScanCommands();
  AddDaemonCommands();
  AddOtherCommands();
  for (auto& [command, ignored] : commands_) {
    command->set_version_flag("--version", "klaxon " KLAXON_VERSION);
    AddConfigFlags(command);
    AddLogFlags(command);
  }
}

void CommandLineParser::AddScanCommands() {
  CLI::App* scan = AddCommand(
      Command::kScan, "scan",
      "Judges archived audit logs: files, directories, globs, - for stdin; "
      "plain, .gz .zst .bz2 .xz .tar, told by content. Alerts go to stdout, "
      "everything else to stderr.",
      kScanExamples);
  AddPaths(scan, "files, directories, globs, - for stdin");
  AddInputFlags(scan);
  AddJudgeFlags(scan);
  AddAlertFlags(scan);
  CLI::App* observe = AddCommand(
      Command::kObserve, "observe",
      "The first half of a scan: prints what must be remembered of the logs, "
      "one JSON observation a line, for `klaxon judge`.",
      kObserveExamples);
  AddPaths(observe, "files, directories, globs, - for stdin");
  AddInputFlags(observe);
  AddAlertFlags(observe);
  CLI::App* judge = AddCommand(
      Command::kJudge, "judge",
      "The second half of a scan: observations in, alerts out. Without a file "
      "it reads stdin. Give it the configuration that `observe` had.",
      kJudgeExamples);
  AddPaths(judge, "files of observations, - for stdin");
  AddJudgeFlags(judge);
  AddAlertFlags(judge);
}

void CommandLineParser::AddDaemonCommands() {
  CLI::App* tail = AddCommand(
      Command::kTail, "tail",
      "Follows live audit logs through rotation, compression and restarts, and "
      "tells what it finds as it happens.",
      kTailExamples);
  AddPaths(tail, "files or globs");
  tail->add_option("--from", line_.from,
                   "where a first start begins: begin, end or a time")
      ->type_name("WHERE");
  CLI::App* kafka = AddCommand(
      Command::kKafka, "kafka",
      "Consumes topics of audit events: every partition, from where the last "
      "run durably stopped.",
      kKafkaExamples);
  kafka->add_option("--brokers", line_.brokers, "bootstrap servers")
      ->type_name("HOST:PORT,...");
  AddList(kafka, "--topic", &line_.topics,
          "name, or a regular expression that begins with ^ (repeatable)",
          "TOPIC");
  kafka->add_option("--group", line_.group, "carries offsets for lag tools")
      ->type_name("GROUP");
  kafka
      ->add_option("--from", line_.from,
                   "where a first start begins: begin, end, committed or a "
                   "time")
      ->type_name("WHERE");
  CLI::App* serve = AddCommand(
      Command::kServe, "serve",
      "Receives what kube-apiserver's audit webhook sends. Answers 2xx only "
      "when the events are durable.",
      kServeExamples);
  serve->add_option("--listen", line_.listen, "default: 127.0.0.1:9443")
      ->type_name("ADDRESS:PORT");
  serve->add_flag("--print-apiserver-config", line_.print_apiserver_config,
                  "print the kubeconfig and flags that kube-apiserver needs");
  CLI::App* run = AddCommand(
      Command::kRun, "run",
      "The daemon: every source and sink of the configuration at once.",
      kRunExamples);
  for (CLI::App* daemon : {tail, kafka, serve, run}) {
    AddAlertFlags(daemon);
    daemon
        ->add_option("--quarantine", line_.quarantine_path,
                     "write all that could not be read to this file, NDJSON")
        ->type_name("FILE");
    daemon->add_flag("--until-end", line_.until_end,
                     "stop when every source has been read to its end and "
                     "every sink has all alerts");
  }
}

void CommandLineParser::AddOtherCommands() {
  CLI::App* state = AddCommand(
      Command::kState, "state",
      "Says what a daemon's state directory holds (show), or whether all of it "
      "is whole (verify).",
      kStateExamples);
  state->add_option("ACTION", line_.state_action, "show or verify")->required();
  state->add_option("DIR", line_.state_dir, "the state directory")->required();
  state->add_flag("--json", line_.json, "as JSON");
  CLI::App* detectors = AddCommand(
      Command::kDetectors, "detectors",
      "Lists the detectors; or says of one what it means, when it fires, what "
      "it needs, its options and its false positives.",
      kDetectorsExamples);
  detectors->add_option("NAME", line_.detector, "one detector");
  CLI::App* check = AddCommand(
      Command::kCheck, "check",
      "Validates a configuration: lists every error with file, line, column "
      "and what would be right.",
      kCheckExamples);
  check->add_flag("--connect", raw_.connect,
                  "reach sources and sinks (not in this version yet)");
  AddCommand(Command::kConfig, "config",
             "Prints every key of the configuration with type, default and "
             "meaning; the output is itself a valid configuration.",
             kConfigExamples);
}

CLI::App* CommandLineParser::AddCommand(Command command, const char* name,
                                        const char* description,
                                        const char* examples) {
  CLI::App* app = app_.add_subcommand(name, description);
  app->footer(examples);
  app->callback([this, app] { chosen_ = app; });
  commands_[app] = command;
  return app;
}

void CommandLineParser::AddList(CLI::App* app, const char* name,
                                std::vector<std::string>* values,
                                const char* help, const char* type) {
  app->add_option_function<std::string>(
         name, [values](const std::string& value) { values->push_back(value); },
         help)
      ->type_name(type)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->trigger_on_parse();
}

void CommandLineParser::AddConfigFlags(CLI::App* app) {
  app->add_option("-c,--config", line_.config.path, "configuration file")
      ->type_name("FILE");
  AddList(app, "--set", &line_.config.settings,
          "set one key of the configuration (repeatable)", "KEY.PATH=VALUE");
  app->add_option("--cluster", raw_.cluster,
                  "name of the cluster; as `cluster:` in the configuration")
      ->type_name("NAME");
  app->add_option("--state-dir", raw_.state_dir,
                  "for tail, kafka, serve and run alone")
      ->type_name("DIR");
}

void CommandLineParser::AddLogFlags(CLI::App* app) {
  app->add_option("--log-level", raw_.log_level,
                  "least level of a message: debug info warn error")
      ->type_name("LEVEL");
  app->add_option("--log-format", raw_.log_format,
                  "form of the messages on stderr: text json")
      ->type_name("FORMAT");
}

void CommandLineParser::AddAlertFlags(CLI::App* app) {
  app->add_option("--threads", line_.threads, "0: one for each core")
      ->type_name("N")
      ->check(CLI::Range(0, kThreadsMax).description(""));
  app->add_option("--output", raw_.output,
                  "alerts as ndjson or text; auto: text on a terminal")
      ->type_name("FORMAT");
  app->add_option("--min-severity", raw_.min_severity,
                  "leave alerts below it out: info low medium high critical")
      ->type_name("SEVERITY");
  app->add_flag("--no-colour,--no-color", line_.no_colour,
                "no colour (as the environment's NO_COLOR)");
}

void CommandLineParser::AddInputFlags(CLI::App* app) {
  app->add_option("--since", raw_.since,
                  "only events from this time on: 2026-01-02 (its start, UTC) "
                  "or 2026-01-02T03:04:05Z")
      ->type_name("TIME");
  app->add_option("--until", raw_.until,
                  "only events before this time; a date: up to its end, UTC")
      ->type_name("TIME");
  app->add_option("--quarantine", line_.quarantine_path,
                  "write all that could not be read to this file, NDJSON")
      ->type_name("FILE");
  app->add_option("--progress", raw_.progress,
                  "progress on stderr: auto always never; auto: on a terminal, "
                  "when it takes longer")
      ->type_name("WHEN");
  app->add_option("--summary", raw_.summary,
                  "what stands on stderr at the end: text json none")
      ->type_name("FORMAT");
}

void CommandLineParser::AddJudgeFlags(CLI::App* app) {
  app->add_option("--fail-on", raw_.fail_on,
                  "exit 3 if there is an alert at or above it: info low medium "
                  "high critical")
      ->type_name("SEVERITY");
  if (app->get_option_no_throw("--summary") != nullptr) return;
  app->add_option("--summary", raw_.summary,
                  "what stands on stderr at the end: text json none")
      ->type_name("FORMAT");
  app->add_option("--quarantine", line_.quarantine_path,
                  "write all that could not be read to this file, NDJSON")
      ->type_name("FILE");
}

void CommandLineParser::AddPaths(CLI::App* app, const char* help) {
  app->add_option("PATH", line_.paths, help)->type_name("");
}

bool CommandLineParser::Given(const char* flag) const {
  const CLI::Option* option = chosen_->get_option_no_throw(flag);
  return option != nullptr && option->count() > 0;
}

void CommandLineParser::CheckChoices(Errors* errors) {
  if (raw_.output == "ocsf") {
    errors->push_back("--output: ocsf is not in this version yet; use ndjson");
  } else {
    Choose("--output", raw_.output, kOutputs, &line_.output, errors);
  }
  Choose("--min-severity", raw_.min_severity, kSeverities, &line_.min_severity,
         errors);
  Choose("--summary", raw_.summary, kSummaries, &line_.summary, errors);
  Choose("--progress", raw_.progress, kProgress, &line_.progress, errors);
  Choose("--log-level", raw_.log_level, kLogLevels, &line_.log.level, errors);
  Choose("--log-format", raw_.log_format, kLogFormats, &line_.log.format,
         errors);
  if (Given("--fail-on")) {
    Severity severity = Severity::kInfo;
    Choose("--fail-on", raw_.fail_on, kSeverities, &severity, errors);
    line_.fail_on = severity;
  }
}

void CommandLineParser::CheckTimes(Errors* errors) {
  auto read = [this, errors](const char* flag, const std::string& text,
                             bool day_end, EventTime* time) {
    if (!Given(flag)) return;
    std::optional<EventTime> parsed = ParseTimeOrDate(text, day_end);
    if (parsed) {
      *time = *parsed;
      return;
    }
    errors->push_back(
        fmt::format("{}: \"{}\" is no time; write 2026-01-02 or "
                    "2026-01-02T03:04:05Z",
                    flag, text));
  };
  read("--since", raw_.since, false, &line_.since);
  read("--until", raw_.until, true, &line_.until);
  if (errors->empty() && line_.since >= line_.until) {
    errors->push_back(fmt::format(
        "--since {} is not before --until {}, so no event is left; swap them",
        raw_.since, raw_.until));
  }
}

void CommandLineParser::CheckRest(Errors* errors) {
  const bool daemon =
      line_.command == Command::kTail || line_.command == Command::kKafka ||
      line_.command == Command::kServe || line_.command == Command::kRun;
  if (daemon) line_.state_dir = raw_.state_dir;
  if (line_.command == Command::kRun && line_.config.path.empty()) {
    errors->push_back("run: no file; write klaxon run -c klaxon.yaml");
  }
  if (line_.command == Command::kState && line_.state_action != "show" &&
      line_.state_action != "verify") {
    errors->push_back(
        fmt::format("state: unknown action \"{}\"; write klaxon state show DIR "
                    "or klaxon state verify DIR",
                    line_.state_action));
  }
  if (!daemon && Given("--state-dir")) {
    errors->push_back(
        fmt::format("--state-dir: {} keeps no state; leave it out (it is for "
                    "tail, kafka, serve and run)",
                    chosen_->get_name()));
  }
  if (raw_.connect) {
    errors->push_back(
        "--connect: not in this version yet; check without it validates the "
        "configuration");
  }
  if (line_.command == Command::kCheck && line_.config.path.empty()) {
    errors->push_back("check: no file; write klaxon check -c klaxon.yaml");
  }
  if (line_.command == Command::kObserve &&
      line_.output == OutputFormat::kText) {
    errors->push_back(
        "--output: observations are ndjson; `klaxon judge --output text` "
        "prints the alerts as text");
  }
  if (std::count(line_.paths.begin(), line_.paths.end(), "-") > 1) {
    errors->push_back("- (stdin) is given twice; give it once");
  }
  if (chosen_->get_option_no_throw("PATH") == nullptr && !line_.paths.empty()) {
    errors->push_back(
        fmt::format("{}: takes nothing behind --", chosen_->get_name()));
  }
  bool reads_logs =
      line_.command == Command::kScan || line_.command == Command::kObserve;
  if (reads_logs && line_.paths.empty()) {
    errors->push_back(fmt::format(
        "{0}: no PATH; write klaxon {0} FILE-OR-DIRECTORY..., - for stdin",
        chosen_->get_name()));
  }
  if (Given("--cluster")) line_.config.cluster = raw_.cluster;
}

ParsedCommandLine CommandLineParser::Fail(const Errors& errors) const {
  ParsedCommandLine parsed;
  parsed.exit_code = kExitUsage;
  for (const std::string& error : errors) {
    parsed.text += fmt::format("klaxon: {}\n", error);
  }
  parsed.text +=
      fmt::format("klaxon: see klaxon {}--help\n",
                  chosen_ == nullptr ? "" : chosen_->get_name() + " ");
  return parsed;
}

// CLI11's own words, and the flag that was probably meant.
std::string CommandLineParser::Explain(const CLI::ParseError& error) const {
  std::string text = error.what();
  const auto* extras = dynamic_cast<const CLI::ExtrasError*>(&error);
  if (extras == nullptr || chosen_ == nullptr) return text;
  std::vector<std::string> owned;
  for (const CLI::Option* option : chosen_->get_options()) {
    for (const std::string& name : option->get_lnames()) {
      owned.push_back("--" + name);
    }
  }
  std::vector<std::string_view> names(owned.begin(), owned.end());
  size_t begin = text.find("--");
  if (begin == std::string::npos) return text;
  size_t end = text.find_first_of(" =]", begin);
  std::string typed = text.substr(begin, end - begin);
  std::string_view nearest = NearestName(typed, names);
  if (nearest.empty()) return text;
  return fmt::format("{}; did you mean {}?", text, nearest);
}

ParsedCommandLine CommandLineParser::Parse(
    const std::vector<std::string>& arguments) {
  ParsedCommandLine parsed;
  // CLI11 would leave the command at "--" and take what follows for its own.
  auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  std::vector<std::string> flags(arguments.begin(), dashes);
  for (size_t i = 1; i < flags.size(); ++i) {
    // CLI11 would take the glob "[ab]" for a list of its own.
    bool is_list = flags[i].starts_with('[') && flags[i].ends_with(']');
    if (is_list && !flags[i - 1].starts_with('-')) flags[i].insert(0, "./");
  }
  std::reverse(flags.begin(), flags.end());  // CLI11 takes them from the back.
  try {
    app_.parse(std::move(flags));
  } catch (const CLI::CallForHelp&) {
    std::vector<CLI::App*> apps = app_.get_subcommands();
    parsed.text =
        apps.empty() ? std::string(kShortHelp) : apps[0]->help("klaxon");
    return parsed;
  } catch (const CLI::CallForVersion& version) {
    parsed.text = std::string(version.what()) + "\n";
    return parsed;
  } catch (const CLI::ParseError& error) {
    std::vector<CLI::App*> apps = app_.get_subcommands();
    if (!apps.empty()) chosen_ = apps[0];
    return Fail({Explain(error)});
  }
  line_.command = commands_.at(chosen_);
  Errors errors;
  if (dashes != arguments.end()) {
    line_.paths.insert(line_.paths.end(), dashes + 1, arguments.end());
  }
  CheckChoices(&errors);
  CheckTimes(&errors);
  CheckRest(&errors);
  if (!errors.empty()) return Fail(errors);
  parsed.command_line = line_;
  return parsed;
}

ParsedCommandLine UsageError(std::string text) {
  ParsedCommandLine parsed;
  parsed.exit_code = kExitUsage;
  parsed.text = std::move(text);
  return parsed;
}

bool Contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

ParsedCommandLine ParseCommandLine(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return UsageError(std::string(kShortHelp));
  const std::string& command = arguments[0];
  if (command == "help") return CommandLineParser().Parse({"--help"});
  if (Contains(kLaterCommands, command)) {
    return UsageError(
        fmt::format("klaxon: {} is not in this version yet; there are {}\n",
                    command, fmt::join(kCommands, ", ")));
  }
  if (!command.starts_with('-') && !Contains(kCommands, command)) {
    return UsageError(fmt::format("klaxon: unknown command \"{}\"{}\n", command,
                                  SuggestName(command, kCommands)));
  }
  return CommandLineParser().Parse(arguments);
}

}  // namespace klaxon
