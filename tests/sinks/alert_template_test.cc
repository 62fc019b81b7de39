#include "sinks/alert_template.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <random>

#include "tests/random_seed.h"
#include "tests/sinks/alert_samples.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;

std::string Filled(std::string_view text, const Alert& alert = SampleAlert(),
                   bool json = true) {
  const absl::StatusOr<AlertTemplate> parsed = AlertTemplate::Parse(text, json);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  std::string out;
  if (parsed.ok()) parsed->AppendTo(alert, &out);
  return out;
}

std::string ErrorOf(std::string_view text, bool json = true) {
  const absl::Status status = AlertTemplate::Parse(text, json).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
  return {status.message().data(), status.message().size()};
}

TEST(AlertTemplate, FillsInFields) {
  EXPECT_EQ(Filled(R"({"text":"{{severity}}: {{ title }}","n":{{count}}})"),
            R"({"text":"medium: 57 failed authentications in 60 s from )"
            R"(203.0.113.9","n":57})");
  std::string alert;
  AppendJson(SampleAlert(), &alert);
  EXPECT_EQ(Filled(R"({"a":{"raw":{{alert}}}})"),
            R"({"a":{"raw":)" + alert + "}}");
  EXPECT_EQ(Filled("{{alert}}"), alert);
}

TEST(AlertTemplate, KnowsEveryFieldOfAnAlert) {
  Alert alert = SampleAlert();
  alert.status = AlertStatus::kResolved;
  alert.user = "alice";
  alert.credential_id = "X509SHA256=ab";
  alert.key = {{"client", "203.0.113.9"}, {"user", "alice"}};
  alert.claimed_ips = {"1.2.3.4", "5.6.7.8"};
  const std::pair<const char*, const char*> cases[] = {
      {"id", "00000000000000000000000000000001"},
      {"revision", "1"},
      {"status", "resolved"},
      {"detector", "unauthorized-burst"},
      {"rule", "burst"},
      {"severity", "medium"},
      {"confidence", "high"},
      {"title", "57 failed authentications in 60 s from 203.0.113.9"},
      {"cluster", "prod-eu-1"},
      {"first_seen", "2026-01-02T03:04:05.000000Z"},
      {"last_seen", "2026-01-02T03:04:59.000000Z"},
      {"count", "57"},
      {"key", "client=203.0.113.9, user=alice"},
      {"client", "203.0.113.9"},
      {"claimed_ips", "1.2.3.4, 5.6.7.8"},
      {"user", "alice"},
      {"credential_id", "X509SHA256=ab"},
      {"remediation",
       "Block 203.0.113.9 before the API server.\\nkubectl get events -A "
       "--field-selector reason=Failed"},
      {"owasp", "K09:2025"},
      {"mitre", "T1110"},
  };
  for (const auto& [name, want] : cases) {
    EXPECT_EQ(Filled(fmt::format("\"{{{{{}}}}}\"", name), alert),
              fmt::format("\"{}\"", want));
  }
  EXPECT_EQ(Filled(R"("{{summary}}")"), "\"" + SampleAlert().summary + "\"");
}

// Nothing that an alert says may change the structure, whatever it is.
TEST(AlertTemplate, GivesTheSameStructureForHostileTexts) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  constexpr std::string_view kPieces[] = {"\"",   "\\",   "}",  "]",
                                          ",",    "{{",   "}}", "\n",
                                          "\xff", "\xc3", "a",  "\xe2\x80\xae"};
  simdjson::dom::parser parser;
  for (int i = 0; i < 2000; ++i) {
    Alert alert = SampleAlert();
    alert.user.clear();
    for (uint64_t n = random() % 20; n > 0; --n) {
      alert.user += kPieces[random() % std::size(kPieces)];
    }
    const std::string text =
        Filled(R"({"a":"<{{user}}>","b":{{alert}},"c":[{{count}}]})", alert);
    simdjson::dom::element root;
    ASSERT_EQ(parser.parse(text).get(root), simdjson::SUCCESS) << text;
    simdjson::dom::object object;
    ASSERT_EQ(root.get(object), simdjson::SUCCESS);
    ASSERT_EQ(object.size(), 3u);
    std::string_view a;
    std::string_view user;
    ASSERT_EQ(root["a"].get(a), simdjson::SUCCESS);
    if (alert.user.empty()) continue;
    ASSERT_EQ(root["b"]["user"].get(user), simdjson::SUCCESS);
    ASSERT_EQ(a, "<" + std::string(user) + ">");
  }
}

TEST(AlertTemplate, SaysWhatIsWrongAndWhere) {
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"{\"a\":\n  \"{{titel}}\"}", "line 2, column 4: there is no field "},
      {"{\"a\":\"{{titel}}\"}", "detector, rule, severity"},
      {"{\"a\":\"{{title\"}", "column 7: {{ without }}"},
      {"{\"a\":\"{{}}\"}", "there is no field ''"},
      {"{\"a\":{{title}}}", "it stands in quotes: \"{{title}}\""},
      {"{\"a\":\"{{alert}}\"}", "cannot stand in quotes"},
      {"{\"a\":\"\\{{title}}\"}", "a backslash"},
      {"{\"a\":\"{{title}}\",}", "line 1, column 18: what it gives is not"},
      {"{\"a\":\"{{title}}\"", "not JSON"},
      {"{\"a\":1{{count}}x}", "line 1, column 16: what it gives is not JSON"},
      {"{\"a\":{{alert}}{{alert}}}", "not JSON"},
      {"{{alert}}{{alert}}", "not JSON"},
      {"", "not JSON"},
      {"text", "not JSON"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(ErrorOf(c.text), HasSubstr(c.want)) << c.text;
  }
}

TEST(AlertTemplate, KeepsTextsOnOneLineWhereNoJsonIsWanted) {
  Alert alert = SampleAlert();
  alert.user = "a\nb\"";
  EXPECT_EQ(Filled("user={{user}} n={{count}}", alert, /*json=*/false),
            "user=a\\nb\\\" n=57");
  EXPECT_THAT(ErrorOf("{{nobody}}", /*json=*/false), HasSubstr("no field"));
}

}  // namespace
}  // namespace klaxon
