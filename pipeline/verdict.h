// From sorted observations to the final alerts of a scan: merge, put in order,
// judge, sort the alerts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "detectors/alert.h"
#include "pipeline/engine_config.h"
#include "pipeline/observation_sorter.h"

namespace klaxon {

// Hands on every final alert, in printing order. `parts` are finished, and
// of no use afterwards. `*evicted`: keys that tables of the judge gave up.
absl::Status Conclude(const EngineConfig& config,
                      std::span<const std::unique_ptr<ObservationSorter>> parts,
                      const std::function<void(Alert&&)>& on_alert,
                      uint64_t* evicted);

}  // namespace klaxon
