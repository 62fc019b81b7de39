#include "event/observation.h"

#include <algorithm>
#include <iterator>

#include "event/wire.h"

namespace klaxon {
namespace {

constexpr size_t kSmallSetMax = 8;
constexpr size_t kAgentsMax = 8;

// Keeps the `max` smallest distinct values of both sorted lists.
template <typename T>
void MergeSmallest(std::vector<T>* into, const std::vector<T>& other,
                   size_t max) {
  if (other.empty()) return;
  std::vector<T> merged;
  merged.reserve(into->size() + other.size());
  std::set_union(into->begin(), into->end(), other.begin(), other.end(),
                 std::back_inserter(merged));
  if (merged.size() > max) merged.resize(max);
  *into = std::move(merged);
}

void AddSmallest(std::vector<uint64_t>* set, uint64_t value) {
  auto it = std::lower_bound(set->begin(), set->end(), value);
  if (it != set->end() && *it == value) return;
  if (set->size() == kSmallSetMax && it == set->end()) return;
  set->insert(it, value);
  if (set->size() > kSmallSetMax) set->pop_back();
}

}  // namespace

void SmallTextSet::Add(std::string_view text) {
  auto it = std::lower_bound(values_.begin(), values_.end(), text);
  if (it != values_.end() && *it == text) return;
  if (values_.size() == kMax && it == values_.end()) return;
  values_.insert(it, std::string(text));
  if (values_.size() > kMax) values_.pop_back();
}

void SmallTextSet::Merge(const SmallTextSet& other) {
  MergeSmallest(&values_, other.values_, kMax);
}

// ---------------------------------------------------------------- refusal

namespace {

// Sorts by time and drops later stamps of one request; then, past 2·N, the
// middle. Returns how many the middle was.
uint64_t Normalize(std::vector<Refusal>* kept, uint32_t keep) {
  std::sort(kept->begin(), kept->end(), [](const Refusal& a, const Refusal& b) {
    return a.request != b.request ? a.request < b.request : a.time < b.time;
  });
  kept->erase(std::unique(kept->begin(), kept->end(),
                          [](const Refusal& a, const Refusal& b) {
                            return a.request == b.request;
                          }),
              kept->end());
  std::sort(kept->begin(), kept->end());
  if (kept->size() <= 2 * size_t{keep}) return 0;
  const uint64_t dropped = kept->size() - 2 * size_t{keep};
  kept->erase(kept->begin() + keep,
              kept->begin() + keep + static_cast<ptrdiff_t>(dropped));
  return dropped;
}

}  // namespace

void RefusalGroup::Add(const Refusal& refusal) {
  AddSmallest(&paths, refusal.path);
  AddSmallest(&agents, refusal.agent);
  // The usual case: input in time order, a request not seen before. Only the
  // requests kept can be recognised again, as the design allows.
  bool known = false;  // No early exit: so that it is one vector loop.
  for (const Refusal& r : kept) known |= r.request == refusal.request;
  if (known) {
    kept.push_back(refusal);
    dropped += Normalize(&kept, keep);
    return;
  }
  kept.insert(std::upper_bound(kept.begin(), kept.end(), refusal), refusal);
  if (kept.size() > 2 * size_t{keep}) {
    kept.erase(kept.begin() + keep);
    ++dropped;
  }
}

void RefusalGroup::Merge(const RefusalGroup& other) {
  keep = std::max(keep, other.keep);
  kept.insert(kept.end(), other.kept.begin(), other.kept.end());
  dropped += other.dropped + Normalize(&kept, keep);
  MergeSmallest(&paths, other.paths, kSmallSetMax);
  MergeSmallest(&agents, other.agents, kSmallSetMax);
  client_internal |= other.client_internal;
  trusted_proxy |= other.trusted_proxy;
  claimed_ips.Merge(other.claimed_ips);
  if (other.sample.Before(sample)) sample = other.sample;
}

// --------------------------------------------------------------- sighting

namespace {

struct Family {
  std::string_view prefix;
  AgentFamily family;
};
constexpr Family kFamilies[] = {
    {"kubectl", AgentFamily::kKubectl},
    {"curl", AgentFamily::kCurl},
    {"python", AgentFamily::kPython},
    {"Python", AgentFamily::kPython},
    {"OpenAPI-Generator", AgentFamily::kPython},
    {"Go-http-client", AgentFamily::kGoHttpClient},
    {"kubelet", AgentFamily::kKubelet},
    {"kube-apiserver", AgentFamily::kKubeControlPlane},
    {"kube-controller-manager", AgentFamily::kKubeControlPlane},
    {"kube-scheduler", AgentFamily::kKubeControlPlane},
    {"kube-proxy", AgentFamily::kKubeControlPlane},
    {"Helm", AgentFamily::kHelm},
    {"helm", AgentFamily::kHelm},
    {"Terraform", AgentFamily::kTerraform},
    {"HashiCorp", AgentFamily::kTerraform},
    {"Mozilla", AgentFamily::kBrowser},
    {"Wget", AgentFamily::kWget},
    {"oc", AgentFamily::kOpenshift},
};
constexpr std::string_view kFamilyNames[] = {
    "other", "none", "kubectl",   "curl",    "python", "go-http", "kubelet",
    "kube",  "helm", "terraform", "browser", "wget",   "oc"};

}  // namespace

AgentFamily AgentFamilyOf(std::string_view user_agent) {
  if (user_agent.empty()) return AgentFamily::kNone;
  for (const Family& f : kFamilies) {
    if (!user_agent.starts_with(f.prefix)) continue;
    // "kubectl/v1.31", "python-requests/2", "kubectl" — but not "octant/1".
    const std::string_view rest = user_agent.substr(f.prefix.size());
    if (rest.empty() || rest.front() == '/' || rest.front() == '-' ||
        rest.front() == ' ' || rest.front() == '.') {
      return f.family;
    }
  }
  return AgentFamily::kOther;
}

std::string_view AgentFamilyName(AgentFamily family) {
  return kFamilyNames[static_cast<size_t>(family)];
}

void Sighting::AddAgent(EventTime time, uint64_t hash) {
  for (auto it = agents.begin(); it != agents.end(); ++it) {
    if (it->second != hash) continue;
    if (it->first <= time) return;
    agents.erase(it);
    break;
  }
  const std::pair<EventTime, uint64_t> entry(time, hash);
  auto it = std::lower_bound(agents.begin(), agents.end(), entry);
  if (it == agents.end() && agents.size() == kAgentsMax) return;
  agents.insert(it, entry);
  if (agents.size() > kAgentsMax) agents.pop_back();
}

void Sighting::Merge(const Sighting& other) {
  requests += other.requests;
  seen.Merge(other.seen);
  for (size_t i = 0; i < kSightingFlags; ++i) flags[i].Merge(other.flags[i]);
  client_internal |= other.client_internal;
  client_external |= other.client_external;
  trusted_proxy |= other.trusted_proxy;
  client_loopback |= other.client_loopback;
  stale_seconds = std::max(stale_seconds, other.stale_seconds);
  claimed_ips.Merge(other.claimed_ips);
  for (const auto& [time, hash] : other.agents) AddAgent(time, hash);
  if (other.sample.Before(sample)) sample = other.sample;
}

void Fact::Merge(const Fact& other) {
  if (other.first_event != kNoTime &&
      (first_event == kNoTime || other.first_event < first_event)) {
    first_event = other.first_event;
  }
  if (other.last_event != kNoTime && other.last_event > last_event) {
    last_event = other.last_event;
  }
  events += other.events;
  for (size_t i = 0; i < stages.size(); ++i) stages[i] += other.stages[i];
  requests += other.requests;
  unauthenticated += other.unauthenticated;
  unauthorized_named += other.unauthorized_named;
  odd_events += other.odd_events;
  with_credential_id += other.with_credential_id;
}

// ----------------------------------------------------------------- binary

namespace {

void Put(const EventSample& sample, WireWriter* w) {
  w->Bool(sample.has_value());
  if (!sample.has_value()) return;
  w->Int(sample.time);
  w->Fixed64(sample.order);
  w->Int(sample.code);
  w->Text(sample.audit_id);
  w->Text(sample.verb);
  w->Text(sample.uri);
  w->Text(sample.user);
  w->Text(sample.user_agent);
  w->Uint(sample.source_ips.size());
  for (const std::string& ip : sample.source_ips) w->Text(ip);
}

void Get(WireReader* r, EventSample* sample) {
  *sample = EventSample();
  if (!r->Bool()) return;
  sample->time = r->Int();
  sample->order = r->Fixed64();
  sample->code = static_cast<int32_t>(r->Int());
  sample->audit_id = r->Text();
  sample->verb = r->Text();
  sample->uri = r->Text();
  sample->user = r->Text();
  sample->user_agent = r->Text();
  for (uint64_t n = r->Count(); n > 0; --n) {
    sample->source_ips.emplace_back(r->Text());
  }
}

void Put(const SmallTextSet& set, WireWriter* w) {
  w->Uint(set.values().size());
  for (const std::string& value : set.values()) w->Text(value);
}

void Get(WireReader* r, SmallTextSet* set) {
  for (uint64_t n = r->Count(); n > 0; --n) set->Add(r->Text());
}

void Put(const std::vector<uint64_t>& list, WireWriter* w) {
  w->Uint(list.size());
  for (uint64_t value : list) w->Fixed64(value);
}

void Get(WireReader* r, std::vector<uint64_t>* list) {
  list->clear();
  for (uint64_t n = r->Count(); n > 0; --n) list->push_back(r->Fixed64());
}

void Put(const Span& span, EventTime base, WireWriter* w) {
  w->Int(span.first - base);
  w->Uint(static_cast<uint64_t>(span.last - span.first));
}

void Get(WireReader* r, EventTime base, Span* span) {
  span->first = base + r->Int();
  span->last = span->first + static_cast<int64_t>(r->Uint());
}

}  // namespace

void EncodeTo(const Fact& value, std::string* out) {
  WireWriter w(out);
  w.Text(value.cluster);
  w.Int(value.minute);
  w.Int(value.first_event);
  w.Int(value.last_event);
  w.Uint(value.events);
  for (uint64_t n : value.stages) w.Uint(n);
  w.Uint(value.requests);
  w.Uint(value.unauthenticated);
  w.Uint(value.unauthorized_named);
  w.Uint(value.odd_events);
  w.Uint(value.with_credential_id);
}

bool Decode(std::string_view bytes, Fact* value) {
  WireReader r(bytes);
  value->cluster = r.Text();
  value->minute = r.Int();
  value->first_event = r.Int();
  value->last_event = r.Int();
  value->events = r.Uint();
  for (uint64_t& n : value->stages) n = r.Uint();
  value->requests = r.Uint();
  value->unauthenticated = r.Uint();
  value->unauthorized_named = r.Uint();
  value->odd_events = r.Uint();
  value->with_credential_id = r.Uint();
  return r.done();
}

void EncodeTo(const Sighting& value, std::string* out) {
  WireWriter w(out);
  w.Text(value.cluster);
  w.Text(value.user);
  w.Text(value.credential);
  w.Text(value.client);
  w.Uint(static_cast<uint64_t>(value.family));
  w.Text(value.pod);
  w.Text(value.node);
  w.Int(value.minute);
  w.Uint(value.requests);
  Put(value.seen, value.minute, &w);
  uint64_t mask = 0;
  for (size_t i = 0; i < kSightingFlags; ++i) {
    if (value.flags[i].ever()) mask |= uint64_t{1} << i;
  }
  w.Uint(mask);
  for (size_t i = 0; i < kSightingFlags; ++i) {
    if (value.flags[i].ever()) Put(value.flags[i], value.minute, &w);
  }
  w.Uint((value.client_internal ? 1 : 0) | (value.client_external ? 2 : 0) |
         (value.trusted_proxy ? 4 : 0) | (value.client_loopback ? 8 : 0));
  w.Int(value.stale_seconds);
  Put(value.claimed_ips, &w);
  w.Uint(value.agents.size());
  for (const auto& [time, hash] : value.agents) {
    w.Int(time - value.minute);
    w.Fixed64(hash);
  }
  Put(value.sample, &w);
}

bool Decode(std::string_view bytes, Sighting* value) {
  WireReader r(bytes);
  value->cluster = r.Text();
  value->user = r.Text();
  value->credential = r.Text();
  value->client = r.Text();
  const uint64_t family = r.Uint();
  if (family > static_cast<uint64_t>(AgentFamily::kMax)) return false;
  value->family = static_cast<AgentFamily>(family);
  value->pod = r.Text();
  value->node = r.Text();
  value->minute = r.Int();
  value->requests = r.Uint();
  Get(&r, value->minute, &value->seen);
  const uint64_t mask = r.Uint();
  if (mask >> kSightingFlags != 0) return false;
  for (size_t i = 0; i < kSightingFlags; ++i) {
    value->flags[i] = Span();
    if (mask >> i & 1) Get(&r, value->minute, &value->flags[i]);
  }
  const uint64_t bits = r.Uint();
  value->client_internal = bits & 1;
  value->client_external = bits & 2;
  value->trusted_proxy = bits & 4;
  value->client_loopback = bits & 8;
  value->stale_seconds = r.Int();
  Get(&r, &value->claimed_ips);
  value->agents.clear();
  for (uint64_t n = r.Count(); n > 0; --n) {
    const EventTime time = value->minute + r.Int();
    value->agents.emplace_back(time, r.Fixed64());
  }
  Get(&r, &value->sample);
  return r.done();
}

void EncodeTo(const RefusalGroup& value, std::string* out) {
  WireWriter w(out);
  w.Text(value.cluster);
  w.Text(value.user);
  w.Text(value.client);
  w.Uint(static_cast<uint64_t>(value.cls));
  w.Int(value.minute);
  w.Uint(value.keep);
  w.Uint(value.kept.size());
  for (const Refusal& refusal : value.kept) {
    w.Int(refusal.time - value.minute);
    w.Fixed64(refusal.request);
    w.Fixed64(refusal.path);
    w.Fixed64(refusal.agent);
  }
  w.Uint(value.dropped);
  Put(value.paths, &w);
  Put(value.agents, &w);
  w.Uint((value.client_internal ? 1 : 0) | (value.trusted_proxy ? 2 : 0));
  Put(value.claimed_ips, &w);
  Put(value.sample, &w);
}

bool Decode(std::string_view bytes, RefusalGroup* value) {
  WireReader r(bytes);
  value->cluster = r.Text();
  value->user = r.Text();
  value->client = r.Text();
  const uint64_t cls = r.Uint();
  if (cls > static_cast<uint64_t>(RefusalClass::kUncounted)) return false;
  value->cls = static_cast<RefusalClass>(cls);
  value->minute = r.Int();
  value->keep = static_cast<uint32_t>(r.Uint());
  value->kept.clear();
  for (uint64_t n = r.Count(); n > 0; --n) {
    Refusal refusal;
    refusal.time = value->minute + r.Int();
    refusal.request = r.Fixed64();
    refusal.path = r.Fixed64();
    refusal.agent = r.Fixed64();
    value->kept.push_back(refusal);
  }
  value->dropped = r.Uint();
  Get(&r, &value->paths);
  Get(&r, &value->agents);
  const uint64_t bits = r.Uint();
  value->client_internal = bits & 1;
  value->trusted_proxy = bits & 2;
  Get(&r, &value->claimed_ips);
  Get(&r, &value->sample);
  return r.done();
}

void EncodeTo(const Deed& value, std::string* out) {
  WireWriter w(out);
  w.Text(value.cluster);
  w.Text(value.topic);
  w.Int(value.time);
  w.Text({reinterpret_cast<const char*>(value.request.data()),
          value.request.size()});
  w.Text(value.user);
  w.Text(value.client);
  w.Text(value.credential);
  Put(value.claimed_ips, &w);
  w.Uint(value.fields.size());
  for (const auto& [key, text] : value.fields) {
    w.Text(key);
    w.Text(text);
  }
  Put(value.sample, &w);
}

bool Decode(std::string_view bytes, Deed* value) {
  WireReader r(bytes);
  value->cluster = r.Text();
  value->topic = r.Text();
  value->time = r.Int();
  const std::string_view request = r.Text();
  if (request.size() != value->request.size()) return false;
  std::copy(request.begin(), request.end(), value->request.begin());
  value->user = r.Text();
  value->client = r.Text();
  value->credential = r.Text();
  Get(&r, &value->claimed_ips);
  value->fields.clear();
  for (uint64_t n = r.Count(); n > 0; --n) {
    std::string key(r.Text());
    value->fields.emplace_back(std::move(key), r.Text());
  }
  Get(&r, &value->sample);
  return r.done();
}

void PutSample(const EventSample& sample, WireWriter* w) { Put(sample, w); }
void GetSample(WireReader* r, EventSample* sample) { Get(r, sample); }
void PutTexts(const SmallTextSet& set, WireWriter* w) { Put(set, w); }
void GetTexts(WireReader* r, SmallTextSet* set) { Get(r, set); }

}  // namespace klaxon
