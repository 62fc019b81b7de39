// TLS, client certificates and the token beside them, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ingest/http_server_fixture.h"
#include "tests/ingest/test_certificates.h"

namespace klaxon {
namespace {

class HttpServerTls : public HttpServerTest {
 protected:
  HttpServerTls()
      : ours_(directory_.path(), "ours"),
        foreign_(directory_.path(), "foreign") {
    ours_.Issue("server");
    ours_.Issue("kube-apiserver");
    ours_.Issue("expired", -60);
    foreign_.Issue("kube-apiserver");
    options_.tls = {ours_.cert_file("server"), ours_.key_file("server"),
                    ours_.ca_file()};
    handlers_.on_request = [this](HttpRequest&& request,
                                  HttpResponder responder) {
      std::lock_guard lock(mutex_);
      ++handled_;
      responder.Respond(
          HttpResponse::Text(200, request.peer.certificate.common_name + " " +
                                      request.peer.certificate.fingerprint +
                                      " " + request.peer.address));
    };
  }
  ClientTls As(const TestAuthority& authority, const std::string& name) const {
    return {ours_.ca_file(), authority.cert_file(name),
            authority.key_file(name)};
  }
  // The status, 0 if there is none.
  int StatusOf(const ClientTls& tls) {
    RawHttpClient client(port());
    return client.StartTls(tls) ? client.Ask(kGet).status : 0;
  }

  TempDirectory directory_;
  TestAuthority ours_;
  TestAuthority foreign_;
};

TEST_F(HttpServerTls, KnowsItsClientsByCertificate) {
  Start();
  RawHttpClient client(port());
  ASSERT_TRUE(client.StartTls(As(ours_, "kube-apiserver")));
  for (int i = 0; i < 3; ++i) {
    const RawHttpAnswer answer =
        client.Ask(PostOf("/a", std::string(99'999, 'x')));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body.substr(0, 15), "kube-apiserver ");
    EXPECT_EQ(answer.body.substr(79), " 127.0.0.1\n");
  }
  EXPECT_GE(SSL_version(client.ssl()), TLS1_2_VERSION);
  EXPECT_GT(server_->counters().certificate_not_after, absl::Now());
}

TEST_F(HttpServerTls, RefusesWhoItDoesNotKnow) {
  Start();
  ClientTls nobody;
  nobody.ca = ours_.ca_file();
  EXPECT_EQ(StatusOf(nobody), 0);
  EXPECT_EQ(StatusOf(As(foreign_, "kube-apiserver")), 0);
  EXPECT_EQ(StatusOf(As(ours_, "expired")), 0);
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    ClientTls old = As(ours_, "kube-apiserver");
    old.max_version = version;
    EXPECT_EQ(StatusOf(old), 0);
  }
  RawHttpClient plain(port());
  EXPECT_EQ(plain.Ask(kGet).status, 0);
  EXPECT_TRUE(
      WaitFor([&] { return server_->counters().handshakes_failed == 6; }));
  ClientTls tls_1_2 = As(ours_, "kube-apiserver");
  tls_1_2.max_version = TLS1_2_VERSION;
  EXPECT_EQ(StatusOf(tls_1_2), 200);
  EXPECT_EQ(handled(), 1);
}

TEST_F(HttpServerTls, WantsTheTokenToo) {
  options_.bearer_token = "s3cret";
  Start();
  EXPECT_EQ(StatusOf(As(ours_, "kube-apiserver")), 401);
  RawHttpClient client(port());
  ASSERT_TRUE(client.StartTls(As(ours_, "kube-apiserver")));
  EXPECT_EQ(client
                .Ask("GET /a HTTP/1.1\r\nHost: k\r\nAuthorization: Bearer "
                     "s3cret\r\n\r\n")
                .status,
            200);
}

TEST_F(HttpServerTls, ReloadIsForNewConnectionsOnly) {
  Start();
  RawHttpClient old(port());
  ASSERT_TRUE(old.StartTls(As(ours_, "kube-apiserver")));
  EXPECT_EQ(old.Ask(kGet).status, 200);
  // The files now are those of another authority.
  foreign_.Issue("server");
  std::filesystem::copy_file(foreign_.cert_file("server"),
                             ours_.cert_file("server"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(server_->ReloadCertificates().ok());  // Not its key.
  EXPECT_EQ(StatusOf(As(ours_, "kube-apiserver")), 200);
  std::filesystem::copy_file(foreign_.key_file("server"),
                             ours_.key_file("server"),
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy_file(foreign_.ca_file(), ours_.ca_file(),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(server_->ReloadCertificates().ok());
  EXPECT_EQ(old.Ask(kGet).status, 200);
  EXPECT_EQ(StatusOf(As(ours_, "kube-apiserver")), 0);
  EXPECT_EQ(StatusOf(As(foreign_, "kube-apiserver")), 200);
}

TEST_F(HttpServerTls, SilentAndHalfHandshakesEndInTime) {
  Start();
  RawHttpClient silent(port());
  RawHttpClient half(port());
  half.Send(std::string("\x16\x03\x01\x02\x00\x01\x00", 7));
  EXPECT_TRUE(WaitFor([&] { return server_->counters().connections == 2; }));
  Advance(absl::Seconds(6));
  EXPECT_TRUE(silent.IsClosed());
  EXPECT_TRUE(half.IsClosed());
  EXPECT_EQ(server_->counters().timeouts, 2u);
}

TEST_F(HttpServerTls, BodyThatBreaksOffIsNoBody) {
  Start();
  RawHttpClient client(port());
  ASSERT_TRUE(client.StartTls(As(ours_, "kube-apiserver")));
  client.Send("POST /a HTTP/1.1\r\nHost: k\r\nContent-Length: 10\r\n\r\nhalf");
  EXPECT_TRUE(WaitFor([&] { return server_->counters().bodies_bytes == 4; }));
  client.FinishSending();  // Without TLS's own end.
  EXPECT_EQ(client.Receive().status, 0);
  EXPECT_TRUE(WaitFor([&] { return aborted_count() == 1; }));
  EXPECT_EQ(handled(), 0);
}

TEST_F(HttpServerTls, RefusalIsReadBeforeTheConnectionEnds) {
  options_.body_bytes_max = 1000;
  Start();
  RawHttpClient client(port());
  ASSERT_TRUE(client.StartTls(As(ours_, "kube-apiserver")));
  client.Send(PostOf("/a", std::string(200'000, 'x')));
  EXPECT_EQ(client.Receive().status, 413);
  RawHttpClient slow(port());
  ASSERT_TRUE(slow.StartTls(As(ours_, "kube-apiserver")));
  slow.Send("GET / HTTP/1.1\r\n");
  EXPECT_FALSE(slow.IsReadable(30));
  Advance(absl::Seconds(6));
  EXPECT_EQ(slow.Receive().status, 408);
}

}  // namespace
}  // namespace klaxon
