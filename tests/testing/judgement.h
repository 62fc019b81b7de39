// From observations to final alerts, as a scan does it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "detectors/alert.h"
#include "pipeline/observation_sorter.h"
#include "pipeline/verdict.h"

namespace klaxon {

// The second half of a scan, of so many workers.
class Judgement {
 public:
  Judgement(const EngineConfig& config, size_t workers) : config_(config) {
    for (size_t i = 0; i < workers; ++i) {
      sorters_.push_back(std::make_unique<ObservationSorter>(config, workers));
    }
  }
  size_t workers() const { return sorters_.size(); }
  void Add(size_t worker, const Observations& observations) {
    EXPECT_TRUE(sorters_[worker]->Add(observations).ok());
  }
  std::vector<Alert> Alerts() {
    std::vector<Alert> alerts;
    for (const auto& sorter : sorters_) EXPECT_TRUE(sorter->Finish().ok());
    uint64_t evicted = 0;
    const auto keep = [&](Alert&& alert) { alerts.push_back(alert); };
    EXPECT_TRUE(Conclude(config_, sorters_, keep, &evicted).ok());
    return alerts;
  }

 private:
  const EngineConfig& config_;
  std::vector<std::unique_ptr<ObservationSorter>> sorters_;
};

}  // namespace klaxon
