// Where alerts go: files, pipes, servers, brokers.
//
// Protocol. One thread owns a sink: Open until it is OK, then Deliver any
// number of times, one call after the other (the next no sooner than the
// `done` of the one before), then Drain, then destruction. Interrupt and Reopen
// may come from any thread meanwhile.
//
// `done` is called exactly once for each Deliver, from any thread, before Drain
// returns, and says what the caller does next:
//
//   OK               every alert of the call is durable at the target, as far
//                    as the target can say so: forget them.
//   InvalidArgument  the target refuses something of the call for good: sending
//                    the same again cannot help. The caller delivers each alert
//                    of the call alone to learn which, and keeps it as a dead
//                    letter.
//   anything else    not known to be delivered: the caller delivers the same
//                    alerts again, later, and no sooner than RetryAfter(status)
//                    (sinks/delivery_status.h) where the target named a time.
//
// So an alert may reach the target more than once; (id, revision) tells. The
// caller keeps the order: of one alert id, a later revision is not delivered
// before an earlier one is done with. Within a call the sink keeps it.
//
// A sink never looks at the wall clock for what an alert says, and nothing of
// its secrets, nor what an alert or an answer says, stands in a status.
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
  // Not OK: it may be called again later.
  virtual absl::Status Open() = 0;
  // `alerts` need not outlive the call.
  virtual void Deliver(std::span<const Alert> alerts, DeliveryDone done) = 0;
  virtual absl::Status Drain(absl::Duration timeout) = 0;
  // A delivery under way is given up soon (Cancelled, unless it was done), and
  // so is every later one: the process wants to end.
  virtual void Interrupt() noexcept {}
  // With the next delivery, files and certificates are opened anew: they were
  // moved away or replaced.
  virtual void Reopen() noexcept {}
};

}  // namespace klaxon
