#include "detectors/alert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace klaxon {
namespace {

constexpr EventTime kStart = 1767323045 * kSecond;  // 2026-01-02T03:04:05Z

std::string Json(const Alert& alert) {
  std::string out;
  AppendJson(alert, &out);
  return out;
}

TEST(AlertJson, HasInterfaceMdsKeysInItsOrder) {
  Alert alert;
  alert.id = "3f2a0000000000000000000000000001";
  alert.revision = 2;
  alert.detector = "unauthorized-burst";
  alert.rule = "burst";
  alert.severity = Severity::kMedium;
  alert.title = "57 failed authentications in 60 s from 203.0.113.9";
  alert.summary = "A summary.";
  alert.cluster = "prod-eu-1";
  alert.first_seen = kStart + 123'000;
  alert.last_seen = kStart + 54 * kSecond;
  alert.count = 57;
  alert.key = {{"client", "203.0.113.9"}, {"empty", ""}};
  alert.client = "203.0.113.9";
  alert.claimed_ips = {"1.2.3.4"};
  alert.user = "eve";
  alert.credential_id = "JTI=1";
  EventSample sample;
  sample.time = kStart;
  sample.code = 401;
  sample.audit_id = "a-1";
  sample.verb = "list";
  sample.uri = "/api/v1/secrets";
  sample.user = "u";
  sample.user_agent = "curl/8";
  sample.source_ips = {"203.0.113.9"};
  alert.evidence = {sample, EventSample{}};
  alert.explain = {{"threshold", int64_t{10}},
                   {"window", "60s"},
                   {"none", ""},
                   {"names", std::vector<std::string>{"a", "b"}},
                   {"no_names", std::vector<std::string>{}}};
  alert.remediation = {"kubectl x"};
  alert.owasp = {"K09:2025"};
  alert.mitre = {"T1110"};
  alert.closed = kStart;
  EXPECT_EQ(
      Json(alert),
      R"({"schema":"klaxon.alert/v1","id":"3f2a0000000000000000000000000001",)"
      R"("revision":2,"status":"firing","detector":"unauthorized-burst",)"
      R"("rule":"burst","severity":"medium","confidence":"high",)"
      R"("title":"57 failed authentications in 60 s from 203.0.113.9",)"
      R"("summary":"A summary.","cluster":"prod-eu-1",)"
      R"("first_seen":"2026-01-02T03:04:05.000123Z",)"
      R"("last_seen":"2026-01-02T03:04:59.000000Z","count":57,)"
      R"("key":{"client":"203.0.113.9","empty":""},"client":"203.0.113.9",)"
      R"("claimed_ips":["1.2.3.4"],"user":"eve","credential_id":"JTI=1",)"
      R"("evidence":[{"audit_id":"a-1","time":"2026-01-02T03:04:05.000000Z",)"
      R"("verb":"list","uri":"/api/v1/secrets","code":401,"user":"u",)"
      R"("source_ips":["203.0.113.9"],"user_agent":"curl/8"},{"code":0}],)"
      R"("explain":{"threshold":10,"window":"60s","names":["a","b"]},)"
      R"("remediation":["kubectl x"],)"
      R"("references":{"owasp":["K09:2025"],"mitre":["T1110"]}})");
}

TEST(AlertJson, LeavesOutWhatIsEmpty) {
  Alert alert;
  alert.id = "i";
  alert.detector = "d";
  alert.status = AlertStatus::kResolved;
  alert.confidence = Confidence::kLow;
  EXPECT_EQ(Json(alert),
            R"({"schema":"klaxon.alert/v1","id":"i","revision":1,)"
            R"("status":"resolved","detector":"d","severity":"info",)"
            R"("confidence":"low","first_seen":"1970-01-01T00:00:00.000000Z",)"
            R"("last_seen":"1970-01-01T00:00:00.000000Z","count":0,"key":{}})");
}

TEST(AlertJson, IsOneLineWhateverAnAttackerPutIn) {
  Alert alert;
  alert.user = "eve\n\x1b[2J\xff\"}";
  EXPECT_NE(Json(alert).find(R"("user":"eve\n\u001b[2J)"
                             "\xef\xbf\xbd\\\"}\""),
            std::string::npos);
}

TEST(Severity, NamesAreReadBack) {
  for (Severity severity : {Severity::kInfo, Severity::kLow, Severity::kMedium,
                            Severity::kHigh, Severity::kCritical}) {
    Severity back = Severity::kInfo;
    ASSERT_TRUE(ParseSeverity(SeverityName(severity), &back));
    EXPECT_EQ(back, severity);
  }
  EXPECT_EQ(SeverityName(Severity::kCritical), "critical");
  EXPECT_EQ(ConfidenceName(Confidence::kMedium), "medium");
  Severity untouched = Severity::kHigh;
  for (const char* text : {"", "High", "warning", "critical "}) {
    EXPECT_FALSE(ParseSeverity(text, &untouched)) << text;
  }
  EXPECT_EQ(untouched, Severity::kHigh);
}

TEST(PrintsBefore, OrdersResolvedByCloseThenFiringByStart) {
  auto make = [](AlertStatus status, EventTime first, EventTime closed,
                 const char* id) {
    Alert alert;
    alert.status = status;
    alert.first_seen = first;
    alert.closed = closed;
    alert.id = id;
    return alert;
  };
  std::vector<Alert> alerts = {
      make(AlertStatus::kFiring, 1, kNoTime, "f"),
      make(AlertStatus::kResolved, 0, 9, "d"),
      make(AlertStatus::kFiring, 5, kNoTime, "b"),
      make(AlertStatus::kResolved, 7, 8, "e"),
      make(AlertStatus::kResolved, 6, 9, "c"),
      make(AlertStatus::kFiring, 5, kNoTime, "a"),
  };
  std::sort(alerts.begin(), alerts.end(), PrintsBefore);
  std::string order;
  for (const Alert& alert : alerts) order += alert.id;
  EXPECT_EQ(order, "ecdfab");
  EXPECT_FALSE(PrintsBefore(alerts[0], alerts[0]));
}

}  // namespace
}  // namespace klaxon
