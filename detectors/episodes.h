// Episodes: what turns "it fired again" into one alert with a count.
//
// Detectors only say who fired, why and when; identity, revisions, quiet,
// daily bounds, shared client/user/credential and evidence are kept here, once
// for all (detections.md, "episode"). One thread (the judge's).
//
// An episode is open from its first Add until `quiet` passed without a further
// one (last_seen + quiet still belongs), or, if daily, until its UTC day is
// over. Its id never changes: SHA-256 over ("klaxon/1", cluster, detector,
// kind, key, start), 16 bytes; start is the time of the event that completed
// the rule, for a daily one the UTC date.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "detectors/alert.h"
#include "detectors/options.h"
#include "detectors/table.h"
#include "detectors/timers.h"

namespace klaxon {

// Text that all observations of an episode share, or nothing.
class SharedText {
 public:
  void Add(std::string_view text);
  // Empty: none had one, or they differ.
  std::string_view value() const {
    return differs_ ? std::string_view() : value_;
  }
  void Save(WireWriter* out) const;
  void Load(WireReader* in);

 private:
  std::string value_;
  bool differs_ = false;
};

struct alignas(64) Episode {
  static constexpr size_t kEvidenceMax = 5;

  // What a further observation moves comes first, in two cache lines.
  Severity severity = Severity::kInfo;
  Confidence confidence = Confidence::kHigh;
  bool daily = false;
  EventTime start = 0;
  EventTime first_seen = 0;
  EventTime last_seen = 0;
  Nanos quiet = 0;
  uint64_t count = 0;
  SharedText client;
  std::vector<EventSample> evidence;  // By time; one a minute, 5 minutes.
  SharedText user;
  SharedText credential;
  SmallTextSet claimed_ips;
  std::string detector;
  std::string kind;  // Rules that share an episode share its kind.
  KeyFields key;
  std::string id;
  std::string rule;
  uint64_t revision = 0;
  uint64_t announced_count = 0;  // At the last revision; 0: none yet.
  Severity announced_severity = Severity::kInfo;
  // What the detector wants to say; keys in alphabetical order.
  ExplainMap explain;

  void SetExplain(std::string_view name, ExplainValue value);
  void RaiseExplain(std::string_view name, int64_t value);  // Never lowers.
  const ExplainValue* FindExplain(std::string_view name) const;
  int64_t ExplainInt(std::string_view name) const;            // 0: absent.
  std::string_view ExplainText(std::string_view name) const;  // "": absent.
  // Adds to a list of distinct texts, in order of arrival, at most `max`.
  void AddExplainText(std::string_view name, std::string_view text, size_t max);
  // Last instant at which a further observation still belongs.
  EventTime belongs_until() const {
    return daily ? DayOf(start) + kDay - 1 : last_seen + quiet;
  }
  void AddEvidence(const EventSample& sample);
  // False: a sample of that place would change nothing.
  bool WantsEvidence(const SamplePlace& place) const;
  // The same, but where the minutes before it leave no room the last one goes.
  void RequireEvidence(const EventSample& sample);

  void Save(WireWriter* out) const;
  void Load(WireReader* in);
};

// What one observation adds to an episode.
struct Contribution {
  EventTime start = 0;  // Completed the rule; the episode's, if it opens one.
  EventTime first = 0;  // first_seen and last_seen take these in.
  EventTime last = 0;
  uint64_t count = 0;
  Severity severity = Severity::kInfo;
  // The gravest wins: a rule replaces the episode's if its severity is higher,
  // or if it opens the episode.
  std::string_view rule;
  Confidence confidence = Confidence::kHigh;
  std::string_view client;
  std::string_view user;
  std::string_view credential;
  const SmallTextSet* claimed_ips = nullptr;
  const EventSample* sample = nullptr;
};

struct EpisodeKey {
  std::string_view detector;
  std::string_view kind;
  KeyFields fields;
  bool daily = false;
};

// Words of an alert: a detector's own function, from the episode alone.
struct AlertText {
  std::string title;
  std::string summary;
  std::vector<std::string> remediation;
};

class Episodes final : public Persistent {
 public:
  // `emit` gets every revision when `revisions`, else only the last one of
  // each episode, and never one that is still open (see Finish).
  struct Options {
    std::string cluster;
    uint64_t episodes_max = 100'000;
    bool revisions = false;
    std::function<void(const Alert&)> emit;
    // Words for an episode, by its detector.
    std::function<AlertText(const Episode&)> describe;
    // Static facts, by the episode's detector.
    std::function<const DetectorInfo*(const Episode&)> info;
    // Before one is given up for want of room: what detectors put off is to be
    // added to it now.
    std::function<void()> before_eviction;
  };
  Episodes(Options options, Timers* timers);

  // The open episode of that key to which something at `now` would belong;
  // null: none.
  Episode* Find(const EpisodeKey& key, EventTime now);
  // The same for a key of at most one value, without making an EpisodeKey:
  // the many observations of an episode that is open. Counts as a touch. `at`
  // is where the episode was found before, and where it is found now: by it,
  // nothing is searched.
  Episode* Touch(std::string_view detector, std::string_view kind,
                 std::string_view value, EventTime now, TableHandle* at) {
    Episode* episode = open_.Find(*at);
    if (episode == nullptr) episode = Search(detector, kind, value, at);
    if (episode == nullptr || now > episode->belongs_until()) return nullptr;
    return open_.Touch(*at, now);
  }
  // The same where nothing is to be added yet. False: no episode is there.
  bool Touch(TableHandle at, EventTime now) {
    return open_.Touch(at, now) != nullptr;
  }
  Episode* Find(TableHandle at) { return open_.Find(at); }
  // Whether only the last state of an episode will be seen, so that what is
  // added to one may be put off until something else looks at it.
  bool patient() const {
    return !options_.revisions && open_.keys() < open_.keys_max();
  }
  void PrefetchNode(TableHandle at) const { open_.PrefetchNode(at); }
  // Fetches what a Touch of that handle, and an Extend, will look at.
  void Prefetch(TableHandle at) const { open_.Prefetch(at); }
  // Adds to an open episode that Find or Touch gave for `contribution.first`.
  static void Extend(Episode& episode, const Contribution& contribution);
  // One that is known already adds a little more, at `time`: a flood does it
  // with every event, and to fill in a Contribution takes longer.
  static void Extend(Episode& episode, EventTime time, uint64_t count,
                     Severity severity, std::string_view rule) {
    if (severity > episode.severity) {
      episode.rule = rule;
      episode.severity = severity;
    }
    episode.first_seen = std::min(episode.first_seen, time);
    episode.last_seen = std::max(episode.last_seen, time);
    episode.count += count;
  }
  // Opens or extends. `quiet`: of the detector; ignored when daily.
  Episode& Add(const EpisodeKey& key, Nanos quiet,
               const Contribution& contribution, TableHandle* at = nullptr);
  // To be called when the detector has finished with what Add returned:
  // announces a revision if one is due.
  void Announce(Episode& episode);

  void OnTimer(std::string_view key, EventTime due);
  // End of input: emits what is still open, firing.
  void Finish();

  uint64_t evicted() const override { return open_.evicted(); }
  uint64_t keys() const override { return open_.keys(); }
  uint64_t keys_max() const override { return open_.keys_max(); }
  std::string_view name() const override { return "episodes"; }
  void Save(WireWriter* out) const override;
  bool Load(WireReader* in) override;

 private:
  std::string KeyBytes(const EpisodeKey& key) const;
  Episode* Search(std::string_view detector, std::string_view kind,
                  std::string_view value, TableHandle* at);
  void Close(std::string_view key, Episode& episode, EventTime closed);
  void Emit(Episode& episode, AlertStatus status, EventTime closed);
  std::string scratch_key_;

  Options options_;
  Timers* timers_;
  Table<Episode> open_;
};

}  // namespace klaxon
