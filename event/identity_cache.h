// Callers that the fast path has read before.
//
// Half of an event's strings are its caller's, and nearly every event is of one
// that was seen a moment ago: where its texts lie within its bytes is kept, by
// a hash of those.
//
// One thread. Memory: less than 300 bytes for each of `kIdentitiesMax` callers;
// past that all are forgotten and read anew.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "event/event.h"
#include "event/identity_key.h"

namespace klaxon {

// The texts of an identity, counted from its first byte.
struct KnownIdentity {
  struct Text {
    uint16_t at = 0;
    uint16_t size = 0;
  };
  // Of a bound token there are some 15; an identity with more is not kept.
  static constexpr size_t kListedMax = 24;
  // Into `fields`.
  enum Field { kUsername, kUid, kCredentialId, kPodName, kPodUid, kNodeName };

  std::array<Text, 6> fields;
  // Groups, then addresses, then keys and values of extra in turns.
  std::array<Text, kListedMax> listed;
  uint32_t number = 0;  // EventView::identity_number
  uint8_t groups = 0;
  uint8_t source_ips = 0;
  uint8_t extra = 0;
};

class IdentityCache {
 public:
  static constexpr size_t kIdentitiesMax = 16384;
  // How far from an identity's begin its user agent may stand.
  static constexpr size_t kBytesMax = 2048;

  // `key` is set either way. Null: not known.
  const KnownIdentity* Find(std::string_view bytes, IdentityKey* key) const;
  // `key` is that of the bytes from `begin` on that say all of the event's
  // user, addresses and user agent. REQUIRES: it is not known; all texts but
  // the user agent lie in those bytes, and in the first kBytesMax.
  void Remember(const IdentityKey& key, const char* begin,
                const EventView& event);
  size_t size() const { return known_.size(); }

 private:
  absl::flat_hash_map<IdentityKey, KnownIdentity, IdentityKey::Hash> known_;
};

}  // namespace klaxon
