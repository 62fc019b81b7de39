// GKE's LogEntry becomes an audit event.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "event/decode.h"
#include "tests/event/decode_dump.h"
#include "tests/testing/shared_folder.h"

namespace klaxon {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Entry(std::string_view payload, std::string_view more = "") {
  return R"({"insertId":"i-1","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","resource":{"type":"k8s_cluster","labels":{"cluster_name":"prod","location":"l"}},"labels":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"r"},"operation":{"id":"op-1","producer":"k8s.io","first":true,"last":true},"timestamp":"2026-01-02T03:04:05.5Z","protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"k8s.io")" +
         std::string(payload) + "}" + std::string(more) + "}";
}

std::string DecodeEntry(std::string_view entry) {
  Decoder decoder;
  const Decoded decoded = DecodeOneLine(&decoder, entry);
  EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNone);
  return decoded.events.empty() ? "no event" : decoded.events[0];
}

TEST(UnwrapGke, FillsWhatTheEntryKnows) {
  const std::string event =
      "\n" +
      DecodeEntry(Entry(
          R"(,"methodName":"io.k8s.authorization.rbac.v1.rolebindings.create","resourceName":"rbac.authorization.k8s.io/v1/namespaces/n/rolebindings/b","authenticationInfo":{"principalEmail":"a@b.example"},"requestMetadata":{"callerIp":"203.0.113.9","callerSuppliedUserAgent":"kubectl"},"request":{"kind":"RoleBinding"},"response":{"kind":"RoleBinding","metadata":{"name":"b"}})"));
  for (std::string_view field : {"level=<3>",
                                 "stage=<3>",
                                 "code=<201>",
                                 "audit_id=<op-1>",
                                 "request_uri=<rbac.authorization.k8s.io/v1/"
                                 "namespaces/n/rolebindings/b>",
                                 "verb=<create>",
                                 "username=<a@b.example>",
                                 "ip=<203.0.113.9>",
                                 "user_agent=<kubectl>",
                                 "has_object_ref=<1>",
                                 "resource=<rolebindings>",
                                 "namespace=<n>",
                                 "name=<b>",
                                 "api_group=<rbac.authorization.k8s.io>",
                                 "api_version=<v1>",
                                 "subresource=<>",
                                 R"(request_object=<{"kind":"RoleBinding"}>)",
                                 "received=<1767323045500000000>",
                                 "stage_time=<1767323045500000000>",
                                 "decision=<allow>",
                                 "decision_reason=<r>",
                                 "cluster=<prod>"}) {
    EXPECT_THAT(event, HasSubstr("\n" + std::string(field) + "\n")) << event;
  }
}

struct Code {
  std::string_view payload;
  std::string_view code;
  std::string_view reason;
};

TEST(UnwrapGke, CodesAreHttp) {
  constexpr std::string_view kGet =
      R"(,"methodName":"io.k8s.core.v1.pods.get","resourceName":"core/v1/namespaces/n/pods/p")";
  for (
      const Code& c : {
          Code{"", "200", ""},
          Code{R"(,"status":{})", "200", ""},
          Code{R"(,"status":{"code":7,"message":"PERMISSION_DENIED"})", "403",
               "Forbidden"},
          Code{R"(,"status":{"code":16})", "401", "Unauthorized"},
          Code{R"(,"status":{"code":5})", "404", "NotFound"},
          Code{R"(,"status":{"code":2})", "500", "InternalError"},
          Code{R"(,"status":{"code":99})", "500", "InternalError"},
          Code{
              R"(,"status":{"code":5},"response":{"code":410,"reason":"Gone"})",
              "410", "Gone"},
      }) {
    const std::string event =
        DecodeEntry(Entry(std::string(kGet) + std::string(c.payload)));
    EXPECT_THAT(event, HasSubstr("code=<" + std::string(c.code) + ">"));
    EXPECT_THAT(event, HasSubstr("\nreason=<" + std::string(c.reason) + ">"))
        << c.payload;
  }
}

struct Target {
  std::string_view method;
  std::string_view name;
  std::string_view want;
};

TEST(UnwrapGke, ResourcesComeFromMethodAndName) {
  for (const Target& c : {
           Target{"io.k8s.core.v1.pods.exec.create",
                  "core/v1/namespaces/n/pods/p/exec/p",
                  "resource=<pods>\nnamespace=<n>\nname=<p>\nref uid=<>\n"
                  "api_group=<core>\napi_version=<v1>\nsubresource=<exec>"},
           Target{"io.k8s.core.v1.namespaces.delete", "core/v1/namespaces/n",
                  "resource=<namespaces>\nnamespace=<>\nname=<n>"},
           Target{"io.k8s.core.v1.namespaces.list", "core/v1/namespaces",
                  "resource=<namespaces>\nnamespace=<>\nname=<>"},
           Target{"io.k8s.core.v1.secrets.list", "core/v1/secrets",
                  "resource=<secrets>\nnamespace=<>\nname=<>"},
           Target{"io.k8s.core.v1.secrets.list", "core/v1/namespaces/n/secrets",
                  "resource=<secrets>\nnamespace=<n>\nname=<>"},
           Target{"io.k8s.get", "readyz", "has_object_ref=<0>\nresource=<>"},
           Target{"", "", "has_object_ref=<0>\nresource=<>"},
       }) {
    EXPECT_THAT(DecodeEntry(Entry(",\"methodName\":\"" + std::string(c.method) +
                                  "\",\"resourceName\":\"" +
                                  std::string(c.name) + "\"")),
                HasSubstr(std::string(c.want)));
  }
}

TEST(UnwrapGke, LongRunningRequestsHaveTwoEntries) {
  std::string entry = Entry(
      R"(,"methodName":"io.k8s.core.v1.pods.exec.create","resourceName":"core/v1/namespaces/n/pods/p/exec/p","status":{"code":2,"message":"UNKNOWN"})");
  const std::string last = ",\"last\":true";
  entry.erase(entry.find(last), last.size());
  const std::string event = DecodeEntry(entry);
  EXPECT_THAT(event, HasSubstr("stage=<2>\ncode=<101>"));
  EXPECT_THAT(event, HasSubstr("message=<Switching Protocols (inferred)>"));
}

// ------------------------------------------------------------------- shared

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::filesystem::path GkeFolder() { return SharedFolder() / "public-logs/gke"; }

// The dump without the cluster, which the entry names and the event does not.
std::string WithoutCluster(std::string dump) {
  return dump.substr(0, dump.rfind("cluster=<"));
}

TEST(UnwrapGke, EntriesEqualTheEventsFieldByField) {
  if (!std::filesystem::exists(GkeFolder())) {
    GTEST_SKIP() << "no " << GkeFolder();
  }
  int compared = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(GkeFolder() / "log-entries")) {
    Decoder decoder;
    const Decoded entry = DecodeOneDocument(&decoder, ReadFile(file.path()));
    const Decoded event = DecodeOneDocument(
        &decoder,
        ReadFile(GkeFolder() / "audit-events" / file.path().filename()));
    ASSERT_EQ(entry.events.size(), 1u) << file.path();
    ASSERT_EQ(event.events.size(), 1u) << file.path();
    EXPECT_EQ(WithoutCluster(entry.events[0]), WithoutCluster(event.events[0]))
        << file.path();
    EXPECT_THAT(entry.events[0], Not(HasSubstr("cluster=<>")));
    ++compared;
  }
  EXPECT_EQ(compared, 25);
}

}  // namespace
}  // namespace klaxon
