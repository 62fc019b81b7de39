#include "sinks/text_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <random>
#include <sstream>

#include "sinks/terminal_text.h"
#include "tests/random_seed.h"
#include "tests/sinks/alert_samples.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Safe(std::string_view text) {
  std::string out;
  AppendTerminalSafe(text, &out);
  return out;
}

std::string Text(const Alert& alert, const TextFormatOptions& options = {}) {
  std::string out;
  AppendText(alert, options, &out);
  return out;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(AppendTerminalSafe, ShowsWhatATerminalWouldActOn) {
  using std::string_view_literals::operator""sv;
  struct Case {
    std::string_view text;
    const char* want;
  };
  const Case cases[] = {
      {"plain /text' \"é€𝄞\""sv, "plain /text' \"é€𝄞\""},
      {"\0\t\r\n\x1b[2J\x7f"sv, R"(\x00\x09\x0d\x0a\x1b[2J\x7f)"},
      {"\xc2\x9b"sv, R"(\xc2\x9b)"},                  // CSI as C1
      {"\xe2\x80\xae"sv, R"(\xe2\x80\xae)"},          // right-to-left override
      {"\xe2\x81\xa6"sv, R"(\xe2\x81\xa6)"},          // isolate
      {"\xd8\x9c"sv, R"(\xd8\x9c)"},                  // Arabic letter mark
      {"\xe2\x80\x8b"sv, R"(\xe2\x80\x8b)"},          // zero width space
      {"\xe2\x80\xa8"sv, R"(\xe2\x80\xa8)"},          // line separator
      {"\xef\xbb\xbf"sv, R"(\xef\xbb\xbf)"},          // byte order mark
      {"\xf3\xa0\x81\x81"sv, R"(\xf3\xa0\x81\x81)"},  // tag
      {"\xff\xc3("sv, R"(\xff\xc3()"},
      {"\xc0\xaf"sv, R"(\xc0\xaf)"},
      {"\xed\xa0\x80"sv, R"(\xed\xa0\x80)"},
      {"\xf4\x90\x80\x80"sv, R"(\xf4\x90\x80\x80)"},
      {"\xe2\x82"sv, R"(\xe2\x82)"},
  };
  for (const Case& c : cases) EXPECT_EQ(Safe(c.text), c.want);
}

// Whatever goes in: valid UTF-8, no controls, and one line.
void ExpectHarmless(const std::string& text) {
  ASSERT_TRUE(simdjson::validate_utf8(text));
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    ASSERT_TRUE(c >= 0x20 && c != 0x7f) << int{c};
    if (c == 0xc2) {
      ASSERT_GE(static_cast<uint8_t>(text[i + 1]), 0xa0);
    }
  }
  for (const char* bidi :
       {"\u061c", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d",
        "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\u2028", "\u2029"}) {
    ASSERT_EQ(text.find(bidi), std::string::npos);
  }
}

std::string RandomBytes(std::mt19937_64* random) {
  std::string text;
  for (uint64_t n = (*random)() % 40; n > 0; --n) {
    switch ((*random)() % 5) {
      case 0:
        text += static_cast<char>((*random)());
        break;
      case 1:
        text += static_cast<char>((*random)() % 0x20);
        break;
      case 2:
        text += "\xe2\x80";
        text += static_cast<char>(0x80 | (*random)() % 0x40);
        break;
      case 3:
        text += "\xc2";
        text += static_cast<char>(0x80 | (*random)() % 0x40);
        break;
      default:
        text += static_cast<char>('a' + (*random)() % 26);
    }
  }
  return text;
}

TEST(AppendTerminalSafe, IsHarmlessAndStableForRandomBytes) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 50'000; ++i) {
    const std::string safe = Safe(RandomBytes(&random));
    ASSERT_NO_FATAL_FAILURE(ExpectHarmless(safe));
    ASSERT_EQ(Safe(safe), safe);
  }
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth(""), 0u);
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("é–…"), 3u);
  EXPECT_EQ(DisplayWidth("日本"), 4u);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u);
  EXPECT_EQ(DisplayWidth("😀"), 2u);
}

TEST(AppendText, LooksLikeThis) {
  EXPECT_EQ(Text(SampleAlert(), {.columns = 80}),
            R"(MEDIUM 57 failed authentications in 60 s from 203.0.113.9
  unauthorized-burst/burst · cluster prod-eu-1 · firing

  Somebody at 203.0.113.9 tries credentials: 57 requests were refused for want
  of a valid one. A workload whose token has expired looks alike, but uses one
  user agent at a steady pace.

  from   203.0.113.9 · claims to come from 1.2.3.4
  when   2026-01-02 03:04:05 – 03:04:59 UTC · 57 times in 54 s
  why    threshold 10 · window 60s · distinct paths 2
  events 03:04:05.000  401  list  /api/v1/secrets?limit=500  curl/8.5.0
         03:05:05.000  401  get   /api/v1/pods               curl/8.5.0

  do now
    • Block 203.0.113.9 before the API server.
    $ kubectl get events -A --field-selector reason=Failed

  id 00000000000000000000000000000001 · OWASP K09:2025 · MITRE T1110
  audit id 7a81c0de-0000-4000-8000-000000000000

)");
}

TEST(AppendText, FitsTheWidth) {
  Alert alert = SampleAlert();
  alert.evidence[0].uri = "/apis/" + std::string(400, 'x');
  alert.evidence[1].user_agent = std::string(400, 'y');
  alert.evidence[1].user = "日本語";
  alert.key.push_back({"resource", "configmaps"});
  for (int columns : {1, 60, 79, 80, 100, 160, 500}) {
    const auto most = static_cast<size_t>(std::clamp(columns, 60, 160));
    for (bool unicode : {false, true}) {
      for (const std::string& line :
           Lines(Text(alert, {.unicode = unicode, .columns = columns}))) {
        EXPECT_LE(DisplayWidth(line), most) << line;
        EXPECT_TRUE(line.empty() || line.back() != ' ') << line << "|";
      }
    }
  }
}

TEST(AppendText, NeverCutsCommands) {
  Alert alert = SampleAlert();
  const std::string command =
      "kubectl delete clusterrolebinding " + std::string(300, 'z');
  alert.remediation = {command};
  EXPECT_THAT(Text(alert, {.columns = 60}), HasSubstr("$ " + command + "\n"));
}

TEST(AppendText, ColoursOnlyIfAsked) {
  Alert alert = SampleAlert();
  EXPECT_THAT(Text(alert), Not(HasSubstr("\x1b")));
  for (Severity severity : {Severity::kInfo, Severity::kLow, Severity::kMedium,
                            Severity::kHigh, Severity::kCritical}) {
    alert.severity = severity;
    const std::string coloured = Text(alert, {.colour = true});
    EXPECT_TRUE(coloured.starts_with("\x1b[1;")) << coloured;
    // Without its escapes it is the plain one, but for the padded badge.
    std::string plain;
    for (size_t i = 0; i < coloured.size(); ++i) {
      if (coloured[i] == '\x1b') {
        i = coloured.find('m', i);
      } else {
        plain += coloured[i];
      }
    }
    EXPECT_EQ(Lines(plain)[1], Lines(Text(alert))[1]);
    EXPECT_EQ(Lines(plain).size(), Lines(Text(alert)).size());
  }
}

TEST(AppendText, IsAsciiWhereTheTerminalIs) {
  for (char c : Text(SampleAlert(), {.unicode = false})) {
    EXPECT_LT(static_cast<uint8_t>(c), 0x80);
  }
}

TEST(AppendText, SaysOnlyWhatIsThere) {
  Alert alert;
  alert.id = SampleId(1);
  alert.detector = "d";
  alert.title = "T";
  alert.count = 1;
  alert.first_seen = alert.last_seen = kSampleStart;
  alert.status = AlertStatus::kResolved;
  alert.confidence = Confidence::kLow;
  EXPECT_EQ(Text(alert),
            "INFO T\n"
            "  d · resolved · low confidence\n"
            "\n"
            "  when   2026-01-02 03:04:05 UTC · once\n"
            "\n"
            "  id 00000000000000000000000000000001\n"
            "\n");
}

TEST(AppendText, TellsDaysApart) {
  Alert alert = SampleAlert();
  alert.last_seen = kSampleStart + 3 * kDay;
  alert.evidence[1].time = kSampleStart + 3 * kDay;
  const std::string text = Text(alert);
  EXPECT_THAT(text, HasSubstr("2026-01-02 03:04:05 – 2026-01-05 03:04:05 UTC · "
                              "57 times in 3 days"));
  EXPECT_THAT(text, HasSubstr("01-05 03:04:05  401"));
}

TEST(AppendText, SaysWhoEachEventWasIfItDiffers) {
  Alert alert = SampleAlert();
  alert.user = "eve";
  alert.credential_id = "JTI=1";
  alert.evidence[0].user = "eve";
  alert.evidence[1].user = "mallory";
  alert.evidence[1].source_ips = {"1.1.1.1", "10.0.0.10"};
  const std::string text = Text(alert);
  EXPECT_THAT(text, HasSubstr("  who    eve · JTI=1\n"));
  EXPECT_THAT(text, HasSubstr("as mallory, from 10.0.0.10, curl/8.5.0"));
  EXPECT_THAT(text, Not(HasSubstr("as eve")));
}

TEST(AppendText, IsHarmlessAndBoundedWhateverTheAlertHolds) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    auto text = [&] { return RandomBytes(&random); };
    Alert alert = SampleAlert();
    alert.id = text();
    alert.detector = text();
    alert.rule = text();
    alert.title = text();
    alert.summary = text();
    alert.cluster = text();
    alert.key = {{text(), text()}, {text(), text()}};
    alert.client = text();
    alert.claimed_ips = {text(), text()};
    alert.user = text();
    alert.credential_id = text();
    for (EventSample& sample : alert.evidence) {
      sample.verb = text();
      sample.uri = text();
      sample.user = text();
      sample.user_agent = text();
      sample.audit_id = text();
      sample.source_ips = {text()};
    }
    alert.explain = {{text(), text()},
                     {text(), std::vector<std::string>{text(), text()}}};
    alert.remediation = {text(), "kubectl " + text()};
    alert.owasp = {text()};
    alert.mitre = {text()};
    for (const std::string& line : Lines(Text(alert))) {
      ASSERT_NO_FATAL_FAILURE(ExpectHarmless(line));
    }
  }
  Alert huge = SampleAlert();
  huge.user = std::string(8 << 20, 'u');
  huge.title = std::string(8 << 20, '\x1b');
  huge.evidence[0].uri = std::string(8 << 20, '/');
  huge.explain = {{"reason", std::string(8 << 20, 'r')}};
  EXPECT_LT(Text(huge).size(), 20'000u);
}

}  // namespace
}  // namespace klaxon
