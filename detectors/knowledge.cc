#include "detectors/knowledge.h"

#include <algorithm>

#include "detectors/detector.h"

namespace klaxon {
namespace {

constexpr size_t kNodesMax = 4;
constexpr Nanos kForget = 24 * kHour;

}  // namespace

Knowledge::Knowledge(uint64_t keys_max)
    : egress_({.name = "own-egress", .keys_max = keys_max, .expiry = kForget}),
      state_{&egress_, &start_} {}

void Knowledge::Judge(const Judged& judged) {
  if (judged.kind == JudgedKind::kFact) {
    const EventTime first = judged.fact->first_event;
    if (start_.time == kNoTime || first < start_.time) start_.time = first;
    return;
  }
  const Sighting* s = judged.sighting;
  if (s == nullptr || !s->client_external ||
      !s->user.starts_with(kNodePrefix)) {
    return;
  }
  if (judged.kind == JudgedKind::kSeen) {
    if (judged.Has(SightingFlag::kNodesGroup)) SeeKubelet(*s, judged.time);
  } else if (s->ever(SightingFlag::kNodesGroup)) {
    SeeKubelet(*s, s->flag(SightingFlag::kNodesGroup).last);
  }
}

void Knowledge::SeeKubelet(const Sighting& sighting, EventTime time) {
  egress_.ExpireUntil(time);
  Egress& egress = egress_.Touch(sighting.client, time);
  std::erase_if(egress.nodes,
                [&](const Node& n) { return time - n.last > kForget; });
  if (egress.nodes.size() < 2) egress.since = kMaxTime;
  auto it =
      std::find_if(egress.nodes.begin(), egress.nodes.end(),
                   [&](const Node& n) { return n.user == sighting.user; });
  if (it != egress.nodes.end()) {
    it->last = std::max(it->last, time);
  } else {
    if (egress.nodes.size() == kNodesMax) {
      egress.nodes.erase(std::min_element(
          egress.nodes.begin(), egress.nodes.end(),
          [](const Node& a, const Node& b) { return a.last < b.last; }));
    }
    egress.nodes.push_back({sighting.user, time});
  }
  if (egress.nodes.size() >= 2 && egress.since == kMaxTime) {
    egress.since = time;
  }
}

EventTime Knowledge::OwnEgressSince(std::string_view client,
                                    EventTime now) const {
  const Egress* egress = egress_.Find(client);
  if (egress == nullptr) return kMaxTime;
  const auto fresh =
      std::count_if(egress->nodes.begin(), egress->nodes.end(),
                    [&](const Node& n) { return now - n.last <= kForget; });
  return fresh >= 2 ? egress->since : kMaxTime;
}

void Knowledge::Egress::Save(WireWriter* out) const {
  out->Int(since);
  out->Uint(nodes.size());
  for (const Node& node : nodes) {
    out->Text(node.user);
    out->Int(node.last);
  }
}

void Knowledge::Egress::Load(WireReader* in) {
  since = in->Int();
  nodes.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    std::string user(in->Text());
    nodes.push_back({std::move(user), in->Int()});
  }
}

}  // namespace klaxon
