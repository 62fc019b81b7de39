#include "app/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

CommandLine Parsed(const std::vector<std::string>& arguments) {
  ParsedCommandLine parsed = ParseCommandLine(arguments);
  EXPECT_TRUE(parsed.command_line.has_value()) << parsed.text;
  return parsed.command_line.value_or(CommandLine());
}

TEST(CommandLine, ReadsEveryFlagOfScan) {
  CommandLine line =
      Parsed({"scan",       "a.log",       "-c",         "k.yaml",
              "--set",      "a.b=[x,y]",   "--set",      "c=1",
              "b.log",      "--output",    "text",       "--min-severity",
              "medium",     "--threads",   "4",          "--cluster",
              "prod",       "--log-level", "debug",      "--log-format",
              "json",       "--fail-on",   "high",       "--summary",
              "json",       "--progress",  "never",      "--since",
              "2026-01-02", "--until",     "2026-01-02", "--quarantine",
              "q.ndjson",   "--no-colour", "-"});
  EXPECT_EQ(line.command, Command::kScan);
  EXPECT_THAT(line.paths, ElementsAre("a.log", "b.log", "-"));
  EXPECT_EQ(line.config.path, "k.yaml");
  EXPECT_THAT(line.config.settings, ElementsAre("a.b=[x,y]", "c=1"));
  EXPECT_EQ(line.config.cluster, "prod");
  EXPECT_EQ(line.output, OutputFormat::kText);
  EXPECT_EQ(line.min_severity, Severity::kMedium);
  EXPECT_EQ(line.threads, 4);
  EXPECT_EQ(line.log.level, LogLevel::kDebug);
  EXPECT_EQ(line.log.format, LogFormat::kJson);
  EXPECT_EQ(line.fail_on, Severity::kHigh);
  EXPECT_EQ(line.summary, SummaryFormat::kJson);
  EXPECT_EQ(line.progress, ProgressMode::kNever);
  EXPECT_EQ(FormatTime(line.since), "2026-01-02T00:00:00.000000Z");
  EXPECT_EQ(FormatTime(line.until), "2026-01-03T00:00:00.000000Z");
  EXPECT_EQ(line.quarantine_path, "q.ndjson");
  EXPECT_TRUE(line.no_colour);
}

TEST(CommandLine, PathsMayLookLikeAnything) {
  CommandLine line =
      Parsed({"scan", "[ab]", "observe", "scan", "--", "--odd", "-x"});
  EXPECT_THAT(line.paths,
              ElementsAre("./[ab]", "observe", "scan", "--odd", "-x"));
}

TEST(CommandLine, AFlagsValueMayStandBehindAnEqualsSign) {
  CommandLine line = Parsed({"scan", "--set=a=b=c", "--threads=2", "x"});
  EXPECT_THAT(line.config.settings, ElementsAre("a=b=c"));
  EXPECT_EQ(line.threads, 2);
}

TEST(CommandLine, DefaultsAreThoseOfTheHelp) {
  CommandLine line = Parsed({"scan", "x"});
  EXPECT_EQ(line.output, OutputFormat::kAuto);
  EXPECT_EQ(line.summary, SummaryFormat::kText);
  EXPECT_EQ(line.progress, ProgressMode::kAuto);
  EXPECT_EQ(line.min_severity, Severity::kInfo);
  EXPECT_FALSE(line.fail_on.has_value());
  EXPECT_FALSE(line.config.cluster.has_value());
  EXPECT_EQ(line.since, kNoTime);
  EXPECT_EQ(line.until, kMaxTime);
}

struct BadLine {
  const char* name;
  std::vector<std::string> arguments;
  const char* want;
};
class BadCommandLine : public ::testing::TestWithParam<BadLine> {};

TEST_P(BadCommandLine, IsAUsageErrorThatSaysWhatWouldBeRight) {
  ParsedCommandLine parsed = ParseCommandLine(GetParam().arguments);
  EXPECT_FALSE(parsed.command_line.has_value());
  EXPECT_EQ(parsed.exit_code, kExitUsage);
  EXPECT_THAT(parsed.text, HasSubstr(GetParam().want));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadCommandLine,
    ::testing::Values(
        BadLine{"Nothing", {}, "klaxon scan PATH..."},
        BadLine{"UnknownCommand", {"scna"}, "did you mean \"scan\"?"},
        BadLine{"Doctor", {"doctor", "x"}, "not in this version yet"},
        BadLine{"Run", {"run"}, "run: no file; write klaxon run -c"},
        BadLine{"State", {"state", "shwo", "x"}, "unknown action \"shwo\""},
        BadLine{"NoPath", {"scan"}, "PATH"},
        BadLine{"UnknownFlag",
                {"scan", "x", "--fail-in", "high"},
                "did you mean --fail-on?"},
        BadLine{"StateDir",
                {"scan", "x", "--state-dir", "d"},
                "scan keeps no state"},
        BadLine{"Ocsf",
                {"scan", "x", "--output", "ocsf"},
                "ocsf is not in this version yet"},
        BadLine{"Output",
                {"scan", "x", "--output", "xml"},
                "unknown value \"xml\"; known here: auto, ndjson, text"},
        BadLine{"Severity",
                {"scan", "x", "--fail-on", "hihg"},
                "did you mean \"high\"?"},
        BadLine{"SeverityEmpty", {"scan", "x", "--fail-on", ""}, "--fail-on"},
        BadLine{"Threads", {"scan", "x", "--threads", "-1"}, "--threads"},
        BadLine{"ThreadsWord", {"scan", "x", "--threads", "two"}, "--threads"},
        BadLine{"Since",
                {"scan", "x", "--since", "yesterday"},
                "\"yesterday\" is no time"},
        BadLine{"SinceAfterUntil",
                {"scan", "x", "--since", "2026-01-03", "--until", "2026-01-02"},
                "is not before"},
        BadLine{"StdinTwice", {"scan", "-", "-"}, "given twice"},
        BadLine{"CheckWithoutFile", {"check"}, "klaxon check -c klaxon.yaml"},
        BadLine{"CheckConnect",
                {"check", "-c", "x", "--connect"},
                "--connect: not in this version yet"},
        BadLine{"ObserveText",
                {"observe", "x", "--output", "text"},
                "observations are ndjson"},
        BadLine{"SetWithoutValue", {"scan", "x", "--set"}, "--set"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(CommandLine, AllErrorsAreListed) {
  ParsedCommandLine parsed = ParseCommandLine(
      {"scan", "x", "--output", "xml", "--since", "then", "--state-dir", "d"});
  EXPECT_THAT(parsed.text, HasSubstr("--output"));
  EXPECT_THAT(parsed.text, HasSubstr("--since"));
  EXPECT_THAT(parsed.text, HasSubstr("--state-dir"));
}

TEST(CommandLine, HelpHasExamplesForEveryCommand) {
  for (const char* command :
       {"scan", "observe", "judge", "detectors", "check", "config"}) {
    ParsedCommandLine parsed = ParseCommandLine({command, "--help"});
    EXPECT_EQ(parsed.exit_code, kExitOk) << command;
    EXPECT_THAT(parsed.text, HasSubstr("Examples:")) << command;
    EXPECT_THAT(parsed.text, HasSubstr("klaxon " + std::string(command)));
  }
  for (const char* word : {"--help", "-h", "help"}) {
    ParsedCommandLine parsed = ParseCommandLine({word});
    EXPECT_EQ(parsed.exit_code, kExitOk) << word;
    EXPECT_THAT(parsed.text, HasSubstr("scan")) << word;
  }
}

TEST(CommandLine, VersionIsSaid) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"--version"}, {"scan", "--version"}}) {
    ParsedCommandLine parsed = ParseCommandLine(arguments);
    EXPECT_EQ(parsed.exit_code, kExitOk);
    EXPECT_THAT(parsed.text, ::testing::StartsWith("klaxon 0."));
  }
}

}  // namespace
}  // namespace klaxon
