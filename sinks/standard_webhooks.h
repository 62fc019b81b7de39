// Signatures of the Standard Webhooks specification (standardwebhooks.com).
//
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace klaxon {

// The key that `secret` stands for: what follows "whsec_" decoded from base64,
// else its bytes as they are. InvalidArgument: empty, or no base64; the message
// does not say the secret.
absl::StatusOr<std::string> WebhookKey(std::string_view secret);

// The value of webhook-signature, "v1,…", for a body sent as `id` at
// `timestamp_s` (seconds since the epoch, the value of webhook-timestamp).
std::string SignWebhook(std::string_view key, std::string_view id,
                        int64_t timestamp_s, std::string_view body);

}  // namespace klaxon
