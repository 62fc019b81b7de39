#include "detectors/forged_identity.h"

#include <gtest/gtest.h>

#include "tests/testing/verdicts.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "forged-identity";

TEST(ForgedIdentity, EveryRuleThatMatchesIsAnAlert) {
  AuditLine account = AuditLine().Account("shop", "cart");
  EXPECT_EQ(Lines().Add(account.Credential("X509SHA256=a")).Verdicts(kName),
            Words({"certificate_for_account:critical:1"}));
  account.Groups({"system:authenticated"});
  EXPECT_EQ(Lines().Add(account).Verdicts(kName),
            Words({"account_without_groups:critical:1",
                   "certificate_for_account:critical:1"}));
  AuditLine node = AuditLine().Kubelet("n1").Groups({"system:authenticated"});
  EXPECT_EQ(Lines().Repeat(3, 0, kSecond, node).Verdicts(kName),
            Words({"node_without_group:critical:3"}));
  AuditLine apiserver = AuditLine().User("system:apiserver");
  EXPECT_EQ(Lines().Add(apiserver.From("10.0.0.1")).Verdicts(kName),
            Words({"apiserver_not_loopback:critical:1"}));
}

TEST(ForgedIdentity, InnocentLookAlikes) {
  const AuditLine lines[] = {
      AuditLine().Account("shop", "cart").Credential("JTI=a"),
      AuditLine().Kubelet("n1").Credential("X509SHA256=b"),
      AuditLine().User("system:apiserver").From("::1"),
      AuditLine().User("system:apiserver").Through({}),
      // Exports that carry no groups at all are not judged by groups.
      AuditLine().Account("shop", "cart").Groups({}),
      AuditLine().Kubelet("n1").Groups({}),
      AuditLine().User("system:kube-scheduler").Credential("X509SHA256=c"),
  };
  for (const AuditLine& line : lines) {
    EXPECT_EQ(Lines().Add(line).Verdicts(kName), Words()) << line.Json();
  }
}

TEST(ForgedIdentity, PeerNotClientDecidesAboutTheApiserver) {
  // 127.0.0.1 is claimed; the peer is another.
  AuditLine line = AuditLine().User("system:apiserver");
  EXPECT_EQ(
      Lines().Add(line.Through({"127.0.0.1", "10.0.0.9"})).Verdicts(kName),
      Words({"apiserver_not_loopback:critical:1"}));
}

}  // namespace
}  // namespace klaxon
