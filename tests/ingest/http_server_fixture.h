// A server on a port of its own, and what its handlers saw. Its deadlines hang
// on a clock that only the test moves.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/http_server.h"
#include "tests/ingest/ingest_fixture.h"
#include "tests/ingest/raw_http_client.h"

namespace klaxon {

inline constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: k\r\n\r\n";

class HttpServerTest : public testing::Test {
 protected:
  struct Waiting {
    HttpRequest request;
    HttpResponder responder;
  };

  HttpServerTest() {
    options_.listen = "127.0.0.1:0";
    options_.tick = absl::Milliseconds(2);
    options_.monotonic_clock = [this] {
      ticked_.notify_all();
      return absl::Milliseconds(now_ms_.load());
    };
    handlers_.on_request = [this](HttpRequest&& request,
                                  HttpResponder responder) {
      std::lock_guard lock(mutex_);
      ++handled_;
      if (deferred_) {
        waiting_.push_back({std::move(request), std::move(responder)});
        arrived_.notify_all();
        return;
      }
      HttpResponse response;
      response.body =
          request.method + " " + request.target + " " + request.body;
      responder.Respond(std::move(response));
    };
    handlers_.on_aborted = [this](HttpRequest&& request, int status) {
      std::lock_guard lock(mutex_);
      aborted_.emplace_back(std::move(request), status);
    };
  }
  ~HttpServerTest() override {
    server_.reset();
    waiting_.clear();
  }

  void Start() {
    auto server = HttpServer::Start(options_, handlers_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  uint16_t port() const { return server_->port(); }
  // Looks whenever the server looks at its clock; a test that fails takes 10 s.
  template <typename Condition>
  bool WaitFor(Condition condition) {
    constexpr std::chrono::seconds kPatience(10);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      std::unique_lock lock(tick_mutex_);
      // A tick that is missed is followed by the next.
      if (ticked_.wait_until(lock, deadline) == std::cv_status::timeout) {
        return condition();
      }
    }
    return true;
  }
  void Advance(absl::Duration time) {
    now_ms_ += absl::ToInt64Milliseconds(time);
  }
  Waiting TakeWaiting() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(arrived_.wait_for(lock, std::chrono::seconds(10),
                                  [&] { return !waiting_.empty(); }));
    if (waiting_.empty()) return {};
    Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    return waiting;
  }
  size_t aborted_count() {
    std::lock_guard lock(mutex_);
    return aborted_.size();
  }
  int handled() {
    std::lock_guard lock(mutex_);
    return handled_;
  }

  std::atomic<int64_t> now_ms_{1'000'000};
  HttpServerOptions options_;
  HttpHandlers handlers_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::mutex tick_mutex_;  // Guards nothing: `ticked_` needs one.
  std::condition_variable ticked_;
  bool deferred_ = false;
  int handled_ = 0;
  std::deque<Waiting> waiting_;
  std::vector<std::pair<HttpRequest, int>> aborted_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace klaxon
