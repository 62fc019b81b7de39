#include "pipeline/judge.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "pipeline/engine_config_wire.h"

namespace klaxon {
namespace {

// Requests of deeds that were judged: one request is one deed.
struct Marked {
  void Save(WireWriter*) const {}
  void Load(WireReader*) {}
};

}  // namespace

// All of one cluster: detectors, what they know and remember, episodes.
class Judge::ClusterJudge {
 public:
  ClusterJudge(const std::string& name, const EngineConfig& config,
               const Judge::Options& options)
      : knowledge_(config.keys_max),
        deeds_({.name = "deeds",
                .keys_max = config.keys_max,
                .expiry = 24 * kHour}),
        episodes_(
            {.cluster = name,
             .episodes_max = std::max<uint64_t>(config.keys_max / 10, 1),
             .revisions = options.revisions,
             .emit = options.emit,
             .describe =
                 [this](const Episode& e) { return Find(e).Describe(e); },
             .info = [](const Episode& e) { return FindDetector(e.detector); },
             .before_eviction =
                 [this] {
                   for (Entry& e : detectors_) e.detector->Settle(e.context);
                 }},
            &timers_) {
    const ClusterConfig& cluster = config.For(name);
    uint32_t owner = kEpisodesOwner;
    for (const DetectorEntry& entry : DetectorRegistry()) {
      ++owner;
      const DetectorOptions& settings =
          cluster.detectors.find(entry.info->name)->second;
      if (!settings.enabled) continue;
      detectors_.push_back(
          {&entry,
           {&episodes_, &knowledge_, &timers_, owner},
           entry.make({&settings, &cluster.inventory, config.keys_max})});
    }
    for (Entry& e : detectors_) {
      if (e.entry->wants_failures) failures_.push_back(&e);
      if (e.entry->wants_anonymous) anonymous_.push_back(&e);
    }
  }

  void Feed(const Judged& judged) {
    if (timers_.due() <= judged.time) FireTimers(judged.time);
    if (judged.group != nullptr) return FeedRefused(judged);
    if (judged.kind == JudgedKind::kDeed && !FirstOfItsRequest(*judged.deed)) {
      return;
    }
    knowledge_.Judge(judged);
    for (Entry& e : detectors_) {
      if (Wants(*e.entry, judged)) e.detector->Judge(judged, e.context);
    }
  }

  void Finish(EventTime newest) {
    FireTimers(newest);
    // Held decisions are taken with what is known now.
    std::vector<Timers::Timer> held;
    Timers::Timer timer;
    std::vector<Timers::Timer> closings;
    while (timers_.Pop(kMaxTime, &timer)) {
      (timer.owner == kEpisodesOwner ? closings : held).push_back(timer);
    }
    for (const Timers::Timer& t : closings) timers_.Add(t.due, t.owner, t.key);
    for (const Timers::Timer& t : held) Fire(t, newest);
    FireTimers(newest);
    episodes_.Finish();
  }

  void Save(WireWriter* out) const {
    for (const Persistent* part : Parts()) {
      std::string bytes;
      WireWriter w(&bytes);
      part->Save(&w);
      out->Text(part->name());
      out->Text(bytes);
    }
  }

  bool Load(WireReader* in) {
    for (Persistent* part : Parts()) {
      if (in->Text() != part->name()) return false;
      WireReader r(in->Text());
      if (!part->Load(&r) || !r.done()) return false;
    }
    return in->ok();
  }

  // `same`: configured as before. Adds those that are not to `anew`.
  void Adopt(ClusterJudge& old,
             const std::function<bool(std::string_view)>& same,
             std::set<std::string_view>* anew) {
    Copy(old.timers_, &timers_);
    Copy(old.deeds_, &deeds_);
    Copy(old.episodes_, &episodes_);
    CopyAll(old.knowledge_.state(), knowledge_.state());
    std::set<uint32_t> kept = {kEpisodesOwner};
    for (const Entry& e : detectors_) {
      for (const Entry& o : old.detectors_) {
        if (o.owner() != e.owner()) continue;
        if (!same(e.entry->info->name)) {
          anew->insert(e.entry->info->name);
          continue;
        }
        CopyAll(o.detector->state(), e.detector->state());
        kept.insert(e.owner());
      }
    }
    timers_.EraseIf(
        [&](const Timers::Timer& t) { return !kept.contains(t.owner); });
  }

  uint64_t open() const { return episodes_.keys(); }

  void ForEachTable(const std::function<void(const Persistent&)>& visit) const {
    for (const Persistent* part : Parts()) {
      if (part->keys_max() > 0) visit(*part);
    }
  }

  uint64_t evicted() const {
    uint64_t evicted = 0;
    for (const Persistent* part : Parts()) evicted += part->evicted();
    return evicted;
  }

 private:
  // Timers are the episodes', or a detector's by its place in the registry, so
  // that one that is switched on or off leaves the others theirs.
  static constexpr uint32_t kEpisodesOwner = 0;
  struct Entry {
    const DetectorEntry* entry;
    JudgeContext context;
    std::unique_ptr<Detector> detector;
    uint32_t owner() const { return context.owner; }
  };

  static void Copy(const Persistent& from, Persistent* to) {
    std::string bytes;
    WireWriter w(&bytes);
    from.Save(&w);
    WireReader r(bytes);
    to->Load(&r);  // What was saved just now can be loaded.
  }
  template <typename List>
  static void CopyAll(const List& from, const List& to) {
    for (size_t i = 0; i < from.size(); ++i) Copy(*from[i], to[i]);
  }

  static bool Wants(const DetectorEntry& entry, const Judged& judged) {
    if (judged.fact != nullptr) return true;
    if (judged.sighting != nullptr) return entry.wants_sightings;
    return judged.deed->topic == entry.info->name;
  }

  // A flood is full of them: only whom it concerns is looked at.
  void FeedRefused(const Judged& judged) {
    const RefusalClass cls = judged.group->cls;
    if (cls == RefusalClass::kUnauthenticated) {
      for (Entry* e : failures_) e->detector->Judge(judged, e->context);
    } else if (cls == RefusalClass::kAnonymous ||
               cls == RefusalClass::kAnonymousBegun ||
               cls == RefusalClass::kAnonymousEnded) {
      for (Entry* e : anonymous_) e->detector->Judge(judged, e->context);
    }
  }

  const Detector& Find(const Episode& episode) const {
    for (const Entry& e : detectors_) {
      if (e.entry->info->name == episode.detector) return *e.detector;
    }
    return *detectors_.front().detector;  // Not reached: it made the episode.
  }

  bool FirstOfItsRequest(const Deed& deed) {
    std::string key(reinterpret_cast<const char*>(deed.request.data()),
                    deed.request.size());
    key += deed.topic;
    if (!deed.fields.empty()) key += deed.fields.front().second;
    deeds_.ExpireUntil(deed.time);
    if (deeds_.Find(key) != nullptr) return false;
    deeds_.Touch(key, deed.time);
    return true;
  }

  void FireTimers(EventTime now) {
    Timers::Timer timer;
    while (timers_.Pop(now, &timer)) Fire(timer, timer.due);
  }

  void Fire(const Timers::Timer& timer, EventTime due) {
    if (timer.owner == kEpisodesOwner) {
      return episodes_.OnTimer(timer.key, due);
    }
    for (Entry& e : detectors_) {
      if (e.owner() != timer.owner) continue;
      return e.detector->OnTimer(timer.key, due, e.context);
    }
  }

  std::vector<Persistent*> Parts() const {
    auto* self = const_cast<ClusterJudge*>(this);
    std::vector<Persistent*> parts = {&self->timers_, &self->deeds_,
                                      &self->episodes_};
    for (Persistent* part : self->knowledge_.state()) parts.push_back(part);
    for (const Entry& e : detectors_) {
      for (Persistent* part : e.detector->state()) parts.push_back(part);
    }
    return parts;
  }

  Timers timers_;
  Knowledge knowledge_;
  Table<Marked> deeds_;
  Episodes episodes_;
  std::vector<Entry> detectors_;
  std::vector<Entry*> failures_;   // That want them;
  std::vector<Entry*> anonymous_;  // … denied anonymous requests.
};

Judge::Judge(const EngineConfig& config, Options options)
    : config_(config), options_(std::move(options)) {}
Judge::~Judge() = default;

Judge::ClusterJudge& Judge::ClusterFor(const std::string& name) {
  if (last_ != nullptr && last_name_ == name) return *last_;
  std::unique_ptr<ClusterJudge>& cluster = clusters_[name];
  if (cluster == nullptr) {
    cluster = std::make_unique<ClusterJudge>(name, config_, options_);
  }
  last_ = cluster.get();
  last_name_ = name;
  return *last_;
}

void Judge::Feed(const std::string& cluster, const Judged& judged) {
  ClusterFor(cluster).Feed(judged);
}

void Judge::Finish(EventTime newest) {
  for (auto& [name, cluster] : clusters_) cluster->Finish(newest);
}

uint64_t Judge::Adopt(Judge& old) {
  std::set<std::string_view> anew;
  for (auto& [name, cluster] : old.clusters_) {
    const ClusterConfig& before = old.config_.For(name);
    const ClusterConfig& now = config_.For(name);
    const auto same = [&](std::string_view detector) {
      return DetectorHash(before, old.config_.keys_max, detector) ==
             DetectorHash(now, config_.keys_max, detector);
    };
    ClusterFor(name).Adopt(*cluster, same, &anew);
  }
  return anew.size();
}

std::string Judge::Save() const {
  std::string bytes;
  WireWriter w(&bytes);
  w.Uint(kObservationVersion);
  w.Uint(clusters_.size());
  for (const auto& [name, cluster] : clusters_) {
    w.Text(name);
    cluster->Save(&w);
  }
  return bytes;
}

bool Judge::Load(std::string_view bytes) {
  clusters_.clear();
  last_ = nullptr;
  WireReader r(bytes);
  if (r.Uint() != kObservationVersion) return false;
  for (uint64_t n = r.Count(); n > 0; --n) {
    const std::string name(r.Text());
    if (!ClusterFor(name).Load(&r)) return false;
  }
  return r.done();
}

uint64_t Judge::open_episodes() const {
  uint64_t open = 0;
  for (const auto& [name, cluster] : clusters_) open += cluster->open();
  return open;
}

void Judge::ForEachTable(
    const std::function<void(const Persistent&)>& visit) const {
  for (const auto& [name, cluster] : clusters_) cluster->ForEachTable(visit);
}

uint64_t Judge::evicted() const {
  uint64_t evicted = 0;
  for (const auto& [name, cluster] : clusters_) evicted += cluster->evicted();
  return evicted;
}

}  // namespace klaxon
