#include "bench/traffic.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <initializer_list>
#include <utility>

namespace klaxon {
namespace {

constexpr uint64_t kBeginUs = 1'781'000'000ull * 1'000'000;  // 2026-06-09.
constexpr uint64_t kSecondUs = 1'000'000;
// Enough that no compressor finds one body twice within its window.
constexpr size_t kExchangePool = 600;

constexpr std::string_view kOk = R"({"metadata":{},"code":200})";
constexpr std::string_view kUnauthorized =
    R"({"metadata":{},"status":"Failure","message":"Unauthorized",)"
    R"("reason":"Unauthorized","code":401})";
constexpr std::string_view kAnonymous =
    R"({"username":"system:anonymous","groups":["system:unauthenticated"]})";
constexpr std::string_view kForbidden =
    R"("authorization.k8s.io/decision":"forbid",)"
    R"("authorization.k8s.io/reason":"")";
constexpr std::string_view kPublicInfo =
    R"("authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":)"
    R"("RBAC: allowed by ClusterRoleBinding \"system:public-info-viewer\" of )"
    R"(ClusterRole \"system:public-info-viewer\" to Group )"
    R"(\"system:unauthenticated\"")";
constexpr std::string_view kDiscovery =
    R"("authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":)"
    R"("RBAC: allowed by ClusterRoleBinding \"system:discovery\" of )"
    R"(ClusterRole \"system:discovery\" to Group \"system:authenticated\"")";
constexpr std::string_view kEditors =
    R"("authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":)"
    R"("RBAC: allowed by ClusterRoleBinding \"platform-edit\" of ClusterRole )"
    R"(\"edit\" to Group \"platform-engineers\"")";
constexpr std::string_view kNodeAllowed =
    R"("authorization.k8s.io/decision":"allow",)"
    R"("authorization.k8s.io/reason":"")";

struct Resource {
  std::string_view prefix;
  std::string_view group;
  std::string_view name;
};
constexpr std::array<Resource, 8> kResources = {{
    {"/api/v1/", "", "pods"},
    {"/api/v1/", "", "services"},
    {"/apis/discovery.k8s.io/v1/", "discovery.k8s.io", "endpointslices"},
    {"/api/v1/", "", "configmaps"},
    {"/api/v1/", "", "secrets"},
    {"/api/v1/", "", "nodes"},
    {"/api/v1/", "", "namespaces"},
    {"/apis/apps/v1/", "apps", "replicasets"},
}};
constexpr std::array<std::string_view, 6> kNamespaced = {
    "configmaps", "secrets", "services", "pods", "events", "endpoints"};
constexpr std::array<std::string_view, 3> kAttackTools = {
    "curl/8.5.0", "kubectl/v1.28.2 (linux/amd64) kubernetes/89a4ea3",
    "python-requests/2.31.0"};

// out = the concatenation of the texts.
void Set(std::string* out, std::initializer_list<std::string_view> texts) {
  out->clear();
  for (std::string_view text : texts) out->append(text);
}

}  // namespace

Traffic::Traffic(const TrafficOptions& options)
    : options_(options),
      random_(options.seed),
      cluster_(random_),
      now_us_(kBeginUs) {
  if (options.kind == TrafficKind::kMixed) {
    exchanges_ = MakeExchanges(cluster_, random_, kExchangePool);
  }
}

bool Traffic::AppendNext(std::string* out) {
  const bool unborn = options_.kind == TrafficKind::kHostile &&
                      truth_.hostile_clients < options_.hostile_clients;
  if (truth_.bytes >= options_.bytes && !unborn) return false;
  const size_t before = out->size();
  now_us_ += options_.kind == TrafficKind::kFlood
                 ? 60 * kSecondUs / std::max(options_.hostile_clients, 1u)
                 : 600 + random_.Below(2200);
  resource_version_ += random_.Below(9);
  if (options_.kind == TrafficKind::kUnauthorized) {
    UnauthorizedOnly(out);
  } else if (options_.kind == TrafficKind::kFlood) {
    Flood(out);
  } else if (!open_.empty() && open_.top().end_us <= now_us_) {
    EndLongRunning(out);
  } else if (unborn && truth_.hostile_clients * options_.bytes <
                           truth_.bytes * options_.hostile_clients) {
    Hostile(out);
  } else {
    Ordinary(out);
  }
  ++truth_.events;
  truth_.bytes += out->size() - before;
  return true;
}

void Traffic::AppendTime(uint64_t time_us, std::string* out) {
  const uint64_t second = time_us / kSecondUs;
  if (second != second_cached_) {
    const std::time_t seconds = static_cast<std::time_t>(second);
    std::tm parts;
    gmtime_r(&seconds, &parts);
    char text[32];
    const size_t length =
        std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    second_text_.assign(text, length);
    second_cached_ = second;
  }
  *out += second_text_;
  char fraction[8] = ".000000";
  uint64_t rest = time_us % kSecondUs;
  for (int i = 6; i > 0; --i, rest /= 10) {
    fraction[i] = static_cast<char>('0' + rest % 10);
  }
  fraction[7] = 'Z';
  out->append(fraction, sizeof fraction);
}

void Traffic::Write(const Event& event, std::string* out) {
  const auto add = [out](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    *out += name;
    *out += value;
  };
  const size_t begin = out->size();
  add(R"({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":")",
      event.level);
  *out += R"(","auditID":")";
  random_.AppendUuid(out);
  *out += R"(","stage":")";
  stage_at_ = out->size() - begin;
  *out += event.stage;
  add(R"(","requestURI":")", event.uri);
  add(R"(","verb":")", event.verb);
  add(R"(","user":)", event.user_json);
  add(R"(,"impersonatedUser":)", event.impersonated_json);
  add(R"(,"sourceIPs":[)", event.sources_json);
  add(R"(],"userAgent":")", event.user_agent);
  *out += "\"";
  add(R"(,"objectRef":)", event.ref_json);
  add(R"(,"responseStatus":)", event.status_json);
  add(R"(,"requestObject":)", event.request);
  add(R"(,"responseObject":)", event.response);
  *out += R"(,"requestReceivedTimestamp":")";
  const uint32_t latency_us =
      300 + random_.Below(random_.OneIn(40) ? 900'000 : 9'000);
  AppendTime(now_us_ - latency_us, out);
  *out += R"(","stageTimestamp":")";
  stage_time_at_ = out->size() - begin;
  AppendTime(now_us_, out);
  *out += "\"";
  if (!event.annotations_json.empty()) {
    add(R"(,"annotations":{)", event.annotations_json);
    *out += "}";
  }
  *out += "}\n";
  ++truth_.requests;
  if (!event.request.empty() || !event.response.empty()) ++truth_.with_bodies;
}

void Traffic::StartLongRunning(Event event, uint64_t seconds_max,
                               std::string* out) {
  const size_t begin = out->size();
  event.stage = "ResponseStarted";
  Write(event, out);
  Open open;
  open.end_us =
      now_us_ + kSecondUs + random_.Next() % (seconds_max * kSecondUs);
  open.text = out->substr(begin);
  open.stage_at = stage_at_;
  open.stage_time_at = stage_time_at_;
  open_.push(std::move(open));
}

void Traffic::EndLongRunning(std::string* out) {
  constexpr std::string_view kStarted = "ResponseStarted";
  const Open& open = open_.top();
  const std::string_view text = open.text;
  *out += text.substr(0, open.stage_at);
  *out += "ResponseComplete";
  const size_t rest = open.stage_at + kStarted.size();
  *out += text.substr(rest, open.stage_time_at - rest);
  const size_t time_at = out->size();
  AppendTime(now_us_, out);
  *out += text.substr(open.stage_time_at + (out->size() - time_at));
  open_.pop();
}

void Traffic::Ordinary(std::string* out) {
  if (attempts_left_ > 0 && random_.OneIn(6)) return Attack(out);
  const uint32_t kind = random_.Below(1000);
  if (kind < 6) return Probe(out);
  if (kind == 6) return Attack(out);
  if (options_.kind == TrafficKind::kMixed && random_.Below(100) < 33) {
    return WithBodies(out);
  }
  if (kind < 390) return KubeletLease(out);
  if (kind < 560) return LeaderLease(out);
  if (kind < 680) return Watch(out);
  if (kind < 930) return AccountRead(out);
  if (kind < 970) return PersonRead(out);
  Discovery(out);
}

void Traffic::KubeletLease(std::string* out) {
  const Node& node = random_.Pick(cluster_.nodes);
  const bool update = !random_.OneIn(20);
  Event event;
  Set(&uri_, {"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/",
              node.name, "?timeout=10s"});
  Set(&sources_, {"\"", node.address, "\""});
  const std::string version = std::to_string(resource_version_);
  ref_.clear();
  AppendRef({.resource = "leases",
             .ns = "kube-node-lease",
             .name = node.name,
             .group = "coordination.k8s.io",
             .resource_version = update ? version : std::string_view()},
            &ref_);
  event.uri = uri_;
  event.verb = update ? "update" : "get";
  event.user_json = node.user_json;
  event.sources_json = sources_;
  event.user_agent = "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46";
  event.ref_json = ref_;
  event.status_json = kOk;
  event.annotations_json = kNodeAllowed;
  Write(event, out);
}

void Traffic::LeaderLease(std::string* out) {
  // Platform services come first among the accounts.
  const Account& account = random_.OneIn(2)
                               ? random_.Pick(cluster_.controllers)
                               : cluster_.accounts[random_.Below(20)];
  const bool update = random_.OneIn(2);
  Event event;
  Set(&uri_, {"/apis/coordination.k8s.io/v1/namespaces/", account.ns,
              "/leases/", account.name, "-leader?timeout=5s"});
  Set(&sources_, {"\"", account.address, "\""});
  const std::string name = account.name + "-leader";
  const std::string version = std::to_string(resource_version_);
  ref_.clear();
  AppendRef({.resource = "leases",
             .ns = account.ns,
             .name = name,
             .group = "coordination.k8s.io",
             .resource_version = update ? version : std::string_view()},
            &ref_);
  event.uri = uri_;
  event.verb = update ? "update" : "get";
  event.user_json = account.user_json;
  event.sources_json = sources_;
  event.user_agent = account.user_agent;
  event.ref_json = ref_;
  event.status_json = kOk;
  event.annotations_json = account.allowed_json;
  Write(event, out);
}

void Traffic::Watch(std::string* out) {
  const Account& account = random_.OneIn(8) ? random_.Pick(cluster_.controllers)
                                            : random_.Pick(cluster_.accounts);
  const Resource& resource = random_.Pick(kResources);
  const std::string version = std::to_string(resource_version_);
  const std::string seconds = std::to_string(300 + random_.Below(300));
  Event event;
  Set(&uri_, {resource.prefix, resource.name,
              "?allowWatchBookmarks=true\\u0026resourceVersion=", version,
              "\\u0026timeout=9m37s\\u0026timeoutSeconds=", seconds,
              "\\u0026watch=true"});
  Set(&sources_, {"\"", account.address, "\""});
  ref_.clear();
  AppendRef({.resource = resource.name, .group = resource.group}, &ref_);
  event.uri = uri_;
  event.verb = "watch";
  event.user_json = account.user_json;
  event.sources_json = sources_;
  event.user_agent = account.user_agent;
  event.ref_json = ref_;
  event.status_json = kOk;
  event.annotations_json = account.allowed_json;
  StartLongRunning(event, 600, out);
}

void Traffic::AccountRead(std::string* out) {
  const Account& account = random_.OneIn(8) ? random_.Pick(cluster_.controllers)
                                            : random_.Pick(cluster_.accounts);
  const Pod& pod = random_.Pick(cluster_.pods);
  const std::string_view resource = random_.Pick(kNamespaced);
  const std::string name = pod.app + "-config";
  const bool list = random_.OneIn(7);
  const bool missing = !list && random_.OneIn(25);
  // One workload runs elsewhere, for a reason: the first of the plain ones.
  const bool elsewhere = &account == &cluster_.accounts[20];
  Event event;
  Set(&uri_, {"/api/v1/namespaces/", pod.ns, "/", resource, list ? "" : "/",
              list ? "?limit=500\\u0026resourceVersion=0" : name});
  Set(&sources_,
      {"\"", elsewhere ? cluster_.partners[0] : account.address, "\""});
  ref_.clear();
  AppendRef({.resource = resource,
             .ns = pod.ns,
             .name = list ? std::string_view() : name},
            &ref_);
  if (missing) {
    Set(&status_,
        {R"({"metadata":{},"status":"Failure","message":")", resource, R"( \")",
         name, R"(\" not found","reason":"NotFound","details":{"name":")", name,
         R"(","kind":")", resource, R"("},"code":404})"});
  }
  event.uri = uri_;
  event.verb = list ? "list" : "get";
  event.user_json = account.user_json;
  event.sources_json = sources_;
  event.user_agent = account.user_agent;
  event.ref_json = ref_;
  event.status_json = missing ? std::string_view(status_) : kOk;
  event.annotations_json = account.allowed_json;
  Write(event, out);
}

void Traffic::PersonRead(std::string* out) {
  const Person& person = random_.Pick(cluster_.people);
  const Pod& pod = random_.Pick(cluster_.pods);
  Event event;
  Set(&uri_, {"/api/v1/namespaces/", pod.ns, "/pods/", pod.name});
  ref_.clear();
  AppendRef({.resource = "pods", .ns = pod.ns, .name = pod.name}, &ref_);
  event.uri = uri_;
  event.verb = "get";
  event.user_json = person.user_json;
  event.sources_json = person.sources_json;
  event.user_agent = "kubectl/v1.31.0 (darwin/arm64) kubernetes/9edcffc";
  event.ref_json = ref_;
  event.status_json = kOk;
  event.annotations_json = kEditors;
  if (random_.OneIn(30)) return Exec(event, out);
  Write(event, out);
}

void Traffic::Exec(Event event, std::string* out) {
  uri_ +=
      "/exec?command=sh\\u0026container=app\\u0026stdin=true\\u0026"
      "stdout=true\\u0026tty=true";
  ref_.insert(ref_.size() - 1, R"(,"subresource":"exec")");
  event.uri = uri_;
  event.ref_json = ref_;
  event.status_json = R"({"metadata":{},"code":101})";
  StartLongRunning(event, 300, out);
}

void Traffic::Discovery(std::string* out) {
  const Account& account = random_.Pick(cluster_.accounts);
  Set(&sources_, {"\"", account.address, "\""});
  Event event;
  event.uri = random_.OneIn(2) ? "/apis" : "/openapi/v3?timeout=32s";
  event.verb = "get";
  event.user_json = account.user_json;
  event.sources_json = sources_;
  event.user_agent = account.user_agent;
  event.status_json = kOk;
  event.annotations_json = kDiscovery;
  Write(event, out);
}

void Traffic::WithBodies(std::string* out) {
  const Exchange& exchange = random_.Pick(exchanges_);
  Event event;
  event.level = "RequestResponse";
  event.uri = exchange.uri;
  event.verb = exchange.verb;
  event.user_json = exchange.user_json;
  event.impersonated_json = exchange.impersonated_json;
  event.sources_json = exchange.sources_json;
  event.user_agent = exchange.user_agent;
  event.ref_json = exchange.ref_json;
  event.status_json =
      exchange.code == 201 ? R"({"metadata":{},"code":201})" : kOk;
  event.request = exchange.request;
  event.response = exchange.response;
  event.annotations_json = exchange.annotations_json;
  Write(event, out);
}

// Load balancers and scanners ask without a credential whether it is alive.
void Traffic::Probe(std::string* out) {
  constexpr std::array<std::string_view, 4> kPublic = {
      "/readyz", "/livez", "/healthz", "/version?timeout=32s"};
  if (random_.OneIn(40)) {
    return AnonymousDenied(random_.Pick(cluster_.scanners), out);
  }
  Set(&sources_, {"\"10.0.0.", random_.OneIn(2) ? "21" : "22", "\""});
  Event event;
  event.uri = random_.Pick(kPublic);
  event.verb = "get";
  event.user_json = kAnonymous;
  event.sources_json = sources_;
  event.user_agent = "kube-probe/1.31";
  event.status_json = kOk;
  event.annotations_json = kPublicInfo;
  ++truth_.anonymous;
  Write(event, out);
}

void Traffic::Unauthenticated(std::string_view client, std::string* out) {
  const Resource& resource = random_.Pick(kResources);
  Set(&uri_, {resource.prefix, resource.name, "?limit=500"});
  Set(&sources_, {"\"", client, "\""});
  ref_.clear();
  AppendRef({.resource = resource.name, .group = resource.group}, &ref_);
  Event event;
  event.stage = "ResponseStarted";  // The only stage that a 401 ever has.
  event.uri = uri_;
  event.verb = "list";
  event.sources_json = sources_;
  event.user_agent = random_.Pick(kAttackTools);
  event.ref_json = ref_;
  event.status_json = kUnauthorized;
  ++truth_.unauthenticated;
  Write(event, out);
}

void Traffic::AnonymousDenied(std::string_view client, std::string* out) {
  const Resource& resource = random_.Pick(kResources);
  Set(&uri_, {resource.prefix, resource.name});
  Set(&sources_, {"\"", client, "\""});
  ref_.clear();
  AppendRef({.resource = resource.name, .group = resource.group}, &ref_);
  Set(&status_,
      {R"({"metadata":{},"status":"Failure","message":")", resource.name,
       R"( is forbidden: User \"system:anonymous\" cannot list resource \")",
       resource.name, R"(\" in API group \")", resource.group,
       R"(\" at the cluster scope","reason":"Forbidden","details":{"kind":")",
       resource.name, R"("},"code":403})"});
  Event event;
  event.uri = uri_;
  event.verb = "list";
  event.user_json = kAnonymous;
  event.sources_json = sources_;
  event.user_agent = "Mozilla/5.0 (compatible; CensysInspect/1.1)";
  event.ref_json = ref_;
  event.status_json = status_;
  event.annotations_json = kForbidden;
  ++truth_.anonymous;
  Write(event, out);
}

// Now and then somebody guesses tokens; in between a stray 401.
void Traffic::Attack(std::string* out) {
  if (attempts_left_ > 0) {
    --attempts_left_;
    return Unauthenticated(attacker_, out);
  }
  if (random_.OneIn(20)) {
    attempts_left_ = 20 + random_.Below(120);
    attacker_ = random_.Pick(cluster_.attackers);
  }
  Unauthenticated(random_.Pick(cluster_.nodes).address, out);
}

std::string Traffic::NextHostileClient() {
  const uint32_t index = static_cast<uint32_t>(truth_.hostile_clients++);
  return index % 2 == 0 ? HostileAddressV4(index / 2)
                        : HostileAddressV6(index / 2);
}

void Traffic::Hostile(std::string* out) {
  constexpr size_t kRecent = 4096;
  std::string client;
  if (!recent_hostile_.empty() && random_.OneIn(4)) {  // Tries once more.
    client = recent_hostile_[random_.Below(
        static_cast<uint32_t>(recent_hostile_.size()))];
  } else {
    client = NextHostileClient();
    recent_hostile_.push_back(client);
    if (recent_hostile_.size() > kRecent) recent_hostile_.pop_front();
  }
  if (random_.OneIn(3)) return AnonymousDenied(client, out);
  Unauthenticated(client, out);
}

// Half of it is a flood of few clients, the rest comes from as many as a big
// cluster has workloads, whose tokens all stopped to be good. (How many more
// there may be is kHostile's matter.)
void Traffic::UnauthorizedOnly(std::string* out) {
  constexpr uint32_t kMany = 2'000;
  if (random_.OneIn(2)) {
    return Unauthenticated(random_.Pick(cluster_.attackers), out);
  }
  const uint32_t index = random_.Below(kMany);
  Unauthenticated(index % 2 == 0 ? HostileAddressV4(index / 2)
                                 : HostileAddressV6(index / 2),
                  out);
}

// So many clients within a minute that no memory holds what is to be judged of
// it, and again in the next one.
void Traffic::Flood(std::string* out) {
  const uint32_t clients = std::max(options_.hostile_clients, 1u);
  if (truth_.hostile_clients < clients) ++truth_.hostile_clients;
  const auto index = static_cast<uint32_t>(truth_.events % clients);
  Unauthenticated(index % 2 == 0 ? HostileAddressV4(index / 2)
                                 : HostileAddressV6(index / 2),
                  out);
}

}  // namespace klaxon
