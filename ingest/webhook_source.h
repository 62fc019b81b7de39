// Receives what kube-apiserver's audit webhook sends (docs/WEBHOOK.md).
//
// A body is answered 200 only in Commit, when what was made of it is durable.
// A body that comes again (its digest is remembered for 10 minutes, over a
// restart too) is answered 200 and not handed on; while the first copy is not
// durable yet, the second waits for it. What was refused or broke off is
// expected to come again: until then its lane holds event time back, and where
// it does not come within `resend_wait` a gap is reported.
//
// A lane is "webhook:PATH,CERTIFICATE,ADDRESS" (the first 16 hex digits of the
// certificate's fingerprint; empty without one).
//
// Threads: those of LiveSource, and the HTTP server's own; `counters` from any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ingest/http_server.h"
#include "ingest/live_source.h"
#include "ingest/webhook_request.h"

namespace klaxon {

struct WebhookOptions {
  // body_bytes_max is Klaxon's limit of a batch; see WebhookHttpDefaults.
  HttpServerOptions http;
  // Empty: any client that the server let in. Else certificates of these names
  // only.
  std::vector<WebhookClient> clients;
  // Bodies that were received and are not durable yet; beyond it 429.
  size_t queue_bytes_max = 64 << 20;
  // 429 as well when what is waiting would take longer than this to read, at
  // the pace of late: an answer now is worth more than a place in a long queue
  // (the apiserver keeps the batch in memory until it has one).
  absl::Duration wait_max = absl::Milliseconds(600);
  size_t lanes_max = 1024;
  size_t digests_max = 100'000;  // Of accepted bodies, 300 bytes each.
  absl::Duration repeat_memory = absl::Minutes(10);
  // A body that failed is expected again within this: kube-apiserver waits 10,
  // 15, 22 and 34 s between its tries, give or take a fifth.
  absl::Duration resend_wait = absl::Seconds(90);
  // After a restart, what failed while nobody listened comes within this: one
  // such pause. Lanes that Open names hold event time back so long.
  absl::Duration startup_hold = absl::Seconds(45);
  // client-go honours it up to ten times before the apiserver counts a failure.
  absl::Duration retry_after = absl::Seconds(2);
  std::function<absl::Time()> clock;  // Null: absl::Now.
};

// Limits that fit EventLists: 64 MiB a body.
HttpServerOptions WebhookHttpDefaults();

// One consistent moment. Bytes are of bodies. Since construction:
// received == delivered + repeated + in_flight.
struct WebhookCounters {
  uint64_t received_bytes = 0;    // Accepted or repeated.
  uint64_t delivered_bodies = 0;  // Durable: answered 200 by Commit.
  uint64_t delivered_bytes = 0;
  uint64_t repeated_bodies = 0;  // Known already, answered 200.
  uint64_t repeated_bytes = 0;
  uint64_t in_flight_bodies = 0;  // Accepted, not durable yet.
  uint64_t in_flight_bytes = 0;
  uint64_t refused_full = 0;     // 429, the queue was full.
  uint64_t refused_content = 0;  // 400, no audit events.
  uint64_t refused_head = 0;     // 403, 404, 405, 415.
  uint64_t aborted = 0;          // Broke off, too slow or too large.
  uint64_t not_resent = 0;       // Gaps reported.
  uint64_t lanes = 0;
};

class WebhookSource : public LiveSource {
 public:
  // Nothing listens before Open. InvalidArgument from Open says which option
  // is wrong.
  static std::unique_ptr<WebhookSource> Create(WebhookOptions options);

  virtual uint16_t port() const = 0;  // After Open.
  virtual absl::Status ReloadCertificates() = 0;
  virtual void SetBearerToken(std::string_view token) = 0;
  virtual WebhookCounters counters() const = 0;
  virtual HttpServerCounters http_counters() const = 0;
};

struct ApiserverConfigOptions {
  std::string url;  // "https://klaxon.example:9443"
  std::string cluster = "default";
  std::string server = "apiserver-1";
  bool tls = true;
  bool client_certificate = false;
  bool bearer_token = false;
};
// The kubeconfig and the flags that an operator gives kube-apiserver, as YAML
// with comments.
std::string PrintApiserverConfig(const ApiserverConfigOptions& options);

}  // namespace klaxon
