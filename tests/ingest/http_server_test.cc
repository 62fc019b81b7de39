// The server over real sockets. Its deadlines hang on a clock that only the
// test moves.
#include "ingest/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/ingest/http_server_fixture.h"

namespace klaxon {
namespace {

TEST_F(HttpServerTest, AnswersManyRequestsOnOneConnection) {
  Start();
  RawHttpClient client(port());
  for (int i = 0; i < 3; ++i) {
    const RawHttpAnswer answer = client.Ask(kGet);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "GET /a ");
    EXPECT_TRUE(answer.Has("Connection: keep-alive"));
  }
  EXPECT_EQ(client.Ask(PostOf("/b", "body")).body, "POST /b body");
  EXPECT_EQ(server_->counters().accepted, 1u);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  RawHttpClient client(port());
  std::string requests;
  for (int i = 0; i < 200; ++i) {
    requests += PostOf("/" + std::to_string(i), std::to_string(i));
  }
  client.Send(requests);
  for (int i = 0; i < 200; ++i) {
    const std::string number = std::to_string(i);
    ASSERT_EQ(client.Receive().body, "POST /" + number + " " + number);
  }
}

TEST_F(HttpServerTest, HeadHasNoBodyAndCloseCloses) {
  Start();
  RawHttpClient client(port());
  client.Send("HEAD /a HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n");
  const RawHttpAnswer answer = client.Receive(false);
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.Has("Connection: close"));
  EXPECT_TRUE(client.IsClosed());
}

TEST_F(HttpServerTest, TakesLargeAndChunkedBodiesAndExpectations) {
  options_.body_bytes_max = 8 << 20;
  Start();
  RawHttpClient client(port());
  const std::string body(5 << 20, 'x');
  EXPECT_EQ(client.Ask(PostOf("/a", body)).body, "POST /a " + body);
  EXPECT_EQ(client
                .Ask("POST /a HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: "
                     "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
                .body,
            "POST /a abc");
  client.Send(
      "POST /a HTTP/1.1\r\nHost: k\r\nContent-Length: 2\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_TRUE(client.IsReadable(10'000));  // 100 Continue
  client.Send("ab");
  EXPECT_EQ(client.Receive().body, "POST /a ab");
}

TEST_F(HttpServerTest, RefusesByHeadBeforeTheBody) {
  handlers_.on_head =
      [](const HttpRequest& request) -> std::optional<HttpResponse> {
    if (request.path() == "/no") return HttpResponse::Text(404, "nothing here");
    return std::nullopt;
  };
  Start();
  RawHttpClient client(port());
  EXPECT_EQ(client.Ask("GET /no?x HTTP/1.1\r\nHost: k\r\n\r\n").status, 404);
  EXPECT_EQ(client.Ask(kGet).status, 200);  // The same connection.
  client.Send("POST /no HTTP/1.1\r\nHost: k\r\nContent-Length: 900000\r\n\r\n");
  const RawHttpAnswer answer = client.Receive();
  EXPECT_EQ(answer.status, 404);
  EXPECT_TRUE(answer.Has("Connection: close"));
  EXPECT_EQ(handled(), 1);
  EXPECT_EQ(aborted_count(), 0u);
}

// Smuggled requests never reach the handler, neither the first nor the second.
TEST_F(HttpServerTest, SmugglingShapesAre400AndEndTheConnection) {
  Start();
  const std::string second = "GET /smuggled HTTP/1.1\r\nHost: k\r\n\r\n";
  const std::string post = "POST /a HTTP/1.1\r\nHost: k\r\n";
  const std::vector<std::string> requests = {
      post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" +
          "0\r\n\r\n",
      post + "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
      post + "Content-Length : 40\r\n\r\n",
      post + "X: y\r\n Content-Length: 40\r\n\r\n",
      post + "X: y\nContent-Length: 40\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n0;" + std::string(99, 'a') +
          "\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
      "GET http://other/a HTTP/1.1\r\nHost: k\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: k\r\nHost: l\r\n\r\n"};
  for (const std::string& request : requests) {
    RawHttpClient client(port());
    const RawHttpAnswer answer = client.Ask(request + second);
    EXPECT_EQ(answer.status, 400) << request;
    EXPECT_TRUE(client.IsClosed()) << request;
  }
  EXPECT_EQ(handled(), 0);
  EXPECT_EQ(server_->counters().bad_requests, requests.size());
}

TEST_F(HttpServerTest, TooLargeIs413WhetherAnnouncedOrNot) {
  options_.body_bytes_max = 1000;
  Start();
  RawHttpClient announced(port());
  EXPECT_EQ(announced.Ask(PostOf("/a", std::string(1001, 'x'))).status, 413);
  RawHttpClient chunked(port());
  EXPECT_EQ(chunked
                .Ask("POST /a HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: "
                     "chunked\r\n\r\n3e9\r\n")
                .status,
            413);
  RawHttpClient fits(port());
  EXPECT_EQ(fits.Ask(PostOf("/a", std::string(1000, 'x'))).status, 200);
  EXPECT_EQ(aborted_count(), 2u);
  EXPECT_EQ(aborted_[0].second, 413);
  EXPECT_EQ(aborted_[0].first.content_length, 1001u);
}

TEST_F(HttpServerTest, HalfABodyIsNeverHandedOn) {
  Start();
  RawHttpClient closes(port());
  closes.Send("POST /a HTTP/1.1\r\nHost: k\r\nContent-Length: 10\r\n\r\nhalf");
  closes.FinishSending();
  EXPECT_EQ(closes.Receive().status, 0);
  RawHttpClient resets(port());
  resets.Send(
      "POST /a HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n"
      "4\r\nhalf\r\n");
  EXPECT_TRUE(WaitFor([&] { return server_->counters().bodies_bytes == 4; }));
  resets.Reset();
  EXPECT_TRUE(WaitFor([&] { return aborted_count() == 2; }));
  EXPECT_EQ(aborted_[0].first.body, "half");
  EXPECT_EQ(aborted_[0].second, 0);
  EXPECT_EQ(aborted_[1].first.body, "half");
  EXPECT_EQ(handled(), 0);
  EXPECT_EQ(server_->counters().bodies_bytes, 0u);
}

TEST_F(HttpServerTest, BodiesBeyondTheBudgetAre429) {
  options_.body_bytes_max = 1 << 20;
  options_.bodies_bytes_max = 1 << 20;
  Start();
  RawHttpClient first(port());
  const std::string body(900'000, 'x');
  const std::string request = PostOf("/a", body);
  first.Send(std::string_view(request).substr(0, 800'000));
  EXPECT_TRUE(
      WaitFor([&] { return server_->counters().bodies_bytes > 700'000; }));
  RawHttpClient second(port());
  const RawHttpAnswer answer = second.Ask(request);
  EXPECT_EQ(answer.status, 429);
  EXPECT_TRUE(answer.Has("Retry-After: 5\r\n"));
  first.Send(std::string_view(request).substr(800'000));
  EXPECT_EQ(first.Receive().status, 200);
  EXPECT_EQ(RawHttpClient(port()).Ask(request).status, 200);
}

TEST_F(HttpServerTest, SlowHeadersAndBodiesAre408AndSilenceIsClosed) {
  Start();
  RawHttpClient silent(port());
  RawHttpClient head(port());
  head.Send("GET / HTTP/1.1\r\nX");
  RawHttpClient body(port());
  body.Send("POST /a HTTP/1.1\r\nHost: k\r\nContent-Length: 999999\r\n\r\nab");
  EXPECT_TRUE(WaitFor([&] { return server_->counters().bodies_bytes == 2; }));
  EXPECT_TRUE(WaitFor([&] { return server_->counters().connections == 3; }));
  Advance(absl::Milliseconds(4900));
  head.Send(": a\r\n");  // A drip does not help.
  EXPECT_FALSE(head.IsReadable(30));
  Advance(absl::Milliseconds(200));
  EXPECT_EQ(head.Receive().status, 408);
  EXPECT_TRUE(silent.IsClosed());
  // 5 s of grace, then 16 KiB/s; two bytes are less after 5.1 s.
  EXPECT_EQ(body.Receive().status, 408);
  EXPECT_TRUE(WaitFor([&] { return aborted_count() == 1; }));
  EXPECT_EQ(server_->counters().timeouts, 3u);
}

TEST_F(HttpServerTest, SteadyBodyIsNotTooSlowButHasItsEnd) {
  options_.body_bytes_max = 4 << 20;
  Start();
  RawHttpClient client(port());
  client.Send("POST /a HTTP/1.1\r\nHost: k\r\nContent-Length: 3000000\r\n\r\n");
  const std::string piece(160 << 10, 'x');  // Ten times the minimum a second.
  for (size_t second = 1; second <= 10; ++second) {
    client.Send(piece);
    ASSERT_TRUE(WaitFor([&] {
      return server_->counters().bodies_bytes == second * piece.size();
    }));
    Advance(absl::Seconds(1));
  }
  EXPECT_FALSE(client.IsReadable(30));
  Advance(absl::Seconds(51));
  EXPECT_EQ(client.Receive().status, 408);
}

TEST_F(HttpServerTest, AnswersMayComeLaterFromAnyThreadOrNever) {
  deferred_ = true;
  Start();
  RawHttpClient client(port());
  client.Send(kGet);
  Waiting waiting = TakeWaiting();
  EXPECT_FALSE(client.IsReadable(20));
  std::thread([&] {
    HttpResponse response;
    response.body = "later";
    waiting.responder.Respond(std::move(response));
    waiting.responder.Respond(HttpResponse::Text(500, "twice"));
  }).join();
  EXPECT_EQ(client.Receive().body, "later");
  client.Send(kGet);
  TakeWaiting();  // Let go without an answer.
  EXPECT_EQ(client.Receive().status, 503);
  EXPECT_FALSE(client.IsReadable(20));
}

TEST_F(HttpServerTest, AnswerAfterTheClientLeftGoesNowhere) {
  deferred_ = true;
  Start();
  {
    RawHttpClient client(port());
    client.Send(kGet);
    Waiting waiting = TakeWaiting();
    client.Reset();
    waiting.responder.Respond({});
  }
  RawHttpClient other(port());
  other.Send(kGet);
  TakeWaiting().responder.Respond({});
  EXPECT_EQ(other.Receive().status, 200);
}

TEST_F(HttpServerTest, LateAnswerIsNotTheNextRequests) {
  deferred_ = true;
  Start();
  RawHttpClient client(port());
  client.Send(kGet);
  Waiting late = TakeWaiting();
  Advance(absl::Seconds(26));
  const RawHttpAnswer timed_out = client.Receive();
  EXPECT_EQ(timed_out.status, 503);
  EXPECT_TRUE(timed_out.Has("Retry-After: "));
  client.Send(kGet);
  Waiting next = TakeWaiting();
  late.responder.Respond(HttpResponse::Text(200, "late"));
  EXPECT_FALSE(client.IsReadable(30));
  next.responder.Respond(HttpResponse::Text(200, "next"));
  EXPECT_EQ(client.Receive().body, "next\n");
}

TEST_F(HttpServerTest, StopFinishesWhatWasBegunAndNothingElse) {
  deferred_ = true;
  Start();
  RawHttpClient idle(port());
  idle.Send(kGet);
  TakeWaiting().responder.Respond({});
  EXPECT_EQ(idle.Receive().status, 200);
  RawHttpClient busy(port());
  busy.Send(kGet);
  Waiting waiting = TakeWaiting();
  std::thread stopper([&] { server_->Stop(absl::Seconds(20)); });
  EXPECT_TRUE(idle.IsClosed());
  EXPECT_FALSE(RawHttpClient(port()).connected());
  waiting.responder.Respond(HttpResponse::Text(200, "last"));
  const RawHttpAnswer answer = busy.Receive();
  EXPECT_EQ(answer.body, "last\n");
  EXPECT_TRUE(answer.Has("Connection: close"));
  busy.Close();
  stopper.join();
}

TEST_F(HttpServerTest, StopDoesNotWaitForeverAndRespondersOutliveTheServer) {
  deferred_ = true;
  Start();
  RawHttpClient busy(port());
  busy.Send(kGet);
  Waiting waiting = TakeWaiting();
  server_->Stop(absl::Milliseconds(20));
  EXPECT_TRUE(busy.IsClosed());
  server_.reset();
  waiting.responder.Respond({});
}

TEST_F(HttpServerTest, BearerTokenIsWantedButForOpenTargets) {
  options_.bearer_token = "s3cret";
  options_.open_targets = {"/healthz"};
  Start();
  const auto ask = [&](std::string_view path, std::string_view field) {
    RawHttpClient client(port());
    return client
        .Ask("GET " + std::string(path) + " HTTP/1.1\r\nHost: k\r\n" +
             std::string(field) + "\r\n")
        .status;
  };
  EXPECT_EQ(ask("/a", "Authorization: Bearer s3cret\r\n"), 200);
  EXPECT_EQ(ask("/a", "authorization: bearer s3cret\r\n"), 200);
  EXPECT_EQ(ask("/healthz?x=1", ""), 200);
  for (const char* bad :
       {"", "Authorization: Bearer s3cre\r\n", "Authorization: Bearer \r\n",
        "Authorization: Bearer S3cret\r\n", "Authorization: Basic s3cret\r\n",
        "Authorization: s3cret\r\n", "Authorization: Bearer s3crets\r\n"}) {
    EXPECT_EQ(ask("/a", bad), 401) << bad;
  }
  EXPECT_EQ(ask("/healthz/x", ""), 401);
  server_->SetBearerToken("other");
  EXPECT_EQ(ask("/a", "Authorization: Bearer s3cret\r\n"), 401);
  EXPECT_EQ(ask("/a", "Authorization: Bearer other\r\n"), 200);
  EXPECT_EQ(handled(), 4);
}

TEST_F(HttpServerTest, SaysWhyItDoesNotListen) {
  const auto why = [&](auto change) {
    HttpServerOptions options = options_;
    change(options);
    return std::string(
        HttpServer::Start(options, handlers_).status().message());
  };
  EXPECT_THAT(why([](auto& o) { o.listen = "0.0.0.0:0"; }),
              testing::HasSubstr("insecure: true"));
  EXPECT_THAT(why([](auto& o) {
                o.listen = "[::]:0";
                o.bearer_token = "x";
              }),
              testing::HasSubstr("tls.cert"));
  EXPECT_THAT(why([](auto& o) { o.listen = "example.org:1"; }),
              testing::HasSubstr("no IP address"));
  EXPECT_THAT(why([](auto& o) { o.tls.cert = "/nowhere"; }),
              testing::HasSubstr("tls.key"));
  EXPECT_THAT(why([](auto& o) { o.tls = {"/nowhere/c", "/nowhere/k", ""}; }),
              testing::HasSubstr("/nowhere/c"));
  options_.insecure = true;
  options_.listen = ":0";
  Start();
  EXPECT_EQ(RawHttpClient(port()).Ask(kGet).status, 200);
  EXPECT_THAT(
      why([&](auto& o) { o.listen = "127.0.0.1:" + std::to_string(port()); }),
      testing::HasSubstr("in use"));
}

// ------------------------------------------------------------ many of them

void RaiseFileLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The p99 of `count` requests, each on a connection of its own, in ms.
double P99Of(uint16_t port, int count) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    RawHttpClient client(port);
    EXPECT_EQ(client.Ask(PostOf("/a", "x")).status, 200);
    times.push_back(std::chrono::duration<double, std::milli>(
                        std::chrono::steady_clock::now() - begin)
                        .count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() * 99 / 100];
}

TEST_F(HttpServerTest, TwoThousandSlowAndIdleOnesDoNotDelayOthers) {
  RaiseFileLimit();
  options_.peer_connections_max = 4000;
  Start();
  std::vector<std::unique_ptr<RawHttpClient>> clients;
  for (int i = 0; i < 2000; ++i) {
    clients.push_back(std::make_unique<RawHttpClient>(port()));
    ASSERT_TRUE(clients.back()->connected()) << i;
    if (i % 4 == 1) clients.back()->Send("POST /a HTTP/1.1\r\nHost:");
    if (i % 4 == 2) clients.back()->Send(PostOf("/a", "x").substr(0, 99));
    if (i % 4 == 3) EXPECT_EQ(clients.back()->Ask(kGet).status, 200);
  }
  EXPECT_TRUE(WaitFor([&] { return server_->counters().connections == 2000; }));
  const double p99_ms = P99Of(port(), 200);
  std::printf("p99 beside 2000 slow and idle connections: %.1f ms\n", p99_ms);
  EXPECT_LE(p99_ms, 200);
  EXPECT_EQ(server_->counters().evicted, 0u);
}

TEST_F(HttpServerTest, FloodPushesOutItselfAndOthersGetThrough) {
  RaiseFileLimit();
  options_.connections_max = 300;
  options_.peer_connections_max = 100;
  deferred_ = true;
  Start();
  RawHttpClient served(port(), "127.0.0.9");
  served.Send(kGet);
  Waiting waiting = TakeWaiting();
  deferred_ = false;
  std::vector<std::unique_ptr<RawHttpClient>> flood;
  for (int i = 0; i < 1200; ++i) {
    const std::string from = "127.0.1." + std::to_string(1 + i % 12);
    flood.push_back(std::make_unique<RawHttpClient>(port(), from.c_str()));
    flood.back()->Send("GET /");
  }
  // The last one may be accepted, and not counted among the others yet.
  EXPECT_TRUE(WaitFor([&] {
    const HttpServerCounters counters = server_->counters();
    return counters.accepted == 1201 && counters.evicted == 901 &&
           counters.connections == 300;
  }));
  EXPECT_LE(P99Of(port(), 100), 200);
  // From an address of the flood, too: it is at no limit that is not its own.
  EXPECT_EQ(RawHttpClient(port(), "127.0.1.1").Ask(kGet).status, 200);
  waiting.responder.Respond(HttpResponse::Text(200, "patience"));
  EXPECT_EQ(served.Receive().body, "patience\n");
}

TEST_F(HttpServerTest, WhoIsServedIsNotPushedOutAndTheNewcomerIsRefused) {
  options_.peer_connections_max = 2;
  deferred_ = true;
  Start();
  RawHttpClient one(port());
  RawHttpClient two(port());
  one.Send(kGet);
  two.Send(kGet);
  Waiting first = TakeWaiting();
  Waiting second = TakeWaiting();
  EXPECT_TRUE(RawHttpClient(port()).IsClosed());
  EXPECT_EQ(server_->counters().refused_for_peer, 1u);
  first.responder.Respond({});
  second.responder.Respond({});
  EXPECT_EQ(one.Receive().status, 200);
  EXPECT_EQ(two.Receive().status, 200);
}

TEST_F(HttpServerTest, SixteenClientsAtOnce) {
  Start();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) {
        RawHttpClient client(port());
        const std::string body(static_cast<size_t>(i * 1000 + round), 'x');
        for (int time = 0; time < 3; ++time) {
          if (client.Ask(PostOf("/a", body)).body == "POST /a " + body) ++good;
        }
        if (round % 3 == 0) client.Reset();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 16 * 20 * 3);
}

}  // namespace
}  // namespace klaxon
