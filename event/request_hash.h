// Which request an event belongs to.
//
// SHA-256 over auditID, requestReceivedTimestamp, verb and URI. The audit ID
// is the client's own text (Audit-ID header), so a hash that can be collided
// on purpose would let one request hide another; and it is in what processes
// hand to each other, so it cannot have a secret. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "event/event.h"

namespace klaxon {

class RequestHasher {
 public:
  // First 16 bytes of the hash.
  std::array<uint8_t, 16> Hash(const EventView& event);
  // The first 8 of those.
  uint64_t Hash64(const EventView& event);

 private:
  std::string buffer_;
};

}  // namespace klaxon
