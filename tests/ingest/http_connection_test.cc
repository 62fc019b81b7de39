// A connection with a transport and a clock of the test's own: what no socket
// can be made to do at will.
#include "ingest/http_connection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace klaxon {
namespace {

constexpr std::string_view kPost =
    "POST /a HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n";

// What the connection asked of its transport, and has not been told yet.
struct Wire {
  HttpTransport::Done read;
  char* read_buffer = nullptr;
  HttpTransport::Done write;
  std::string written;
  HttpTransport::Done shutdown;
  bool closed = false;

  void Feed(std::string_view bytes) {
    std::copy(bytes.begin(), bytes.end(), read_buffer);
    std::exchange(read, nullptr)(true, bytes.size());
  }
  void FinishWrite(bool ok = true) {
    std::exchange(write, nullptr)(ok, written.size());
  }
};

class FakeTransport final : public HttpTransport {
 public:
  explicit FakeTransport(Wire& wire) : wire_(wire) {}
  void Handshake(std::function<void(bool, PeerCertificate)> done) override {
    done(true, {});
  }
  void Read(char* buffer, size_t, Done done) override {
    EXPECT_EQ(wire_.read, nullptr) << "two reads at once";
    wire_.read = std::move(done);
    wire_.read_buffer = buffer;
  }
  void Write(std::string_view bytes, Done done) override {
    EXPECT_EQ(wire_.write, nullptr) << "two writes at once";
    wire_.write = std::move(done);
    wire_.written += bytes;
  }
  void ShutdownSend(bool, Done done) override {
    wire_.shutdown = std::move(done);
  }
  void Close(bool) override { wire_.closed = true; }

 private:
  Wire& wire_;
};

class FakeHost final : public HttpHost {
 public:
  using HttpHost::HttpHost;
  HttpResponder MakeResponder(uint64_t, uint64_t request) override {
    requests.push_back(request);
    return HttpResponder([](const HttpResponse&) {});
  }
  void Forget(uint64_t) override { ++forgotten; }

  std::vector<uint64_t> requests;
  int forgotten = 0;
};

class HttpConnectionTest : public testing::Test {
 protected:
  HttpConnectionTest() : host_(Options(), Handlers()) {
    connection_ = std::make_shared<HttpConnection>(
        host_, 1, "10.0.0.1", std::make_unique<FakeTransport>(wire_));
    connection_->Start();
  }
  HttpServerOptions Options() {
    HttpServerOptions options;
    options.monotonic_clock = [this] { return now_; };
    return options;
  }
  HttpHandlers Handlers() {
    HttpHandlers handlers;
    handlers.on_request = [](HttpRequest&&, HttpResponder) {};
    handlers.on_aborted = [this](HttpRequest&&, int) { ++aborted_; };
    return handlers;
  }
  // One request and its answer, to the last byte.
  void Serve() {
    wire_.written.clear();
    wire_.Feed(std::string(kPost) + "\r\nwhole");
    connection_->Answer(host_.requests.back(), {});
    wire_.FinishWrite();
  }
  void Tick(absl::Duration after) {
    now_ += after;
    connection_->OnTick(now_);
  }

  absl::Duration now_ = absl::Seconds(1000);
  int aborted_ = 0;
  Wire wire_;
  FakeHost host_;
  std::shared_ptr<HttpConnection> connection_;
};

TEST_F(HttpConnectionTest, NeverWritesTwiceAtOnce) {
  wire_.Feed(std::string(kPost) + "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(wire_.written, "HTTP/1.1 100 Continue\r\n\r\n");
  Tick(absl::Seconds(61));  // A 408 is due, but the client does not read.
  EXPECT_TRUE(wire_.closed);
  EXPECT_EQ(aborted_, 1);
  EXPECT_EQ(host_.forgotten, 1);
  wire_.FinishWrite(false);
}

TEST_F(HttpConnectionTest, ClientThatDoesNotReadItsAnswerIsGivenUp) {
  wire_.Feed(std::string(kPost) + "\r\nwhole");
  ASSERT_EQ(host_.requests.size(), 1u);
  connection_->Answer(host_.requests[0], {});
  EXPECT_FALSE(wire_.closed);
  Tick(absl::Seconds(9));
  EXPECT_FALSE(wire_.closed);
  Tick(absl::Seconds(2));
  EXPECT_TRUE(wire_.closed);
  wire_.FinishWrite(false);
  EXPECT_EQ(host_.forgotten, 1);
  EXPECT_EQ(aborted_, 0);
}

TEST_F(HttpConnectionTest, IsClosedAfterTwoIdleMinutes) {
  Serve();
  Tick(absl::Seconds(119));
  EXPECT_FALSE(wire_.closed);
  Serve();
  Tick(absl::Seconds(119));
  EXPECT_FALSE(wire_.closed);
  Tick(absl::Seconds(2));
  EXPECT_TRUE(wire_.closed);
}

TEST_F(HttpConnectionTest, IsClosedWithAnAnswerAfterAnHour) {
  for (int minute = 0; minute < 60; ++minute) {
    Serve();
    ASSERT_NE(wire_.written.find("keep-alive"), std::string::npos) << minute;
    Tick(absl::Minutes(1));
  }
  Serve();
  EXPECT_NE(wire_.written.find("Connection: close"), std::string::npos);
  EXPECT_NE(wire_.shutdown, nullptr);
}

TEST_F(HttpConnectionTest, AnswersAreNotForEver) {
  wire_.Feed(std::string(kPost) + "\r\nwhole");
  Tick(absl::Seconds(26));
  EXPECT_NE(wire_.written.find("HTTP/1.1 503"), std::string::npos);
  const size_t size = wire_.written.size();
  wire_.FinishWrite();
  connection_->Answer(host_.requests[0], {});
  EXPECT_EQ(wire_.written.size(), size);
}

TEST_F(HttpConnectionTest, LingersForABoundedTimeAndAmount) {
  wire_.Feed("nonsense\n");
  EXPECT_EQ(wire_.written.substr(0, 12), "HTTP/1.1 400");
  wire_.FinishWrite();
  ASSERT_NE(wire_.shutdown, nullptr);
  std::exchange(wire_.shutdown, nullptr)(true, 0);
  const std::string rest(16 << 10, 'x');
  for (int i = 0; i < 256; ++i) {
    ASSERT_FALSE(wire_.closed) << i;
    wire_.Feed(rest);
  }
  ASSERT_FALSE(wire_.closed);
  wire_.Feed(rest);
  EXPECT_TRUE(wire_.closed);
}

TEST_F(HttpConnectionTest, BytesThatCrossARefusalAreThrownAway) {
  wire_.Feed(std::string(kPost) + "\r\nwh");
  Tick(absl::Seconds(61));  // 408, while a read is under way.
  EXPECT_NE(wire_.written.find("HTTP/1.1 408"), std::string::npos);
  wire_.Feed("ole");
  EXPECT_TRUE(host_.requests.empty());
  wire_.FinishWrite();
  std::exchange(wire_.shutdown, nullptr)(true, 0);
  ASSERT_NE(wire_.read, nullptr);
  std::exchange(wire_.read, nullptr)(false, 0);
  EXPECT_TRUE(wire_.closed);
}

TEST_F(HttpConnectionTest, EndsCleanlyWhereverTheStreamEnds) {
  const std::string whole = std::string(kPost) + "\r\nwhole";
  for (size_t size = 0; size < whole.size(); ++size) {
    Wire wire;
    FakeHost host(Options(), Handlers());
    aborted_ = 0;
    auto connection = std::make_shared<HttpConnection>(
        host, 1, "10.0.0.1", std::make_unique<FakeTransport>(wire));
    connection->Start();
    if (size > 0) wire.Feed(std::string_view(whole).substr(0, size));
    std::exchange(wire.read, nullptr)(false, 0);
    EXPECT_TRUE(wire.closed) << size;
    EXPECT_TRUE(host.requests.empty()) << size;
    EXPECT_EQ(aborted_, size >= whole.size() - 5 ? 1 : 0) << size;
    EXPECT_EQ(host.counters().bodies_bytes, 0u) << size;
    // No callback holds it any more.
    EXPECT_EQ(connection.use_count(), 1) << size;
  }
}

}  // namespace
}  // namespace klaxon
