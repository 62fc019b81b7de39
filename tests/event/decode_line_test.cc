// Lines, documents, half lines and lines that are no audit event at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "event/decode.h"
#include "event/decode_classify.h"
#include "tests/event/decode_dump.h"
#include "tests/event/decode_samples.h"
#include "tests/testing/shared_folder.h"

namespace klaxon {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Event(std::string_view audit_id, std::string_view more = "") {
  return R"({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":")" +
         std::string(audit_id) +
         R"(","stage":"ResponseComplete","requestURI":"/","verb":"patch","user":{},"sourceIPs":["10.0.0.1"])" +
         std::string(more) +
         R"(,"requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z","stageTimestamp":"2026-01-02T03:04:05.000000Z","annotations":{"authorization.k8s.io/decision":"allow"}})";
}

Decoded DecodeOne(std::string_view line) {
  Decoder decoder;
  return DecodeOneLine(&decoder, line);
}

// Without the newline: the end of a file that was cut.
Decoded DecodeUnended(std::string_view line) {
  Decoder decoder;
  const PaddedText text(line, /*line=*/false);
  Decoded decoded;
  decoded.outcome = decoder.DecodeLine(
      text.view(),
      [&](const EventView& event) { decoded.events.push_back(Dump(event)); });
  return decoded;
}

TEST(DecodeLine, CountsWhatItSaw) {
  Decoder decoder;
  DecodeOneLine(&decoder, kSampleLines[0]);
  DecodeOneLine(&decoder, "");
  DecodeOneLine(&decoder, "{\"verb\": 1}");
  DecodeOneLine(&decoder, "[" + Event("a") + "," + Event("b") + "]");
  DecodeOneLine(&decoder, Event("\\ud800"));
  const DecodeCounters& counters = decoder.counters();
  EXPECT_EQ(counters.lines, 5u);
  EXPECT_EQ(counters.events, 4u);
  EXPECT_EQ(counters.fast_path_events, 3u);
  EXPECT_EQ(counters.odd_events, 1u);
  EXPECT_EQ(counters.wrapped_events, 2u);
  EXPECT_EQ(counters.quarantined, 1u);
}

TEST(DecodeLine, BlankLinesAreSkipped) {
  for (std::string_view line : {"", "\r", "  \t ", "\xef\xbb\xbf"}) {
    const Decoded decoded = DecodeOne(line);
    EXPECT_EQ(decoded.outcome.skipped, 1u);
    EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNone);
  }
}

TEST(DecodeLine, ReturnBomAndSpaceDoNotMatter) {
  const std::string want = DecodeOne(kSampleLines[0]).events.at(0);
  const std::string line(kSampleLines[0]);
  for (const std::string& variant :
       {line + "\r", "\xef\xbb\xbf" + line, "  " + line + " \t\r"}) {
    const Decoded decoded = DecodeOne(variant);
    ASSERT_EQ(decoded.events.size(), 1u);
    EXPECT_EQ(decoded.events[0], want);
  }
}

TEST(DecodeLine, SeveralValuesOnALine) {
  for (std::string_view between : {"", " ", "\r"}) {
    const Decoded decoded =
        DecodeOne(Event("a") + std::string(between) + Event("b"));
    ASSERT_EQ(decoded.events.size(), 2u);
    EXPECT_THAT(decoded.events[0], HasSubstr("audit_id=<a>"));
    EXPECT_THAT(decoded.events[1], HasSubstr("audit_id=<b>"));
    EXPECT_THAT(decoded.events[1],
                HasSubstr("odd=<" + std::to_string(kOddConcatenated) + ">"));
    EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNone);
  }
}

TEST(DecodeLine, TextBehindAnEventDoesNotCostTheEvent) {
  const std::string event = Event("a");
  for (std::string_view rest : {",", "trailing"}) {
    const Decoded decoded = DecodeOne(event + std::string(rest));
    EXPECT_EQ(decoded.events.size(), 1u);
    EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNotJson);
    EXPECT_EQ(decoded.outcome.quarantine_begin, event.size());
    EXPECT_EQ(decoded.outcome.quarantine_end, event.size() + rest.size());
    EXPECT_EQ(decoded.outcome.error_offset, event.size());
    EXPECT_THAT(decoded.outcome.message,
                HasSubstr(rest == "," ? "a comma behind" : "more text"));
  }
}

TEST(DecodeLine, ViewsOfAllEventsOfALineLiveTogether) {
  Decoder decoder;
  const PaddedText text("[" + Event("a", R"(,"userAgent":"\"1")") + "," +
                        Event("b", R"(,"userAgent":"\"2")") + "]");
  std::vector<EventView> views;
  decoder.DecodeLine(text.view(),
                     [&](const EventView& event) { views.push_back(event); });
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[0].user_agent, "\"1");
  EXPECT_EQ(views[1].user_agent, "\"2");
  EXPECT_EQ(views[0].source_ips[0], "10.0.0.1");
  EXPECT_NE(views[0].source_ips.data(), views[1].source_ips.data());
}

// ------------------------------------------------------------------- resync

TEST(Resync, FindsTheEventBehindAHalfLine) {
  const std::string whole = Event("whole");
  for (size_t cut = 1; cut < 330; ++cut) {
    const std::string half =
        Event("half", R"(,"requestObject":{"a":"b\\\"c","d":[1,{"e":null}]})")
            .substr(0, cut);
    const Decoded decoded = DecodeOne(half + whole);
    ASSERT_EQ(decoded.events.size(), 1u) << half;
    EXPECT_THAT(decoded.events[0], HasSubstr("audit_id=<whole>"));
    EXPECT_THAT(decoded.events[0],
                HasSubstr("odd=<" + std::to_string(kOddResynced) + ">"));
    EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kHalfLine);
    EXPECT_EQ(decoded.outcome.quarantine_begin, 0u);
    EXPECT_EQ(decoded.outcome.quarantine_end, half.size());
  }
}

TEST(Resync, SeveralHalvesAndNulBytes) {
  const std::string line =
      Event("x").substr(0, 100) + Event("y").substr(0, 200) + Event("whole");
  EXPECT_EQ(DecodeOne(line).events.size(), 1u);
  EXPECT_EQ(DecodeOne(std::string(4096, '\0') + Event("whole")).events.size(),
            1u);
  EXPECT_EQ(DecodeOne(Event("first") + line).events.size(), 2u);
}

// A body that holds a whole event is followed by the rest of its own.
TEST(Resync, NeverBelievesAnEventInABody) {
  const std::string forged = Event("forged");
  const std::string carrier = Event(
      "carrier", ",\"requestObject\":{\"before\":\"x\",\"event\":" + forged +
                     ",\"list\":[" + forged + "]}");
  {
    const Decoded decoded = DecodeOne(carrier);
    ASSERT_EQ(decoded.events.size(), 1u);
    EXPECT_THAT(decoded.events[0], HasSubstr("audit_id=<carrier>"));
  }
  // Invalid bytes before it break the line for others, not for us.
  std::string odd = carrier;
  odd.replace(odd.find("\"x\""), 3, "\"\xff\"");
  EXPECT_THAT(DecodeOne(odd).events.at(0), HasSubstr("audit_id=<carrier>"));
  // Cut anywhere, alone or with the next event glued to it.
  for (size_t cut = 1; cut < carrier.size(); ++cut) {
    const std::string half = carrier.substr(0, cut);
    const Decoded glued = DecodeOne(half + Event("whole"));
    ASSERT_EQ(glued.events.size(), 1u) << cut;
    ASSERT_THAT(glued.events[0], HasSubstr("audit_id=<whole>")) << cut;
    // No newline behind it: the file ends here, perhaps right behind the
    // forged event.
    const Decoded alone = DecodeUnended(half);
    ASSERT_TRUE(alone.events.empty()) << cut;
    ASSERT_EQ(alone.outcome.reason, QuarantineReason::kHalfLine) << cut;
  }
}

// In a half line that breaks off inside a string the next event's strings
// are turned inside out: what an attacker wrote there looks like JSON.
TEST(Resync, InsideOutStringsDoNotHideTheEvent) {
  std::string half = Event("half", R"(,"requestObject":{"a":"broken"}})");
  half.resize(half.find("ken\""));
  for (std::string_view agent :
       {"}}", "}}}{", "}} {\\\"kind\\\":\\\"Event\\\"}", "]]}}", "{{{{",
        "[["}) {
    const std::string whole =
        Event("whole", ",\"userAgent\":\"" + std::string(agent) + "\"");
    const Decoded decoded = DecodeOne(half + whole);
    ASSERT_EQ(decoded.events.size(), 1u) << agent;
    EXPECT_THAT(decoded.events[0], HasSubstr("audit_id=<whole>"));
  }
}

TEST(Resync, OnlyEventsAreBelieved) {
  EXPECT_TRUE(DecodeOne("{\"a\": {\"kind\":\"Pod\"}").events.empty());
  // kube-apiserver's own log quotes what clients send.
  EXPECT_TRUE(
      DecodeOne("I1124 04:02:57.686624       1 x.go:1] " + Event("forged"))
          .events.empty());
  EXPECT_TRUE(DecodeOne("rest\",\"x\":" + Event("forged")).events.empty());
}

TEST(Resync, HostileHeadsCostNoMoreThanOthers) {
  std::string line = "{\"a\":\"";
  while (line.size() < (4u << 20)) line += "{\"kind\":\"Event\",\"x\":{";
  line += Event("whole");
  const auto start = std::chrono::steady_clock::now();
  const Decoded decoded = DecodeOne(line);
  const auto spent = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(decoded.events.size(), 1u);
  // Quadratic would be hours.
  EXPECT_LT(spent, std::chrono::seconds(20));
}

TEST(FindLastValue, AgreesWithTheGrammar) {
  EXPECT_EQ(FindLastValue("{}"), 0u);
  EXPECT_EQ(FindLastValue("xx{\"a\":\"}\"}"), 2u);
  EXPECT_EQ(FindLastValue("{{\"a\\\\\":\"\\\"{\"}"), 1u);
  EXPECT_EQ(FindLastValue("[1][2]"), 3u);
  EXPECT_EQ(FindLastValue("}"), std::string_view::npos);
  EXPECT_EQ(FindLastValue("{}x"), std::string_view::npos);
  EXPECT_EQ(FindLastValue("\"}"), std::string_view::npos);
  EXPECT_EQ(FindLastValue(""), std::string_view::npos);
}

// ---------------------------------------------------------------- diagnosis

struct Unreadable {
  std::string_view line;
  QuarantineReason reason;
  std::string_view message;
  size_t offset = 0;
};

class Diagnosed : public testing::TestWithParam<Unreadable> {};

TEST_P(Diagnosed, SaysWhatItIs) {
  const Unreadable& c = GetParam();
  const Decoded decoded = DecodeOne(c.line);
  EXPECT_TRUE(decoded.events.empty());
  EXPECT_EQ(QuarantineReasonName(decoded.outcome.reason),
            QuarantineReasonName(c.reason))
      << decoded.outcome.message;
  EXPECT_THAT(decoded.outcome.message, HasSubstr(std::string(c.message)));
  EXPECT_EQ(decoded.outcome.error_offset, c.offset);
  EXPECT_EQ(decoded.outcome.quarantine_begin, 0u);
  EXPECT_EQ(decoded.outcome.quarantine_end, c.line.size());
}

INSTANTIATE_TEST_SUITE_P(
    All, Diagnosed,
    testing::Values(
        Unreadable{
            R"(2026-01-02T03:04:05.000123Z AUDIT: id="x" stage="ResponseStarted" ip="::1")",
            QuarantineReason::kLegacyFormat, "--audit-log-format=json"},
        Unreadable{"I1124 04:02:57.686624       1 audit.go:42] \"Started\"",
                   QuarantineReason::kKlog, "--audit-log-path"},
        Unreadable{
            R"({"ts":1700000000.1,"caller":"app/server.go:1","msg":"x","v":0})",
            QuarantineReason::kKlog, "--logging-format=json"},
        Unreadable{
            R"(203.0.113.9 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 12)",
            QuarantineReason::kAccessLog, "access log"},
        Unreadable{"hello world", QuarantineReason::kText, "one JSON object"},
        Unreadable{"apiVersion: audit.k8s.io/v1", QuarantineReason::kText,
                   "YAML"},
        Unreadable{std::string_view("{\"a\":\0\0", 7),
                   QuarantineReason::kBinary, "NUL", 5},
        Unreadable{"\x1f\x8b\x08\x04", QuarantineReason::kBinary, "gzip"},
        Unreadable{R"({"kind":"Event","level":"Meta[Truncated...])",
                   QuarantineReason::kTruncated, "CloudWatch", 43},
        Unreadable{R"({"kind":"Event","level":"Meta)",
                   QuarantineReason::kHalfLine, "breaks off", 29},
        Unreadable{
            R"("10.0.0.1"],"stageTimestamp":"2026-01-02T03:04:05.000000Z"})",
            QuarantineReason::kHalfLine, "beginning is missing"},
        Unreadable{R"({"kind":"Event","verb":"get",})",
                   QuarantineReason::kNotJson,
                   "expected a key, found '}' after a comma", 29},
        Unreadable{R"({"a":1})", QuarantineReason::kNotAuditEvent,
                   "neither an audit event nor a wrapper"},
        Unreadable{"[1,2]", QuarantineReason::kNotAuditEvent, "no objects"},
        Unreadable{R"({"kind":"Event","apiVersion":"v1","reason":"Killing"})",
                   QuarantineReason::kNotAuditEvent, "kubectl get events"},
        Unreadable{R"({"kind":"Event","apiVersion":"audit.k8s.io/v1"})",
                   QuarantineReason::kNoTime, "requestReceivedTimestamp"}));

TEST(Diagnosed, MessagesDoNotRepeatTheInput) {
  const Decoded decoded =
      DecodeOne(R"({"token":"eyJhbGciOiJSUzI1NiJ9.secret","x" 1})");
  EXPECT_THAT(decoded.outcome.message, Not(HasSubstr("eyJ")));
}

TEST(Diagnosed, EveryReasonHasAName) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(QuarantineReason::kNesting); ++i) {
    names.insert(QuarantineReasonName(static_cast<QuarantineReason>(i)));
  }
  EXPECT_EQ(names.size(), 13u);
}

// ----------------------------------------------------------------- document

TEST(DecodeDocument, PrettyPrintedValuesBehindEachOther) {
  Decoder decoder;
  const std::string pretty =
      "\xef\xbb\xbf{\n  \"kind\": \"Event\",\n  \"apiVersion\": "
      "\"audit.k8s.io/v1\",\n  \"auditID\": \"a\",\n  \"stageTimestamp\": "
      "\"2026-01-02T03:04:05Z\"\n}\n";
  const Decoded decoded = DecodeOneDocument(
      &decoder, pretty + Event("b") + "\n\n[\n" + Event("c") + "\n]\n");
  ASSERT_EQ(decoded.events.size(), 3u) << decoded.outcome.message;
  EXPECT_THAT(decoded.events[0], HasSubstr("odd=<0>\naudit_id=<a>"));
  EXPECT_THAT(decoded.events[1], HasSubstr("odd=<0>\naudit_id=<b>"));
  EXPECT_THAT(decoded.events[2], HasSubstr("odd=<0>\naudit_id=<c>"));
}

TEST(DecodeDocument, ErrorsHaveAnExactPlace) {
  Decoder decoder;
  const std::string good = Event("a") + "\n";
  const std::string bad = "{\n \"kind\": \"Event\",\n}";
  const Decoded decoded = DecodeOneDocument(&decoder, good + bad);
  EXPECT_EQ(decoded.events.size(), 1u);
  EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNotJson);
  EXPECT_EQ(decoded.outcome.quarantine_begin, good.size());
  EXPECT_EQ(decoded.outcome.quarantine_end, good.size() + bad.size());
  const TextPosition place =
      PositionOf(good + bad, decoded.outcome.error_offset);
  EXPECT_EQ(place.line, 4u);
  EXPECT_EQ(place.column, 1u);
}

TEST(DecodeDocument, EmptyOrText) {
  Decoder decoder;
  EXPECT_EQ(DecodeOneDocument(&decoder, " \n").outcome.skipped, 1u);
  EXPECT_EQ(DecodeOneDocument(&decoder, "hello\nworld").outcome.reason,
            QuarantineReason::kText);
  EXPECT_EQ(DecodeOneDocument(&decoder, "{\n\"a\":").outcome.reason,
            QuarantineReason::kHalfLine);
}

// ----------------------------------------------------------------- oversize

Decoded DecodeOversized(std::string_view line, size_t head, size_t tail) {
  Decoder decoder;
  const PaddedText text(line);
  Decoded decoded;
  decoded.outcome = decoder.DecodeOversize(
      text.view().substr(0, head), text.view().substr(line.size() - tail),
      line.size(),
      [&](const EventView& event) { decoded.events.push_back(Dump(event)); });
  return decoded;
}

TEST(DecodeOversize, JudgesHeadAndTail) {
  const std::string line = Event("big",
                                 ",\"objectRef\":{\"name\":\"requestObject\"},"
                                 "\"requestObject\":{\"event\":" +
                                     Event("forged") + ",\"fill\":\"" +
                                     std::string(10'000, 'x') + "\"}");
  const Decoded decoded = DecodeOversized(line, 1000, 1000);
  ASSERT_EQ(decoded.events.size(), 1u) << decoded.outcome.message;
  EXPECT_THAT(
      decoded.events[0],
      HasSubstr("odd=<" + std::to_string(kOddOversize) + ">\naudit_id=<big>"));
  EXPECT_THAT(decoded.events[0], HasSubstr("name=<requestObject>"));
  EXPECT_THAT(decoded.events[0], HasSubstr("request_object=<>"));
  EXPECT_THAT(decoded.events[0], HasSubstr("decision=<allow>"));
  EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kOversize);
}

TEST(DecodeOversize, ForgedStampsInTheTailAreNotTheLast) {
  const std::string line = Event(
      "big", ",\"responseObject\":{\"fill\":\"" + std::string(5'000, 'x') +
                 "\",\"requestReceivedTimestamp\":\"1999-01-01T00:00:00Z\","
                 "\"stageTimestamp\":\"1999-01-01T00:00:00Z\"}");
  const Decoded decoded = DecodeOversized(line, 600, 600);
  ASSERT_EQ(decoded.events.size(), 1u);
  EXPECT_THAT(decoded.events[0], HasSubstr("stage_time=<1767323045000000000>"));
}

TEST(DecodeOversize, WhatIsNotSeenIsNotJudged) {
  const std::string line =
      Event("big", ",\"requestObject\":\"" + std::string(5'000, 'x') + "\"");
  EXPECT_TRUE(DecodeOversized(line, 100, 1000).events.empty());
  EXPECT_TRUE(DecodeOversized(line, 1000, 20).events.empty());
  EXPECT_TRUE(
      DecodeOversized(std::string(9'000, 'x'), 500, 500).events.empty());
  // requestObject as a name of something else, where a body could begin.
  const std::string other =
      Event("big",
            ",\"impersonatedUser\":{\"extra\":{\"a\":[],\"requestObject\":[\"" +
                std::string(5'000, 'x') + "\"]}}");
  EXPECT_TRUE(DecodeOversized(other, 1000, 1000).events.empty());
}

// ------------------------------------------------------------------- shared

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

TEST(PublicLogs, TrailingCommasHaveAPlace) {
  const auto path = SharedFolder() /
                    "public-logs/openshift-stolen-token/"
                    "malformed-trailing-commas.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  Decoder decoder;
  const std::string text = ReadFile(path);
  const Decoded decoded = DecodeOneDocument(&decoder, text);
  EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNotJson);
  EXPECT_THAT(decoded.outcome.message, HasSubstr("'}' after a comma"));
  const TextPosition place = PositionOf(text, decoded.outcome.error_offset);
  EXPECT_EQ(place.line, 17u);
  EXPECT_EQ(place.column, 3u);
}

TEST(PublicLogs, AllOfAksAndFalcoIsDecoded) {
  const auto folder = SharedFolder() / "public-logs";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  int events = 0;
  for (const char* source : {"aks", "falco"}) {
    for (const auto& entry :
         std::filesystem::directory_iterator(folder / source)) {
      Decoder decoder;
      const Decoded decoded =
          DecodeOneDocument(&decoder, ReadFile(entry.path()));
      EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNone)
          << entry.path() << ": " << decoded.outcome.message;
      EXPECT_GE(decoded.events.size(), 1u) << entry.path();
      events += static_cast<int>(decoded.events.size());
    }
  }
  EXPECT_EQ(events, 24 + 55);
}

}  // namespace
}  // namespace klaxon
