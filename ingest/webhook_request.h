// What the audit webhook takes: which paths, whose certificates, which bodies.
// Pure functions, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/http_message.h"

namespace klaxon {

// Whose certificate may send, and for which cluster.
struct WebhookClient {
  std::string common_name;  // Exactly, of the certificate's subject.
  std::string cluster;      // Empty: whatever the path says.
};

struct WebhookTarget {
  std::string path;     // Canonical: the request's own, it has one form.
  std::string cluster;  // Empty: the default cluster.
};

// "/", "/audit", "/audit/CLUSTER", "/audit/CLUSTER/SERVER"; a name is up to 63
// letters, digits, '-', '_' and '.', and begins with a letter or digit.
std::optional<WebhookTarget> ParseWebhookPath(std::string_view path);

// Everything about a head but the state of the receiver: 403, 404, 405, 415.
// `clients` empty: any client that the server let in. Fills `target` if there
// is nothing to say.
std::optional<HttpResponse> CheckWebhookHead(
    const HttpRequest& request, const std::vector<WebhookClient>& clients,
    WebhookTarget* target);

// Empty if `body` is one JSON value that is an EventList (or an Event) of
// audit.k8s.io; else what is wrong with it, in a sentence without any of its
// text. What is in the list is not looked at.
std::string CheckAuditBody(std::string_view body);

}  // namespace klaxon
