#include "pipeline/observer.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

#include "pipeline/event_sample.h"
#include "pipeline/sighting_flags.h"

namespace klaxon {
namespace {

// Identities remembered between batches; past it all are forgotten and worked
// out anew (an attacker can make as many as requests).
constexpr size_t kIdentitiesMax = 16384;
// The same of those whose authentication failed, which are smaller: as many as
// a botnet has addresses.
constexpr size_t kSourcesMax = 65536;
constexpr size_t kClustersMax = 1024;
// Sightings, refusal groups and deeds held before they should be taken: those
// of a minute of a busy cluster, so that parts are merged here and not later,
// and their memory is still in the cache when they are written down. So many
// wait for the end of the minute, and no more than so many.
constexpr size_t kObservationsMin = 2 << 10;
constexpr size_t kObservationsMax = 16 << 10;

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

}  // namespace

bool Observer::full() const {
  return size() >= kObservationsMax ||
         (begun_minute_ && size() >= kObservationsMin) ||
         clusters_.size() > kClustersMax;
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

struct Observer::Cluster {
  std::string name;
  uint64_t salt = 0;  // Of Identity::check.
  const ClusterConfig* config = nullptr;
  uint32_t keep = 100;
  uint32_t traits = 0;  // That some enabled detector wants.
  bool sightings = false;
  bool failures = false;
  bool anonymous = false;
  // Deed writers, by trait.
  std::vector<std::pair<uint32_t, std::unique_ptr<Detector>>> detectors;
  absl::flat_hash_map<IdentityKey, Identity*, IdentityKey::Hash> index;
  std::deque<Identity> identities;
  absl::flat_hash_map<IdentityKey, Source*, IdentityKey::Hash> source_index;
  std::deque<Source> sources;
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
};

// Who failed to authenticate has no identity: all of one sourceIPs are one,
// whatever their user agent.
struct alignas(64) Observer::Source {
  Refused refused;
  ClientInfo client;
};

// All of a caller that an ordinary event touches, in as few cache lines as can
// be: one more request of a caller that does what it did before in this minute
// only moves `run`. The first line is of those that are let in, the second of
// those that are refused, the third of their first in a minute.
struct alignas(64) Observer::Identity {
  struct Run {  // Events of equal flags, not yet added to `sighting`.
    EventTime first = kMaxTime;
    EventTime last = kNoTime;
    uint32_t requests = 0;
    uint32_t flags = 0;
  };
  Run run;
  uint32_t flags = 0;               // Of the identity itself, whatever it does.
  int32_t minute = -1;              // Since 1970.
  uint64_t epoch = 0;               // All else is of the observer's this epoch.
  uint64_t check = 0;               // Of its key and cluster.
  EventTime sample_time = kNoTime;  // Of sighting->sample.
  Sighting* sighting = nullptr;
  std::unique_ptr<Caller> caller;
  uint64_t agent = 0;                // Hash of its user agent.
  EventTime agent_first = kMaxTime;  // As told to `sighting`.
  Refused refused;
  // Of other flags: most callers do a few kinds of things in turns.
  std::array<Run, 4> others;
  uint32_t oldest = 0;  // Of `others`.

  // Adds the runs to the sighting.
  void Flush() {
    Flush(&run);
    for (Run& other : others) Flush(&other);
  }
  void Flush(Run* of) {
    if (of->last == kNoTime) return;
    sighting->seen.Add(of->first);
    sighting->seen.Add(of->last);
    for (uint32_t left = of->flags; left != 0; left &= left - 1) {
      Span& span = sighting->flags[static_cast<size_t>(__builtin_ctz(left))];
      span.Add(of->first);
      span.Add(of->last);
    }
    sighting->requests += of->requests;
    if (of->first < agent_first) {
      agent_first = of->first;
      sighting->AddAgent(of->first, agent);
    }
    *of = Run();
  }
  // Now of these flags.
  void Turn(uint32_t now) {
    for (Run& other : others) {
      if (other.last != kNoTime && other.flags == now) {
        return std::swap(run, other);
      }
    }
    Run& other = others[oldest++ % others.size()];
    Flush(&other);
    std::swap(run, other);
  }
};

Observer::Observer(const EngineConfig& config)
    : config_(config), groups_(kObservationsMax) {}
Observer::~Observer() = default;

Observer::Cluster* Observer::ClusterFor(std::string_view name) {
  if (name.empty()) {
    if (default_cluster_ == nullptr) {
      default_cluster_ = ClusterNamed(config_.default_cluster);
    }
    return default_cluster_;
  }
  return ClusterNamed(name);
}

Observer::Cluster* Observer::ClusterNamed(std::string_view name) {
  if (last_cluster_ != nullptr && last_cluster_->name == name) {
    return last_cluster_;
  }
  auto it = clusters_.find(Absl(name));
  if (it == clusters_.end()) {
    auto cluster = std::make_unique<Cluster>();
    cluster->name = name;
    cluster->salt = IdentityKeyOf(name).high;
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

bool Observer::IsLegacy(const EventView& event) {
  return event.HasAnnotation("authentication.k8s.io/legacy-token");
}

IdentityKey Observer::KeyOf(const EventView& event, bool legacy) {
  if (!event.identity.none() && !legacy) return event.identity;
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
  return IdentityKeyOf(key_buffer_);
}

Observer::Identity* Observer::Guess(const EventView& event) const {
  return event.identity_number < by_number_.size()
             ? by_number_[event.identity_number]
             : nullptr;
}

Observer::Identity* Observer::IdentityFor(const EventView& event,
                                          Identity* guess, Cluster* cluster) {
  const bool legacy = IsLegacy(event);
  if (guess != nullptr && !legacy &&
      guess->check == (event.identity.low ^ cluster->salt)) [[likely]] {
    return guess;
  }
  const IdentityKey key = KeyOf(event, legacy);
  Identity*& slot = cluster->index[key];
  if (slot == nullptr) {
    if (identities_ >= kIdentitiesMax) {
      ForgetIdentities();
      return IdentityFor(event, nullptr, cluster);
    }
    ++identities_;
    slot = &cluster->identities.emplace_back();
    slot->check = key.low ^ cluster->salt;
    Describe(event, legacy, *cluster, slot);
  }
  if (event.identity_number != 0 && !legacy) {
    if (by_number_.size() <= event.identity_number) {
      by_number_.resize(2 * event.identity_number);
    }
    by_number_[event.identity_number] = slot;
  }
  return slot;
}

void Observer::ForgetIdentities() {
  for (Identity* identity : running_) identity->Flush();
  running_.clear();
  for (auto& [name, cluster] : clusters_) {
    cluster->index.clear();
    cluster->identities.clear();
  }
  by_minute_.clear();
  by_number_.clear();
  identities_ = 0;
}

IdentityKey Observer::SourceKey(const EventView& event) {
  if (event.source_ips.size() == 1) return IdentityKeyOf(event.source_ips[0]);
  key_buffer_.clear();
  WireWriter w(&key_buffer_);
  for (std::string_view ip : event.source_ips) w.Text(ip);
  w.Uint(event.source_ips.size());
  // A single one may be any text, those of a list too.
  const IdentityKey key = IdentityKeyOf(key_buffer_);
  return {~key.high, key.low};
}

Observer::Source* Observer::SourceFor(const EventView& event,
                                      const IdentityKey& key,
                                      Cluster* cluster) {
  Source*& slot = cluster->source_index[key];
  if (slot != nullptr) return slot;
  if (sources_ >= kSourcesMax) {
    for (auto& [name, c] : clusters_) {
      c->source_index.clear();
      c->sources.clear();
    }
    sources_ = 0;
    return SourceFor(event, key, cluster);
  }
  slot = &cluster->sources.emplace_back();
  slot->client = ResolveClient(event.source_ips, cluster->config->networks);
  sources_ += 1 + slot->client.claimed.size();  // Which may be long.
  slot->refused.unnamed = CallerKey(cluster->name, "", slot->client.client);
  slot->refused.claims = !slot->client.claimed.empty();
  return slot;
}

IdentityKey Observer::CallerKey(std::string_view cluster, std::string_view user,
                                std::string_view client) {
  key_buffer_.clear();
  WireWriter w(&key_buffer_);
  w.Text(cluster);
  w.Text(user);
  w.Text(client);
  return IdentityKeyOf(key_buffer_);
}

void Observer::NoteMinute(EventTime minute) {
  if (minute <= newest_minute_) return;
  begun_minute_ = newest_minute_ != kNoTime;
  newest_minute_ = minute;
}

void Observer::Describe(const EventView& event, bool legacy,
                        const Cluster& cluster, Identity* identity) {
  auto caller = std::make_unique<Caller>();
  caller->client = ResolveClient(event.source_ips, cluster.config->networks);
  caller->user = Capped(event.user.username);
  caller->credential = legacy && event.user.credential_id.empty()
                           ? LegacyCredential(event)
                           : Capped(event.user.credential_id);
  caller->pod = Capped(event.user.pod_name);
  caller->node = Capped(event.user.node_name);
  caller->family = AgentFamilyOf(event.user_agent);
  identity->refused.named =
      CallerKey(cluster.name, caller->user, caller->client.client);
  identity->refused.unnamed =
      CallerKey(cluster.name, "", caller->client.client);
  identity->refused.claims = !caller->client.claimed.empty();
  identity->agent = HashText(event.user_agent);
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
  if (request.part == RequestPart::kIgnored || request.will_end) return;
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
  // A failed authentication, if it is judged at all, and nothing else: without
  // a group it is not anonymous, with that code no deed.
  const bool nobody = event.code == 401 && event.user.username.empty() &&
                      event.user.groups.empty();
  IdentityKey source_key;
  Identity* guess = nullptr;
  if (nobody) {
    source_key = SourceKey(event);
    cluster->source_index.prefetch(source_key);
  } else {
    guess = Guess(event);
    __builtin_prefetch(guess);
  }
  RequestView request;
  ClassifyRequest(event, cluster->config->public_paths, &path_buffer_,
                  &request);
  Count(request, cluster);
  if (request.part == RequestPart::kIgnored) return;
  if (nobody) {
    if (!cluster->failures) return;
    Source* source = SourceFor(event, source_key, cluster);
    __builtin_prefetch(&source->refused);
    return Refuse(request, RefusalClass::kUnauthenticated,
                  {cluster->name, cluster->keep, &source->refused,
                   &source->client, "", HashText(event.user_agent)});
  }
  Observe(&request, IdentityFor(event, guess, cluster), cluster);
}

void Observer::Observe(RequestView* view, Identity* identity,
                       Cluster* cluster) {
  RequestView& request = *view;
  if (request.denied || request.authentication_failed) {
    __builtin_prefetch(&identity->caller);
    __builtin_prefetch(&identity->refused.named);
  }
  if (request.traits & cluster->traits) {
    request.client = &identity->caller->client;
    deed_cluster_ = cluster;
    for (const auto& [traits, detector] : cluster->detectors) {
      if (traits & request.traits) detector->Observe(request, *this);
    }
  }
  if (request.authentication_failed) {
    if (cluster->failures) {
      Refuse(request, RefusalClass::kUnauthenticated, *cluster, identity);
    }
    return;
  }
  if (request.anonymous && request.denied && cluster->anonymous) {
    const RefusalClass cls = !request.long_running ? RefusalClass::kAnonymous
                             : request.part == RequestPart::kEnded
                                 ? RefusalClass::kAnonymousEnded
                                 : RefusalClass::kAnonymousBegun;
    Refuse(request, cls, *cluster, identity);
  }
  if (request.named && cluster->sightings) See(request, identity, cluster);
}

Sighting* Observer::SightingFor(EventTime minute, Identity* identity,
                                const Cluster& cluster) {
  const Caller& caller = *identity->caller;
  Sighting*& slot = by_minute_[{identity, minute}];
  if (slot != nullptr) return slot;
  NoteMinute(minute);
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
  const auto minute_number = static_cast<int32_t>(minute / kMinute);
  const std::string_view stale =
      event.Annotation("authentication.k8s.io/stale-token");
  uint32_t flags = identity->flags | RequestFlags(request);
  if (!stale.empty()) flags |= Bit(SightingFlag::kStale);
  Identity::Run& run = identity->run;
  if (identity->epoch != epoch_ || identity->minute != minute_number) {
    if (identity->epoch == epoch_) {
      identity->Flush();
    } else {
      running_.push_back(identity);
    }
    identity->sighting = SightingFor(minute, identity, *cluster);
    identity->epoch = epoch_;
    identity->minute = minute_number;
    identity->sample_time = identity->sighting->sample.time;
    identity->agent_first = kMaxTime;
  } else if (flags != run.flags) {
    identity->Turn(flags);
  }
  run.flags = flags;
  run.first = std::min(run.first, time);
  run.last = std::max(run.last, time);
  if (request.part == RequestPart::kJudged && !request.will_end) {
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

void Observer::Refuse(const RequestView& request, RefusalClass cls,
                      const Cluster& cluster, Identity* identity) {
  const Caller& caller = *identity->caller;
  Refuse(request, cls,
         {cluster.name, cluster.keep, &identity->refused, &caller.client,
          caller.user, identity->agent});
}

void Observer::Refuse(const RequestView& request, RefusalClass cls,
                      const Refuser& refuser) {
  if (groups_.Add(request, cls, refuser)) {
    NoteMinute(MinuteOf(request.event->time()));
  }
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

void Observer::Recycle(Observations&& taken) {
  groups_.Recycle(std::move(taken.refusals));
}

Observations Observer::Take() {
  for (Identity* identity : running_) identity->Flush();
  running_.clear();
  Observations taken;
  taken.sightings = std::move(sightings_);
  taken.refusals = groups_.Take();
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
    by_number_.clear();
    default_cluster_ = nullptr;
    last_cluster_ = nullptr;
    deed_cluster_ = nullptr;
    identities_ = sources_ = 0;
  }
  sightings_.clear();
  deeds_.clear();
  by_minute_.clear();
  begun_minute_ = false;
  ++epoch_;
  return taken;
}

}  // namespace klaxon
