// The judge: a deterministic state machine fed with judged things in order.
//
// One thread. Equal input gives equal alerts; nothing but Feed, Finish and
// Load changes it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "detectors/alert.h"
#include "detectors/detector.h"
#include "pipeline/engine_config.h"

namespace klaxon {

class Judge {
 public:
  struct Options {
    bool revisions = false;  // Emit every revision, not only the last.
    std::function<void(const Alert&)> emit;
  };
  // `config` must outlive the judge.
  Judge(const EngineConfig& config, Options options);
  ~Judge();

  void Feed(const std::string& cluster, const Judged& judged);
  // End of input at `newest`, the newest event time seen: held decisions are
  // taken, due timers fired, open episodes emitted as firing.
  void Finish(EventTime newest);

  // Takes over what `old` knew, under another configuration; a detector that is
  // configured differently starts empty (its open episodes stay). Returns how
  // many did. REQUIRES: nothing was fed yet.
  uint64_t Adopt(Judge& old);

  // All state, for a snapshot. Load: false if damaged.
  std::string Save() const;
  bool Load(std::string_view bytes);

  uint64_t evicted() const;
  // Alerts that are firing.
  uint64_t open_episodes() const;
  // Every table of every cluster: its name is of the code.
  void ForEachTable(const std::function<void(const Persistent&)>& visit) const;

 private:
  class ClusterJudge;
  ClusterJudge& ClusterFor(const std::string& name);

  const EngineConfig& config_;
  const Options options_;
  std::map<std::string, std::unique_ptr<ClusterJudge>, std::less<>> clusters_;
  ClusterJudge* last_ = nullptr;
  std::string last_name_;
};

}  // namespace klaxon
