#include "detectors/anonymous_probing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "detectors/denied_watches.h"
#include "detectors/failing_client.h"
#include "detectors/failure_window.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "anonymous-probing";

// The two users refused last, to tell whether all since some time are one.
// (Whoever is in group system:unauthenticated may have any name.)
class NewestUsers {
 public:
  void Add(std::string_view user, EventTime time) {
    if (user.empty()) return;
    Entry& newest = entries_[0];
    Entry& other = entries_[1];
    if (user == newest.user) {
      newest.time = std::max(newest.time, time);
      return;
    }
    if (time >= other.time) {
      other.user = user;
      other.time = time;
    }
    if (other.time > newest.time) std::swap(newest, other);
  }
  // Another one than the newest, refused at `begin` or later; or empty.
  std::string_view OtherSince(EventTime begin) const {
    return entries_[1].time >= begin ? std::string_view(entries_[1].user)
                                     : std::string_view();
  }
  std::string_view newest() const { return entries_[0].user; }
  void Save(WireWriter* out) const {
    for (const Entry& entry : entries_) {
      out->Text(entry.user);
      out->Int(entry.time);
    }
  }
  void Load(WireReader* in) {
    for (Entry& entry : entries_) {
      entry.user = in->Text();
      entry.time = in->Int();
    }
  }

 private:
  struct Entry {
    std::string user;
    EventTime time = kNoTime;
  };
  std::array<Entry, 2> entries_;  // Newest first.
};

struct Prober {
  FailureWindow window;
  FailingMinutes minutes;  // Only where the window is longer than `quiet`.
  EventSample sample;      // Earliest of the minute of the newest refusal.
  DeniedWatches watches;
  // There may be an open episode: it can outlive what is kept here.
  bool fired = true;
  // Not saved, as it can be found again: the episode, what it was told, and a
  // number that is not below that of the window's distinct paths.
  TableHandle episode;
  int64_t peak_told = 0;
  int64_t paths_told = 0;
  int64_t paths_max = 0;
  NewestUsers users;
  void Save(WireWriter* out) const {
    window.Save(out);
    minutes.Save(out);
    users.Save(out);
    PutSample(sample, out);
    watches.Save(out);
    out->Bool(fired);
  }
  void Load(WireReader* in) {
    window.Load(in);
    minutes.Load(in);
    users.Load(in);
    GetSample(in, &sample);
    watches.Load(in);
    fired = in->Bool();
    paths_max = static_cast<int64_t>(window.size());
  }
};

// Where the prober of a group was found.
struct Place {
  uint64_t group_id = 0;
  TableHandle prober;
};

class AnonymousProbing final : public Detector {
 public:
  explicit AnonymousProbing(const DetectorInput& input)
      : threshold_(input.options->GetCount("threshold")),
        threshold_paths_(input.options->GetCount("threshold_paths")),
        threshold_medium_(input.options->GetCount("threshold_medium")),
        window_(input.options->GetDuration("window")),
        quiet_(input.options->GetDuration("quiet")),
        probers_({.name = "anonymous-probing/clients",
                  .keys_max = input.keys_max,
                  .expiry = window_ + kMinute}),
        state_{&probers_} {}

  void Judge(const Judged& judged, JudgeContext& context) override {
    if (judged.group == nullptr) return;
    const RefusalGroup& group = *judged.group;
    if (judged.kind == JudgedKind::kRefusal) {
      OnDenied(judged, *judged.refusal, 1, context);
      return;
    }
    if (group.cls == RefusalClass::kAnonymousEnded) {
      OnEndsRest(judged, context);
    } else {
      OnRest(judged, context);
    }
    if (group.claimed_ips.empty()) return;
    if (Episode* episode =
            context.episodes->Find(KeyOf(group.client), judged.time)) {
      episode->claimed_ips.Merge(group.claimed_ips);
    }
  }

  AlertText Describe(const Episode& episode) const override {
    AlertText text;
    text.title = fmt::format("{} anonymous requests denied, from {}",
                             episode.count, episode.client.value());
    text.summary = fmt::format(
        "A client without any credential was refused {} times; within one {} "
        "window it tried at least {} requests on {} distinct paths.",
        episode.count, FormatDuration(window_), episode.ExplainInt("peak"),
        episode.ExplainInt("distinct_paths"));
    text.remediation = {
        "If the API server need not be reachable from there, close the way "
        "(firewall, authorized networks).",
        "Consider AuthenticationConfiguration anonymous.conditions to allow "
        "anonymous requests on health paths only."};
    return text;
  }
  std::span<Persistent* const> state() override { return state_; }

 private:
  static EpisodeKey KeyOf(const std::string& client) {
    return {kName, "probing", {{"client", client}}, false};
  }

  static constexpr size_t kPlaces = 4096;

  Prober& ProberOf(const Judged& judged, EventTime now) {
    const std::string& client = judged.group->client;
    if (judged.group_id == 0) return probers_.Touch(client, now);
    if (places_.empty()) places_.resize(kPlaces);
    Place& place = places_[judged.group_id % kPlaces];
    if (place.group_id != judged.group_id) {
      place = {judged.group_id, TableHandle()};
    }
    return probers_.Touch(client, now, &place.prober);
  }

  // False: the request was counted before.
  bool AddToWindow(const Refusal& refusal, uint64_t weight,
                   Prober& prober) const {
    const bool new_path = !prober.window.HoldsPath(refusal.path);
    if (!prober.window.Add({refusal, 0, weight > 1}, window_, kept_)) {
      return false;
    }
    if (outlasts_) prober.minutes.Add(refusal.time, weight, 0, window_);
    prober.paths_max = std::min(prober.paths_max + (new_path ? 1 : 0),
                                static_cast<int64_t>(prober.window.size()));
    return true;
  }

  // The newest of those that come, but of one user's minute, which may come as
  // three groups, the earliest.
  static void OfferSample(const EncodedSample& encoded, Prober* prober) {
    EventSample sample = encoded.Decoded();
    const EventSample& held = prober->sample;
    if (held.has_value() && sample.has_value() && held.user == sample.user &&
        MinuteOf(held.time) == MinuteOf(sample.time) && held.Before(sample)) {
      return;
    }
    prober->sample = std::move(sample);
  }

  // There may be more in it than is kept one by one, of an episode before.
  FailingMinutes::Sum WindowThatFired(const Prober& prober, uint64_t weight,
                                      EventTime now) const {
    if (outlasts_ && !prober.window.Whole(kept_)) {
      return prober.minutes.Within(now, window_);
    }
    return {prober.window.size() + weight - 1, prober.window.first_time()};
  }

  void OnRest(const Judged& judged, JudgeContext& context) {
    const RefusalGroup& group = *judged.group;
    uint64_t weight = CappedSum(1, group.dropped);
    for (size_t i = judged.rest_begin; i < group.kept.size(); ++i) {
      OnDenied(judged, group.kept[i], weight, context);
      weight = 1;
    }
    if (group.cls != RefusalClass::kAnonymousBegun) return;
    if (Prober* prober = probers_.Find(group.client)) {
      prober->watches.AddDropped(group);
    }
  }

  void OnEndsRest(const Judged& judged, JudgeContext& context) {
    const RefusalGroup& group = *judged.group;
    Prober* prober = probers_.Find(group.client);
    // Given up meanwhile: as if nothing had begun.
    if (prober == nullptr) return OnRest(judged, context);
    DeniedWatches::Rest rest = prober->watches.AddRest(group);
    for (const uint32_t i : rest.ends) {
      OnDenied(judged, group.kept[i], std::exchange(rest.weight, 1), context);
    }
  }

  // Of `judged`'s group one refusal, or `weight` at once.
  void OnDenied(const Judged& judged, const Refusal& refusal, uint64_t weight,
                JudgeContext& context) {
    const RefusalGroup& group = *judged.group;
    const EventTime now = refusal.time;
    probers_.ExpireUntil(now);
    Prober& prober = ProberOf(judged, now);
    if (group.cls == RefusalClass::kAnonymousBegun) {
      prober.watches.AddBegin(group, refusal.request);
    } else if (group.cls == RefusalClass::kAnonymousEnded &&
               judged.kind == JudgedKind::kRefusal &&
               prober.watches.AddEnd(group, refusal.request) !=
                   DeniedWatches::End::kNew) {
      return;
    }
    if (judged.first_of_group) OfferSample(group.sample, &prober);
    if (!AddToWindow(refusal, weight, prober)) return;
    prober.users.Add(group.user, now);
    const auto size = static_cast<int64_t>(prober.window.size());
    Episode* open =
        prober.fired ? context.episodes->Touch(kName, "probing", group.client,
                                               now, &prober.episode)
                     : nullptr;
    if (open == nullptr) prober.peak_told = prober.paths_told = 0;
    if (prober.paths_max > prober.paths_told) {
      prober.paths_max = static_cast<int64_t>(prober.window.DistinctPaths());
    }
    prober.fired = open != nullptr || size >= threshold_ ||
                   prober.paths_max >= threshold_paths_;
    if (!prober.fired) return;
    const FailingMinutes::Sum fresh =
        open ? FailingMinutes::Sum{weight, now}
             : WindowThatFired(prober, weight, now);
    Contribution c;
    c.start = now;
    c.first = fresh.first;
    c.last = now;
    c.count = fresh.count;
    c.severity = size >= threshold_medium_ ? Severity::kMedium : Severity::kLow;
    c.rule = "probing";
    c.client = group.client;
    c.user = group.user;
    c.sample = judged.first_of_group || !open ? &prober.sample : nullptr;
    if (open) {
      Episodes::Extend(*open, c);
    } else {
      open = &context.episodes->Add(KeyOf(group.client), quiet_, c,
                                    &prober.episode);
      open->user.Add(prober.users.newest());
      open->user.Add(prober.users.OtherSince(prober.window.first_time()));
      open->SetExplain("threshold", threshold_);
      open->SetExplain("threshold_paths", threshold_paths_);
      open->SetExplain("window", FormatDuration(window_));
    }
    Tell("peak", size, &prober.peak_told, *open);
    Tell("distinct_paths", prober.paths_max, &prober.paths_told, *open);
    context.episodes->Announce(*open);
  }

  static void Tell(std::string_view name, int64_t value, int64_t* told,
                   Episode& episode) {
    if (value <= *told) return;
    *told = value;
    episode.RaiseExplain(name, value);
  }

  const int64_t threshold_;
  const int64_t threshold_paths_;
  const int64_t threshold_medium_;
  const Nanos window_;
  const Nanos quiet_;
  const bool outlasts_ = window_ > quiet_;  // An episode may end within it.
  const size_t kept_ =
      static_cast<size_t>(std::max(threshold_, threshold_medium_));
  Table<Prober> probers_;
  std::vector<Place> places_;  // By group_id.
  std::vector<Persistent*> state_;
};

std::string Contradiction(const DetectorOptions& options,
                          std::string_view* option) {
  if (options.GetCount("threshold_medium") < options.GetCount("threshold")) {
    *option = "threshold_medium";
    return "threshold_medium is below threshold; make it at least as large";
  }
  return "";
}

}  // namespace

const DetectorInfo& AnonymousProbingInfo() {
  static const DetectorInfo* const info = new DetectorInfo{
      .name = kName,
      .title = "A client without a credential tries many doors",
      .meaning =
          "Denied anonymous requests: a scanner, or somebody who learns what "
          "the cluster gives away. Also a look at how the API server is "
          "reachable from where.",
      .needs =
          "Level Metadata. A policy that drops events of "
          "system:unauthenticated hides it.",
      .false_positives =
          "Load balancers that probe a path which is not open "
          "to anonymous requests; clients whose credential is "
          "malformed (counted as none by kube-apiserver).",
      .rules = {{"probing", "low; medium from threshold_medium on",
                 "threshold denied requests, or threshold_paths distinct "
                 "paths, of one client within window."}},
      .options = {{"threshold", OptionType::kCount, int64_t{10},
                   "Denied requests of one client within the window.", 1, 1000},
                  {"threshold_paths", OptionType::kCount, int64_t{5},
                   "Distinct paths of one client within the window.", 1, 1000},
                  {"threshold_medium", OptionType::kCount, int64_t{100},
                   "Denied requests within the window that make it medium.", 1,
                   1000},
                  {"window", OptionType::kDuration, Duration{kMinute},
                   "Sliding window.", kMinute, kDay},
                  {"quiet", OptionType::kDuration, Duration{10 * kMinute},
                   "An episode ends after this long without another one.",
                   kMinute, 7 * kDay}},
      .mitre = {"T1595", "T1046"},
      .contradiction = Contradiction,
  };
  return *info;
}

std::unique_ptr<Detector> MakeAnonymousProbing(const DetectorInput& input) {
  return std::make_unique<AnonymousProbing>(input);
}

}  // namespace klaxon
