// The refusals that an observer has seen, grouped by caller and minute; their
// memory is used again. One thread (the observer's).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>

#include "event/identity_key.h"
#include "event/networks.h"
#include "event/observation.h"
#include "event/request.h"
#include "event/request_hash.h"

namespace klaxon {

// Where the refusals of a caller go: kept with the caller, so that one more of
// the same minute finds its group at once. The caller sets the hashes and
// `claims`, all else is RefusalGroups' own.
struct Refused {
  uint64_t epoch = 0;  // `group` is of that one; see RefusalGroups.
  EventTime minute = kNoTime;
  RefusalClass cls = RefusalClass::kUncounted;
  bool claims = false;  // Other addresses: ClientInfo::claimed.
  RefusalGroup* group = nullptr;
  // No earlier than that of group->sample: later ones need not be offered.
  EventTime sample_time = kMaxTime;
  // Hashes of cluster, user and client, for refusals with and without a user.
  IdentityKey named;
  IdentityKey unnamed;
};

// Who is refused. Lives during the call.
struct Refuser {
  std::string_view cluster;
  uint32_t keep;  // N of a group that begins.
  Refused* refused;
  const ClientInfo* client;
  std::string_view user;
  uint64_t agent;  // Hash of the user agent.
};

class RefusalGroups {
 public:
  // Of taken groups so many are kept to be written over.
  explicit RefusalGroups(size_t spares_max);
  ~RefusalGroups();

  // True: a group begins with it.
  bool Add(const RequestView& request, RefusalClass cls,
           const Refuser& refuser);
  size_t size() const { return held_; }
  std::deque<RefusalGroup> Take();
  // Gives back what Take gave; best right after it.
  void Recycle(std::deque<RefusalGroup>&& taken);

 private:
  struct Key;
  struct Index;
  RefusalGroup* GroupFor(EventTime minute, RefusalClass cls,
                         const Refuser& refuser);
  void AddSoon(RefusalGroup* group, const Refusal& refusal);
  void AddPending();

  const size_t spares_max_;
  RequestHasher hasher_;
  EventSample sample_;            // The last one taken, to be written over.
  std::unique_ptr<Index> index_;  // Of groups_.
  // The first held_; the rest is of before, to be written over.
  std::deque<RefusalGroup> groups_;
  size_t held_ = 0;
  // Refusals whose group is on its way into the cache: a flood of many clients
  // would wait for memory with each of them. In which order they are added
  // makes no difference.
  struct Pending {
    RefusalGroup* group = nullptr;
    Refusal refusal;
  };
  static constexpr size_t kPending = 8;
  std::array<Pending, kPending> pending_;  // A ring.
  size_t next_pending_ = 0;
  uint64_t epoch_ = 1;  // Counts Takes.
};

}  // namespace klaxon
