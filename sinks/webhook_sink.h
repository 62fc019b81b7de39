// Alerts by HTTP POST: to whatever takes JSON.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sinks/http_client.h"
#include "sinks/sink.h"

namespace klaxon {

struct WebhookSinkOptions {
  // Headers: Content-Type is application/json unless they say otherwise.
  HttpClientOptions http;
  // Signs as Standard Webhooks has it: "whsec_" + base64, or the key's bytes.
  // Empty: no signature.
  std::string secret;
  // The user's own text (alert_template.h). Empty: `generic`, the alert as
  // interface.md prints it.
  std::string template_text;
  // 0: one alert a request. Else a JSON array of at most so many alerts;
  // `generic` only.
  size_t batch_max = 0;
  // The wall clock, for webhook-timestamp and Retry-After dates. Any thread.
  std::function<absl::Time()> now;
};

// InvalidArgument: the options cannot work, and why; no secret is named.
//
// Every request bears webhook-id (the alert's id; of a batch a digest of its
// ids and revisions, the same each time it is sent), webhook-timestamp and,
// with a secret, webhook-signature. All revisions of an alert have one id.
//
// Deliver blocks until all is answered, and calls `done` on the caller's
// thread; it stops at the first request that was not taken. See
// DeliveryStatusOf for what is taken. A receiver that breaks off in the middle
// of a 2xx answer has taken nothing.
absl::StatusOr<std::unique_ptr<Sink>> MakeWebhookSink(
    WebhookSinkOptions options);

}  // namespace klaxon
