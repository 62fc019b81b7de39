// Keys of what is sorted: bytes in whose order the things come.
//
// Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "event/observation.h"
#include "event/time.h"

namespace klaxon {

// Bytes sort as the numbers do: the highest first; of times, which may be
// negative, with the sign turned.
void AppendBigEndian(uint64_t value, int bytes, std::string* out);
uint64_t ReadBigEndian(std::string_view bytes);
void AppendTime(EventTime time, std::string* out);
EventTime ReadTime(std::string_view bytes);
inline constexpr size_t kTimeBytes = 8;

// Identity of an observation: equal bytes mean that the two are parts of one
// and must be merged. Begins with the minute (AppendTime) and the kind.
void AppendKey(const Fact& value, std::string* key);
void AppendKey(const Sighting& value, std::string* key);
void AppendKey(const RefusalGroup& value, std::string* key);
void AppendKey(const Deed& value, std::string* key);
// Of those, what all of one minute and kind begin with.
inline constexpr size_t kKeyHeadBytes = kTimeBytes + 1;
inline ObservationKind KindOf(std::string_view key) {
  return static_cast<ObservationKind>(key[kTimeBytes]);
}

}  // namespace klaxon
