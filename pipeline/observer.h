// Observe: events → observations. Pure but for its accumulators.
//
// One Observer per worker thread. Sightings and refusals are merged here as
// far as this worker saw them; the reorder stage merges the workers' parts
// (the merge laws make it not matter where). Memory is bounded by calling Take
// whenever size() has grown enough.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "detectors/detector.h"
#include "event/event.h"
#include "event/observation.h"
#include "event/request.h"
#include "event/request_hash.h"
#include "pipeline/engine_config.h"
#include "pipeline/refusal_groups.h"

namespace klaxon {

class Observer final : private DeedWriter {
 public:
  // `config` must outlive the observer.
  explicit Observer(const EngineConfig& config);
  ~Observer() override;

  // `cluster`: of the input; empty: the default. An event that names its
  // cluster itself goes first.
  void Observe(const EventView& event, std::string_view cluster);

  // Observations held; Take when it exceeds what may be held.
  size_t size() const {
    return sightings_.size() + groups_.size() + deeds_.size();
  }
  // Time to Take.
  bool full() const;
  Observations Take();
  // Gives back what Take gave, when it is no longer needed: what comes next
  // uses some of its memory. Best right after Take.
  void Recycle(Observations&& taken);
  // A number for each event of a long-running request since the last call: the
  // two stages of one request differ in the lowest bit alone.
  std::vector<uint64_t> TakeLongRunning() {
    return std::exchange(long_running_, {});
  }

 private:
  struct Cluster;
  struct Caller;
  struct Identity;
  struct Source;

  // Empty: the default.
  Cluster* ClusterFor(std::string_view name);
  Cluster* ClusterNamed(std::string_view name);
  static bool IsLegacy(const EventView& event);
  IdentityKey CallerKey(std::string_view cluster, std::string_view user,
                        std::string_view client);
  // Something of that minute is held now.
  void NoteMinute(EventTime minute);
  IdentityKey KeyOf(const EventView& event, bool legacy);
  IdentityKey SourceKey(const EventView& event);
  Source* SourceFor(const EventView& event, const IdentityKey& key,
                    Cluster* cluster);
  // Where the event's identity nearly always is. Null: it must be looked for.
  Identity* Guess(const EventView& event) const;
  // REQUIRES: the event is no failed authentication of nobody.
  Identity* IdentityFor(const EventView& event, Identity* guess,
                        Cluster* cluster);
  void Describe(const EventView& event, bool legacy, const Cluster& cluster,
                Identity* identity);
  void ForgetIdentities();
  Sighting* SightingFor(EventTime minute, Identity* identity,
                        const Cluster& cluster);
  // Of an event that has an identity.
  void Observe(RequestView* view, Identity* identity, Cluster* cluster);
  void See(const RequestView& request, Identity* identity, Cluster* cluster);
  void Refuse(const RequestView& request, RefusalClass cls,
              const Cluster& cluster, Identity* identity);
  void Refuse(const RequestView& request, RefusalClass cls,
              const Refuser& refuser);
  void Count(const RequestView& request, Cluster* cluster);
  Deed& Add(const RequestView& request, std::string_view topic) override;

  const EngineConfig& config_;
  RequestHasher hasher_;
  std::string path_buffer_;
  std::string key_buffer_;
  absl::flat_hash_map<std::string, std::unique_ptr<Cluster>> clusters_;
  Cluster* default_cluster_ = nullptr;  // Once it was asked for.
  Cluster* last_cluster_ = nullptr;     // Of those that were named.
  Cluster* deed_cluster_ = nullptr;     // Of the event being observed.
  std::vector<Identity*> by_number_;    // EventView::identity_number
  size_t identities_ = 0;               // Of all clusters together;
  size_t sources_ = 0;                  // likewise.
  absl::flat_hash_map<std::pair<Identity*, EventTime>, Sighting*> by_minute_;
  RefusalGroups groups_;
  std::vector<Identity*> running_;  // Have a run in this epoch.
  std::deque<Sighting> sightings_;
  std::vector<Deed> deeds_;
  EventTime newest_minute_ = kNoTime;
  bool begun_minute_ = false;  // One began since the last Take.
  std::vector<uint64_t> long_running_;
  uint64_t epoch_ = 1;  // Of the accumulators; see Identity::epoch.
};

// N of design.md: the largest number that an enabled rule counts to.
uint32_t RefusalsKept(const ClusterConfig& config);

}  // namespace klaxon
