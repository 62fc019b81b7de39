// A blocking HTTP client that can be as rude as a test wants: it sends the
// bytes it is given, over TCP or TLS, and reads what comes back.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace klaxon {

struct RawHttpAnswer {
  int status = 0;  // 0: the connection ended without one.
  std::string head;
  std::string body;

  bool Has(std::string_view text) const {
    return head.find(text) != std::string::npos;
  }
};

// What a client shows and trusts; empty files: TLS without a certificate.
struct ClientTls {
  std::string ca;
  std::string cert;
  std::string key;
  int max_version = 0;  // TLS1_VERSION and the like; 0: the newest.
};

class RawHttpClient {
 public:
  explicit RawHttpClient(uint16_t port, const char* address = "127.0.0.1") {
    signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL.
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    // A test that fails ends; none waits so long.
    const timeval timeout{.tv_sec = 20, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    const int yes = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    sockaddr_in from{};
    from.sin_family = AF_INET;
    inet_pton(AF_INET, address, &from.sin_addr);
    bind(socket_, reinterpret_cast<sockaddr*>(&from), sizeof(from));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    connected_ =
        connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0;
  }
  ~RawHttpClient() { Close(); }
  RawHttpClient(const RawHttpClient&) = delete;
  RawHttpClient& operator=(const RawHttpClient&) = delete;

  bool connected() const { return connected_; }

  // False: no handshake. TLS 1.3 tells a client only with its first read that
  // its certificate was refused.
  bool StartTls(const ClientTls& tls) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_cipher_list(context_.get(), "ALL:@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    if (tls.max_version != 0) {
      SSL_CTX_set_max_proto_version(context_.get(), tls.max_version);
    }
    if (!tls.ca.empty()) {
      EXPECT_EQ(SSL_CTX_load_verify_locations(context_.get(), tls.ca.c_str(),
                                              nullptr),
                1);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    }
    if (!tls.cert.empty()) {
      EXPECT_EQ(
          SSL_CTX_use_certificate_chain_file(context_.get(), tls.cert.c_str()),
          1);
      EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context_.get(), tls.key.c_str(),
                                            SSL_FILETYPE_PEM),
                1);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_);
    return SSL_connect(ssl_.get()) == 1;
  }
  SSL* ssl() { return ssl_.get(); }

  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent =
          ssl_ ? SSL_write(ssl_.get(), bytes.data(),
                           static_cast<int>(bytes.size()))
               : send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // No more bytes from us.
  void FinishSending() { shutdown(socket_, SHUT_WR); }

  // The next answer; `has_body` is false after HEAD.
  RawHttpAnswer Receive(bool has_body = true) {
    RawHttpAnswer answer;
    size_t end;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
      if (!ReadSome()) return answer;
    }
    answer.head = in_.substr(0, end + 4);
    in_.erase(0, end + 4);
    Number(answer.head.substr(9, 3), &answer.status);
    if (answer.status == 100) return Receive(has_body);
    size_t length = 0;
    const size_t at = answer.head.find("Content-Length: ");
    if (at != std::string::npos) Number(answer.head.substr(at + 16), &length);
    while (has_body && in_.size() < length) {
      if (!ReadSome()) return {};
    }
    answer.body = in_.substr(0, has_body ? length : 0);
    in_.erase(0, answer.body.size());
    return answer;
  }
  RawHttpAnswer Ask(std::string_view request) {
    Send(request);
    return Receive();
  }
  // Whether the server closes without a further byte; false after a while.
  bool IsClosed() {
    errno = 0;
    return in_.empty() && !ReadSome() && errno != EAGAIN;
  }
  // Something can be read (or the end) within so many milliseconds.
  bool IsReadable(int timeout_ms) const {
    pollfd poller{.fd = socket_, .events = POLLIN, .revents = 0};
    return poll(&poller, 1, timeout_ms) == 1;
  }
  void Close() {
    ssl_.reset();
    if (socket_ >= 0) close(std::exchange(socket_, -1));
  }
  // As a crashed machine: no orderly end.
  void Reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    Close();
  }

 private:
  template <typename T>
  static void Number(std::string_view text, T* number) {
    std::from_chars(text.data(), text.data() + text.size(), *number);
  }
  bool ReadSome() {
    char buffer[16384];
    const ssize_t bytes = ssl_ ? SSL_read(ssl_.get(), buffer, sizeof(buffer))
                               : recv(socket_, buffer, sizeof(buffer), 0);
    if (bytes <= 0) return false;
    in_.append(buffer, static_cast<size_t>(bytes));
    return true;
  }
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  int socket_ = -1;
  bool connected_ = false;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  std::string in_;
};

inline std::string PostOf(std::string_view path, std::string_view body,
                          std::string_view more_fields = {}) {
  std::string request = "POST " + std::string(path) +
                        " HTTP/1.1\r\nHost: klaxon\r\nContent-Type: "
                        "application/json\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n";
  request += more_fields;
  request += "\r\n";
  request += body;
  return request;
}

}  // namespace klaxon
