#include "detectors/anonymous_access.h"

#include <gtest/gtest.h>

#include "tests/testing/verdicts.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "anonymous-access";

AuditLine Request() {
  return AuditLine().Anonymous().From("203.0.113.7").Allow();
}

struct Case {
  const char* name;
  AuditLine line;
  Words want;
};

TEST(AnonymousAccess, SeverityByWhatWasLetIn) {
  const Case cases[] = {
      {"list pods", Request().Resource("pods"), {"let_in:high:1"}},
      {"list secrets", Request().Resource("secrets"), {"let_in:critical:1"}},
      {"create pods",
       Request().Resource("pods").Verb("create"),
       {"let_in:critical:1"}},
      {"exec",
       Request().Resource("pods", "a", "b", "exec").Verb("get"),
       {"let_in:critical:1"}},
      {"get pods/proxy",
       Request().Resource("pods", "a", "b", "proxy").Verb("get"),
       {"let_in:high:1"}},
      {"get nodes/proxy",
       Request().Resource("nodes", "", "b", "proxy").Verb("get"),
       {"let_in:critical:1"}},
      {"path", Request().Uri("/metrics").Verb("get"), {"let_in:medium:1"}},
      {"post to a path",
       Request().Uri("/metrics").Verb("post"),
       {"let_in:medium:1"}},
      {"cluster-info",
       Request()
           .Resource("configmaps", "kube-public", "cluster-info")
           .Verb("get"),
       {"let_in:info:1"}},
      {"authorized, refused by admission",
       Request().Resource("pods").Verb("create").Code(403),
       {"let_in:critical:1"}},
      {"authorized, not there",
       Request().Resource("pods").Code(404),
       {"let_in:high:1"}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Lines().Add(c.line).Verdicts(kName), c.want) << c.name;
  }
}

TEST(AnonymousAccess, InnocentLookAlikes) {
  const Case cases[] = {
      {"public", Request().Uri("/livez?verbose").Verb("get"), {}},
      {"public, slash", Request().Uri("/version/").Verb("get"), {}},
      {"subpath is not public",
       Request().Uri("/livez/etcd").Verb("get"),
       {"let_in:medium:1"}},
      {"encoded", Request().Uri("/%68ealthz").Verb("get"), {}},
      {"denied", Request().Resource("pods").Code(403).Forbid(), {}},
      {"failed login, though its path is open",
       Request()
           .Uri("/oauth/authorize")
           .Code(401)
           .Annotation("authentication.openshift.io/username", "dana"),
       {}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Lines().Add(c.line).Verdicts(kName), c.want) << c.name;
  }
}

TEST(AnonymousAccess, NoDecisionIsJudgedByCode) {
  AuditLine line = AuditLine().Anonymous().From("203.0.113.7");
  line.Resource("pods");
  EXPECT_EQ(Lines().Add(line.Code(101)).Verdicts(kName),
            Words({"let_in:high:1"}));
  EXPECT_EQ(Lines().Add(line.Code(403)).Verdicts(kName), Words());
}

TEST(AnonymousAccess, BothStagesOfAWatchAreOneRequest) {
  AuditLine watch = Request().Resource("pods").Verb("watch").Id("w");
  Lines lines;
  lines.Add(watch.Stage("ResponseStarted").At(0).Received(0));
  lines.Add(watch.Stage("ResponseComplete").At(kHour).Received(0));
  EXPECT_EQ(lines.Verdicts(kName), Words({"let_in:high:1"}));
  Lines only_end;
  only_end.Add(watch.Stage("ResponseComplete").At(kHour).Received(0));
  EXPECT_EQ(only_end.Verdicts(kName), Words({"let_in:high:1"}));
}

TEST(AnonymousAccess, After32KeysOfAClientAndDayTheRestIsOne) {
  Lines lines;
  for (int i = 0; i < 40; ++i) {
    lines.Add(Request().Uri(fmt::format("/x/{}", i)).Verb("get").At(i * 1000));
  }
  const Words verdicts = lines.Verdicts(kName);
  ASSERT_EQ(verdicts.size(), 33u);
  EXPECT_EQ(verdicts.back(), "let_in:medium:8");
}

TEST(AnonymousAccess, NamesTheBindingAndHowToTakeItAway) {
  const std::vector<Alert> alerts =
      Lines()
          .Add(Request().Resource("pods").Allow(
              "RBAC: allowed by RoleBinding \"open; rm/shop\" of Role \"r\" to "
              "Group \"system:unauthenticated\""))
          .Alerts();
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].remediation[0],
            "Take it away: kubectl delete rolebinding --namespace=shop -- "
            "'open; rm'");
}

TEST(AnonymousAccess, NoCommandDoesMoreThanItSays) {
  const auto command = [](const std::string& binding) {
    return Lines()
        .Add(Request().Resource("pods").Allow("RBAC: allowed by " + binding +
                                              " of Role \"r\" to Group \"g\""))
        .Alerts()[0]
        .remediation[0];
  };
  EXPECT_EQ(command("ClusterRoleBinding \"--all\""),
            "Take it away: kubectl delete clusterrolebinding -- --all");
  // No namespace, or bytes that a terminal would act upon: no command.
  EXPECT_TRUE(command("RoleBinding \"x\"").starts_with("Find what grants"));
  EXPECT_TRUE(
      command("ClusterRoleBinding \"a\nid\"").starts_with("Find what grants"));
}

}  // namespace
}  // namespace klaxon
