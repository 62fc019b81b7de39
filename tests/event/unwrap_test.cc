// Every wrapper that exporters put around audit events.
#include "event/unwrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "event/decode.h"
#include "tests/event/decode_dump.h"
#include "tests/event/decode_samples.h"

namespace klaxon {
namespace {

using testing::HasSubstr;

// As a JSON string literal.
std::string Quoted(std::string_view text) {
  std::string literal = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') literal += '\\';
    if (c == '\n') {
      literal += "\\n";
    } else {
      literal += c;
    }
  }
  return literal + '"';
}

const std::string& Event() {
  static const std::string event(kSampleLines[0]);
  return event;
}
// What is expected of Event() in a wrapper.
const std::string& Plain() {
  static const std::string plain = [] {
    Decoder decoder;
    return DecodeOneLine(&decoder, Event()).events.at(0);
  }();
  return plain;
}

struct Wrapped {
  const char* name;
  std::string line;
  size_t events = 1;
  uint32_t skipped = 0;
};
void PrintTo(const Wrapped& wrapped, std::ostream* out) {
  *out << wrapped.name;
}

class UnwrapEach : public testing::TestWithParam<Wrapped> {};

TEST_P(UnwrapEach, GivesThePlainEvent) {
  const Wrapped& c = GetParam();
  for (bool slow : {false, true}) {
    Decoder decoder(DecoderOptions{.slow_path_only = slow});
    const Decoded decoded = DecodeOneLine(&decoder, c.line);
    EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNone)
        << decoded.outcome.message;
    EXPECT_EQ(decoded.outcome.skipped, c.skipped);
    ASSERT_EQ(decoded.events.size(), c.events);
    for (const std::string& event : decoded.events) EXPECT_EQ(event, Plain());
    EXPECT_EQ(decoder.counters().wrapped_events, c.events);
    EXPECT_EQ(decoder.counters().fast_path_events, slow ? 0 : c.events);
  }
}

std::string WithoutKind() {
  std::string item = Event();
  const std::string kind = R"("kind":"Event","apiVersion":"audit.k8s.io/v1",)";
  return item.erase(1, kind.size());
}

INSTANTIATE_TEST_SUITE_P(
    All, UnwrapEach,
    testing::Values(
        Wrapped{
            "event list",
            R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[)" +
                Event() + "," + WithoutKind() + "]}",
            2},
        Wrapped{"list without kind",
                R"({"metadata":{},"items":[)" + Event() + "]}"},
        Wrapped{"empty list", R"({"kind":"EventList","items":[]})", 0},
        Wrapped{"array", "[" + Event() + " , " + WithoutKind() + "]", 2},
        Wrapped{
            "CloudWatch",
            R"({"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/eks/c/cluster","logStream":"kube-apiserver-audit-0123","subscriptionFilters":["f"],"logEvents":[{"id":"1","timestamp":1432826855000,"message":)" +
                Quoted(Event()) + R"(},{"id":"2","message":)" +
                Quoted(Event()) + "}]}",
            2},
        Wrapped{
            "CloudWatch, control message",
            R"({"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","message":"CWL CONTROL MESSAGE: Checking health of destination"}]})",
            0, 1},
        Wrapped{
            "CloudWatch, another stream",
            R"({"messageType":"DATA_MESSAGE","logStream":"authenticator-0123","logEvents":[{"message":"time=x"},{"message":"y"}]})",
            0, 2},
        Wrapped{
            "CloudWatch, kube-apiserver's own stream",
            R"({"messageType":"DATA_MESSAGE","logStream":"kube-apiserver-0123","logEvents":[{"message":"I0102 x"}]})",
            0, 1},
        Wrapped{
            "CloudWatch, a stream of one's own",
            R"({"messageType":"DATA_MESSAGE","logStream":"master-0","logEvents":[{"message":)" +
                Quoted(Event()) + "}]}"},
        Wrapped{
            "filter-log-events",
            R"({"events":[{"logStreamName":"kube-apiserver-audit-1","message":)" +
                Quoted(Event()) +
                R"(},{"logStreamName":"kube-scheduler-1","message":"x"}]})",
            1, 1},
        Wrapped{"CloudWatch export to S3",
                "2026-01-02T03:04:05.000Z " + Event()},
        Wrapped{
            "AKS records",
            R"({"records":[{"category":"kube-audit","properties":{"log":)" +
                Quoted(Event() + "\n") +
                R"(,"stream":"stdout","pod":"p"}},{"category":"kube-audit-admin","properties":{"log":)" +
                Quoted(Event()) +
                R"(}},{"category":"kube-scheduler","properties":{"log":"I0102 x"}}]})",
            2, 1},
        Wrapped{"AKS record",
                R"({"category":"kube-audit","properties":{"log":)" +
                    Quoted(Event()) + "}}"},
        Wrapped{"AKS record, properties as a string",
                R"({"category":"kube-audit","properties":)" +
                    Quoted("{\"log\":" + Quoted(Event() + "\n") +
                           ",\"stream\":\"stdout\"}") +
                    "}"},
        Wrapped{"docker", R"({"log":)" + Quoted(Event() + "\n") +
                              R"(,"stream":"stdout","time":"x"})"},
        Wrapped{
            "docker, klog on stderr",
            R"({"log":"I1124 04:02:57.686624       1 x.go:1] y\n","stream":"stderr","time":"x"})",
            0, 1},
        Wrapped{"CRI", "2026-01-02T03:04:05.000000001Z stdout F " + Event()},
        Wrapped{"CRI, klog on stderr",
                "2026-01-02T03:04:05.000000001Z stderr F I1124 "
                "04:02:57.686624       1 x.go:1] y",
                0, 1},
        Wrapped{"fluent-bit, log", R"({"date":1.5,"log":)" + Quoted(Event()) +
                                       R"(,"kubernetes":{"pod_name":"p"}})"},
        Wrapped{"fluent-bit, log as an object",
                R"({"date":1.5,"log":)" + Event() + "}"},
        Wrapped{"fluent-bit, log_processed",
                R"({"log":"x","log_processed":)" + Event() + "}"},
        Wrapped{"Vector", R"({"file":"/a","host":"h","message":)" +
                              Quoted(Event()) + R"(,"timestamp":"t"})"},
        Wrapped{"fluentd's file",
                "2026-01-02T03:04:05+00:00\tkube.audit\t" + Event()},
        Wrapped{"Elasticsearch, a document",
                R"({"_index":"i","_source":{"@timestamp":"t","message":)" +
                    Quoted(Event()) + "}}"},
        Wrapped{"Elasticsearch, a search",
                R"({"took":1,"hits":{"total":{"value":1},"hits":[{"_source":)" +
                    Event() + R"(},{"_source":)" + Event() + "}]}}",
                2},
        Wrapped{"Loki, logcli", R"({"labels":{"a":"b"},"line":)" +
                                    Quoted(Event()) + R"(,"timestamp":"t"})"},
        Wrapped{
            "Loki, API",
            R"({"status":"success","data":{"resultType":"streams","result":[{"stream":{},"values":[["1",)" +
                Quoted(Event()) + R"(],["2",)" + Quoted(Event()) + "]]}]}}",
            2},
        Wrapped{"Loki, push", R"({"streams":[{"stream":{},"values":[["1",)" +
                                  Quoted(Event()) + "]]}]}"},
        Wrapped{"OVH", R"({"message":)" +
                           Quoted("{\"version\":\"1.1\",\"short_message\":" +
                                  Quoted(Event()) + "}") +
                           "}"},
        Wrapped{"oc adm node-logs", "master-0.example.com " + Event()},
        Wrapped{"syslog",
                "<134>Jan  2 03:04:05 master-0 kube-apiserver: " + Event()},
        Wrapped{"Google, another log",
                R"({"insertId":"i","logName":"l","textPayload":"x"})", 0, 1},
        Wrapped{
            "Google, another service",
            R"({"insertId":"i","protoPayload":{"serviceName":"container.googleapis.com"}})",
            0, 1},
        Wrapped{"three deep", "2026-01-02T03:04:05.1Z stdout F {\"message\":" +
                                  Quoted("{\"log\":" + Quoted(Event()) + "}") +
                                  "}"}));

TEST(Unwrap, MergedKeysAreAnEventOfTheirOwn) {
  std::string merged = Event();
  merged.insert(1,
                R"("@timestamp":"t","hostname":"h","kubernetes":{"pod":"p"},)"
                R"("p_event_time":"x","_gdch_cluster":"c","message":"m",)");
  Decoder decoder;
  const Decoded decoded = DecodeOneLine(&decoder, merged);
  ASSERT_EQ(decoded.events.size(), 1u);
  EXPECT_EQ(decoded.events[0], Plain());
  EXPECT_EQ(decoder.counters().wrapped_events, 0u);
}

// Elasticsearch has no dots in keys, and moves the user agent.
TEST(Unwrap, ElasticIntegration) {
  const std::string audit =
      R"({"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"e","stage":"ResponseComplete","verb":"get","requestURI":"/a_b","user":{"username":"u","groups":["g"],"extra":{"authentication_kubernetes_io/credential-id":["JTI=1"]}},"sourceIPs":["10.0.0.1"],"responseStatus":{"code":"403"},"stageTimestamp":"2026-01-02T03:04:05Z","annotations":{"authorization_k8s_io/decision":"forbid","authorization_k8s_io/reason":"a_b"}})";
  const std::string document = R"({"@timestamp":"t","kubernetes":{"audit":)" +
                               audit +
                               R"(},"user_agent":{"original":"curl/8"}})";
  for (const std::string& line :
       {document, "{\"_source\":" + document + "}",
        "{\"hits\":{\"hits\":[{\"_source\":" + document + "}]}}"}) {
    Decoder decoder;
    const Decoded decoded = DecodeOneLine(&decoder, line);
    ASSERT_EQ(decoded.events.size(), 1u) << decoded.outcome.message;
    const std::string& event = decoded.events[0];
    EXPECT_THAT(event, HasSubstr("decision=<forbid>\ndecision_reason=<a_b>"));
    EXPECT_THAT(event, HasSubstr("credential_id=<JTI=1>"));
    EXPECT_THAT(event, HasSubstr("annotation=<authorization.k8s.io/decision>"));
    EXPECT_THAT(event, HasSubstr("user_agent=<curl/8>"));
    EXPECT_THAT(event, HasSubstr("request_uri=</a_b>"));
    EXPECT_THAT(event, HasSubstr("code=<403>"));
  }
}

TEST(Unwrap, ClusterFieldOfAWrapperCountsForItsEvents) {
  Decoder decoder(DecoderOptions{.cluster_field = "cluster"});
  const Decoded decoded = DecodeOneLine(
      &decoder, R"({"cluster":"prod","items":[)" + Event() +
                    R"(,{"cluster":"own",)" + WithoutKind().substr(1) + "]}");
  ASSERT_EQ(decoded.events.size(), 2u);
  EXPECT_THAT(decoded.events[0], HasSubstr("cluster=<prod>"));
  EXPECT_THAT(decoded.events[1], HasSubstr("cluster=<own>"));
}

TEST(Unwrap, NestingIsBounded) {
  std::string line = Event();
  for (int depth = 1; depth <= 6; ++depth) {
    line = "[" + line + "]";
    Decoder decoder;
    const Decoded decoded = DecodeOneLine(&decoder, line);
    EXPECT_EQ(decoded.events.size(), depth <= 4 ? 1u : 0u) << depth;
    EXPECT_EQ(decoded.outcome.reason, depth <= 4 ? QuarantineReason::kNone
                                                 : QuarantineReason::kNesting);
  }
}

TEST(Unwrap, OneBadPieceDoesNotCostTheOthers) {
  Decoder decoder;
  const std::string line =
      R"({"logEvents":[{"message":)" + Quoted(Event()) +
      R"(},{"message":"{\"kind\":\"Event\",\"le[Truncated...]"},{"message":)" +
      Quoted(Event()) + "}]}";
  const Decoded decoded = DecodeOneLine(&decoder, line);
  EXPECT_EQ(decoded.events.size(), 2u);
  EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kTruncated);
  EXPECT_EQ(decoded.outcome.quarantine_begin, 0u);
  EXPECT_EQ(decoded.outcome.quarantine_end, line.size());
}

TEST(Unwrap, KlogOnStdoutIsQuarantined) {
  Decoder decoder;
  EXPECT_EQ(DecodeOneLine(&decoder,
                          "2026-01-02T03:04:05.1Z stdout F I1124 "
                          "04:02:57.686624       1 x.go:1] y")
                .outcome.reason,
            QuarantineReason::kKlog);
}

// ------------------------------------------------------------ partial lines

// Decodes lines one after the other; the events of all.
std::vector<std::string> DecodeStream(Decoder* decoder,
                                      const std::vector<std::string>& lines,
                                      QuarantineReason* reason = nullptr) {
  std::vector<std::string> events;
  for (const std::string& line : lines) {
    Decoded decoded = DecodeOneLine(decoder, line);
    for (std::string& event : decoded.events) events.push_back(event);
    if (reason != nullptr &&
        decoded.outcome.reason != QuarantineReason::kNone) {
      *reason = decoded.outcome.reason;
    }
  }
  return events;
}

std::string Cri(std::string_view tag, std::string_view text,
                std::string_view stream = "stdout") {
  return "2026-01-02T03:04:05.1Z " + std::string(stream) + " " +
         std::string(tag) + " " + std::string(text);
}
std::string Docker(std::string_view text, std::string_view stream = "stdout") {
  return "{\"log\":" + Quoted(text) + ",\"stream\":\"" + std::string(stream) +
         "\",\"time\":\"t\"}";
}

TEST(Partial, CriJoinsPerStream) {
  Decoder decoder;
  const std::string event = Event();
  const std::vector<std::string> events =
      DecodeStream(&decoder, {Cri("P", event.substr(0, 100)),
                              Cri("P", "E1124 half of", "stderr"),
                              Cri("P", event.substr(100, 50)),
                              Cri("F", event.substr(150)), Cri("F", event)});
  EXPECT_EQ(events, (std::vector<std::string>{Plain(), Plain()}));
  EXPECT_EQ(decoder.FinishStream().reason, QuarantineReason::kHalfLine);
  EXPECT_EQ(decoder.FinishStream().reason, QuarantineReason::kNone);
}

TEST(Partial, DockerJoinsUntilTheNewline) {
  Decoder decoder;
  const std::string event = Event();
  EXPECT_EQ(DecodeStream(&decoder, {Docker(event.substr(0, 100)),
                                    Docker(event.substr(100) + "\n")}),
            std::vector<std::string>{Plain()});
  EXPECT_EQ(decoder.FinishStream().reason, QuarantineReason::kNone);
}

TEST(Partial, RecordsWithoutNewlineAreWhole) {
  Decoder decoder;
  EXPECT_EQ(DecodeStream(&decoder, {Docker(Event()), Docker(Event())}),
            (std::vector<std::string>{Plain(), Plain()}));
  // A record that somebody cut does not swallow the next one.
  QuarantineReason reason = QuarantineReason::kNone;
  EXPECT_EQ(
      DecodeStream(&decoder, {Docker(Event().substr(0, 300)), Docker(Event())},
                   &reason),
      std::vector<std::string>{Plain()});
  EXPECT_EQ(reason, QuarantineReason::kHalfLine);
}

// docker cuts every 16 KiB: an attacker knows where, and can have a piece look
// like a whole event.
TEST(Partial, APieceIsNeverAnEventOfItsOwn) {
  std::string forged(kSampleLines[5]);
  forged.insert(forged.find("/livez"),
                std::string(kLogChunkBytes - forged.size(), 'x'));
  ASSERT_EQ(forged.size(), kLogChunkBytes);
  std::string carrier(kSampleLines[3]);
  const size_t at = carrier.find("\"subjects\":[]") + 12;
  carrier.insert(at, forged);
  carrier.insert(carrier.find("line\\none"),
                 std::string(kLogChunkBytes - at, 'y'));
  ASSERT_EQ(carrier.substr(kLogChunkBytes, kLogChunkBytes), forged);
  std::vector<std::string> docker;
  std::vector<std::string> cri;
  for (size_t i = 0; i < carrier.size(); i += kLogChunkBytes) {
    const std::string piece = carrier.substr(i, kLogChunkBytes);
    const bool last = i + kLogChunkBytes >= carrier.size();
    docker.push_back(Docker(piece + (last ? "\n" : "")));
    cri.push_back(Cri(last ? "F" : "P", piece));
  }
  for (const auto& lines : {docker, cri}) {
    Decoder decoder;
    const std::vector<std::string> events = DecodeStream(&decoder, lines);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_THAT(events[0], HasSubstr("audit_id=<1>"));
    for (const std::string& line : lines) {
      EXPECT_EQ(GoesOnInNextLine(line), &line != &lines.back());
    }
  }
}

TEST(Partial, AKilledContainersHalfLineIsResynchronised) {
  Decoder decoder;
  QuarantineReason reason = QuarantineReason::kNone;
  EXPECT_EQ(DecodeStream(&decoder,
                         {Cri("P", Event().substr(0, 500)), Cri("F", Event())},
                         &reason)
                .size(),
            1u);
  EXPECT_EQ(reason, QuarantineReason::kHalfLine);
}

TEST(Partial, MemoryIsBounded) {
  Decoder decoder;
  const std::string piece = Cri("P", std::string(1 << 20, 'x'));
  for (int i = 0; i < 40; ++i) DecodeOneLine(&decoder, piece);
  EXPECT_EQ(DecodeOneLine(&decoder, Cri("F", "y")).outcome.reason,
            QuarantineReason::kOversize);
  EXPECT_EQ(DecodeOneLine(&decoder, Cri("F", Event())).events.size(), 1u);
}

TEST(Partial, GoesOnInNextLine) {
  EXPECT_TRUE(GoesOnInNextLine(Cri("P", "x")));
  EXPECT_TRUE(GoesOnInNextLine(Cri("P:z", "x") + "\r\n"));
  EXPECT_FALSE(GoesOnInNextLine(Cri("F", "x")));
  EXPECT_FALSE(GoesOnInNextLine(Docker(Event())));
  EXPECT_TRUE(GoesOnInNextLine(Docker(std::string(kLogChunkBytes, 'x'))));
  EXPECT_FALSE(
      GoesOnInNextLine(Docker(std::string(kLogChunkBytes, 'x') + "\n")));
  EXPECT_FALSE(GoesOnInNextLine(Event()));
  EXPECT_FALSE(GoesOnInNextLine(""));
}

TEST(PrefixLength, IsOnlyWhatStandsBeforeALine) {
  EXPECT_EQ(PrefixLength("node-1 {"), 7u);
  EXPECT_EQ(PrefixLength("{"), 0u);
  EXPECT_EQ(PrefixLength("node-1{"), 0u);
  EXPECT_EQ(PrefixLength("a\",\"b\": {"), 0u);
  EXPECT_EQ(PrefixLength("a], {"), 0u);
  EXPECT_EQ(PrefixLength(std::string(300, 'x') + " {"), 0u);
  EXPECT_EQ(PrefixLength(""), 0u);
  EXPECT_EQ(PrefixLength("INFO request body {"), 0u);
  EXPECT_EQ(PrefixLength("POST /login {"), 0u);
  EXPECT_EQ(PrefixLength("user=x {"), 0u);
}

}  // namespace
}  // namespace klaxon
