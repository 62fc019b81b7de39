// What people and programs read on stderr: messages, quarantine, summary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "app/console.h"
#include "app/quantity.h"
#include "app/quarantine_report.h"
#include "app/scan_monitor.h"
#include "app/scan_summary.h"
#include "app/spelling.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A console that writes to a temporary file.
class OutputTest : public ::testing::Test {
 protected:
  OutputTest() {
    std::string pattern = ::testing::TempDir() + "klaxon_output_XXXXXX";
    dir_ = mkdtemp(pattern.data());
    file_ = std::fopen((dir_ / "stderr").c_str(), "w+");
  }
  ~OutputTest() override {
    std::fclose(file_);
    std::filesystem::remove_all(dir_);
  }
  int fd() const { return fileno(file_); }
  static std::string ReadAll(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::string Written() const { return ReadAll(dir_ / "stderr"); }

  std::filesystem::path dir_;
  FILE* file_ = nullptr;
};

QuarantineRecord Record(std::string path, uint64_t line,
                        QuarantineReason reason, std::string_view bytes) {
  QuarantineRecord record;
  record.path = std::move(path);
  record.line = line;
  record.column = 7;
  record.offset = 42;
  record.reason = reason;
  record.message = "what is wrong";
  record.bytes = bytes;
  return record;
}

TEST_F(OutputTest, TextMessagesArePrintable) {
  Console console(fd(), {});
  LogMessage log;
  log.place = "a\x1b[31m.log:1:2";
  log.message = "bad \r\n thing";
  console.Log(log);
  EXPECT_EQ(Written(), "a\\x1b[31m.log:1:2: bad \\x0d\\x0a thing\n");
}

TEST_F(OutputTest, JsonMessagesAreOneObjectALine) {
  Console console(fd(), {LogLevel::kInfo, LogFormat::kJson});
  LogMessage log;
  log.level = LogLevel::kWarning;
  log.place = "a\n.log:1:2";
  log.message = "100 % {} \"quoted\"";
  log.fields = {{"line", uint64_t{1}}, {"source", std::string("a\n.log")}};
  console.Log(log);
  std::string written = Written();
  EXPECT_THAT(written, ::testing::StartsWith("{\"time\":\"20"));
  EXPECT_THAT(written,
              HasSubstr(R"(,"level":"warning","place":"a\n.log:1:2","message":)"
                        R"("100 % {} \"quoted\"","line":1,"source":"a\n.log"})"
                        "\n"));
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 1);
}

TEST_F(OutputTest, TheLevelIsALeastLevel) {
  Console console(fd(), {LogLevel::kWarning, LogFormat::kText});
  console.Log(LogLevel::kInfo, "quiet");
  console.Log(LogLevel::kWarning, "loud");
  EXPECT_EQ(Written(), "klaxon: warning: loud\n");
}

TEST_F(OutputTest, AMessageTakesTheStatusLineAwayAndPutsItBack) {
  Console console(fd(), {});
  console.ShowStatus("50 %");
  console.Log(LogLevel::kInfo, "hello");
  console.ShowStatus("");
  EXPECT_EQ(Written(), "\r\x1b[K50 %\r\x1b[Kklaxon: hello\n50 %\r\x1b[K");
}

TEST_F(OutputTest, OnlyTenMessagesOfAnInputAndReasonAreShown) {
  Console console(fd(), {});
  QuarantineReport report("", &console);
  ASSERT_TRUE(report.Open().ok());
  for (int i = 1; i <= 25; ++i) {
    report.Add(Record("a.log", i, QuarantineReason::kNotJson, "x"));
    if (i <= 3) report.Add(Record("a.log", i, QuarantineReason::kBinary, "x"));
  }
  report.Add(Record("b.log", 1, QuarantineReason::kNotJson, "x"));
  report.Finish();
  std::string written = Written();
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 10 + 3 + 1 + 1);
  EXPECT_THAT(written, HasSubstr("a.log:10:7: not_json: what is wrong\n"));
  EXPECT_THAT(written, Not(HasSubstr("a.log:11:")));
  EXPECT_THAT(written, HasSubstr("a.log: not_json: … and 15 more"));
  EXPECT_THAT(written, HasSubstr("b.log:1:7: not_json: "));
}

TEST_F(OutputTest, TheQuarantineFileHoldsAllOfThem) {
  Console console(fd(), {});
  std::string path = dir_ / "q.ndjson";
  {
    QuarantineReport report(path, &console);
    ASSERT_TRUE(report.Open().ok());
    for (int i = 1; i <= 25; ++i) {
      report.Add(Record("a.log", i, QuarantineReason::kNotJson, "x"));
    }
    report.Finish();
    EXPECT_FALSE(report.failed());
  }
  std::string text = ReadAll(path);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 25);
  EXPECT_THAT(text, HasSubstr(R"({"schema":"klaxon.quarantine/v1","source":)"
                              R"("a.log","offset":42,"line":25,"column":7,)"
                              R"("reason":"not_json","message":)"
                              R"("what is wrong","bytes":"x"})"));
  EXPECT_EQ(
      std::filesystem::status(path).permissions(),
      std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  // It may be replaced by the next run; another file may not.
  QuarantineReport again(path, &console);
  EXPECT_TRUE(again.Open().ok());
  again.Finish();
  EXPECT_EQ(ReadAll(path), "");
  std::ofstream(dir_ / "precious.log") << std::string(100, 'p');
  QuarantineReport other(dir_ / "precious.log", &console);
  EXPECT_FALSE(other.Open().ok());
  EXPECT_EQ(ReadAll(dir_ / "precious.log"), std::string(100, 'p'));
}

TEST_F(OutputTest, BytesThatAreNoUtf8AreBase64) {
  std::string out;
  AppendJson(Record("a", 1, QuarantineReason::kBinary,
                    std::string_view("\xff\0\x01", 3)),
             &out);
  EXPECT_THAT(out, HasSubstr(R"("bytes_base64":"/wAB"})"));
  EXPECT_THAT(out, Not(HasSubstr(R"("bytes":)")));
}

TEST_F(OutputTest, LongBytesAreCutAtACharacter) {
  // 'ä' lies across the cap.
  std::string bytes(QuarantineReport::kBytesMax - 1, 'x');
  bytes += "ä and more";
  std::string out;
  AppendJson(Record("a", 1, QuarantineReason::kText, bytes), &out);
  EXPECT_THAT(out, HasSubstr("\"bytes\":\"xxx"));
  EXPECT_THAT(
      out,
      HasSubstr("x\",\"bytes_total\":" + std::to_string(bytes.size()) + "}"));
}

SummaryInput Example() {
  SummaryInput input;
  input.scan.bytes = 3'000'000;
  input.scan.lines = 1234;
  input.scan.events = 1200;
  input.scan.requests = 1100;
  input.scan.observations = 17;
  input.scan.quarantined = 2;
  input.scan.quarantined_bytes = 99;
  input.scan.inputs = 1;
  input.scan.evicted = 3;
  input.scan.first_event = 1'767'323'045'000'123'000;
  input.scan.last_event = input.scan.first_event + kHour;
  input.scan.alerts_by_detector = {{"unauthorized-burst", 2}};
  input.scan.alerts_by_severity = {{"critical", 1}, {"low", 1}};
  input.seconds = 2;
  input.gaps = 1;
  return input;
}

TEST(Summary, JsonHasTheFieldsOfTheInterfaceInOrder) {
  EXPECT_EQ(
      FormatSummaryJson(Example()),
      R"({"schema":"klaxon.summary/v1","bytes":3000000,"lines":1234,)"
      R"("events":1200,"observations":17,"quarantined":2,"gaps":1,"late":0,)"
      R"("future":0,"evicted":3,"shed":0,"reconfigured":0,"alerts":)"
      R"({"by_detector":{"unauthorized-burst":2},"by_severity":{"info":0,)"
      R"("low":1,"medium":0,"high":0,"critical":1}},"seconds":2.000,)"
      R"("bytes_per_second":1500000,"events_per_second":600,)"
      R"("first_event":"2026-01-02T03:04:05.000123Z",)"
      R"("last_event":"2026-01-02T04:04:05.000123Z"})"
      "\n");
}

TEST(Summary, AScanOfNothingIsValidJsonToo) {
  std::string text = FormatSummaryJson(SummaryInput());
  EXPECT_THAT(text, HasSubstr(R"("seconds":0.000,"bytes_per_second":0,)"));
  EXPECT_THAT(text, HasSubstr(R"("first_event":null,"last_event":null})"));
}

TEST(Summary, TextSaysWhatWasReadFoundAndNotRead) {
  std::string text = FormatSummaryText(Example());
  EXPECT_THAT(text, HasSubstr("1 input, 3.0 MB, 1,234 lines, 1,200 events of "
                              "1,100 requests"));
  EXPECT_THAT(text, HasSubstr("2 alerts: 1 critical, 1 low"));
  EXPECT_THAT(text, HasSubstr("2  unauthorized-burst"));
  EXPECT_THAT(text, HasSubstr("2 pieces (99 B); see above"));
  EXPECT_THAT(text, HasSubstr("3 keys"));
  EXPECT_THAT(text, HasSubstr("state.keys_max"));
  SummaryInput clean;
  clean.scan.inputs = 1;
  text = FormatSummaryText(clean);
  EXPECT_THAT(text, HasSubstr("no alerts"));
  EXPECT_THAT(text, Not(HasSubstr("unreadable")));
  EXPECT_THAT(text, Not(HasSubstr("evicted")));
}

TEST(Quantity, ReadsLikePeopleWriteIt) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(999.7), "1.0 kB");
  EXPECT_EQ(FormatBytes(1'300'000'000), "1.3 GB");
  EXPECT_EQ(FormatBytes(99'960), "100 kB");
  EXPECT_EQ(FormatRate(812'345), "812k");
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1'000), "1,000");
  EXPECT_EQ(FormatCount(1'234'567), "1,234,567");
  EXPECT_EQ(FormatClock(59.6), "1:00");
  EXPECT_EQ(FormatClock(3723), "1:02:03");
  EXPECT_EQ(Plural(1, "line"), "1 line");
  EXPECT_EQ(Plural(2000, "line"), "2,000 lines");
}

TEST(Progress, SaysWhatIsKnown) {
  EXPECT_EQ(FormatProgress(50, 100, 2'000'000, 4'000, 4),
            "klaxon: 50 %  2.0 MB  1.0k events/s  500 kB/s  ETA 0:04");
  // stdin: nobody knows how much is to come.
  EXPECT_EQ(FormatProgress(50, 0, 2'000'000, 4'000, 4),
            "klaxon: 2.0 MB  1.0k events/s  500 kB/s");
  // A file that grew meanwhile is never past its end.
  EXPECT_THAT(FormatProgress(300, 100, 1, 1, 4), HasSubstr("99 %"));
}

// The slow obvious model: all ways to edit, by recursion.
size_t SlowDistance(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  std::string a1 = a.substr(1);
  std::string b1 = b.substr(1);
  size_t least = std::min(SlowDistance(a1, b) + 1, SlowDistance(a, b1) + 1);
  least = std::min(least, SlowDistance(a1, b1) + (a[0] == b[0] ? 0 : 1));
  if (a.size() > 1 && b.size() > 1 && a[0] == b[1] && a[1] == b[0]) {
    least = std::min(least, SlowDistance(a.substr(2), b.substr(2)) + 1);
  }
  return least;
}

TEST(Spelling, DistanceEqualsTheObviousModel) {
  uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "KLAXON_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string a(random() % 6, 'x');
    std::string b(random() % 6, 'x');
    for (char& c : a) c = static_cast<char>('a' + random() % 3);
    for (char& c : b) c = static_cast<char>('a' + random() % 3);
    ASSERT_EQ(EditDistance(a, b), SlowDistance(a, b)) << a << " " << b;
  }
}

TEST(Spelling, SuggestsOnlyWhatIsNear) {
  constexpr std::string_view kNames[] = {"networks", "cluster", "state"};
  EXPECT_EQ(NearestName("netwroks", kNames), "networks");
  EXPECT_EQ(NearestName("clusters", kNames), "cluster");
  EXPECT_EQ(NearestName("purple", kNames), "");
  EXPECT_EQ(SuggestName("purple", kNames),
            "; known here: networks, cluster, state");
  EXPECT_EQ(EditDistance(std::string(1000, 'a'), ""), 64u);
}

}  // namespace
}  // namespace klaxon
