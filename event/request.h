// One request: what every event means before any detector asks.
//
// The rules of detections.md, "Words" and design.md, "One request", live here
// and nowhere else. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "event/event.h"
#include "event/networks.h"

namespace klaxon {

enum class RequestPart : uint8_t {
  kIgnored,  // RequestReceived: never judged.
  kJudged,   // The request itself; exactly one a request.
  kEnded,    // Only says that a long-running request ended.
};

// What a detector's Observe may ask for: it is called only for events that
// have one of the traits it names (DetectorInfo-independent bit mask).
enum Trait : uint32_t {
  kTraitAnonymousLetIn = 1 << 0,
  kTraitCertificateRequest = 1 << 1,  // certificatesigningrequests, 2xx, done.
  kTraitLoginFailed = 1 << 2,         // At OpenShift's oauth-server.
};

struct RequestView {
  const EventView* event = nullptr;
  const ClientInfo* client = nullptr;
  RequestPart part = RequestPart::kIgnored;
  uint32_t traits = 0;
  // Normalised path. Empty where the request names a resource (nobody needs
  // it there) unless the request was refused.
  std::string_view path;
  bool long_running = false;
  // Has begun to be answered, is not long-running, and is counted at its end.
  // kube-apiserver writes none; OpenShift's does, as there more is long-running
  // (an import of images).
  bool will_end = false;
  bool on_resource = false;  // objectRef names a resource.
  bool public_path = false;
  bool discovery = false;    // A discovery path.
  bool self_review = false;  // selfsubject…reviews
  bool anonymous = false;    // system:anonymous / system:unauthenticated
  // Has a name of its own; with the group of the anonymous it is both (a
  // certificate may carry O=system:unauthenticated).
  bool named = false;
  bool oauth_failure = false;  // A failed login at OpenShift's oauth-server.
  bool authentication_failed = false;  // Counts for unauthorized-burst.
  bool let_in = false;
  bool denied = false;  // Not let in, with a 401 or 403.
};

// Long-running by kube-apiserver's own rule: verb watch or proxy, subresource
// attach exec log portforward proxy, path /debug/pprof/*.
// (k8s.io/kubernetes cmd/kube-apiserver: BasicLongRunningRequestCheck.)
bool IsLongRunning(const EventView& event);

// Fills `*view`; `*path_buffer` backs view->path. All but `client`.
void ClassifyRequest(const EventView& event,
                     std::span<const std::string> public_paths,
                     std::string* path_buffer, RequestView* view);

// "system:serviceaccount:NS:NAME" in its two parts. False: it is none.
bool SplitServiceAccount(std::string_view username, std::string_view* ns,
                         std::string_view* name);
inline constexpr std::string_view kServiceAccountPrefix =
    "system:serviceaccount:";
inline constexpr std::string_view kNodePrefix = "system:node:";
inline constexpr std::string_view kCertificatePrefix = "X509SHA256=";

}  // namespace klaxon
