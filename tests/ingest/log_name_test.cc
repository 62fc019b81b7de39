#include "ingest/log_name.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace klaxon {
namespace {

using Kind = LogName::Kind;

struct Case {
  const char* name;
  const char* family;
  Kind kind;
  const char* content;
};

class LogNameOf : public ::testing::TestWithParam<Case> {};

TEST_P(LogNameOf, Says) {
  const Case& c = GetParam();
  const LogName name = ParseLogName(c.name);
  EXPECT_EQ(name.family, c.family);
  EXPECT_EQ(name.kind, c.kind);
  EXPECT_EQ(name.content, c.content);
}

INSTANTIATE_TEST_SUITE_P(
    All, LogNameOf,
    ::testing::Values(
        Case{"audit.log", "audit.log", Kind::kCurrent, "audit.log"},
        Case{"audit.log.gz", "audit.log", Kind::kCurrent, "audit.log"},
        Case{"audit-2026-01-02T03-04-05.678.log", "audit.log", Kind::kTimed,
             "audit-2026-01-02T03-04-05.678.log"},
        Case{"a-b-2026-01-02T03-04-05.678.log.zst", "a-b.log", Kind::kTimed,
             "a-b-2026-01-02T03-04-05.678.log"},
        Case{"audit-2026-01-02T03-04-05.678", "audit", Kind::kTimed,
             "audit-2026-01-02T03-04-05.678"},
        Case{"audit-2026-01-02T03-04-05.6789.log",
             "audit-2026-01-02T03-04-05.6789.log", Kind::kCurrent,
             "audit-2026-01-02T03-04-05.6789.log"},
        Case{"audit.log.2.gz", "audit.log", Kind::kNumbered, "audit.log.2"},
        Case{"audit.log.10", "audit.log", Kind::kNumbered, "audit.log.10"},
        Case{"audit.log-20260102.gz", "audit.log", Kind::kDated,
             "audit.log-20260102"},
        Case{"audit-20260102.log", "audit.log", Kind::kDated,
             "audit-20260102.log"},
        Case{"audit.log-20260102-1767312000", "audit.log", Kind::kDated,
             "audit.log-20260102-1767312000"},
        Case{"0.log.20260102-030405", "0.log", Kind::kDated,
             "0.log.20260102-030405"},
        Case{"20260102.log", "20260102.log", Kind::kCurrent, "20260102.log"},
        Case{".gz", ".gz", Kind::kCurrent, ".gz"},
        Case{"x.gz.bz2", "x", Kind::kCurrent, "x"}));

TEST(LogName, SortsAFamilyByTime) {
  const std::vector<std::string> by_time = {
      "audit.log.10.gz",
      "audit.log.9.gz",
      "audit.log.1",
      "audit.log-20251230",
      "audit.log-20260102",
      "audit-2026-01-02T03-04-05.678.log.gz",
      "audit-2026-01-02T03-04-05.679.log",
      "audit.log",
  };
  std::vector<std::string> names = by_time;
  std::shuffle(names.begin(), names.end(), std::mt19937(1));
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) {
    return ParseLogName(a) < ParseLogName(b);
  });
  EXPECT_EQ(names, by_time);
}

}  // namespace
}  // namespace klaxon
