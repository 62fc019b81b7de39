// A small language for audit events in tests:
//
//   AuditLine().User("dana").From("10.0.0.1").Get("/api").At(3 *
//   kSecond).Json()
//
// gives the line that kube-apiserver would write. Times count from kEpoch.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "event/json_writer.h"
#include "event/time.h"

namespace klaxon {

// 2026-01-02T03:00:00Z, the start of a minute.
inline constexpr EventTime kEpoch = 1767322800LL * kSecond;

class AuditLine {
 public:
  AuditLine& Id(std::string id) { return Set(&id_, std::move(id)); }
  AuditLine& Stage(std::string s) { return Set(&stage_, std::move(s)); }
  AuditLine& Verb(std::string v) { return Set(&verb_, std::move(v)); }
  AuditLine& Uri(std::string u) { return Set(&uri_, std::move(u)); }
  AuditLine& Agent(std::string a) { return Set(&agent_, std::move(a)); }
  AuditLine& User(std::string name) {
    groups_ = {"system:authenticated"};
    return Set(&user_, std::move(name));
  }
  AuditLine& Groups(std::vector<std::string> groups) {
    groups_ = std::move(groups);
    return *this;
  }
  AuditLine& Anonymous() {
    user_ = "system:anonymous";
    groups_ = {"system:unauthenticated"};
    return *this;
  }
  AuditLine& Account(const std::string& ns, const std::string& name) {
    user_ = "system:serviceaccount:" + ns + ":" + name;
    groups_ = {"system:serviceaccounts", "system:serviceaccounts:" + ns,
               "system:authenticated"};
    return *this;
  }
  AuditLine& Kubelet(const std::string& node) {
    user_ = "system:node:" + node;
    groups_ = {"system:nodes", "system:authenticated"};
    return *this;
  }
  AuditLine& Credential(std::string id) {
    return Set(&credential_, std::move(id));
  }
  AuditLine& From(std::string ip) {
    ips_ = {std::move(ip)};
    return *this;
  }
  AuditLine& Through(std::vector<std::string> ips) {
    ips_ = std::move(ips);
    return *this;
  }
  AuditLine& Resource(std::string resource, std::string ns = "",
                      std::string name = "", std::string sub = "") {
    resource_ = std::move(resource);
    ns_ = std::move(ns);
    name_ = std::move(name);
    sub_ = std::move(sub);
    return *this;
  }
  AuditLine& Group(std::string g) { return Set(&group_, std::move(g)); }
  AuditLine& Code(int code) {
    code_ = code;
    return *this;
  }
  AuditLine& Failed() {  // A 401 as kube-apiserver writes it.
    user_.clear();
    groups_.clear();
    stage_ = "ResponseStarted";
    code_ = 401;
    return *this;
  }
  AuditLine& Allow(std::string reason = "") {
    decision_ = "allow";
    return Set(&reason_, std::move(reason));
  }
  AuditLine& Forbid() { return Set(&decision_, "forbid"); }
  AuditLine& Annotation(std::string key, std::string value) {
    annotations_.emplace_back(std::move(key), std::move(value));
    return *this;
  }
  AuditLine& Response(std::string json) {
    return Set(&response_, std::move(json));
  }
  // Received 1 ms before it was over, at kEpoch + `offset`.
  AuditLine& At(Nanos offset) {
    stage_time_ = kEpoch + offset;
    received_ = stage_time_ - kSecond / 1000;
    return *this;
  }
  AuditLine& Received(Nanos offset) {
    received_ = kEpoch + offset;
    return *this;
  }

  std::string Json() const {
    std::string out =
        "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\","
        "\"level\":\"Metadata\"";
    Text("auditID", id_.empty() ? fmt::format("{:036d}", stage_time_) : id_,
         &out);
    Text("stage", stage_, &out);
    Text("requestURI", uri_, &out);
    Text("verb", verb_, &out);
    out += ",\"user\":" + UserJson();
    if (!ips_.empty()) out += ",\"sourceIPs\":" + List(ips_);
    if (!agent_.empty()) Text("userAgent", agent_, &out);
    if (!resource_.empty()) out += ",\"objectRef\":" + RefJson();
    out += fmt::format(",\"responseStatus\":{{\"metadata\":{{}},\"code\":{}}}",
                       code_);
    if (!response_.empty()) out += ",\"responseObject\":" + response_;
    Text("requestReceivedTimestamp", FormatTime(received_), &out);
    Text("stageTimestamp", FormatTime(stage_time_), &out);
    out += AnnotationsJson();
    return out + "}";
  }

 private:
  AuditLine& Set(std::string* field, std::string value) {
    *field = std::move(value);
    return *this;
  }
  static void Text(std::string_view key, std::string_view value,
                   std::string* out) {
    *out += fmt::format(",\"{}\":", key);
    AppendJsonString(value, out);
  }
  static std::string List(const std::vector<std::string>& list) {
    std::string out = "[";
    for (const std::string& item : list) {
      if (out.size() > 1) out += ',';
      AppendJsonString(item, &out);
    }
    return out + "]";
  }
  std::string UserJson() const {
    if (user_.empty()) return "{}";
    std::string out = "{\"username\":";
    AppendJsonString(user_, &out);
    if (!groups_.empty()) out += ",\"groups\":" + List(groups_);
    if (!credential_.empty()) {
      out += ",\"extra\":{\"authentication.kubernetes.io/credential-id\":" +
             List({credential_}) + "}";
    }
    return out + "}";
  }
  std::string RefJson() const {
    std::string out = "{\"resource\":";
    AppendJsonString(resource_, &out);
    if (!ns_.empty()) Text("namespace", ns_, &out);
    if (!name_.empty()) Text("name", name_, &out);
    if (!group_.empty()) Text("apiGroup", group_, &out);
    Text("apiVersion", "v1", &out);
    if (!sub_.empty()) Text("subresource", sub_, &out);
    return out + "}";
  }
  std::string AnnotationsJson() const {
    std::vector<std::pair<std::string, std::string>> all = annotations_;
    if (!decision_.empty()) {
      all.emplace_back("authorization.k8s.io/decision", decision_);
      all.emplace_back("authorization.k8s.io/reason", reason_);
    }
    if (all.empty()) return "";
    std::string out = ",\"annotations\":{";
    for (size_t i = 0; i < all.size(); ++i) {
      if (i > 0) out += ',';
      AppendJsonString(all[i].first, &out);
      out += ':';
      AppendJsonString(all[i].second, &out);
    }
    return out + "}";
  }

  std::string id_;
  std::string stage_ = "ResponseComplete";
  std::string verb_ = "list";
  std::string uri_ = "/api/v1/pods";
  std::string agent_ = "app/1.0";
  std::string user_;
  std::vector<std::string> groups_;
  std::string credential_;
  std::vector<std::string> ips_ = {"10.0.0.9"};
  std::string resource_;
  std::string ns_;
  std::string name_;
  std::string sub_;
  std::string group_;
  std::string decision_;
  std::string reason_;
  std::string response_;
  std::vector<std::pair<std::string, std::string>> annotations_;
  int code_ = 200;
  EventTime stage_time_ = kEpoch;
  EventTime received_ = kEpoch;
};

}  // namespace klaxon
