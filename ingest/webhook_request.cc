#include "ingest/webhook_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "event/decode.h"
#include "ingest/http_head.h"

namespace klaxon {
namespace {

constexpr size_t kNameBytesMax = 63;

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         IsAlphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.';
         });
}

bool IsJsonSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Walks the members of an object that is known to be good JSON.
class MemberWalker {
 public:
  explicit MemberWalker(std::string_view object) : text_(object) {
    SkipSpace();
    ++at_;  // '{'
  }

  // The next member; false at the end. Views into the object; a value keeps
  // its quotes, an array or object is only its first byte.
  bool Next(std::string_view* key, std::string_view* value) {
    if (skip_value_) SkipNested();
    SkipSpace();
    if (text_[at_] == ',') {
      ++at_;
      SkipSpace();
    }
    if (text_[at_] == '}') return false;
    *key = TakeString();
    SkipSpace();
    ++at_;  // ':'
    SkipSpace();
    skip_value_ = text_[at_] == '{' || text_[at_] == '[';
    *value = skip_value_         ? text_.substr(at_, 1)
             : text_[at_] == '"' ? TakeString()
                                 : TakeScalar();
    return true;
  }

 private:
  void SkipSpace() {
    while (IsJsonSpace(text_[at_])) ++at_;
  }
  std::string_view TakeString() {
    const size_t begin = at_++;
    while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    ++at_;
    return text_.substr(begin, at_ - begin);
  }
  std::string_view TakeScalar() {
    const size_t begin = at_;
    while (text_[at_] != ',' && text_[at_] != '}' && !IsJsonSpace(text_[at_])) {
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }
  void SkipNested() {
    size_t depth = 0;
    do {
      const char c = text_[at_];
      if (c == '"') {
        TakeString();
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    } while (depth > 0);
  }

  std::string_view text_;
  size_t at_ = 0;
  bool skip_value_ = false;
};

}  // namespace

std::optional<WebhookTarget> ParseWebhookPath(std::string_view path) {
  constexpr std::string_view kAudit = "/audit";
  WebhookTarget target{.path = std::string(path)};
  if (path == "/" || path == kAudit) return target;
  if (path.substr(0, kAudit.size()) != kAudit || path[kAudit.size()] != '/') {
    return std::nullopt;
  }
  std::string_view rest = path.substr(kAudit.size() + 1);
  const size_t slash = rest.find('/');
  const std::string_view cluster = rest.substr(0, slash);
  if (!IsName(cluster)) return std::nullopt;
  if (slash != std::string_view::npos && !IsName(rest.substr(slash + 1))) {
    return std::nullopt;
  }
  target.cluster = std::string(cluster);
  return target;
}

std::optional<HttpResponse> CheckWebhookHead(
    const HttpRequest& request, const std::vector<WebhookClient>& clients,
    WebhookTarget* target) {
  const auto parsed = ParseWebhookPath(request.path());
  if (!parsed) {
    return HttpResponse::Text(
        404,
        "audit events are taken at /audit/CLUSTER/SERVER, /audit/CLUSTER, "
        "/audit and /");
  }
  if (request.method != "POST") {
    HttpResponse refusal = HttpResponse::Text(405, "audit events are POSTed");
    refusal.fields.emplace_back("Allow", "POST");
    return refusal;
  }
  const std::string_view encoding = request.Field("Content-Encoding");
  std::string_view type = request.Field("Content-Type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  if (!EqualsIgnoringCase(type, "application/json") ||
      !(encoding.empty() || EqualsIgnoringCase(encoding, "identity"))) {
    return HttpResponse::Text(
        415, "audit events are application/json, uncompressed");
  }
  *target = *parsed;
  if (clients.empty()) return std::nullopt;
  const auto client =
      std::find_if(clients.begin(), clients.end(), [&](const auto& known) {
        return known.common_name == request.peer.certificate.common_name;
      });
  if (client == clients.end() || client->common_name.empty()) {
    return HttpResponse::Text(403, "this certificate may not send events");
  }
  if (client->cluster.empty()) return std::nullopt;
  if (!target->cluster.empty() && target->cluster != client->cluster) {
    return HttpResponse::Text(
        403, "this certificate may not send events of that cluster");
  }
  target->cluster = client->cluster;
  return std::nullopt;
}

std::string CheckAuditBody(std::string_view body) {
  const auto begin = std::find_if_not(body.begin(), body.end(), IsJsonSpace);
  if (begin == body.end()) return "the body is empty";
  if (*begin != '{') return "the body is no JSON object";
  std::string what;
  const size_t end = CheckJson(body, &what);
  if (end != body.size()) {
    return fmt::format("the body is not JSON: at byte {} {}", end, what);
  }
  std::string_view kind;
  std::string_view version;
  std::string_view items;
  MemberWalker walker(body);
  std::string_view key;
  std::string_view value;
  // Where a key stands twice the last counts, as in Go.
  while (walker.Next(&key, &value)) {
    if (key == "\"kind\"") kind = value;
    if (key == "\"apiVersion\"") version = value;
    if (key == "\"items\"") items = value;
    if (kind == "\"EventList\"" && !version.empty() && items == "[") break;
  }
  if (version.substr(0, 14) != "\"audit.k8s.io/") {
    return "apiVersion is not of audit.k8s.io";
  }
  if (kind == "\"Event\"") return {};
  if (kind != "\"EventList\"") return "kind is not EventList";
  if (items != "[" && items != "null") return "items is no list";
  return {};
}

}  // namespace klaxon
