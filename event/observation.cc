#include "event/observation.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "event/wire.h"

namespace klaxon {
namespace {

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

EventSample EncodedSample::Decoded() const {
  EventSample sample;
  WireReader r(bytes);
  if (has_value()) GetSample(&r, &sample);
  return sample;
}

void EncodedSample::Encode(const EventSample& sample) {
  static_cast<SamplePlace&>(*this) = sample;
  bytes.clear();
  WireWriter w(&bytes);
  if (has_value()) PutSample(sample, &w);
}

void EncodedSample::Clear() {
  static_cast<SamplePlace&>(*this) = SamplePlace();
  bytes.clear();
}

// ---------------------------------------------------------------- refusal

void RefusalGroup::NoteTexts(const Refusal& refusal) {
  gone_paths.Add(refusal.path);
  gone_agents.Add(refusal.agent);
}

// Nobody sends one request twice with other texts. If somebody says so, those
// of all are noted, whichever comes first.
void RefusalGroup::NoteOthers(const Refusal& gone, const Refusal& stays) {
  if (gone.path == stays.path && gone.agent == stays.agent) return;
  NoteTexts(gone);
  NoteTexts(stays);
}

void RefusalGroup::Drop(const Refusal& refusal) {
  NoteTexts(refusal);
  dropped = CappedSum(dropped, times.Take(refusal.request));
}

void RefusalGroup::Add(const Refusal& refusal) {
  kept.Add(refusal, keep, [&](const Refusal& gone, const Refusal* stays) {
    if (stays == nullptr) return Drop(gone);
    NoteOthers(gone, *stays);
    times.AddOne(gone.request);
  });
}

void RefusalGroup::Clear() {
  kept.clear();
  times.clear();
  dropped = 0;
  keep = 0;
  client_internal = false;
  trusted_proxy = false;
  sample.Clear();
  claimed_ips = SmallTextSet();
  gone_paths.clear();
  gone_agents.clear();
}

void RefusalGroup::Merge(const RefusalGroup& other) {
  keep = std::max(keep, other.keep);
  dropped = CappedSum(dropped, other.dropped);
  std::vector<uint64_t> both;
  bool merged = false;
  const auto merge_times = [&] {
    if (!std::exchange(merged, true)) times.Merge(other.times, both);
  };
  gone_paths.Merge(other.gone_paths);
  gone_agents.Merge(other.gone_agents);
  // All that came again are told before any that goes.
  kept.Merge(other.kept, keep, [&](const Refusal& gone, const Refusal* stays) {
    if (stays != nullptr) {
      NoteOthers(gone, *stays);
      return both.push_back(gone.request);
    }
    merge_times();
    Drop(gone);
  });
  merge_times();
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

uint32_t Sighting::shape() const {
  uint32_t shape = 0;
  for (SightingFlag flag :
       {SightingFlag::kPeerNotLoopback, SightingFlag::kAccountGroup,
        SightingFlag::kNodesGroup, SightingFlag::kWithoutGroups,
        SightingFlag::kMasters}) {
    if (ever(flag)) shape |= Bit(flag);
  }
  return shape;
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

}  // namespace klaxon
