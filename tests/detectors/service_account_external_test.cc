#include "detectors/service_account_external.h"

#include <gtest/gtest.h>

#include "tests/testing/verdicts.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "service-account-external";

AuditLine Use(Nanos at = 5 * kMinute) {
  return AuditLine()
      .Account("shop", "cart")
      .Credential("JTI=a")
      .From("203.0.113.7")
      .Allow()
      .At(at);
}

TEST(ServiceAccountExternal, SeverityByWhatItDid) {
  struct Case {
    const char* name;
    AuditLine line;
    Words want;
  };
  const Case cases[] = {
      {"let in", Use(), {"external:high:1"}},
      {"denied", Use().Code(403).Forbid(), {"external:medium:1"}},
      {"kubectl", Use().Agent("kubectl/v1.35"), {"external:critical:1"}},
      {"python, denied",
       Use().Agent("python-requests/2").Code(403).Forbid(),
       {"external:critical:1"}},
      {"secrets", Use().Resource("secrets", "shop"), {"external:critical:1"}},
      {"legacy, though it has a credential id",
       Use().Annotation("authentication.k8s.io/legacy-token", "x"),
       {"external:critical:1"}},
      {"legacy token",
       Use().Credential("").Annotation("authentication.k8s.io/legacy-token",
                                       "x"),
       {"external:critical:1"}},
      {"internal", Use().From("10.1.1.1"), {}},
      {"unknown", Use().From("gce-internal-ip"), {}},
      {"without its group", Use().Groups({"system:authenticated"}), {}},
      {"claims to be inside",
       Use().Through({"10.1.1.1", "203.0.113.7"}),
       {"external:high:1"}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Lines().Add(c.line).Verdicts(kName), c.want) << c.name;
  }
}

TEST(ServiceAccountExternal, OneEpisodeForAccountAndClient) {
  Lines lines;
  lines.Repeat(7, kMinute, 30 * kSecond, Use());
  lines.Add(Use(6 * kMinute).From("203.0.113.8"));
  EXPECT_EQ(lines.Verdicts(kName),
            Words({"external:high:1", "external:high:7"}));
}

AuditLine Kubelet(const std::string& node, Nanos at) {
  return AuditLine().Kubelet(node).From("203.0.113.7").Allow().At(at);
}

TEST(ServiceAccountExternal, OwnEgressIsExcused) {
  Lines later;
  later.Add(Kubelet("n1", 0)).Add(Kubelet("n2", kMinute));
  later.Repeat(3, 5 * kMinute, kSecond, Use());
  EXPECT_EQ(later.Verdicts(kName), Words({"own_egress:medium:3"}));
  // One node is not enough.
  Lines one;
  one.Add(Kubelet("n1", 0)).Repeat(3, 5 * kMinute, kSecond, Use());
  EXPECT_EQ(one.Verdicts(kName), Words({"external:high:3"}));
}

TEST(ServiceAccountExternal, TheFirstTwoMinutesAreJudgedAtTheirEnd) {
  Lines stray;
  stray.Add(Use(0)).Add(Kubelet("n1", 30 * kSecond));
  stray.Add(Kubelet("n2", 119 * kSecond));
  EXPECT_EQ(stray.Verdicts(kName), Words({"own_egress:medium:1"}));
  Lines late;
  late.Add(Use(0)).Add(Kubelet("n1", 30 * kSecond));
  late.Add(Kubelet("n2", 121 * kSecond)).Add(Use(3 * kMinute));
  EXPECT_EQ(late.Verdicts(kName),
            Words({"external:high:1", "own_egress:medium:1"}));
}

TEST(ServiceAccountExternal, TheEndOfAWatchSaysWhetherItWasLetIn) {
  AuditLine denied = Use().Verb("watch").Stage("ResponseStarted").Id("a");
  denied.Code(403).Forbid();
  AuditLine end = Use(5 * kMinute + 3 * kSecond).Verb("watch").Id("b");
  EXPECT_EQ(Lines().Add(denied).Add(end).Verdicts(kName),
            Words({"external:high:1"}));
  EXPECT_EQ(Lines().Add(end).Verdicts(kName), Words({"external:high:1"}));
  end.Code(403).Forbid();
  EXPECT_EQ(Lines().Add(end).Verdicts(kName), Words({"external:medium:1"}));
}

TEST(ServiceAccountExternal, AllowListHasAnEnd) {
  EngineConfig config;
  AllowEntry entry;
  entry.account = "shop/cart";
  entry.cidr = *Cidr::Parse("203.0.113.0/24");
  entry.until = kEpoch + 10 * kMinute;
  config.base.detectors.at(std::string(kName))
      .Set("allow", std::vector<AllowEntry>{entry});
  EXPECT_EQ(Lines(config).Add(Use(9 * kMinute)).Verdicts(kName), Words());
  EXPECT_EQ(Lines(config).Add(Use(10 * kMinute)).Verdicts(kName),
            Words({"external:high:1"}));
}

}  // namespace
}  // namespace klaxon
