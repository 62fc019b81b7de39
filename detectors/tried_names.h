// The names that one client tried at a login lately: a password spray? Value of
// a table; one thread (the judge's).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "event/time.h"
#include "event/wire.h"

namespace klaxon {

class TriedNames {
 public:
  // No rule counts further than to this many names.
  static constexpr size_t kNamesMax = 64;
  // Attempts that are kept one by one; of more the latest.
  static constexpr size_t kAttemptsMax = 1000;

  struct Name {
    EventTime last = 0;
    std::string text;
  };

  // Takes in an attempt and forgets what lies more than `window` before it.
  void Add(EventTime time, std::string_view name, Nanos window);
  // Of the window, by the last time each was tried.
  const std::vector<Name>& names() const { return names_; }
  size_t attempts() const { return attempts_.size(); }
  EventTime first_time() const { return attempts_.front(); }

  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  std::vector<Name> names_;
  std::vector<EventTime> attempts_;  // Sorted.
};

}  // namespace klaxon
