#include "pipeline/observer.h"

#include <sys/random.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace klaxon {
namespace {

// Identities remembered between batches; past it all are forgotten and worked
// out anew (an attacker can make as many as requests).
constexpr size_t kIdentitiesMax = 16384;
constexpr size_t kClustersMax = 1024;
// Sightings, refusal groups and deeds held before they should be taken: a few
// minutes of a busy cluster, so that parts are merged here and not later.
constexpr size_t kObservationsMax = 16 << 10;

constexpr size_t kSampleAuditIdMax = 128;
constexpr size_t kSampleVerbMax = 32;
constexpr size_t kSampleUriMax = 512;
constexpr size_t kSampleTextMax = 256;
constexpr size_t kSampleIpsMax = 8;
constexpr size_t kIdentityTextMax = 512;

absl::string_view Absl(std::string_view s) {
  return absl::string_view(s.data(), s.size());
}

uint64_t HashText(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

// Identities are texts an attacker may choose (OIDC names): a long one keeps
// its head and gets a hash of the whole, so that two never become one.
std::string Capped(std::string_view text) {
  if (text.size() <= kIdentityTextMax) return std::string(text);
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  static constexpr char kHex[] = "0123456789abcdef";
  std::string capped(text.substr(0, kIdentityTextMax));
  capped += "...#";
  for (uint64_t half : {hash.high64, hash.low64}) {
    for (int shift = 60; shift >= 0; shift -= 4) {
      capped.push_back(kHex[half >> shift & 15]);
    }
  }
  return capped;
}

// Parameters of the Kubernetes API whose values say what was asked for and are
// never a credential. Everything else in a query is masked.
bool ShowsValue(std::string_view name) {
  static constexpr std::string_view kNames[] = {"allowWatchBookmarks",
                                                "command",
                                                "container",
                                                "dryRun",
                                                "exclude",
                                                "fieldManager",
                                                "fieldSelector",
                                                "fieldValidation",
                                                "follow",
                                                "force",
                                                "labelSelector",
                                                "limit",
                                                "orphanDependents",
                                                "ports",
                                                "pretty",
                                                "previous",
                                                "propagationPolicy",
                                                "resourceVersion",
                                                "resourceVersionMatch",
                                                "sendInitialEvents",
                                                "sinceSeconds",
                                                "stderr",
                                                "stdin",
                                                "stdout",
                                                "tailLines",
                                                "timeout",
                                                "timeoutSeconds",
                                                "timestamps",
                                                "tty",
                                                "verbose",
                                                "watch"};
  return std::find(std::begin(kNames), std::end(kNames), name) !=
         std::end(kNames);
}

// JSON Web Tokens wherever they stand: their head is base64 of '{"'.
std::string WithoutTokens(std::string_view text) {
  constexpr size_t kTokenMin = 16;
  std::string out;
  while (true) {
    const size_t at = std::min(text.find("eyJ"), text.size());
    out += text.substr(0, at);
    text.remove_prefix(at);
    if (text.empty()) return out;
    size_t end = 0;
    while (end < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[end])) != 0 ||
            text[end] == '-' || text[end] == '_' || text[end] == '.' ||
            text[end] == '=')) {
      ++end;
    }
    if (end >= kTokenMin) {
      out += "REDACTED";
    } else {
      out += text.substr(0, end);
    }
    text.remove_prefix(end);
  }
}

// A URI to show: no fragment, values of known parameters only, no tokens.
std::string MaskedUri(std::string_view uri) {
  uri = uri.substr(0, 4 * kSampleUriMax);  // More would be cut off anyway.
  uri = uri.substr(0, uri.find('#'));
  const size_t query = uri.find('?');
  std::string_view path = uri.substr(0, query);
  // "/proxy/token=…": a value in a path is nobody's resource name.
  const size_t value = path.find('=');
  std::string out(path.substr(0, value));
  if (value != std::string_view::npos) out += "=REDACTED";
  std::string_view rest =
      query == std::string_view::npos ? "" : uri.substr(query + 1);
  for (char separator = '?'; !rest.empty(); separator = '&') {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view part = rest.substr(0, end);
    const size_t equals = std::min(part.find('='), part.size());
    out += separator;
    if (ShowsValue(part.substr(0, equals))) {
      out += part;
    } else {
      out += part.substr(
          0, std::min<size_t>(part.substr(0, equals).find_first_of(";?%"),
                              std::min<size_t>(equals, 64)));
      out += "=REDACTED";
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  out = WithoutTokens(out);
  if (out.size() > kSampleUriMax) out.resize(kSampleUriMax);
  return out;
}

uint64_t SampleOrder(const EventView& event) {
  XXH64_hash_t seed = HashText(event.audit_id);
  for (std::string_view text :
       {event.request_uri, event.verb, event.user_agent, event.user.username}) {
    seed = XXH3_64bits_withSeed(text.data(), text.size(), seed);
  }
  return seed;
}

void OfferSample(const EventView& event, EventSample* sample) {
  const EventTime time = event.time();
  if (sample->has_value()) {
    if (time > sample->time) return;
    if (time == sample->time && SampleOrder(event) >= sample->order) return;
  }
  *sample = MakeSample(event);
}

bool IsReview(std::string_view resource) {
  return resource == "tokenreviews" || resource == "subjectaccessreviews" ||
         resource == "localsubjectaccessreviews";
}

bool IsWriteVerb(std::string_view verb) {
  return verb == "create" || verb == "update" || verb == "patch" ||
         verb == "delete" || verb == "deletecollection";
}

bool IsConnect(std::string_view subresource) {
  return subresource == "exec" || subresource == "attach" ||
         subresource == "portforward" || subresource == "proxy";
}

// What the request touched: said of the end of a long-running one too.
uint32_t ResourceFlags(const ObjectRef& ref) {
  uint32_t flags = 0;
  if (ref.resource == "secrets") flags |= Bit(SightingFlag::kSecrets);
  if (ref.api_group == "rbac.authorization.k8s.io") {
    flags |= Bit(SightingFlag::kRbac);
  }
  if (IsConnect(ref.subresource)) flags |= Bit(SightingFlag::kExec);
  return flags;
}

uint32_t RequestFlags(const RequestView& request) {
  const ObjectRef& ref = request.event->object_ref;
  uint32_t flags = ResourceFlags(ref);
  if (request.part == RequestPart::kEnded) {
    flags |= Bit(SightingFlag::kEnded);
    if (request.let_in) flags |= Bit(SightingFlag::kEndedLetIn);
    return flags;
  }
  flags |= Bit(request.let_in ? SightingFlag::kLetIn : SightingFlag::kRefused);
  if (!request.public_path) flags |= Bit(SightingFlag::kBeyondPublic);
  const bool basic = request.on_resource
                         ? request.self_review
                         : request.public_path || request.discovery;
  if (!basic) flags |= Bit(SightingFlag::kBeyondDiscovery);
  if (request.on_resource && !request.self_review && !IsReview(ref.resource) &&
      !IsConnect(ref.subresource) && IsWriteVerb(request.event->verb)) {
    flags |= Bit(SightingFlag::kWrote);
  }
  return flags;
}

// What the identity itself says, whatever it does.
uint32_t IdentityFlags(const EventView& event, const ClientInfo& client) {
  const UserView& user = event.user;
  uint32_t flags = 0;
  std::string_view ns;
  std::string_view name;
  if (user.username.starts_with(kServiceAccountPrefix)) {
    const bool group = user.InGroup("system:serviceaccounts");
    if (group) flags |= Bit(SightingFlag::kAccountGroup);
    SplitServiceAccount(user.username, &ns, &name);
    const bool own = user.InGroup("system:serviceaccounts:" + std::string(ns));
    if (!user.groups.empty() && (!group || !own)) {
      flags |= Bit(SightingFlag::kWithoutGroups);
    }
  }
  const bool nodes = user.InGroup("system:nodes");
  if (nodes) flags |= Bit(SightingFlag::kNodesGroup);
  if (user.username.starts_with(kNodePrefix) && !user.groups.empty() &&
      !nodes) {
    flags |= Bit(SightingFlag::kWithoutGroups);
  }
  if (user.InGroup("system:masters")) flags |= Bit(SightingFlag::kMasters);
  if (client.peer_known && !client.peer_loopback) {
    flags |= Bit(SightingFlag::kPeerNotLoopback);
  }
  if (!client.claimed.empty()) flags |= Bit(SightingFlag::kClaimed);
  return flags;
}

int64_t StaleSeconds(std::string_view annotation) {
  constexpr std::string_view kText = "seconds after warning threshold: ";
  const size_t at = annotation.find(kText);
  if (at == std::string_view::npos) return 0;
  int64_t seconds = 0;
  for (char c : annotation.substr(at + kText.size())) {
    if (c < '0' || c > '9' || seconds > INT32_MAX) break;
    seconds = seconds * 10 + (c - '0');
  }
  return seconds;
}

// The credential of a legacy token: the Secret it lies in, if named.
std::string LegacyCredential(const EventView& event) {
  std::string_view secret =
      event.Annotation("authentication.k8s.io/legacy-token-manual-secret");
  if (secret.empty()) {
    secret = event.Annotation(
        "authentication.k8s.io/legacy-token-autogenerated-secret");
  }
  std::string_view ns;
  std::string_view name;
  if (secret.empty() || !SplitServiceAccount(event.user.username, &ns, &name)) {
    return "legacy";
  }
  return "secret:" + std::string(ns) + "/" + std::string(secret);
}

}  // namespace

bool Observer::full() const {
  return size() >= kObservationsMax || clusters_.size() > kClustersMax;
}

EventSample MakeSample(const EventView& event) {
  EventSample sample;
  sample.time = event.time();
  sample.order = SampleOrder(event);
  sample.code = event.code;
  sample.audit_id = event.audit_id.substr(0, kSampleAuditIdMax);
  sample.verb = event.verb.substr(0, kSampleVerbMax);
  sample.uri = MaskedUri(event.request_uri);
  sample.user = event.user.username.substr(0, kSampleTextMax);
  sample.user_agent = WithoutTokens(event.user_agent.substr(0, kSampleTextMax));
  // The last ones: the first may be anything the client wrote.
  const size_t skip = event.source_ips.size() > kSampleIpsMax
                          ? event.source_ips.size() - kSampleIpsMax
                          : 0;
  for (std::string_view ip : event.source_ips.subspan(skip)) {
    sample.source_ips.emplace_back(ip.substr(0, 64));
  }
  return sample;
}

uint32_t RefusalsKept(const ClusterConfig& config) {
  int64_t keep = 100;
  auto burst = config.detectors.find("unauthorized-burst");
  if (burst != config.detectors.end() && burst->second.enabled) {
    keep = std::max(keep, burst->second.GetCount("threshold") *
                              burst->second.GetCount("high_factor"));
  }
  auto probing = config.detectors.find("anonymous-probing");
  if (probing != config.detectors.end() && probing->second.enabled) {
    keep = std::max({keep, probing->second.GetCount("threshold_medium"),
                     probing->second.GetCount("threshold_paths")});
  }
  return static_cast<uint32_t>(std::min<int64_t>(keep, 10'000));
}

namespace {

// Stands for a caller's identity bytes: a 128-bit hash with a secret of this
// process. The bytes are partly an attacker's choice; without the secret
// nobody can make two of them meet.
struct IdentityKey {
  uint64_t high;
  uint64_t low;
  bool operator==(const IdentityKey&) const = default;
};
struct IdentityKeyHash {
  size_t operator()(const IdentityKey& key) const { return key.low; }
};

IdentityKey KeyOf(std::string_view bytes) {
  static const std::array<uint8_t, 192> secret = [] {
    std::array<uint8_t, 192> random{};
    size_t have = 0;
    while (have < random.size()) {
      const ssize_t got =
          getrandom(random.data() + have, random.size() - have, 0);
      if (got > 0) have += static_cast<size_t>(got);
    }
    return random;
  }();
  const XXH128_hash_t hash = XXH3_128bits_withSecret(
      bytes.data(), bytes.size(), secret.data(), secret.size());
  return {hash.high64, hash.low64};
}

}  // namespace

struct Observer::Cluster {
  std::string name;
  const ClusterConfig* config = nullptr;
  uint32_t keep = 100;
  uint32_t traits = 0;  // That some enabled detector wants.
  bool sightings = false;
  bool failures = false;
  bool anonymous = false;
  // Deed writers, by trait.
  std::vector<std::pair<uint32_t, std::unique_ptr<Detector>>> detectors;
  absl::flat_hash_map<IdentityKey, Identity*, IdentityKeyHash> index;
  std::deque<Identity> identities;
  Fact fact;
};

// What was worked out of a caller's identity bytes, once.
struct Observer::Caller {
  ClientInfo client;
  std::string user;
  std::string credential;
  std::string pod;
  std::string node;
  AgentFamily family = AgentFamily::kOther;
  uint64_t agent = 0;
  uint64_t group_epoch = 0;  // `group` is of the observer's this epoch.
  EventTime group_minute = kNoTime;
  RefusalClass group_class = RefusalClass::kUncounted;
  RefusalGroup* group = nullptr;
};

// All of a caller that an ordinary event touches, in as few cache lines as can
// be: one more request of a caller that does what it did before in this minute
// only moves `run`.
struct Observer::Identity {
  struct Run {  // Events of equal flags, not yet added to `sighting`.
    EventTime first = kMaxTime;
    EventTime last = kNoTime;
    uint32_t requests = 0;
    uint32_t flags = 0;
  };
  Run run;
  uint32_t flags = 0;  // Of the identity itself, whatever it does.
  uint64_t epoch = 0;  // All else is of the observer's this epoch.
  EventTime minute = kNoTime;
  EventTime sample_time = kNoTime;  // Of sighting->sample.
  Sighting* sighting = nullptr;
  EventTime agent_first = kMaxTime;  // As told to `sighting`.
  std::unique_ptr<Caller> caller;

  // Adds the run to the sighting.
  void Flush() {
    if (run.last == kNoTime) return;
    sighting->seen.Add(run.first);
    sighting->seen.Add(run.last);
    for (uint32_t left = run.flags; left != 0; left &= left - 1) {
      Span& span = sighting->flags[static_cast<size_t>(__builtin_ctz(left))];
      span.Add(run.first);
      span.Add(run.last);
    }
    sighting->requests += run.requests;
    if (run.first < agent_first) {
      agent_first = run.first;
      sighting->AddAgent(run.first, caller->agent);
    }
    run = Run();
  }
};

Observer::Observer(const EngineConfig& config) : config_(config) {}
Observer::~Observer() = default;

Observer::Cluster* Observer::ClusterFor(std::string_view name) {
  if (name.empty()) name = config_.default_cluster;
  if (last_cluster_ != nullptr && last_cluster_->name == name) {
    return last_cluster_;
  }
  auto it = clusters_.find(Absl(name));
  if (it == clusters_.end()) {
    auto cluster = std::make_unique<Cluster>();
    cluster->name = name;
    cluster->config = &config_.For(name);
    cluster->keep = RefusalsKept(*cluster->config);
    for (const DetectorEntry& entry : DetectorRegistry()) {
      const DetectorOptions& options =
          cluster->config->detectors.find(entry.info->name)->second;
      if (!options.enabled) continue;
      cluster->sightings |= entry.wants_sightings;
      cluster->failures |= entry.wants_failures;
      cluster->anonymous |= entry.wants_anonymous;
      if (entry.traits == 0) continue;
      cluster->traits |= entry.traits;
      cluster->detectors.emplace_back(
          entry.traits, entry.make({&options, &cluster->config->inventory, 1}));
    }
    it = clusters_.emplace(std::string(name), std::move(cluster)).first;
  }
  return last_cluster_ = it->second.get();
}

Observer::Identity* Observer::IdentityFor(const EventView& event,
                                          Cluster* cluster) {
  const bool legacy = event.user.credential_id.empty() &&
                      event.HasAnnotation("authentication.k8s.io/legacy-token");
  std::string_view key = event.identity_bytes;
  if (key.empty() || legacy) {
    key_buffer_.clear();
    WireWriter w(&key_buffer_);
    w.Text(event.user.username);
    w.Text(event.user.credential_id);
    w.Text(event.user.pod_name);
    w.Text(event.user.node_name);
    w.Text(event.user_agent);
    for (std::string_view group : event.user.groups) w.Text(group);
    w.Uint(event.user.groups.size());
    for (std::string_view ip : event.source_ips) w.Text(ip);
    if (legacy) w.Text(LegacyCredential(event));
    key = key_buffer_;
  }
  const IdentityKey hash = KeyOf(key);
  auto it = cluster->index.find(hash);
  if (it != cluster->index.end()) return it->second;
  if (identities_ >= kIdentitiesMax) ForgetIdentities();
  ++identities_;
  Identity* identity = &cluster->identities.emplace_back();
  cluster->index.emplace(hash, identity);
  Describe(event, legacy, *cluster, identity);
  return identity;
}

void Observer::ForgetIdentities() {
  for (Identity* identity : running_) identity->Flush();
  running_.clear();
  for (auto& [name, cluster] : clusters_) {
    cluster->index.clear();
    cluster->identities.clear();
  }
  by_minute_.clear();
  identities_ = 0;
}

void Observer::Describe(const EventView& event, bool legacy,
                        const Cluster& cluster, Identity* identity) {
  auto caller = std::make_unique<Caller>();
  caller->client = ResolveClient(event.source_ips, cluster.config->networks);
  caller->user = Capped(event.user.username);
  caller->credential =
      legacy ? LegacyCredential(event) : Capped(event.user.credential_id);
  caller->pod = Capped(event.user.pod_name);
  caller->node = Capped(event.user.node_name);
  caller->family = AgentFamilyOf(event.user_agent);
  caller->agent = HashText(event.user_agent);
  identity->flags = IdentityFlags(event, caller->client);
  if (legacy) identity->flags |= Bit(SightingFlag::kLegacy);
  identity->caller = std::move(caller);
}

void Observer::Count(const RequestView& request, Cluster* cluster) {
  const EventView& event = *request.event;
  Fact& fact = cluster->fact;
  const EventTime time = event.time();
  if (fact.first_event == kNoTime || time < fact.first_event) {
    fact.first_event = time;
  }
  fact.last_event = std::max(fact.last_event, time);
  ++fact.events;
  ++fact.stages[static_cast<size_t>(event.stage)];
  if (event.odd != 0) ++fact.odd_events;
  if (request.part == RequestPart::kIgnored) return;
  ++fact.requests;
  if (request.long_running) {
    const uint64_t hash = XXH3_64bits_withSeed(
        event.audit_id.data(), event.audit_id.size(),
        static_cast<uint64_t>(event.request_received_time));
    long_running_.push_back(hash << 1 |
                            (request.part == RequestPart::kEnded ? 1 : 0));
  }
  if (request.part != RequestPart::kJudged) return;
  if (event.code == 401) {
    ++(request.authentication_failed ? fact.unauthenticated
                                     : fact.unauthorized_named);
  }
  if (!event.user.credential_id.empty()) ++fact.with_credential_id;
}

void Observer::Observe(const EventView& event, std::string_view input_cluster) {
  Cluster* cluster =
      ClusterFor(event.cluster.empty() ? input_cluster : event.cluster);
  RequestView request;
  ClassifyRequest(event, cluster->config->public_paths, &path_buffer_,
                  &request);
  Count(request, cluster);
  if (request.part == RequestPart::kIgnored) return;
  Identity* identity = IdentityFor(event, cluster);
  request.client = &identity->caller->client;
  if (request.traits & cluster->traits) {
    deed_cluster_ = cluster;
    for (const auto& [traits, detector] : cluster->detectors) {
      if (traits & request.traits) detector->Observe(request, *this);
    }
  }
  if (request.authentication_failed) {
    if (cluster->failures) {
      Refuse(request, RefusalClass::kUnauthenticated, identity, cluster);
    }
  } else if (request.anonymous) {
    if (request.denied && cluster->anonymous && !request.oauth_login) {
      Refuse(request, RefusalClass::kAnonymous, identity, cluster);
    }
  } else if (request.named && cluster->sightings) {
    See(request, identity, cluster);
  }
}

Sighting* Observer::SightingFor(EventTime minute, Identity* identity,
                                const Cluster& cluster) {
  const Caller& caller = *identity->caller;
  Sighting*& slot = by_minute_[{identity, minute}];
  if (slot != nullptr) return slot;
  slot = &sightings_.emplace_back();
  slot->cluster = cluster.name;
  slot->user = caller.user;
  slot->credential = caller.credential;
  slot->client = caller.client.client;
  slot->family = caller.family;
  slot->pod = caller.pod;
  slot->node = caller.node;
  slot->minute = minute;
  slot->client_internal = caller.client.internal;
  slot->client_external = caller.client.external;
  slot->trusted_proxy = caller.client.trusted_proxy;
  slot->client_loopback =
      caller.client.known && caller.client.address.is_loopback();
  for (const std::string& ip : caller.client.claimed) {
    slot->claimed_ips.Add(ip);
  }
  return slot;
}

void Observer::See(const RequestView& request, Identity* identity,
                   Cluster* cluster) {
  const EventView& event = *request.event;
  const EventTime time = event.time();
  const EventTime minute = MinuteOf(time);
  const std::string_view stale =
      event.Annotation("authentication.k8s.io/stale-token");
  uint32_t flags = identity->flags | RequestFlags(request);
  if (!stale.empty()) flags |= Bit(SightingFlag::kStale);
  Identity::Run& run = identity->run;
  if (identity->epoch != epoch_ || identity->minute != minute) {
    if (identity->epoch == epoch_) {
      identity->Flush();
    } else {
      running_.push_back(identity);
    }
    identity->sighting = SightingFor(minute, identity, *cluster);
    identity->epoch = epoch_;
    identity->minute = minute;
    identity->sample_time = identity->sighting->sample.time;
    identity->agent_first = kMaxTime;
  } else if (flags != run.flags) {
    identity->Flush();
  }
  run.flags = flags;
  run.first = std::min(run.first, time);
  run.last = std::max(run.last, time);
  // A request that is neither long-running nor over yet is counted at its end.
  if (request.part == RequestPart::kJudged &&
      (request.long_running || event.stage != Stage::kResponseStarted)) {
    ++run.requests;
  }
  if (identity->sample_time == kNoTime || time <= identity->sample_time) {
    OfferSample(event, &identity->sighting->sample);
    identity->sample_time = identity->sighting->sample.time;
  }
  if (!stale.empty()) {
    Sighting& sighting = *identity->sighting;
    sighting.stale_seconds =
        std::max(sighting.stale_seconds, StaleSeconds(stale));
  }
}

RefusalGroup* Observer::GroupFor(EventTime minute, RefusalClass cls,
                                 const Caller& caller, const Cluster& cluster) {
  // OpenShift's login failures carry system:anonymous; a failed authentication
  // has no user.
  const std::string_view user =
      cls == RefusalClass::kUnauthenticated ? std::string_view() : caller.user;
  key_buffer_.clear();
  WireWriter w(&key_buffer_);
  w.Text(cluster.name);
  w.Text(user);
  w.Text(caller.client.client);
  w.Uint(static_cast<uint64_t>(cls));
  w.Int(minute);
  RefusalGroup*& slot = group_index_[key_buffer_];
  if (slot == nullptr) {
    slot = &groups_.emplace_back();
    slot->cluster = cluster.name;
    slot->user = user;
    slot->client = caller.client.client;
    slot->cls = cls;
    slot->minute = minute;
    slot->keep = cluster.keep;
    slot->client_internal = caller.client.internal;
    slot->trusted_proxy = caller.client.trusted_proxy;
  }
  for (const std::string& ip : caller.client.claimed) {
    slot->claimed_ips.Add(ip);
  }
  return slot;
}

void Observer::Refuse(const RequestView& request, RefusalClass cls,
                      Identity* identity, Cluster* cluster) {
  Caller* caller = identity->caller.get();
  const EventView& event = *request.event;
  const EventTime time = event.time();
  const EventTime minute = MinuteOf(time);
  if (caller->group_epoch != epoch_ || caller->group_minute != minute ||
      caller->group_class != cls) {
    caller->group = GroupFor(minute, cls, *caller, *cluster);
    caller->group_epoch = epoch_;
    caller->group_minute = minute;
    caller->group_class = cls;
  }
  Refusal refusal;
  refusal.time = time;
  refusal.request = hasher_.Hash64(event);
  refusal.path = HashText(request.path);
  refusal.agent = caller->agent;
  caller->group->Add(refusal);
  OfferSample(event, &caller->group->sample);
}

Deed& Observer::Add(const RequestView& request, std::string_view topic) {
  const EventView& event = *request.event;
  Deed& deed = deeds_.emplace_back();
  deed.cluster = deed_cluster_->name;
  deed.topic = topic;
  deed.time = event.time();
  deed.request = hasher_.Hash(event);
  deed.user = Capped(event.user.username);
  deed.client = request.client->client;
  deed.credential = Capped(event.user.credential_id);
  for (const std::string& ip : request.client->claimed) {
    deed.claimed_ips.Add(ip);
  }
  deed.sample = MakeSample(event);
  return deed;
}

Observations Observer::Take() {
  for (Identity* identity : running_) identity->Flush();
  running_.clear();
  Observations taken;
  taken.sightings = std::move(sightings_);
  taken.refusals = std::move(groups_);
  taken.deeds = std::move(deeds_);
  for (auto& [name, cluster] : clusters_) {
    if (cluster->fact.events == 0) continue;
    cluster->fact.cluster = cluster->name;
    cluster->fact.minute = MinuteOf(cluster->fact.first_event);
    taken.facts.push_back(cluster->fact);
    cluster->fact = Fact();
  }
  // Names may come out of the stream: past the limit all are made anew.
  if (clusters_.size() > kClustersMax) {
    clusters_.clear();
    last_cluster_ = nullptr;
    deed_cluster_ = nullptr;
    identities_ = 0;
  }
  sightings_.clear();
  groups_.clear();
  group_index_.clear();
  deeds_.clear();
  by_minute_.clear();
  ++epoch_;
  return taken;
}

}  // namespace klaxon
