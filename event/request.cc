#include "event/request.h"

#include "event/path.h"

namespace klaxon {
namespace {

constexpr std::string_view kAnonymous = "system:anonymous";
constexpr std::string_view kUnauthenticated = "system:unauthenticated";

bool IsConnectSubresource(std::string_view s) {
  return s == "exec" || s == "log" || s == "proxy" || s == "attach" ||
         s == "portforward";
}

RequestPart PartOf(const EventView& event, bool long_running) {
  switch (event.stage) {
    case Stage::kRequestReceived:
      return RequestPart::kIgnored;
    case Stage::kResponseStarted:
      return RequestPart::kJudged;
    // Missing, or a word of which we have not heard: an event nevertheless.
    case Stage::kUnknown:
    case Stage::kResponseComplete:
    case Stage::kPanic:
      break;
  }
  return long_running && !event.user.username.empty() ? RequestPart::kEnded
                                                      : RequestPart::kJudged;
}

bool IsDryRun(const EventView& event) {
  const size_t query = event.request_uri.find('?');
  return query != std::string_view::npos &&
         event.request_uri.find("dryRun=All", query) != std::string_view::npos;
}

void ClassifyDecision(const EventView& event, RequestView* view) {
  if (!event.decision.empty()) {
    view->let_in = event.decision == "allow";
  } else {
    view->let_in = event.code > 0 && event.code < 400;
  }
  view->denied = !view->let_in && (event.code == 401 || event.code == 403 ||
                                   event.decision == "forbid");
}

}  // namespace

bool IsLongRunning(const EventView& event) {
  if (event.verb == "watch" || event.verb == "proxy") return true;
  const std::string_view sub = event.object_ref.subresource;
  if (!sub.empty()) return IsConnectSubresource(sub);
  return event.request_uri.starts_with("/debug/pprof/");
}

bool SplitServiceAccount(std::string_view username, std::string_view* ns,
                         std::string_view* name) {
  if (!username.starts_with(kServiceAccountPrefix)) return false;
  std::string_view rest = username.substr(kServiceAccountPrefix.size());
  const size_t colon = rest.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  *ns = rest.substr(0, colon);
  *name = rest.substr(colon + 1);
  return !name->empty() && name->find(':') == std::string_view::npos;
}

void ClassifyRequest(const EventView& event,
                     std::span<const std::string> public_paths,
                     std::string* path_buffer, RequestView* view) {
  view->event = &event;
  view->long_running = IsLongRunning(event);
  view->part = PartOf(event, view->long_running);
  if (view->part == RequestPart::kIgnored) return;
  const UserView& user = event.user;
  // A failed authentication, of nobody, has no end.
  view->will_end = event.stage == Stage::kResponseStarted &&
                   !view->long_running && !user.username.empty();
  view->on_resource = !event.object_ref.resource.empty();
  view->anonymous =
      user.username == kAnonymous || user.InGroup(kUnauthenticated);
  view->named = !user.username.empty() && user.username != kAnonymous;
  view->oauth_failure =
      event.code == 401 && user.username == kAnonymous &&
      event.HasAnnotation("authentication.openshift.io/username");
  view->authentication_failed =
      view->oauth_failure || (event.code == 401 && user.username.empty());
  ClassifyDecision(event, view);
  view->self_review =
      view->on_resource && event.object_ref.resource.starts_with("selfsubject");
  if (!view->on_resource || view->denied || view->authentication_failed) {
    view->path = NormalizePath(event.request_uri, path_buffer);
    if (!view->on_resource) {
      view->public_path = IsPublicPath(view->path, public_paths);
      view->discovery = IsDiscoveryPath(view->path);
    }
  }
  if (view->anonymous && view->let_in && !view->public_path &&
      !view->oauth_failure) {
    view->traits |= kTraitAnonymousLetIn;
  }
  if (view->oauth_failure) view->traits |= kTraitLoginFailed;
  if (event.object_ref.resource == "certificatesigningrequests" &&
      event.code >= 200 && event.code < 300 && !IsDryRun(event)) {
    view->traits |= kTraitCertificateRequest;
  }
}

}  // namespace klaxon
