// What a handler of the HTTP server gets and gives. Plain values; the request
// and response belong to one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "ingest/http_tls.h"

namespace klaxon {

struct HttpPeer {
  std::string address;          // Without the port.
  PeerCertificate certificate;  // Empty without client certificates.
};

struct HttpRequest {
  uint64_t id = 0;  // Of this server, never used twice.
  std::string method;
  std::string target;  // Begins with '/'; as sent, not unescaped.
  std::vector<std::pair<std::string, std::string>> fields;
  std::optional<uint64_t> content_length;  // As announced; none if chunked.
  std::string body;
  HttpPeer peer;

  std::string_view path() const;  // The target without its query.
  // Value of the first field of that name (any case); empty: there is none.
  std::string_view Field(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  absl::Duration retry_after;  // Zero: not said. In whole seconds, rounded up.
  // Names and values are the caller's, never a client's.
  std::vector<std::pair<std::string, std::string>> fields;

  // `text` in one line, as a person reads it in a log.
  static HttpResponse Text(int status, std::string_view text);
};

// The right to answer one request, once, now or later, from any thread, also
// after the client or the server is gone (then it does nothing). Destroyed
// without an answer it answers 503.
class HttpResponder {
 public:
  using Send = std::function<void(HttpResponse)>;
  HttpResponder() = default;
  explicit HttpResponder(Send send) : send_(std::move(send)) {}
  HttpResponder(HttpResponder&& other) noexcept;
  HttpResponder& operator=(HttpResponder&& other) noexcept;
  ~HttpResponder();

  void Respond(HttpResponse response);  // Later calls do nothing.

 private:
  Send send_;
};

// As it goes over the wire. `with_body` is false for HEAD.
std::string SerializeResponse(const HttpResponse& response, bool keep_alive,
                              bool with_body);

}  // namespace klaxon
