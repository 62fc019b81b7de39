// State that a snapshot holds. One thread (the judge's).
#pragma once

#include <cstdint>
#include <string_view>

#include "event/wire.h"

namespace klaxon {

class Persistent {
 public:
  virtual ~Persistent() = default;
  // Stable: it labels the bytes in a snapshot.
  virtual std::string_view name() const = 0;
  virtual void Save(WireWriter* out) const = 0;
  // Replaces all state. False: damaged, or of another version.
  virtual bool Load(WireReader* in) = 0;
  // Keys given up for want of room, ever.
  virtual uint64_t evicted() const { return 0; }
  // Of a table: keys it holds, and may hold. Else 0.
  virtual uint64_t keys() const { return 0; }
  virtual uint64_t keys_max() const { return 0; }
};

}  // namespace klaxon
