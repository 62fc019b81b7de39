// The words of unauthorized-burst's alerts, and the settings that they quote.
// Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "detectors/detector.h"

namespace klaxon {

struct BurstSettings {
  explicit BurstSettings(const DetectorOptions& options)
      : threshold(options.GetCount("threshold")),
        high(threshold * options.GetCount("high_factor")),
        window(options.GetDuration("window")),
        quiet(options.GetDuration("quiet")),
        slow_minutes(options.GetCount("slow_minutes")),
        slow_window(options.GetDuration("slow_window")),
        spray_clients(options.GetCount("spray_clients")),
        spray_window(options.GetDuration("spray_window")),
        rotation_percent(options.GetCount("rotation_percent")),
        success_within(options.GetDuration("success_within")),
        shared_identities(options.GetCount("shared_identities")),
        workload_paths(options.GetCount("workload_paths")),
        password_names(options.GetCount("password_names")),
        password_names_high(options.GetCount("password_names_high")),
        password_window(options.GetDuration("password_window")) {}

  // How long a client that fails no more can still matter: to its windows, to
  // the day of its low_and_slow alert, and to its burst, which a success keeps
  // open.
  Nanos remembered() const {
    return std::max({slow_window, window, kDay, success_within + quiet}) +
           kMinute;
  }

  int64_t threshold;
  int64_t high;
  Nanos window;
  Nanos quiet;
  int64_t slow_minutes;
  Nanos slow_window;
  int64_t spray_clients;
  Nanos spray_window;
  int64_t rotation_percent;
  Nanos success_within;
  int64_t shared_identities;
  int64_t workload_paths;
  int64_t password_names;
  int64_t password_names_high;
  Nanos password_window;
};

AlertText DescribeUnauthorizedBurst(const Episode& episode,
                                    const BurstSettings& settings);

}  // namespace klaxon
