// What the cluster's stream teaches all detectors; judged before them.
//
// Own egress: an external address from which kubelets (group system:nodes) of
// two or more nodes come is the cluster's own NAT or load balancer
// (detections.md, service-account-external). Forgotten after 24 h unseen.
// One thread (the judge's).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "detectors/table.h"
#include "event/observation.h"

namespace klaxon {

struct Judged;

class Knowledge {
 public:
  explicit Knowledge(uint64_t keys_max);

  void Judge(const Judged& judged);

  // Time of the first event of the cluster's stream; kNoTime: none yet.
  EventTime stream_start() const { return start_.time; }
  // Since when `client` is known to be own egress, as known at `now`;
  // kMaxTime: it is not.
  EventTime OwnEgressSince(std::string_view client, EventTime now) const;

  std::span<Persistent* const> state() { return state_; }

 private:
  struct Node {
    std::string user;
    EventTime last = kNoTime;
  };
  struct Egress {
    std::vector<Node> nodes;  // The few seen last.
    EventTime since = kMaxTime;
    void Save(WireWriter* out) const;
    void Load(WireReader* in);
  };
  struct Start final : Persistent {
    EventTime time = kNoTime;
    std::string_view name() const override { return "stream-start"; }
    void Save(WireWriter* out) const override { out->Int(time); }
    bool Load(WireReader* in) override {
      time = in->Int();
      return in->ok();
    }
  };
  void SeeKubelet(const Sighting& sighting, EventTime time);

  mutable Table<Egress> egress_;
  Start start_;
  std::vector<Persistent*> state_;
};

}  // namespace klaxon
