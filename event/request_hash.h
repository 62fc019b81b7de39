// Which request an event belongs to: hashes of auditID,
// requestReceivedTimestamp (else the stage's), verb and URI. The audit ID is
// the client's own text (Audit-ID header), and the hashes are in what
// processes hand to each other, so they cannot have a secret.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "event/event.h"

namespace klaxon {

// Of what matters by itself. SHA-256: of requests made on purpose none hides
// another. Not thread-safe.
class RequestHasher {
 public:
  // First 16 bytes of the hash.
  std::array<uint8_t, 16> Hash(const EventView& event);

 private:
  std::string buffer_;
};

// Of what is only counted, at a tenth of the cost: a flood is full of them.
// XXH3, begun with the stamp: two requests that were made to have one hash
// have it only where the server stamped both as was foretold, to the
// microsecond, and then one failure of their client is not counted.
uint64_t CountedRequestHash(const EventView& event);

}  // namespace klaxon
