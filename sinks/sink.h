// Where alerts go.
//
// Protocol. One thread owns a sink: Open once, then Deliver any number of
// times, then Drain, then destruction. `done` is called exactly once for each
// Deliver, from any thread, before Drain returns: OK only when every alert of
// the call is durable at the target (as far as the target can say so).
// A sink never looks at the wall clock for what an alert says.
#pragma once

#include <functional>
#include <span>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "detectors/alert.h"

namespace klaxon {

using DeliveryDone = std::function<void(const absl::Status&)>;

class Sink {
 public:
  virtual ~Sink() = default;
  virtual absl::Status Open() = 0;
  virtual void Deliver(std::span<const Alert> alerts, DeliveryDone done) = 0;
  virtual absl::Status Drain(absl::Duration timeout) = 0;
};

}  // namespace klaxon
