#include "pipeline/refusal_groups.h"

#include <xxhash.h>

#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "pipeline/event_sample.h"

namespace klaxon {
namespace {

// Of spare groups, those that hold more give back their lists.
constexpr size_t kSpareRefusalsMax = 32;

}  // namespace

struct RefusalGroups::Key {
  IdentityKey caller;  // Cluster, user, client.
  EventTime minute;
  RefusalClass cls;
  bool operator==(const Key&) const = default;
  struct Hash {
    size_t operator()(const Key& key) const {
      // Minutes are an attacker's choice, the hash of the caller is not.
      return (key.caller.low ^ static_cast<uint64_t>(key.minute) ^
              static_cast<uint64_t>(key.cls) << 56) *
             0x9e3779b97f4a7c15;
    }
  };
};

struct RefusalGroups::Index
    : absl::flat_hash_map<Key, RefusalGroup*, Key::Hash> {};

RefusalGroups::RefusalGroups(size_t spares_max)
    : spares_max_(spares_max), index_(std::make_unique<Index>()) {}
RefusalGroups::~RefusalGroups() = default;

RefusalGroup* RefusalGroups::GroupFor(EventTime minute, RefusalClass cls,
                                      const Refuser& refuser) {
  // OpenShift's login failures carry system:anonymous; a failed authentication
  // has no user.
  const bool named = cls != RefusalClass::kUnauthenticated;
  const Refused& refused = *refuser.refused;
  RefusalGroup*& slot =
      (*index_)[{named ? refused.named : refused.unnamed, minute, cls}];
  if (slot == nullptr) {
    if (held_ == groups_.size()) groups_.emplace_back();
    slot = &groups_[held_++];
    slot->cluster = refuser.cluster;
    slot->user = named ? refuser.user : std::string_view();
    slot->client = refuser.client->client;
    slot->cls = cls;
    slot->minute = minute;
    slot->keep = refuser.keep;
    slot->client_internal = refuser.client->internal;
    slot->trusted_proxy = refuser.client->trusted_proxy;
  }
  if (refused.claims) {
    for (const std::string& ip : refuser.client->claimed) {
      slot->claimed_ips.Add(ip);
    }
  }
  return slot;
}

bool RefusalGroups::Add(const RequestView& request, RefusalClass cls,
                        const Refuser& refuser) {
  const EventView& event = *request.event;
  const EventTime time = event.time();
  const EventTime minute = MinuteOf(time);
  Refusal refusal;
  refusal.time = time;
  // First, as `refused` comes into the cache meanwhile.
  refusal.request = hasher_.CountedHash(event);
  refusal.path = XXH3_64bits(request.path.data(), request.path.size());
  refusal.agent = refuser.agent;
  Refused& refused = *refuser.refused;
  const size_t held = held_;
  if (refused.epoch != epoch_ || refused.minute != minute ||
      refused.cls != cls) {
    refused.group = GroupFor(minute, cls, refuser);
    refused.epoch = epoch_;
    refused.minute = minute;
    refused.cls = cls;
    refused.sample_time = kMaxTime;
  }
  if (time <= refused.sample_time) {
    OfferSample(event, &refused.group->sample, &sample_);
    refused.sample_time = refused.group->sample.time;
  }
  AddSoon(refused.group, refusal);
  return held_ != held;
}

void RefusalGroups::AddSoon(RefusalGroup* group, const Refusal& refusal) {
  __builtin_prefetch(&group->kept);
  __builtin_prefetch(&group->dropped);
  Pending& half_way = pending_[(next_pending_ + kPending / 2) % kPending];
  if (half_way.group != nullptr) {
    half_way.group->kept.PrefetchFor(half_way.refusal.request);
  }
  Pending& oldest = pending_[next_pending_];
  if (oldest.group != nullptr) oldest.group->Add(oldest.refusal);
  oldest = {group, refusal};
  next_pending_ = (next_pending_ + 1) % kPending;
}

void RefusalGroups::AddPending() {
  for (Pending& pending : pending_) {
    if (pending.group != nullptr) pending.group->Add(pending.refusal);
    pending.group = nullptr;
  }
}

std::deque<RefusalGroup> RefusalGroups::Take() {
  AddPending();
  groups_.resize(held_);
  held_ = 0;
  index_->clear();
  ++epoch_;
  return std::exchange(groups_, {});
}

void RefusalGroups::Recycle(std::deque<RefusalGroup>&& taken) {
  if (held_ > 0) return;
  groups_ = std::move(taken);
  if (groups_.size() > spares_max_) groups_.resize(spares_max_);
  for (RefusalGroup& group : groups_) {
    group.Clear();
    if (group.kept.capacity() > kSpareRefusalsMax) group.kept = KeptRefusals();
    if (group.times.capacity() > kSpareRefusalsMax) {
      group.times = RequestTimes();
    }
  }
}

}  // namespace klaxon
