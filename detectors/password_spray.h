// Many names tried by one client at OpenShift's login: a rule of
// unauthorized-burst, with an episode of its own. One thread (the judge's), but
// for Observe.
#pragma once

#include <cstdint>

#include "detectors/detector.h"
#include "detectors/table.h"
#include "detectors/tried_names.h"
#include "detectors/unauthorized_burst_text.h"

namespace klaxon {

class PasswordSpray {
 public:
  // `settings` outlives this.
  PasswordSpray(const BurstSettings& settings, uint64_t keys_max);

  // A failed login is a deed, with the name that was tried.
  static void Observe(const RequestView& request, DeedWriter& out);
  // Of such a deed: the client's episode, which the caller announces; null:
  // there is none.
  Episode* Add(const Deed& deed, JudgeContext& context);
  Persistent* state() { return &names_; }

 private:
  const BurstSettings& settings_;
  Table<TriedNames> names_;  // By client.
};

}  // namespace klaxon
