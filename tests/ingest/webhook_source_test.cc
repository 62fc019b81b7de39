// The receiver over real sockets: heads, lanes, TLS identities, answers, and
// what a real kube-apiserver sent.
#include "ingest/webhook_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "event/decode.h"
#include "tests/ingest/ingest_fixture.h"
#include "tests/ingest/raw_http_client.h"
#include "tests/ingest/test_certificates.h"
#include "tests/ingest/webhook_fixture.h"

namespace klaxon {
namespace {

class WebhookSourceTest : public testing::Test {
 protected:
  WebhookSourceTest() {
    options_.http = WebhookHttpDefaults();
    options_.http.listen = "127.0.0.1:0";
  }
  void Open() {
    source_ = WebhookSource::Create(options_);
    ASSERT_TRUE(source_->Open({}).ok());
  }
  bool Read() { return source_->Read(absl::Seconds(10), {}, batch_).ok(); }
  void Commit() {
    EXPECT_TRUE(source_->Commit(batch_.lane, batch_.resume).ok());
  }
  RawHttpAnswer Ask(const std::string& request) {
    return RawHttpClient(source_->port()).Ask(request);
  }

  WebhookOptions options_;
  std::unique_ptr<WebhookSource> source_;
  LiveBatch batch_;
};

TEST_F(WebhookSourceTest, TakesABatchAndAnswersAfterCommit) {
  Open();
  RawHttpClient client(source_->port());
  for (int i = 0; i < 5; ++i) {
    const std::string body = EventListOf("batch-" + std::to_string(i), 400);
    client.Send(PostOf("/audit/prod/a?timeout=30s", body));
    ASSERT_TRUE(Read());
    EXPECT_EQ(batch_.batch.bytes.view(), body);
    EXPECT_EQ(batch_.lane, "webhook:/audit/prod/a,,127.0.0.1");
    EXPECT_FALSE(client.IsReadable(5));
    Commit();
    EXPECT_EQ(client.Receive().status, 200);
  }
  EXPECT_EQ(source_->counters().delivered_bodies, 5u);
  EXPECT_EQ(source_->http_counters().accepted, 1u);
}

TEST_F(WebhookSourceTest, RefusesByHead) {
  Open();
  const std::string body = EventListOf("a");
  EXPECT_EQ(Ask("GET /audit HTTP/1.1\r\nHost: k\r\n\r\n").status, 405);
  EXPECT_TRUE(Ask("PUT /audit HTTP/1.1\r\nHost: k\r\n\r\n").Has("Allow: POST"));
  for (const char* path :
       {"/audits", "/audit/", "/audit/a/b/c", "/audit/a/", "/audit//b",
        "/audit/..%2f", "/audit/-a", "/metrics", "/audit/a,b", "//audit"}) {
    EXPECT_EQ(Ask(PostOf(path, body)).status, 404) << path;
  }
  EXPECT_EQ(Ask("POST /audit HTTP/1.1\r\nHost: k\r\nContent-Length: 0\r\n\r\n")
                .status,
            415);
  EXPECT_EQ(Ask(PostOf("/audit", body, "Content-Encoding: gzip\r\n")).status,
            415);
  EXPECT_EQ(source_->counters().refused_head, 14u);
  EXPECT_EQ(Ask(PostOf("/audit", "[1]")).status, 400);
  EXPECT_EQ(source_->counters().lanes, 1u);
}

TEST_F(WebhookSourceTest, TakesEveryPath) {
  Open();
  const std::pair<const char*, const char*> paths[] = {
      {"/", ""},
      {"/audit", ""},
      {"/audit/prod", "prod"},
      {"/audit/prod-eu.1/cp_2", "prod-eu.1"}};
  for (const auto& [path, cluster] : paths) {
    RawHttpClient client(source_->port());
    client.Send(PostOf(path, EventListOf("a")));
    ASSERT_TRUE(Read());
    EXPECT_EQ(batch_.cluster, cluster);
    Commit();
    EXPECT_EQ(client.Receive().status, 200);
  }
}

TEST_F(WebhookSourceTest, CertificateDecidesTheCluster) {
  TempDirectory directory;
  TestAuthority authority(directory.path(), "ca");
  for (const char* name : {"server", "apiserver-prod", "any", "stranger"}) {
    authority.Issue(name);
  }
  options_.http.tls = {authority.cert_file("server"),
                       authority.key_file("server"), authority.ca_file()};
  options_.clients = {{"apiserver-prod", "prod"}, {"any", ""}};
  Open();
  const auto ask = [&](const std::string& name, const std::string& path) {
    RawHttpClient client(source_->port());
    EXPECT_TRUE(client.StartTls({authority.ca_file(), authority.cert_file(name),
                                 authority.key_file(name)}));
    client.Send(PostOf(path, EventListOf(name + path)));
    if (!client.IsReadable(50) && Read()) Commit();
    return client.Receive().status;
  };
  EXPECT_EQ(ask("apiserver-prod", "/audit"), 200);
  EXPECT_EQ(batch_.cluster, "prod");
  EXPECT_THAT(batch_.lane,
              testing::MatchesRegex("webhook:/audit,[0-9a-f]{16},127.0.0.1"));
  EXPECT_EQ(ask("apiserver-prod", "/audit/prod/1"), 200);
  EXPECT_EQ(ask("apiserver-prod", "/audit/test/1"), 403);
  EXPECT_EQ(ask("any", "/audit/test/1"), 200);
  EXPECT_EQ(batch_.cluster, "test");
  EXPECT_EQ(ask("stranger", "/audit/test/1"), 403);
}

TEST_F(WebhookSourceTest, ClientThatLeftIsRecognisedWhenItComesAgain) {
  Open();
  const std::string body = EventListOf("a");
  RawHttpClient impatient(source_->port());
  impatient.Send(PostOf("/audit", body));
  ASSERT_TRUE(Read());
  impatient.Reset();
  Commit();
  EXPECT_EQ(Ask(PostOf("/audit", body)).status, 200);
  EXPECT_EQ(source_->counters().repeated_bodies, 1u);
}

TEST_F(WebhookSourceTest, BrokenBodyHoldsItsLane) {
  Open();
  const std::string request = PostOf("/audit", EventListOf("a"));
  RawHttpClient client(source_->port());
  client.Send(std::string_view(request).substr(0, request.size() - 5));
  client.FinishSending();
  EXPECT_TRUE(client.IsClosed());
  ASSERT_EQ(source_->Lanes().size(), 1u);
  EXPECT_TRUE(source_->Lanes()[0].hold);
  RawHttpClient again(source_->port());
  again.Send(request);
  ASSERT_TRUE(Read());
  EXPECT_FALSE(source_->Lanes()[0].hold);
  Commit();
  EXPECT_EQ(again.Receive().status, 200);
}

TEST_F(WebhookSourceTest, EndAnswers503ToWhatIsNotDurable) {
  Open();
  RawHttpClient client(source_->port());
  client.Send(PostOf("/audit", EventListOf("a")));
  ASSERT_TRUE(Read());
  source_->Interrupt();
  EXPECT_TRUE(absl::IsCancelled(source_->Read(absl::Hours(1), {}, batch_)));
  EXPECT_EQ(Ask(PostOf("/audit", EventListOf("b"))).status, 503);
  std::thread end([&] { source_.reset(); });
  EXPECT_EQ(client.Receive().status, 503);
  client.Close();
  end.join();
}

// Four senders at once and an engine that commits in groups: each batch is
// read once, each answered.
TEST_F(WebhookSourceTest, ManySendersAndGroupCommits) {
  Open();
  std::atomic<int> answered{0};
  std::vector<std::thread> senders;
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&, sender] {
      RawHttpClient client(source_->port());
      const std::string path = "/audit/prod/" + std::to_string(sender);
      for (int i = 0; i < 50; ++i) {
        const std::string body = EventListOf(path + std::to_string(i), 20);
        if (client.Ask(PostOf(path, body)).status == 200) ++answered;
      }
    });
  }
  int read = 0;
  std::vector<std::pair<std::string, std::string>> group;
  while (read < 200) {
    const absl::Status status =
        source_->Read(absl::Milliseconds(1), {}, batch_);
    if (status.ok()) {
      ++read;
      group.emplace_back(batch_.lane, batch_.resume);
      if (group.size() < 3) continue;
    }
    for (const auto& [lane, resume] : group) {
      EXPECT_TRUE(source_->Commit(lane, resume).ok());
    }
    group.clear();
    source_->Lanes();
  }
  for (const auto& [lane, resume] : group) {
    EXPECT_TRUE(source_->Commit(lane, resume).ok());
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(answered, 200);
  EXPECT_EQ(source_->counters().in_flight_bytes, 0u);
}

TEST(PrintApiserverConfig, IsAKubeconfigWithItsFlags) {
  const std::string config =
      PrintApiserverConfig({.url = "https://klaxon.example:9443",
                            .cluster = "prod",
                            .server = "cp-1",
                            .client_certificate = true});
  EXPECT_THAT(config,
              testing::HasSubstr(
                  "server: https://klaxon.example:9443/audit/prod/cp-1\n"));
  EXPECT_THAT(config, testing::HasSubstr("client-key: "));
  EXPECT_THAT(config, testing::HasSubstr("certificate-authority: "));
  EXPECT_THAT(config, testing::Not(testing::HasSubstr("token")));
  EXPECT_THAT(config, testing::HasSubstr("--audit-webhook-mode=batch"));
  EXPECT_THAT(PrintApiserverConfig({.url = "u", .tls = false}),
              testing::HasSubstr("  user: {}\n"));
}

}  // namespace
}  // namespace klaxon
