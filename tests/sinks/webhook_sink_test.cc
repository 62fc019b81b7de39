#include "sinks/webhook_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <simdjson.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "sinks/delivery_status.h"
#include "tests/sinks/alert_samples.h"
#include "tests/testing/http_receiver.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Then = ReceiverAnswer::Then;

constexpr int64_t kNowS = 1767323045;  // 2026-01-02T03:04:05Z

std::string JsonOf(const Alert& alert) {
  std::string json;
  AppendJson(alert, &json);
  return json;
}

// HMAC by its definition (RFC 2104), to have a second opinion.
std::string SlowHmac(std::string key, const std::string& text) {
  const auto sha256 = [](const std::string& bytes) {
    unsigned char digest[32];
    EVP_Digest(bytes.data(), bytes.size(), digest, nullptr, EVP_sha256(),
               nullptr);
    return std::string(reinterpret_cast<char*>(digest), sizeof(digest));
  };
  if (key.size() > 64) key = sha256(key);
  key.resize(64, '\0');
  std::string inner = key;
  std::string outer = key;
  for (char& c : inner) c ^= 0x36;
  for (char& c : outer) c ^= 0x5c;
  const std::string mac = sha256(outer + sha256(inner + text));
  unsigned char base64[64];
  EVP_EncodeBlock(base64, reinterpret_cast<const unsigned char*>(mac.data()),
                  static_cast<int>(mac.size()));
  return reinterpret_cast<char*>(base64);
}

class WebhookSinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    std::string pattern = ::testing::TempDir() + "/klaxon-webhook-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  static WebhookSinkOptions Options(const HttpReceiver& receiver,
                                    const std::string& scheme = "http") {
    WebhookSinkOptions options;
    options.http.url = scheme +
                       "://127.0.0.1:" + std::to_string(receiver.port()) +
                       "/hook?token=hunter2";
    options.http.proxy = "";  // Whatever the machine's environment says.
    options.now = [] { return absl::FromUnixSeconds(kNowS); };
    return options;
  }
  static std::unique_ptr<Sink> Made(const WebhookSinkOptions& options) {
    absl::StatusOr<std::unique_ptr<Sink>> sink = MakeWebhookSink(options);
    EXPECT_TRUE(sink.ok()) << sink.status();
    return sink.ok() ? *std::move(sink) : nullptr;
  }
  static absl::Status Deliver(Sink* sink, const std::vector<Alert>& alerts) {
    int calls = 0;
    absl::Status result;
    sink->Deliver(alerts, [&](const absl::Status& status) {
      ++calls;
      result = status;
    });
    EXPECT_EQ(calls, 1);
    return result;
  }
  static void ExpectTemporary(const absl::Status& status) {
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(IsRefused(status)) << status;
    EXPECT_THAT(status.ToString(), Not(HasSubstr("hunter2")));
  }
  std::string File(const std::string& name) const { return dir_ + "/" + name; }

  std::string dir_;
};

TEST_F(WebhookSinkTest, PostsOneAlertARequestOverOneConnection) {
  HttpReceiver receiver;
  WebhookSinkOptions options = Options(receiver);
  options.http.headers = {{"Authorization", "Bearer abc"}, {"X-Team", "blue"}};
  std::unique_ptr<Sink> sink = Made(options);
  ASSERT_TRUE(sink->Open().ok());
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1), SampleAlert(2)}).ok());
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(3)}).ok());
  EXPECT_TRUE(Deliver(sink.get(), {}).ok());
  EXPECT_TRUE(sink->Drain(absl::Seconds(1)).ok());
  const std::vector<ReceivedRequest> requests = receiver.requests();
  ASSERT_EQ(requests.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    ReceivedRequest r = requests[static_cast<size_t>(i)];
    EXPECT_EQ(r.method, "POST");
    EXPECT_EQ(r.target, "/hook?token=hunter2");
    EXPECT_EQ(r.body, JsonOf(SampleAlert(i + 1)));
    EXPECT_EQ(r.headers["content-type"], "application/json");
    EXPECT_EQ(r.headers["authorization"], "Bearer abc");
    EXPECT_EQ(r.headers["x-team"], "blue");
    EXPECT_EQ(r.headers["webhook-id"], SampleId(i + 1));
    EXPECT_EQ(r.headers["webhook-timestamp"], std::to_string(kNowS));
    EXPECT_FALSE(r.headers.contains("webhook-signature"));
    EXPECT_FALSE(r.headers.contains("expect"));
  }
  EXPECT_EQ(receiver.connections(), 1);
}

TEST_F(WebhookSinkTest, SignsWhatItSends) {
  HttpReceiver receiver;
  for (const auto& [secret, key] :
       {std::pair<std::string, std::string>{"whsec_a2V5IG9mIGtleXM=",
                                            "key of keys"},
        {"plain", "plain"},
        {std::string(100, 'k'), std::string(100, 'k')}}) {
    WebhookSinkOptions options = Options(receiver);
    options.secret = secret;
    EXPECT_TRUE(Deliver(Made(options).get(), {SampleAlert(7)}).ok());
    ReceivedRequest r = receiver.requests().back();
    EXPECT_EQ(r.headers["webhook-signature"],
              "v1," + SlowHmac(key, SampleId(7) + "." + std::to_string(kNowS) +
                                        "." + r.body));
  }
}

TEST_F(WebhookSinkTest, BatchesIntoArrays) {
  HttpReceiver receiver;
  WebhookSinkOptions options = Options(receiver);
  options.batch_max = 2;
  options.secret = "key";
  std::unique_ptr<Sink> sink = Made(options);
  const std::vector<Alert> alerts = {SampleAlert(1), SampleAlert(2),
                                     SampleAlert(3)};
  EXPECT_TRUE(Deliver(sink.get(), alerts).ok());
  EXPECT_TRUE(Deliver(sink.get(), alerts).ok());
  std::vector<ReceivedRequest> requests = receiver.requests();
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[0].body,
            "[" + JsonOf(alerts[0]) + "," + JsonOf(alerts[1]) + "]");
  EXPECT_EQ(requests[1].body, "[" + JsonOf(alerts[2]) + "]");
  // The same batch has the same id; another one another.
  const std::string id = requests[0].headers["webhook-id"];
  EXPECT_EQ(id.size(), 32u);
  EXPECT_EQ(requests[2].headers["webhook-id"], id);
  EXPECT_NE(requests[1].headers["webhook-id"], id);
  EXPECT_EQ(requests[0].headers["webhook-signature"],
            "v1," + SlowHmac("key", id + "." + std::to_string(kNowS) + "." +
                                        requests[0].body));
}

TEST_F(WebhookSinkTest, FillsTheUsersTemplate) {
  HttpReceiver receiver;
  WebhookSinkOptions options = Options(receiver);
  options.template_text = R"({"text":"{{severity}} {{user}}"})";
  Alert alert = SampleAlert();
  alert.user = "\"},{";
  EXPECT_TRUE(Deliver(Made(options).get(), {alert}).ok());
  EXPECT_EQ(receiver.requests().back().body, R"({"text":"medium \"},{"})");
  // What is no JSON needs to be none.
  options.template_text = "{{severity}} {{user}}";
  EXPECT_TRUE(absl::IsInvalidArgument(MakeWebhookSink(options).status()));
  options.http.headers = {{"content-type", "text/plain; charset=utf-8"}};
  EXPECT_TRUE(Deliver(Made(options).get(), {alert}).ok());
  ReceivedRequest r = receiver.requests().back();
  EXPECT_EQ(r.body, R"(medium \"},{)");
  EXPECT_EQ(r.headers["content-type"], "text/plain; charset=utf-8");
}

TEST_F(WebhookSinkTest, TellsRefusedForGoodFromNotNow) {
  HttpReceiver receiver;
  std::unique_ptr<Sink> sink = Made(Options(receiver));
  for (int code : {200, 201, 202, 204, 299}) {
    receiver.Script({{.code = code, .body = code == 204 ? "" : "ok"}});
    EXPECT_TRUE(Deliver(sink.get(), {SampleAlert()}).ok()) << code;
  }
  for (int code : {400, 401, 403, 404, 410, 413, 422, 451}) {
    receiver.Script({{.code = code}});
    const absl::Status status = Deliver(sink.get(), {SampleAlert()});
    EXPECT_TRUE(IsRefused(status)) << code << status;
    EXPECT_THAT(status.ToString(), HasSubstr(std::to_string(code)));
    EXPECT_THAT(status.ToString(), Not(HasSubstr("hunter2")));
  }
  for (int code : {300, 304, 408, 429, 500, 502, 503, 504, 599}) {
    receiver.Script({{.code = code, .body = code == 304 ? "" : "no"}});
    const absl::Status status = Deliver(sink.get(), {SampleAlert()});
    ExpectTemporary(status);
    EXPECT_EQ(RetryAfter(status), std::nullopt);
    EXPECT_THAT(status.ToString(), HasSubstr(std::to_string(code)));
  }
}

TEST_F(WebhookSinkTest, StopsAtTheFirstThatIsNotTaken) {
  HttpReceiver receiver;
  std::unique_ptr<Sink> sink = Made(Options(receiver));
  receiver.Script({{}, {.code = 500}, {}});
  ExpectTemporary(
      Deliver(sink.get(), {SampleAlert(1), SampleAlert(2), SampleAlert(3)}));
  EXPECT_EQ(receiver.requests().size(), 2u);
}

TEST_F(WebhookSinkTest, PassesOnWhenToComeBack) {
  HttpReceiver receiver;
  std::unique_ptr<Sink> sink = Made(Options(receiver));
  receiver.Script({{.code = 429, .headers = {"Retry-After: 17"}},
                   {.code = 503,
                    .headers = {"retry-after:  Fri, 02 Jan 2026 03:05:05 GMT"}},
                   {.code = 429, .headers = {"Retry-After: whenever"}},
                   {.code = 500, .headers = {"X: y"}}});
  EXPECT_EQ(RetryAfter(Deliver(sink.get(), {SampleAlert()})),
            absl::Seconds(17));
  EXPECT_EQ(RetryAfter(Deliver(sink.get(), {SampleAlert()})),
            absl::Seconds(60));
  EXPECT_EQ(RetryAfter(Deliver(sink.get(), {SampleAlert()})), std::nullopt);
  EXPECT_EQ(RetryAfter(Deliver(sink.get(), {SampleAlert()})), std::nullopt);
}

TEST_F(WebhookSinkTest, FollowsNoRedirect) {
  HttpReceiver elsewhere;
  HttpReceiver receiver;
  std::unique_ptr<Sink> sink = Made(Options(receiver));
  for (int code : {301, 302, 303, 307, 308}) {
    receiver.Script({{.code = code,
                      .headers = {"Location: http://127.0.0.1:" +
                                  std::to_string(elsewhere.port()) + "/"}}});
    const absl::Status status = Deliver(sink.get(), {SampleAlert()});
    ExpectTemporary(status);
    EXPECT_THAT(status.ToString(), HasSubstr("redirect"));
  }
  EXPECT_TRUE(elsewhere.requests().empty());
}

TEST_F(WebhookSinkTest, SurvivesWhatReceiversDo) {
  HttpReceiver receiver;
  WebhookSinkOptions options = Options(receiver);
  options.http.timeout = absl::Milliseconds(200);
  std::unique_ptr<Sink> sink = Made(options);
  for (Then then :
       {Then::kHang, Then::kReset, Then::kCloseMidBody, Then::kEndlessHeader}) {
    std::unique_ptr<Sink> sink = Made(options);
    receiver.Script({{.then = then}});
    ExpectTemporary(Deliver(sink.get(), {SampleAlert()}));
    EXPECT_TRUE(Deliver(sink.get(), {SampleAlert()}).ok());
  }
  receiver.ResetConnections(1);
  std::unique_ptr<Sink> another = Made(options);
  ExpectTemporary(Deliver(another.get(), {SampleAlert()}));
  EXPECT_TRUE(Deliver(another.get(), {SampleAlert()}).ok());
}

// The first line said it was taken; the rest is of no interest.
TEST_F(WebhookSinkTest, ReadsNoEndlessAnswer) {
  HttpReceiver receiver;
  std::unique_ptr<Sink> sink = Made(Options(receiver));
  receiver.Script({{.then = Then::kEndlessBody},
                   {.code = 500, .then = Then::kEndlessBody},
                   {.code = 400, .then = Then::kEndlessBody}});
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert()}).ok());
  ExpectTemporary(Deliver(sink.get(), {SampleAlert()}));
  EXPECT_TRUE(IsRefused(Deliver(sink.get(), {SampleAlert()})));
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert()}).ok());
  EXPECT_EQ(receiver.connections(), 4);
}

// A kept connection may have gone unnoticed: libcurl then asks once more.
TEST_F(WebhookSinkTest, TriesAgainWhereTheKeptConnectionHasGone) {
  HttpReceiver receiver;
  std::unique_ptr<Sink> sink = Made(Options(receiver));
  receiver.Script({{}, {.then = Then::kReset}, {}});
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1)}).ok());
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(2)}).ok());
  std::vector<ReceivedRequest> requests = receiver.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[1].headers, requests[2].headers);
  EXPECT_EQ(requests[1].body, requests[2].body);
  EXPECT_EQ(receiver.connections(), 2);
}

TEST_F(WebhookSinkTest, SaysWhoDoesNotAnswer) {
  std::unique_ptr<Sink> sink;
  int port = 0;
  {
    HttpReceiver receiver;
    sink = Made(Options(receiver));
    port = receiver.port();
    EXPECT_TRUE(Deliver(sink.get(), {SampleAlert()}).ok());
  }
  const absl::Status status = Deliver(sink.get(), {SampleAlert()});
  ExpectTemporary(status);
  EXPECT_THAT(status.ToString(),
              HasSubstr("http://127.0.0.1:" + std::to_string(port)));
}

TEST_F(WebhookSinkTest, EndsADeliveryThatIsInterrupted) {
  HttpReceiver receiver;
  WebhookSinkOptions options = Options(receiver);
  options.http.timeout = absl::Hours(1);
  std::unique_ptr<Sink> sink = Made(options);
  receiver.Script({}, {.then = Then::kHang});
  std::thread interrupter([&] {
    receiver.AwaitRequests(1);
    sink->Interrupt();
  });
  EXPECT_TRUE(absl::IsCancelled(Deliver(sink.get(), {SampleAlert()})));
  interrupter.join();
  EXPECT_TRUE(absl::IsCancelled(Deliver(sink.get(), {SampleAlert()})));
}

class WebhookSinkTlsTest : public WebhookSinkTest {
 protected:
  void SetUp() override {
    WebhookSinkTest::SetUp();
    ca_ = MakeCertificate({.name = "test authority"}, nullptr);
    server_ = MakeCertificate(
        {.name = "server", .alternatives = "IP:127.0.0.1"}, &ca_);
    ca_.WriteTo(File("ca.pem"), File("ca.key"));
  }
  WebhookSinkOptions TlsOptions(const HttpReceiver& receiver) const {
    WebhookSinkOptions options = Options(receiver, "https");
    options.http.ca_file = File("ca.pem");
    return options;
  }

  TestCertificate ca_;
  TestCertificate server_;
};

TEST_F(WebhookSinkTlsTest, DeliversOverTlsAndKeepsTheConnection) {
  HttpReceiver receiver({.server = &server_});
  std::unique_ptr<Sink> sink = Made(TlsOptions(receiver));
  ASSERT_TRUE(sink->Open().ok());
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1), SampleAlert(2)}).ok());
  EXPECT_EQ(receiver.requests().size(), 2u);
  EXPECT_EQ(receiver.connections(), 1);
}

TEST_F(WebhookSinkTlsTest, TrustsNobodyElse) {
  const TestCertificate other_ca = MakeCertificate({.name = "other"}, nullptr);
  const TestCertificate stranger = MakeCertificate(
      {.name = "stranger", .alternatives = "IP:127.0.0.1"}, &other_ca);
  const TestCertificate namesake = MakeCertificate(
      {.name = "namesake", .alternatives = "DNS:siem.internal"}, &ca_);
  const TestCertificate expired =
      MakeCertificate({.name = "expired",
                       .alternatives = "IP:127.0.0.1",
                       .valid_from_s = -7200,
                       .valid_until_s = -3600},
                      &ca_);
  for (const TestCertificate* server : {&stranger, &namesake, &expired}) {
    HttpReceiver receiver({.server = server});
    const absl::Status status =
        Deliver(Made(TlsOptions(receiver)).get(), {SampleAlert()});
    ExpectTemporary(status);
    EXPECT_THAT(status.ToString(), HasSubstr("certificate"));
    EXPECT_TRUE(receiver.requests().empty());
  }
  // Nor one of ours, where no authority is named and the system's count.
  HttpReceiver receiver({.server = &server_});
  ExpectTemporary(
      Deliver(Made(Options(receiver, "https")).get(), {SampleAlert()}));
}

TEST_F(WebhookSinkTlsTest, GoesByTheConfiguredServerName) {
  const TestCertificate named = MakeCertificate(
      {.name = "named", .alternatives = "DNS:siem.internal"}, &ca_);
  HttpReceiver receiver({.server = &named});
  WebhookSinkOptions options = TlsOptions(receiver);
  options.http.server_name = "siem.internal";
  EXPECT_TRUE(Deliver(Made(options).get(), {SampleAlert()}).ok());
  EXPECT_EQ(receiver.requests().back().headers["host"],
            "siem.internal:" + std::to_string(receiver.port()));
  options.http.server_name = "other.internal";
  ExpectTemporary(Deliver(Made(options).get(), {SampleAlert()}));
}

TEST_F(WebhookSinkTlsTest, ShowsItsCertificateAndTakesANewOneWhenReopened) {
  HttpReceiver receiver({.server = &server_, .client_ca = &ca_});
  WebhookSinkOptions options = TlsOptions(receiver);
  ExpectTemporary(Deliver(Made(options).get(), {SampleAlert()}));
  options.http.cert_file = File("client.pem");
  options.http.key_file = File("client.key");
  std::unique_ptr<Sink> sink = Made(options);
  EXPECT_TRUE(absl::IsFailedPrecondition(sink->Open()));  // Not there yet.
  for (const char* name : {"klaxon-1", "klaxon-2"}) {
    MakeCertificate({.name = name}, &ca_)
        .WriteTo(options.http.cert_file, options.http.key_file);
    EXPECT_TRUE(sink->Open().ok());
    sink->Reopen();
    EXPECT_TRUE(Deliver(sink.get(), {SampleAlert()}).ok());
    EXPECT_EQ(receiver.requests().back().client_name, name);
  }
}

TEST_F(WebhookSinkTest, RefusesOptionsThatCannotWork) {
  HttpReceiver receiver;
  struct Case {
    const char* name;
    std::function<void(WebhookSinkOptions*)> change;
    const char* want;
  };
  const Case cases[] = {
      {"no url", [](auto* o) { o->http.url = ""; }, "malformed"},
      {"scheme", [](auto* o) { o->http.url = "file:///etc/passwd"; },
       "must begin with https://"},
      {"user", [](auto* o) { o->http.url = "https://a:hunter2@b/"; },
       "user or password"},
      {"tls", [](auto* o) { o->http.ca_file = "/ca"; }, "https://"},
      {"key without cert",
       [](auto* o) {
         o->http.url = "https://a/";
         o->http.key_file = "/k";
       },
       "both cert and key"},
      {"server name",
       [](auto* o) {
         o->http.url = "https://a/";
         o->http.server_name = "a b";
       },
       "not the name of a server"},
      {"header name", [](auto* o) { o->http.headers = {{"a b", "x"}}; },
       "'a b' is not the name of a header"},
      {"header value",
       [](auto* o) { o->http.headers = {{"a", "hunter2\r\nb: c"}}; },
       "control characters"},
      {"empty header", [](auto* o) { o->http.headers = {{"a", ""}}; },
       "is empty"},
      {"our header",
       [](auto* o) { o->http.headers = {{"Content-Length", "1"}}; },
       "not yours"},
      {"our id", [](auto* o) { o->http.headers = {{"Webhook-Id", "1"}}; },
       "not yours"},
      {"secret", [](auto* o) { o->secret = "whsec_hunter2"; }, "base64"},
      {"template", [](auto* o) { o->template_text = "{{x}}"; }, "no field"},
      {"batch",
       [](auto* o) {
         o->template_text = "{{alert}}";
         o->batch_max = 2;
       },
       "leave out `batch`"},
  };
  for (const Case& c : cases) {
    WebhookSinkOptions options = Options(receiver);
    c.change(&options);
    const absl::Status status = MakeWebhookSink(options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.name << status;
    EXPECT_THAT(status.ToString(), HasSubstr(c.want)) << c.name;
    EXPECT_THAT(status.ToString(), Not(HasSubstr("hunter2"))) << c.name;
  }
}

}  // namespace
}  // namespace klaxon
