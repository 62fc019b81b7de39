// What stands for an identity's bytes in tables.
//
// Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace klaxon {

// A 128-bit hash with a secret of this process. The bytes are partly an
// attacker's choice; without the secret nobody can make two of them meet.
struct IdentityKey {
  uint64_t high = 0;
  uint64_t low = 0;
  bool none() const { return high == 0 && low == 0; }
  bool operator==(const IdentityKey&) const = default;
  struct Hash {
    size_t operator()(const IdentityKey& key) const { return key.low; }
  };
};

IdentityKey IdentityKeyOf(std::string_view bytes);

}  // namespace klaxon
