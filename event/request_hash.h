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

// Not thread-safe.
class RequestHasher {
 public:
  // Of what matters by itself: the first 16 bytes of SHA-256. Of requests made
  // on purpose none hides another.
  std::array<uint8_t, 16> Hash(const EventView& event);
  // Of what is only counted, at a tenth of the cost: a flood is full of them.
  // XXH3, begun with the stamp. Requests that were made to have one hash have
  // it where the server stamped them as was foretold, to the microsecond, and
  // those are counted as one failure of their client. Stamps of whole
  // milliseconds may be all that somebody left of them, and then are foretold:
  // they get the first 8 bytes of Hash.
  uint64_t CountedHash(const EventView& event);

 private:
  std::string buffer_;
};

}  // namespace klaxon
