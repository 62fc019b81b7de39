// One connection of the HTTP server: what it waits for, until when, and what
// it says. Knows no socket: bytes come and go by a Transport, time by the host,
// so that a test can be both.
//
// One thread: the host's. A connection lives until its last callback.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "ingest/connection_table.h"
#include "ingest/http_parser.h"
#include "ingest/http_server.h"

namespace klaxon {

// A byte stream. At most one Read and one Write at a time; each `done` is
// called once, from the host's thread, never from within the call.
class HttpTransport {
 public:
  // `ok` is false at the end of the stream, too.
  using Done = std::function<void(bool ok, size_t bytes)>;

  virtual ~HttpTransport() = default;
  // Null certificate fields where there are none. Plain transports call `done`
  // like others.
  virtual void Handshake(
      std::function<void(bool ok, PeerCertificate peer)> done) = 0;
  virtual void Read(char* buffer, size_t size, Done done) = 0;
  // All of `bytes`, which stay where they are until `done`.
  virtual void Write(std::string_view bytes, Done done) = 0;
  // Says that nothing more comes from us. `reading`: a Read is under way.
  virtual void ShutdownSend(bool reading, Done done) = 0;
  // What is under way ends, not ok. `reset`: at once, unsent bytes are lost.
  virtual void Close(bool reset) = 0;
};

// What the connections of one server share.
class HttpHost {
 public:
  HttpHost(HttpServerOptions options, HttpHandlers handlers);
  virtual ~HttpHost() = default;

  virtual HttpResponder MakeResponder(uint64_t connection,
                                      uint64_t request) = 0;
  // The connection is closed.
  virtual void Forget(uint64_t connection) = 0;

  const HttpServerOptions& options() const { return options_; }
  const HttpHandlers& handlers() const { return handlers_; }
  absl::Duration now() const { return options_.monotonic_clock(); }
  bool stopping() const { return stopping_; }
  uint64_t NextRequestId() { return ++request_ids_; }
  ConnectionTable& table() { return table_; }
  // `bytes` more (or fewer) of bodies are held. False: too many.
  bool AddBodyBytes(int64_t bytes);
  // Any thread.
  void SetBearerToken(std::string_view token);
  bool IsAuthorized(const HttpRequest& request) const;
  HttpServerCounters counters() const;
  template <typename F>
  void Count(F count) {
    std::lock_guard lock(counters_mutex_);
    count(counters_);
  }

 protected:
  HttpServerOptions options_;  // Constant once connections are there.
  HttpHandlers handlers_;
  ConnectionTable table_;
  bool stopping_ = false;

 private:
  uint64_t request_ids_ = 0;
  uint64_t bodies_bytes_ = 0;
  mutable std::mutex token_mutex_;
  std::string token_digest_;  // Guarded by token_mutex_. Empty: no token.
  mutable std::mutex counters_mutex_;
  HttpServerCounters counters_;  // Guarded by counters_mutex_.
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  // `host` outlives the connection.
  HttpConnection(HttpHost& host, uint64_t id, std::string address,
                 std::unique_ptr<HttpTransport> transport);

  void Start();
  // What the handler says to `request`; ignored if it comes too late.
  void Answer(uint64_t request, HttpResponse response);
  // Looks at the deadline.
  void OnTick(absl::Duration now);
  void OnServerStops();
  void Close(bool reset);

 private:
  enum class Phase : uint8_t {
    kHandshake,
    kIdle,    // Between requests.
    kHead,    // Part of a head may be there.
    kBody,    // A request was let in, its body comes.
    kAnswer,  // The handler has it.
    kWrite,
    kLinger,  // All is said; what the client still sends is thrown away.
    kClosed,
  };

  void Enter(Phase phase, absl::Duration timeout);
  void StartRequest();
  void ReadMore();
  void OnRead(bool ok, size_t bytes);
  void OnHead();
  void LetIn();
  void StartBody();
  void OnBody();
  void Dispatch();
  // Refuses with words, whatever the phase; the connection ends.
  void Refuse(int status, std::string_view why);
  void AbortBody(int status);
  void ReleaseBody();
  void Send(HttpResponse response, bool keep_alive);
  void OnWritten(bool ok);
  void Linger();
  bool TooSlow(absl::Duration now) const;

  HttpHost& host_;
  const uint64_t id_;
  const absl::Duration born_;
  HttpPeer peer_;
  std::unique_ptr<HttpTransport> transport_;
  Phase phase_ = Phase::kHandshake;
  absl::Duration deadline_;
  bool reading_ = false;
  bool writing_ = false;
  bool first_ = true;             // No request yet.
  bool keep_alive_next_ = false;  // After the answer that is being written.
  std::unique_ptr<char[]> buffer_;
  std::string in_;  // Read, and not yet parsed.
  std::string out_;
  size_t lingered_ = 0;

  // The request at hand.
  HttpParser parser_;
  uint64_t request_id_ = 0;
  bool is_head_ = false;  // HEAD: an answer without its body.
  size_t body_accounted_ = 0;
  absl::Duration body_begin_;
};

}  // namespace klaxon
