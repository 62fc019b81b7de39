// A small HTTP/1.1 server: the daemon's own endpoint (metrics, health) and the
// receiver of the audit webhook. Boost.Asio and Beast are behind it, and in no
// header.
//
// Threads. One thread of the library's does all input and output and calls the
// handlers, one at a time; they must not block. Everything else here may be
// called from any other thread; an HttpResponder from any.
//
// What is hostile. Every byte before a request was let in. Heads are checked
// (http_head.h) before the parser sees them; each phase has a deadline, each
// buffer a bound, and connections at their limit push out only their like
// (connection_table.h). A body is handed on whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ingest/http_message.h"
#include "ingest/http_tls.h"

namespace klaxon {

struct HttpHandlers {
  // A head was read and authenticated, the body not yet. An answer refuses it
  // and the connection is closed if a body was announced. May be null.
  std::function<std::optional<HttpResponse>(const HttpRequest&)> on_head;
  // The whole request.
  std::function<void(HttpRequest&&, HttpResponder)> on_request;
  // A request that on_head let in and that will not come to on_request: the
  // client left, was too slow, too large, or broke the framing. `body` is what
  // came of it; `status` what it was answered (0: nothing). May be null.
  std::function<void(HttpRequest&&, int status)> on_aborted;
};

struct HttpServerOptions {
  std::string listen;  // See ParseListenAddress.
  TlsFiles tls;        // `cert` empty: plain.
  // Empty: none is asked for. Asked of every target but `open_targets`, and
  // beside the client certificate where both are set.
  std::string bearer_token;
  std::vector<std::string> open_targets;  // Paths: "/healthz".
  bool insecure = false;                  // See CheckListenProtection.

  size_t head_bytes_max = 16 << 10;
  size_t body_bytes_max = 1 << 20;
  // Of all bodies that are being received or were not yet taken; then 429.
  size_t bodies_bytes_max = 128 << 20;
  // Bounded further by the process's limit of open files.
  // One that has begun TLS costs up to 100 kB.
  size_t connections_max = 2560;
  size_t peer_connections_max = 256;

  absl::Duration handshake_timeout = absl::Seconds(5);
  absl::Duration head_timeout = absl::Seconds(5);  // First byte to last.
  // A body slower than this on average, after `body_grace`, is given up.
  size_t body_bytes_per_second_min = 16 << 10;
  absl::Duration body_grace = absl::Seconds(5);
  absl::Duration body_timeout = absl::Seconds(60);
  // An answer that the handler did not give by then is 503. kube-apiserver
  // waits for 30 s.
  absl::Duration answer_timeout = absl::Seconds(25);
  absl::Duration write_timeout = absl::Seconds(10);
  // Longer than the 90 s after which Go's client closes an idle connection, so
  // that the two do not cross.
  absl::Duration idle_timeout = absl::Seconds(120);
  // An older connection is closed with its next answer: certificates are
  // looked at anew.
  absl::Duration connection_age_max = absl::Hours(1);
  absl::Duration linger_timeout = absl::Seconds(2);
  // Said with every 429 and 503 of the server's own.
  absl::Duration retry_after = absl::Seconds(5);
  // How often deadlines are looked at.
  absl::Duration tick = absl::Milliseconds(100);
  // For deadlines: monotone, any origin. Null: the machine's.
  std::function<absl::Duration()> monotonic_clock;
};

// Monotone since Start, but for the gauges at the end.
struct HttpServerCounters {
  uint64_t accepted = 0;        // Connections.
  uint64_t refused_in_all = 0;  // At connections_max, none to push out.
  uint64_t refused_for_peer = 0;
  uint64_t evicted = 0;  // Pushed out by newer ones.
  uint64_t handshakes_failed = 0;
  uint64_t bad_requests = 0;  // Refused by shape: 400, 414, 417, 431, 501, 505.
  uint64_t unauthorized = 0;  // 401.
  uint64_t timeouts = 0;      // Of any phase but idle.
  uint64_t aborted = 0;       // Bodies that broke off.
  uint64_t requests = 0;      // Handed to on_request.
  uint64_t body_bytes = 0;    // Of those.
  uint64_t unsent = 0;        // Answers whose client was gone.
  std::map<int, uint64_t> responses;  // By status.
  uint64_t connections = 0;           // Open now.
  uint64_t bodies_bytes = 0;          // Being received now.
  absl::Time certificate_not_after;   // InfiniteFuture: no TLS.
};

class HttpServer {
 public:
  // Listens. InvalidArgument: the options, in words for the operator; anything
  // else: the system.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      HttpServerOptions options, HttpHandlers handlers);
  ~HttpServer();  // Stops at once.

  uint16_t port() const;
  // Reads the TLS files again. New connections use them, old ones stay as they
  // are. Not OK: nothing changed.
  absl::Status ReloadCertificates();
  void SetBearerToken(std::string_view token);
  HttpServerCounters counters() const;
  // Accepts nothing more, closes what is idle, finishes what is being received
  // or answered, for at most `timeout`. No handler is called afterwards.
  // Called again it does nothing.
  void Stop(absl::Duration timeout);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace klaxon
