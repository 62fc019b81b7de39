#include "ingest/connection_table.h"

#include <string>
#include <utility>

namespace klaxon {
namespace {

std::string PeerKey(const IpAddress& peer) {
  return peer.is_v4() ? peer.ToString() : peer.Prefix64();
}

}  // namespace

std::optional<uint64_t> ConnectionTable::First(const Candidates& candidates) {
  if (!candidates.fresh.empty()) return candidates.fresh.begin()->second;
  if (!candidates.idle.empty()) return candidates.idle.begin()->second;
  return std::nullopt;
}

ConnectionTable::Order* ConnectionTable::ListOf(Candidates* candidates,
                                                ConnectionUse use) {
  switch (use) {
    case ConnectionUse::kFresh:
      return &candidates->fresh;
    case ConnectionUse::kIdle:
      return &candidates->idle;
    case ConnectionUse::kBusy:
      break;
  }
  return nullptr;
}

void ConnectionTable::Link(uint64_t id, const Entry& entry) {
  Peer& peer = peers_[entry.peer];
  if (Order* list = ListOf(&candidates_, entry.use)) {
    list->emplace(entry.since, id);
    ListOf(&peer.candidates, entry.use)->emplace(entry.since, id);
  }
}

void ConnectionTable::Unlink(uint64_t id, const Entry& entry) {
  Peer& peer = peers_[entry.peer];
  if (Order* list = ListOf(&candidates_, entry.use)) {
    list->erase({entry.since, id});
    ListOf(&peer.candidates, entry.use)->erase({entry.since, id});
  }
}

ConnectionTable::Admission ConnectionTable::Admit(uint64_t id,
                                                  const IpAddress& peer) {
  Admission admission;
  const std::string key = PeerKey(peer);
  const auto known = peers_.find(key);
  if (known != peers_.end() &&
      known->second.connections >= options_.peer_connections_max) {
    admission.evicted = First(known->second.candidates);
    if (!admission.evicted) admission.verdict = Verdict::kRefusedForPeer;
  } else if (entries_.size() >= options_.connections_max) {
    admission.evicted = First(candidates_);
    if (!admission.evicted) admission.verdict = Verdict::kRefusedInAll;
  }
  if (admission.evicted) Remove(*admission.evicted);
  if (admission.verdict != Verdict::kAdmitted) return admission;
  const Entry entry{.peer = key, .since = ++steps_};
  ++peers_[key].connections;
  Link(id, entry);
  entries_.emplace(id, entry);
  return admission;
}

void ConnectionTable::SetUse(uint64_t id, ConnectionUse use) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  Unlink(id, it->second);
  it->second.use = use;
  it->second.since = ++steps_;
  Link(id, it->second);
}

void ConnectionTable::Remove(uint64_t id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  Unlink(id, it->second);
  const auto peer = peers_.find(it->second.peer);
  if (--peer->second.connections == 0) peers_.erase(peer);
  entries_.erase(it);
}

std::optional<uint64_t> ConnectionTable::EvictOne() {
  const std::optional<uint64_t> id = First(candidates_);
  if (id) Remove(*id);
  return id;
}

}  // namespace klaxon
