// GKE's Cloud Logging entries: the audit event is not inside, it is spread
// over the entry (cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry,
// …/audit/auditlog/rest/Shared.Types/AuditLog) and put together again here.
//
// What the entry does not say is inferred, and said to be: groups, uid and
// extra stay empty, one stamp serves for both, a request that failed without
// a Status in its response has the HTTP code of its gRPC code.
#include <algorithm>
#include <array>
#include <cstring>

#include "event/unwrap.h"

namespace klaxon {
namespace {

struct HttpStatus {
  int32_t code;
  std::string_view reason;  // As in metav1.Status; empty: none.
};

// google.rpc.Code → HTTP, by google/rpc/code.proto.
HttpStatus FromGrpc(int32_t code) {
  static constexpr std::array<HttpStatus, 17> kCodes = {{
      {200, ""},
      {499, ""},
      {500, "InternalError"},
      {400, "BadRequest"},
      {504, "Timeout"},
      {404, "NotFound"},
      {409, "AlreadyExists"},
      {403, "Forbidden"},
      {429, "TooManyRequests"},
      {400, "BadRequest"},
      {409, "Conflict"},
      {400, "BadRequest"},
      {501, ""},
      {500, "InternalError"},
      {503, "ServiceUnavailable"},
      {500, "InternalError"},
      {401, "Unauthorized"},
  }};
  if (code < 0 || code >= static_cast<int32_t>(kCodes.size())) return kCodes[2];
  return kCodes[static_cast<size_t>(code)];
}

std::vector<std::string_view> SplitAt(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// "v1", "v1beta1", "v2alpha3".
bool IsApiVersion(std::string_view part) {
  if (part.size() < 2 || part[0] != 'v') return false;
  const size_t digits = part.find_first_not_of("0123456789", 1);
  if (digits == 1) return false;
  if (digits == part.npos) return true;
  const std::string_view rest = part.substr(digits);
  return rest.substr(0, 4) == "beta" || rest.substr(0, 5) == "alpha";
}

// "io.k8s.core.v1.pods.exec.create": what follows the version is resource,
// subresource (or none) and verb.
struct Method {
  std::string_view resource;  // Empty: a path, not a resource.
  std::string_view subresource;
  std::string_view verb;
};
Method ParseMethod(std::string_view name) {
  const std::vector<std::string_view> parts = SplitAt(name, '.');
  Method method;
  if (parts.empty()) return method;
  method.verb = parts.back();
  const auto version =
      std::find_if(parts.begin(), parts.end() - 1, IsApiVersion);
  const auto after = (parts.end() - 1) - version;
  if (after >= 2) method.resource = version[1];
  if (after >= 3) method.subresource = version[2];
  return method;
}

// "core/v1/namespaces/default/pods/web-0/exec/web-0".
ObjectRef ParseResourceName(std::string_view name, const Method& method) {
  const std::vector<std::string_view> parts = SplitAt(name, '/');
  ObjectRef ref;
  ref.resource = method.resource;
  ref.subresource = method.subresource;
  if (parts.size() < 2) return ref;
  ref.api_group = parts[0];
  ref.api_version = parts[1];
  size_t next = 2;
  if (parts.size() >= 4 && parts[2] == "namespaces" &&
      method.resource != "namespaces") {
    ref.ns = parts[3];
    next = 4;
  }
  if (next + 1 < parts.size() && parts[next] == method.resource) {
    ref.name = parts[next + 1];
  }
  return ref;
}

// A JSON number without fraction; 0 for all else.
int32_t NumberOf(std::string_view value) {
  if (value.empty() || value.size() > 9) return 0;
  int32_t number = 0;
  for (char c : value) {
    if (c < '0' || c > '9') return 0;
    number = number * 10 + (c - '0');
  }
  return number;
}

// Sets code, message and reason where the response is no Status with a code.
void InferStatus(int32_t grpc, std::string_view grpc_message,
                 const Method& method, EventView* view) {
  constexpr int32_t kUnknown = 2;
  const bool upgraded =
      method.subresource == "exec" || method.subresource == "attach" ||
      method.subresource == "portforward" || method.subresource == "proxy";
  if (grpc == kUnknown && upgraded) {
    // 101 is none of gRPC's: a stream that was opened has this code.
    view->code = 101;
    view->status_message = "Switching Protocols (inferred)";
  } else if (grpc != 0) {
    const HttpStatus status = FromGrpc(grpc);
    view->code = status.code;
    view->status_message = grpc_message;
    view->status_reason = status.reason;
  } else if (method.verb == "create") {
    view->code = 201;
    view->status_message = "Created (inferred)";
  } else {
    view->code = 200;
    view->status_message = "OK (inferred)";
  }
}

}  // namespace

// Members of the entry itself and of its payload. Google's Go client prints
// the entry under "Entry", in Go's own names, and the payload as a string
// beside it.
bool Unwrapper::SplitGkeEntry(const Members& members, Members* entry,
                              Members* payload) {
  *entry = members;
  const std::string_view inner = At(members, {"Entry"});
  if (IsJsonObject(inner) &&
      splitter_->SplitObject(inner, entry) != JsonError::kNone) {
    return false;
  }
  std::string_view json = At(members, {"protoPayload"});
  // Unescaped, it lies in the arena, which is padded as the splitter needs.
  if (json.empty()) json = TextAt(members, {"AuditPayload"});
  return IsJsonObject(json) &&
         FindValueEnd(json, 0).end == json.data() + json.size() &&
         splitter_->SplitObject(json, payload) == JsonError::kNone;
}

void Unwrapper::ReadGkePayload(const Members& payload, EventBuilder* builder) {
  EventView& view = builder->view();
  const Method method = ParseMethod(TextAt(payload, {"methodName"}));
  view.verb = method.verb;
  view.request_uri = TextAt(payload, {"resourceName"});
  if (!method.resource.empty()) {
    view.has_object_ref = true;
    view.object_ref = ParseResourceName(view.request_uri, method);
  }
  view.user.username =
      TextAt(payload, {"authenticationInfo", "principalEmail"});
  if (view.user.username.empty()) {
    view.user.username =
        TextAt(payload, {"authenticationInfo", "authoritySelector"});
  }
  const std::string_view caller =
      TextAt(payload, {"requestMetadata", "callerIp"});
  if (!caller.empty()) builder->AddSourceIp(caller);
  view.user_agent =
      TextAt(payload, {"requestMetadata", "callerSuppliedUserAgent"});
  view.request_object = At(payload, {"request"});
  view.response_object = At(payload, {"response"});
  view.code = NumberOf(At(payload, {"response", "code"}));
  if (view.code != 0) {
    view.status_message = TextAt(payload, {"response", "message"});
    view.status_reason = TextAt(payload, {"response", "reason"});
  } else {
    InferStatus(NumberOf(At(payload, {"status", "code"})),
                TextAt(payload, {"status", "message"}), method, &view);
  }
}

bool Unwrapper::ReadGkeEntry(const Members& members, EventBuilder* builder) {
  Members entry;
  Members payload;
  if (!SplitGkeEntry(members, &entry, &payload) ||
      TextAt(payload, {"serviceName"}) != "k8s.io") {
    return false;
  }
  builder->Clear();
  ReadGkePayload(payload, builder);
  EventView& view = builder->view();
  // A long-running request has an entry at its start and one at its end.
  const bool whole = At(entry, {"operation", "first"}) == "true" &&
                     At(entry, {"operation", "last"}) == "true";
  view.stage = whole ? Stage::kResponseComplete : Stage::kResponseStarted;
  view.level = whole ? Level::kRequestResponse : Level::kRequest;
  view.audit_id = TextAt(entry, {"operation", "id"});
  if (view.audit_id.empty()) view.audit_id = TextAt(entry, {"insertId"});
  if (const auto time = ParseTime(TextAt(entry, {"timestamp"}))) {
    view.request_received_time = view.stage_time = *time;
  }
  view.cluster = TextAt(entry, {"resource", "labels", "cluster_name"});
  const std::string_view json = At(entry, {"labels"});
  if (!IsJsonObject(json)) return true;
  Members labels;
  if (splitter_->SplitObject(json, &labels) != JsonError::kNone) return false;
  for (const JsonMember& label : labels) {
    if (const auto text = builder->Text(label.value)) {
      builder->AddAnnotation(label.key, *text);
    }
  }
  return true;
}

}  // namespace klaxon
