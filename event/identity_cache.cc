#include "event/identity_cache.h"

namespace klaxon {

const KnownIdentity* IdentityCache::Find(std::string_view bytes,
                                         IdentityKey* key) const {
  *key = IdentityKeyOf(bytes);
  const auto it = known_.find(*key);
  return it != known_.end() ? &it->second : nullptr;
}

void IdentityCache::Remember(const IdentityKey& key, const char* begin,
                             const EventView& event) {
  const UserView& user = event.user;
  const size_t listed =
      user.groups.size() + event.source_ips.size() + 2 * user.extra.size();
  if (listed > KnownIdentity::kListedMax) return;
  static_assert(kBytesMax <= UINT16_MAX);
  const auto text = [begin](std::string_view s) {
    if (s.empty()) return KnownIdentity::Text();
    return KnownIdentity::Text{static_cast<uint16_t>(s.data() - begin),
                               static_cast<uint16_t>(s.size())};
  };
  KnownIdentity known;
  known.fields = {text(user.username),      text(user.uid),
                  text(user.credential_id), text(user.pod_name),
                  text(user.pod_uid),       text(user.node_name)};
  known.groups = static_cast<uint8_t>(user.groups.size());
  known.source_ips = static_cast<uint8_t>(event.source_ips.size());
  known.extra = static_cast<uint8_t>(user.extra.size());
  KnownIdentity::Text* next = known.listed.data();
  for (std::string_view group : user.groups) *next++ = text(group);
  for (std::string_view ip : event.source_ips) *next++ = text(ip);
  for (const KeyValue& extra : user.extra) {
    *next++ = text(extra.key);
    *next++ = text(extra.value);
  }
  if (known_.size() >= kIdentitiesMax) {
    known_.clear();
    known_.reserve(kIdentitiesMax);  // As many again will come.
  }
  known.number = static_cast<uint32_t>(known_.size()) + 1;
  known_.emplace(key, known);
}

}  // namespace klaxon
