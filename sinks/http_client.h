// POST requests to one address over a connection that is kept (libcurl).
//
// Redirects are not followed, an answer's body is read up to a limit, TLS 1.2
// or later with the certificate always checked. No status says more of the
// address than scheme, host and port: the path may be a secret.
//
// One thread makes requests; Interrupt and Reopen may come from any.
// REQUIRES: the process ignores SIGPIPE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace klaxon {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpClientOptions {
  std::string url;  // http:// or https://, without user and password.
  HttpHeaders headers;
  // PEM files, read anew for each connection. Empty: the system's authorities;
  // no client certificate.
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  // The name that the certificate must bear, and that SNI and Host say, where
  // it is not the one in the URL. Empty: that one.
  std::string server_name;
  // Empty: none. Nothing: what the environment says (https_proxy, no_proxy).
  std::optional<std::string> proxy;
  absl::Duration connect_timeout = absl::Seconds(5);
  absl::Duration timeout =
      absl::Seconds(30);               // Of a request, connect included.
  size_t answer_bytes_max = 64 << 10;  // Of the body; the rest is not read.
};

struct HttpAnswer {
  int64_t code = 0;         // 100…599
  std::string retry_after;  // The header's value; empty: none.
  std::string body;         // Up to answer_bytes_max.
};

class HttpClient {
 public:
  // InvalidArgument: the options cannot work, and why.
  static absl::StatusOr<std::unique_ptr<HttpClient>> Make(
      HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // FailedPrecondition: a file that the options name cannot be read.
  absl::Status CheckFiles() const;

  // An answer of any code. Unavailable: none, or not to its end (an answer that
  // was cut at the limit has an end); Cancelled: interrupted.
  absl::StatusOr<HttpAnswer> Post(const HttpHeaders& headers,
                                  std::string_view body);

  // "https://siem:8443": for messages.
  const std::string& origin() const;

  // See Sink.
  void Interrupt() noexcept;
  void Reopen() noexcept;

 private:
  struct Impl;
  explicit HttpClient(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// What an answer means for a delivery (see sink.h): 2xx OK; 4xx but 408 and 429
// InvalidArgument; all else Unavailable, with the Retry-After that was said.
// `now`: the wall clock, for a Retry-After that names a date.
absl::Status DeliveryStatusOf(const HttpAnswer& answer, std::string_view origin,
                              absl::Time now);

}  // namespace klaxon
