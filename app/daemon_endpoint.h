// The daemon's own endpoint: /metrics, /healthz, /readyz.
//
// healthz: the core goes round. readyz: besides, every source is open, no lane
// is behind by more than ready_lag, the journal has room, and no required sink
// holds up the intake.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "app/make_source.h"
#include "event/time.h"
#include "pipeline/daemon.h"

namespace klaxon {

class DaemonEndpoint {
 public:
  // Listens from now on. `daemon` and `webhooks` outlive it.
  static absl::StatusOr<std::unique_ptr<DaemonEndpoint>> Start(
      const std::string& listen, Nanos ready_lag, Daemon* daemon,
      LiveWebhooks* webhooks);
  ~DaemonEndpoint();
  // Any thread.
  void SetReadyLag(Nanos ready_lag);

 private:
  struct Impl;
  explicit DaemonEndpoint(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// "": ready; else why not, a line each.
std::string WhyNotReady(const DaemonStatus& status, Nanos ready_lag);

}  // namespace klaxon
