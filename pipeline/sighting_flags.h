// What a sighting remembers of a request and of who made it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "event/event.h"
#include "event/observation.h"
#include "event/request.h"

namespace klaxon {

// Bits of SightingFlag: what the request touched and whether it was let in.
uint32_t RequestFlags(const RequestView& request);
// What the identity itself says, whatever it does.
uint32_t IdentityFlags(const EventView& event, const ClientInfo& client);
// Of the annotation authentication.k8s.io/stale-token; 0: it says none.
int64_t StaleSeconds(std::string_view annotation);
// The credential of a legacy token: the Secret it lies in, if named.
std::string LegacyCredential(const EventView& event);

}  // namespace klaxon
