// An HTTP/1.1 server of the tests' own that does what it is told: answers,
// hangs, resets, lies. It listens on a free port of 127.0.0.1.
//
// Its methods may be called from any thread; a thread per connection serves.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/testing/test_certificates.h"

namespace klaxon {

struct ReceiverAnswer {
  enum class Then {
    kAnswer,
    kHang,          // Says nothing until the client has gone, or Stop.
    kReset,         // Resets the connection in place of an answer.
    kCloseMidBody,  // Says more bytes than it sends, and closes.
    kEndlessBody,   // Sends body until the client has had enough.
    kEndlessHeader,
  };
  int code = 200;
  std::vector<std::string> headers = {};  // "Name: value"
  std::string body = "ok";
  Then then = Then::kAnswer;
};

struct ReceivedRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // Names in lower case.
  std::string body;
  int connection = 0;       // Counted from 1.
  std::string client_name;  // Common name of its certificate.
};

struct ReceiverTls {
  const TestCertificate* server = nullptr;     // Null: plain HTTP.
  const TestCertificate* client_ca = nullptr;  // Set: clients need one of its.
};

class HttpReceiver {
 public:
  explicit HttpReceiver(ReceiverTls tls = {}) {
    if (tls.server != nullptr) SetUpTls(tls);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(
        bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
        0);
    EXPECT_EQ(listen(listener_, 64), 0);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~HttpReceiver() {
    Stop();
    if (tls_ != nullptr) SSL_CTX_free(tls_);
  }
  HttpReceiver(const HttpReceiver&) = delete;
  HttpReceiver& operator=(const HttpReceiver&) = delete;

  int port() const { return port_; }

  // For the next requests, one each; then `otherwise`.
  void Script(std::vector<ReceiverAnswer> answers,
              ReceiverAnswer otherwise = {}) {
    std::lock_guard<std::mutex> lock(mutex_);
    script_.assign(answers.begin(), answers.end());
    otherwise_ = std::move(otherwise);
  }
  // The next `count` connections are reset as soon as they are accepted.
  void ResetConnections(int count) {
    std::lock_guard<std::mutex> lock(mutex_);
    resets_ = count;
  }

  std::vector<ReceivedRequest> requests() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return requests_;
  }
  int connections() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return connections_;
  }
  // Blocks until so many requests have been read.
  void AwaitRequests(size_t count) const {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return requests_.size() >= count; });
  }

  void Stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (stopped_) return;
      stopped_ = true;
      for (int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    close(listener_);
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  // One connection: plain, or TLS where ssl is set.
  struct Stream {
    int fd = -1;
    SSL* ssl = nullptr;
    std::string buffer;

    bool Fill() {
      char bytes[16384];
      const auto got = ssl == nullptr
                           ? recv(fd, bytes, sizeof(bytes), 0)
                           : ssize_t{SSL_read(ssl, bytes, sizeof(bytes))};
      if (got <= 0) return false;
      buffer.append(bytes, static_cast<size_t>(got));
      return true;
    }
    bool Send(const std::string& text) const {
      for (size_t at = 0; at < text.size();) {
        const auto sent =
            ssl == nullptr
                ? send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL)
                : ssize_t{SSL_write(ssl, text.data() + at,
                                    static_cast<int>(text.size() - at))};
        if (sent <= 0) return false;
        at += static_cast<size_t>(sent);
      }
      return true;
    }
    void Reset() const {
      const linger now{.l_onoff = 1, .l_linger = 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
  };

  void SetUpTls(ReceiverTls tls) {
    tls_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(tls_, tls.server->certificate.get());
    SSL_CTX_use_PrivateKey(tls_, tls.server->key.get());
    if (tls.client_ca == nullptr) return;
    X509_STORE_add_cert(SSL_CTX_get_cert_store(tls_),
                        tls.client_ca->certificate.get());
    SSL_CTX_set_verify(tls_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       nullptr);
  }

  void Accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      std::lock_guard<std::mutex> lock(mutex_);
      if (stopped_ || resets_ > 0) {
        --resets_;
        Stream{.fd = fd, .buffer = {}}.Reset();
        close(fd);
        continue;
      }
      open_.push_back(fd);
      threads_.emplace_back(
          [this, fd, number = ++connections_] { Serve(fd, number); });
    }
  }

  void Serve(int fd, int number) {
    Stream stream{.fd = fd, .buffer = {}};
    bool ok = true;
    if (tls_ != nullptr) {
      stream.ssl = SSL_new(tls_);
      SSL_set_fd(stream.ssl, fd);
      ok = SSL_accept(stream.ssl) == 1;
    }
    ReceivedRequest request;
    while (ok && Read(&stream, &request)) {
      request.connection = number;
      ok = Answer(&stream, Note(request));
    }
    if (stream.ssl != nullptr) SSL_free(stream.ssl);
    std::lock_guard<std::mutex> lock(mutex_);
    std::erase(open_, fd);
    close(fd);
  }

  ReceiverAnswer Note(const ReceivedRequest& request) {
    std::lock_guard<std::mutex> lock(mutex_);
    requests_.push_back(request);
    changed_.notify_all();
    if (script_.empty()) return otherwise_;
    ReceiverAnswer answer = script_.front();
    script_.pop_front();
    return answer;
  }

  static bool Read(Stream* stream, ReceivedRequest* request) {
    *request = ReceivedRequest();
    size_t end;
    while ((end = stream->buffer.find("\r\n\r\n")) == std::string::npos) {
      if (!stream->Fill()) return false;
    }
    std::string head = stream->buffer.substr(0, end + 2);
    stream->buffer.erase(0, end + 4);
    size_t at = head.find("\r\n");
    const std::string line = head.substr(0, at);
    request->method = line.substr(0, line.find(' '));
    request->target = line.substr(request->method.size() + 1);
    request->target.resize(request->target.find(' '));
    for (at += 2; at < head.size();) {
      const size_t next = head.find("\r\n", at);
      const size_t colon = head.find(':', at);
      std::string name = head.substr(at, colon - at);
      std::transform(name.begin(), name.end(), name.begin(), tolower);
      request->headers[name] = head.substr(colon + 2, next - colon - 2);
      at = next + 2;
    }
    const std::string& length = request->headers["content-length"];
    size_t bytes = 0;
    std::from_chars(length.data(), length.data() + length.size(), bytes);
    while (stream->buffer.size() < bytes) {
      if (!stream->Fill()) return false;
    }
    request->body = stream->buffer.substr(0, bytes);
    stream->buffer.erase(0, bytes);
    if (stream->ssl != nullptr) request->client_name = ClientName(stream->ssl);
    return true;
  }

  static std::string ClientName(SSL* ssl) {
    X509* certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr) return {};
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate),
                              NID_commonName, name, sizeof(name));
    return name;
  }

  // False: the connection is over.
  static bool Answer(Stream* stream, const ReceiverAnswer& answer) {
    using Then = ReceiverAnswer::Then;
    if (answer.then == Then::kHang) {
      while (stream->Fill()) {
      }
      return false;
    }
    if (answer.then == Then::kReset) {
      stream->Reset();
      return false;
    }
    std::string head =
        "HTTP/1.1 " + std::to_string(answer.code) + " As Told\r\n";
    for (const std::string& header : answer.headers) head += header + "\r\n";
    if (answer.then == Then::kEndlessHeader) {
      while (stream->Send(head)) head = "X: " + std::string(1000, 'x') + "\r\n";
      return false;
    }
    size_t length = answer.body.size();
    if (answer.then == Then::kCloseMidBody) length += 100;
    if (answer.then == Then::kEndlessBody) length = size_t{1} << 40;
    head += "Content-Length: " + std::to_string(length) + "\r\n\r\n";
    if (!stream->Send(head + answer.body)) return false;
    if (answer.then == Then::kEndlessBody) {
      while (stream->Send(std::string(1 << 16, 'x'))) {
      }
    }
    return answer.then == Then::kAnswer;
  }

  SSL_CTX* tls_ = nullptr;
  int listener_ = -1;
  int port_ = 0;
  std::thread acceptor_;

  mutable std::mutex mutex_;  // Guards all below.
  mutable std::condition_variable changed_;
  std::deque<ReceiverAnswer> script_;
  ReceiverAnswer otherwise_;
  std::vector<ReceivedRequest> requests_;
  std::list<std::thread> threads_;
  std::vector<int> open_;
  int connections_ = 0;
  int resets_ = 0;
  bool stopped_ = false;
};

}  // namespace klaxon
