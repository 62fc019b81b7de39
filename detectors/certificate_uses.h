// Which certificates came into use under one name, and when: what tells that
// one replaced another (detections.md, "superseded").
//
// A key of the table for every (user, credential), so many of a user's
// may be remembered; and of every user the list of them by first use. Who was
// forgotten for want of room and comes back is not new: where that may have
// happened a user's order of first uses proves nothing any more (see Order).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "detectors/table.h"

namespace klaxon {

class CertificateUses {
 public:
  struct Entry {
    EventTime first_used = kNoTime;
    std::string credential;
    auto operator<=>(const Entry&) const = default;
  };
  struct Order {
    std::vector<Entry> entries;  // Sorted.
    // None of this user's was ever forgotten.
    bool complete = true;
    void Save(WireWriter* out) const;
    void Load(WireReader* in);
  };

  explicit CertificateUses(uint64_t keys_max);

  // Notes a use at `used`, judged at `now`. Gives the user's certificates, to
  // be looked at before the next call, and in `*first_used` when this one came.
  const Order& Add(std::string_view user, std::string_view credential,
                   EventTime used, EventTime now, EventTime* first_used);

  Persistent* uses() { return &uses_; }
  Persistent* orders() { return &orders_; }

  // Of one user; then those that came first go.
  static constexpr size_t kUserMax = 1024;

 private:
  struct Use {
    EventTime first = kNoTime;
    void Save(WireWriter* out) const { out->Int(first); }
    void Load(WireReader* in) { first = in->Int(); }
  };

  void Forget(std::string_view key, const Use& use);
  void Shorten(std::string_view user, std::string_view credential,
               Order* order);

  Table<Use> uses_;      // By (user, credential).
  Table<Order> orders_;  // By user.
};

}  // namespace klaxon
