// Audit bodies for tests of the webhook, as kube-apiserver sends them.
#pragma once

#include <string>

namespace klaxon {

// An EventList of `events` failed authentications; different for each `name`.
inline std::string EventListOf(const std::string& name, int events = 1,
                               size_t padding = 0) {
  std::string body =
      R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},)"
      R"("items":[)";
  for (int i = 0; i < events; ++i) {
    if (i > 0) body += ',';
    body += R"({"level":"Metadata","auditID":")" + name + "-" +
            std::to_string(i) +
            R"(","stage":"ResponseStarted","requestURI":"/api/v1/pods?pad=)" +
            std::string(padding, 'p') +
            R"(","verb":"list","user":{},"sourceIPs":["203.0.113.7"],)"
            R"("userAgent":"curl/8","objectRef":{"resource":"pods",)"
            R"("apiVersion":"v1"},"responseStatus":{"metadata":{},)"
            R"("status":"Failure","message":"Unauthorized",)"
            R"("reason":"Unauthorized","code":401},)"
            R"("requestReceivedTimestamp":"2026-11-24T04:20:00.540215Z",)"
            R"("stageTimestamp":"2026-11-24T04:20:00.540684Z"})";
  }
  return body + "]}\n";
}

}  // namespace klaxon
