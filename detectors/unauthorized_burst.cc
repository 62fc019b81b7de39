#include "detectors/unauthorized_burst.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

#include "detectors/failing_client.h"
#include "detectors/failure_samples.h"
#include "detectors/password_spray.h"
#include "detectors/spray.h"
#include "detectors/unauthorized_burst_options.h"
#include "detectors/unauthorized_burst_text.h"
#include "event/address.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "unauthorized-burst";
// Key of the samples of all clients together; no client has this name.
constexpr std::string_view kAllClients = "*";
constexpr std::string_view kSpray = "spray";

uint64_t HashText(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

// When a user agent that is not the workload's came. kMaxTime: none did.
EventTime AnotherAgent(const Sighting& s, const FailingClient::Burst& burst) {
  for (const auto& [first, agent] : s.agents) {
    if (burst.agents.size() != 1 || agent != burst.agents.front()) return first;
  }
  return kMaxTime;
}

struct Identities {
  RecentIdentities recent;
  void Save(WireWriter* out) const { recent.Save(out); }
  void Load(WireReader* in) { recent.Load(in); }
};

// Tells the episode a number that grew.
void Raise(std::string_view name, int64_t value, int64_t* told,
           Episode& episode) {
  if (value <= *told) return;
  *told = value;
  episode.RaiseExplain(name, value);
}

// Failures of a group that were told to all that concerns other clients too,
// and wait to be counted for their own, all at once. As long as some may wait,
// those of the group that come change no more than numbers of it and of its
// episodes.
struct Waiting {
  const RefusalGroup* group = nullptr;  // Null: none may wait.
  uint32_t begin = 0;                   // Those that wait, of group->kept;
  uint32_t end = 0;                     // the next one, if it comes now.
  uint32_t end_max = 0;
  bool late = false;
  EventTime minute = 0;  // Those of another one may not.
  TableHandle burst;     // Its open episodes.
  TableHandle slow;
};

// What was worked out of a group once, for all of its refusals.
struct alignas(64) Place {
  uint64_t group_id = 0;
  TableHandle client;  // Of the address.
  TableHandle whole;   // Of its /64.
  TableHandle unit;    // Of either, in the spray.
  Waiting waiting;
  bool repeats = false;  // Requests of the window: none may wait.
  std::string prefix;    // The /64; empty: none.
  uint64_t source = 0;   // Hash of the address, where there is a /64.
};

// One failure, or several at once.
struct Failure {
  const RefusalGroup& group;
  const Refusal& refusal;
  uint32_t index;     // As Judged::kept_index.
  uint64_t weight;    // It, and those before it that were not kept.
  bool late = false;  // Told at the end of its minute.
};

// Of an episode that a failure opens: `sum` is what was counted up to it.
Contribution Opening(const Failure& failure, const FailingMinutes::Sum& sum,
                     Severity severity, std::string_view rule) {
  Contribution c;
  c.start = c.last = failure.refusal.time;
  c.first = sum.first;
  c.count = sum.count;
  c.severity = severity;
  c.rule = rule;
  return c;
}

class UnauthorizedBurst final : public Detector {
 public:
  explicit UnauthorizedBurst(const DetectorInput& input)
      : settings_(*input.options),
        clients_({.name = "unauthorized-burst/clients",
                  .keys_max = input.keys_max,
                  .expiry = settings_.remembered()}),
        samples_(input.keys_max,
                 std::max(settings_.window, settings_.spray_window)),
        identities_({.name = "unauthorized-burst/identities",
                     .keys_max = input.keys_max,
                     .expiry = settings_.success_within + kMinute}),
        spray_(input.keys_max, settings_.spray_window),
        password_spray_(settings_, input.keys_max),
        state_{&clients_, samples_.state(), &identities_, &spray_,
               password_spray_.state()} {}

  void Observe(const RequestView& request, DeedWriter& out) const override {
    PasswordSpray::Observe(request, out);
  }

  void Judge(const Judged& judged, JudgeContext& context) override {
    if (judged.sighting != nullptr) {
      OnIdentity(judged, context);
    } else if (judged.kind == JudgedKind::kDeed) {
      OnLoginFailed(*judged.deed, context);
    } else if (judged.kind == JudgedKind::kRefusal) {
      FetchSoon(judged, *context.episodes);
      Place& place = PlaceOf(judged, context);
      if (judged.first_of_group) RememberSample(judged, place);
      OnFailure({*judged.group, *judged.refusal, judged.kept_index, 1}, place,
                context);
    } else if (judged.kind == JudgedKind::kTotal && judged.group != nullptr) {
      OnRest(judged, PlaceOf(judged, context), context);
    }
  }

  void Settle(JudgeContext& context) override {
    for (Place& place : places_) {
      if (waiting_ == 0) return;
      Settle(place, context);
    }
  }

  AlertText Describe(const Episode& episode) const override {
    return DescribeUnauthorizedBurst(episode, settings_);
  }
  std::span<Persistent* const> state() override { return state_; }

 private:
  static constexpr size_t kPlaces = 4096;
  // More of a group are counted so many at a time.
  static constexpr uint32_t kWaitingMax = 256;

  static EpisodeKey BurstKey(std::string_view client) {
    return {kName, "burst", {{"client", std::string(client)}}, false};
  }
  // Null: `client` has no open burst.
  Episode* OpenBurst(FailingClient& client, std::string_view name,
                     EventTime now, JudgeContext& context) {
    if (client.burst == nullptr) return nullptr;
    Episode* episode = context.episodes->Touch(kName, "burst", name, now,
                                               &client.burst->told.episode);
    if (episode == nullptr) client.burst.reset();
    return episode;
  }

  // A failure is some twenty cache misses, one behind the other, and little
  // work: they are taken ahead of time, for several failures at once.
  void FetchSoon(const Judged& judged, const Episodes& episodes);
  // … of a key that was not looked for yet.
  void FetchTables(std::string_view key) const {
    clients_.Prefetch(key);
    samples_.Prefetch(key);
  }
  // Null: that group was not seen yet.
  const Place* FindPlace(uint64_t group_id) const;
  Place& PlaceOf(const Judged& judged, JudgeContext& context);
  void RememberSample(const Judged& judged, const Place& place);
  void OnRest(const Judged& judged, Place& place, JudgeContext& context);
  void OnFailure(const Failure& failure, Place& place, JudgeContext& context);
  // False: it was counted before.
  bool OnFailureNow(const Failure& failure, Place& place,
                    JudgeContext& context);
  // What the /64 of `own` has of it.
  void OnWhole(const Failure& failure, Place& place, FailingClient& own,
               JudgeContext& context);
  // After one was counted: whether those of its group that come may wait.
  void LetWait(const Failure& failure, Place& place, JudgeContext& context);
  // False: it must be counted now.
  bool Wait(const Failure& failure, Place& place, JudgeContext& context);
  // Counts those that wait.
  void Settle(Place& place, JudgeContext& context);
  void Settle(const FailingClient& client, JudgeContext& context) {
    if (client.waiting != 0) Settle(places_[client.waiting - 1], context);
  }
  // Of clients_, for those that go.
  auto Settling(JudgeContext& context) {
    return [this, &context](std::string_view, FailingClient& client) {
      Settle(client, context);
    };
  }
  // One failure of a key: an address, or the /64 of one (`source` its hash).
  // `at`: where the key was found before. Null: the request was counted before.
  FailingClient* OnKey(const std::string& key, TableHandle* at,
                       const Failure& failure, uint64_t source,
                       JudgeContext& context);
  void JudgeBurst(const std::string& key, FailingClient& client,
                  const Failure& failure, uint64_t source,
                  JudgeContext& context);
  // One more of an open burst, or of the one that opens.
  struct Grade {
    Severity severity;
    std::string_view rule;
  };
  Grade GradeBurst(FailingClient& client, const Failure& failure,
                   uint64_t source);
  void ExtendBurst(FailingClient& client, const Failure& failure,
                   uint64_t source, Episode& open);
  // `peak`: the most failures that the window held.
  void TellNumbers(FailingClient::Burst& burst, size_t peak, Episode& episode);
  FailingMinutes::Sum WindowThatFired(const FailingClient& client,
                                      const Failure& failure) const;
  void JudgeSlow(const std::string& key, FailingClient& client,
                 const Failure& failure, uint64_t source,
                 JudgeContext& context);
  void JudgeSpray(const Failure& failure, Place& place, JudgeContext& context);
  Episode& OpenSpray(const Failure& failure, JudgeContext& context);
  bool LooksLikeRotation(const Spray::State& spray) const;

  void OnLoginFailed(const Deed& deed, JudgeContext& context);
  void OnIdentity(const Judged& judged, JudgeContext& context);
  void JudgeSuccess(const std::string& key, const Judged& judged,
                    EventTime time, JudgeContext& context);

  const BurstSettings settings_;
  // Failures of a client's window.
  const size_t kept_ =
      static_cast<size_t>(std::max(settings_.high, settings_.threshold));
  Table<FailingClient> clients_;  // Addresses and /64s.
  FailureSamples samples_;
  Table<Identities> identities_;
  Spray spray_;
  PasswordSpray password_spray_;
  std::vector<Persistent*> state_;
  Told spray_told_;  // Of the open spray.
  // By group_id: as many as there are groups in most minutes. Where two of a
  // minute meet, their places are only found more often.
  std::vector<Place> places_;
  size_t waiting_ = 0;  // Places where failures may wait.
};

const Place* UnauthorizedBurst::FindPlace(uint64_t group_id) const {
  const Place& place = places_[group_id % kPlaces];
  return place.group_id == group_id && group_id != 0 ? &place : nullptr;
}

void UnauthorizedBurst::FetchSoon(const Judged& judged,
                                  const Episodes& episodes) {
  if (places_.empty()) places_.resize(kPlaces);
  __builtin_prefetch(&places_[judged.soon[0] % kPlaces]);
  if (const Place* place = FindPlace(judged.soon[1])) {
    spray_.Prefetch(place->unit);
    if (place->waiting.group != nullptr) {
      clients_.PrefetchNode(place->client);
      episodes.PrefetchNode(place->waiting.burst);
      episodes.PrefetchNode(place->waiting.slow);
    } else {
      clients_.Prefetch(place->client);
      clients_.Prefetch(place->whole);
    }
  }
  const Place* place = FindPlace(judged.soon[2]);
  if (place != nullptr && place->waiting.group == nullptr) {
    if (const auto* own = clients_.Find(place->client)) own->Prefetch();
    if (const auto* whole = clients_.Find(place->whole)) whole->Prefetch();
  }
  place = FindPlace(judged.soon[3]);
  if (place != nullptr && place->waiting.group == nullptr) {
    const FailingClient* own = clients_.Find(place->client);
    if (own == nullptr) return;
    if (own->burst != nullptr) {
      episodes.Prefetch(own->burst->told.episode);
    }
    if (own->slow != nullptr) episodes.Prefetch(own->slow->episode);
  }
}

Place& UnauthorizedBurst::PlaceOf(const Judged& judged, JudgeContext& context) {
  if (places_.empty()) places_.resize(kPlaces);
  Place& place = places_[judged.group_id % kPlaces];
  if (place.group_id == judged.group_id && judged.group_id != 0) return place;
  Settle(place, context);
  const std::string& client = judged.group->client;
  place.group_id = judged.group_id;
  place.client = place.whole = place.unit = TableHandle();
  place.repeats = false;
  place.prefix = IpAddress::Prefix64Of(client);
  place.source = place.prefix.empty() ? 0 : HashText(client);
  FetchTables(client);
  if (!place.prefix.empty()) FetchTables(place.prefix);
  spray_.Prefetch(place.prefix.empty() ? client : place.prefix);
  return place;
}

void UnauthorizedBurst::RememberSample(const Judged& judged,
                                       const Place& place) {
  const FailureSamples::Encoded sample =
      samples_.Encode(judged.group->sample, judged.time);
  samples_.Remember(judged.group->client, sample, settings_.window);
  if (!place.prefix.empty()) {
    samples_.Remember(place.prefix, sample, settings_.window);
  }
  samples_.Remember(kAllClients, sample, settings_.spray_window);
}

void UnauthorizedBurst::OnRest(const Judged& judged, Place& place,
                               JudgeContext& context) {
  Settle(place, context);
  const RefusalGroup& group = *judged.group;
  const std::array<const std::string*, 2> keys = {&group.client, &place.prefix};
  if (judged.rest_begin < group.kept.size()) {
    // What was dropped between the first and the last N: its agents and paths.
    const SmallestHashes agents = group.Agents();
    const SmallestHashes paths = group.Paths();
    spray_.AddAgents(place.prefix.empty() ? group.client : place.prefix, agents,
                     group.kept[judged.rest_begin].time, &place.unit);
    for (const std::string* key : keys) {
      FailingClient* client = key->empty() ? nullptr : clients_.Find(*key);
      if (client == nullptr) continue;
      Settle(*client, context);
      if (client->burst == nullptr) continue;
      for (uint64_t agent : agents) client->burst->agents.Add(agent);
      for (uint64_t path : paths) client->burst->paths.Add(path);
    }
  }
  uint64_t weight = 1 + group.dropped;
  const auto end = static_cast<uint32_t>(group.kept.size());
  for (auto i = static_cast<uint32_t>(judged.rest_begin); i < end; ++i) {
    OnFailure({group, group.kept[i], i, weight, /*late=*/true}, place, context);
    weight = 1;
  }
  Settle(place, context);
  if (group.claimed_ips.empty()) return;
  for (const std::string* key : keys) {
    if (key->empty()) continue;
    if (Episode* e = context.episodes->Find(BurstKey(*key), judged.time)) {
      e->claimed_ips.Merge(group.claimed_ips);
    }
  }
}

void UnauthorizedBurst::OnFailure(const Failure& failure, Place& place,
                                  JudgeContext& context) {
  if (Wait(failure, place, context)) return;
  Settle(place, context);
  if (!OnFailureNow(failure, place, context)) return;
  if (failure.index != Judged::kNotKept) LetWait(failure, place, context);
}

bool UnauthorizedBurst::OnFailureNow(const Failure& failure, Place& place,
                                     JudgeContext& context) {
  clients_.ExpireUntil(failure.refusal.time, Settling(context));
  FailingClient* own =
      OnKey(failure.group.client, &place.client, failure, 0, context);
  if (own == nullptr) return false;
  JudgeSpray(failure, place, context);
  if (!place.prefix.empty()) OnWhole(failure, place, *own, context);
  return true;
}

// The /64 counts only addresses that have no alert of their own.
void UnauthorizedBurst::OnWhole(const Failure& failure, Place& place,
                                FailingClient& own, JudgeContext& context) {
  const EventTime now = failure.refusal.time;
  if (OpenBurst(own, failure.group.client, now, context) == nullptr &&
      own.slow_day != DayOf(now)) {
    own.apart = false;
    OnKey(place.prefix, &place.whole, failure, place.source, context);
  } else if (!own.apart) {
    own.apart = true;
    FailingClient* whole = clients_.Find(place.prefix, &place.whole);
    if (whole == nullptr) return;
    Settle(*whole, context);
    whole->window.RemoveSource(place.source);
    whole->minutes.RemoveSource(place.source);
  }
}

// They may where nothing opens before the minute is over, and nothing closes,
// as the one that was just counted is of that minute and `quiet` is no less
// than one.
void UnauthorizedBurst::LetWait(const Failure& failure, Place& place,
                                JudgeContext& context) {
  const KeptRefusals& kept = failure.group.kept;
  Waiting waiting;
  waiting.begin = waiting.end = failure.index + 1;
  waiting.end_max = static_cast<uint32_t>(
      failure.late ? kept.size()
                   : std::min<size_t>(failure.group.keep, kept.size()));
  waiting.end_max = std::min(waiting.end_max, waiting.begin + kWaitingMax);
  waiting.late = failure.late;
  waiting.minute = MinuteOf(failure.refusal.time);
  if (waiting.begin >= waiting.end_max || place.repeats ||
      !context.episodes->patient()) {
    return;
  }
  FailingClient* client = clients_.Find(place.client);
  if (client == nullptr) return;
  const bool slow = client->slow_day == DayOf(failure.refusal.time);
  if (!place.prefix.empty() && !client->apart) return;
  if (slow) {
    waiting.slow = client->slow->episode;
    if (context.episodes->Find(waiting.slow) == nullptr) return;
  }
  if (client->burst != nullptr) {
    waiting.burst = client->burst->told.episode;
    if (context.episodes->Find(waiting.burst) == nullptr) return;
  } else {
    const auto most = static_cast<size_t>(settings_.threshold) - 1;
    if (client->window.size() >= most) return;
    waiting.end_max = static_cast<uint32_t>(std::min<size_t>(
        waiting.end_max, waiting.begin + most - client->window.size()));
  }
  place.repeats = client->window.Repeats(kept, waiting.begin, waiting.end_max);
  if (place.repeats) return;
  waiting.group = &failure.group;
  place.waiting = waiting;
  client->waiting = 1 + static_cast<uint32_t>(&place - places_.data());
  ++waiting_;
}

bool UnauthorizedBurst::Wait(const Failure& failure, Place& place,
                             JudgeContext& context) {
  Waiting& waiting = place.waiting;
  const EventTime now = failure.refusal.time;
  const auto comes = [&] {
    return waiting.group != nullptr && failure.index == waiting.end &&
           waiting.end < waiting.end_max && now >= waiting.minute &&
           now - waiting.minute < kMinute;
  };
  if (!comes()) return false;
  clients_.ExpireUntil(now, Settling(context));
  if (!comes()) return false;
  // All that is touched, in the order of OnFailureNow.
  clients_.Touch(place.client, now);
  const TableHandle burst = waiting.burst;
  context.episodes->Touch(burst, now);
  context.episodes->Touch(waiting.slow, now);
  ++waiting.end;
  JudgeSpray(failure, place, context);
  if (place.prefix.empty()) return true;
  if (waiting.group != nullptr) {
    context.episodes->Touch(burst, now);
  } else if (FailingClient* own = clients_.Find(place.client)) {
    OnWhole(failure, place, *own, context);  // An episode had to go.
  }
  return true;
}

void UnauthorizedBurst::Settle(Place& place, JudgeContext& context) {
  if (place.waiting.group == nullptr) return;
  const Waiting waiting = std::exchange(place.waiting, Waiting());
  --waiting_;
  FailingClient* client = clients_.Find(place.client);
  if (client == nullptr) return;
  client->waiting = 0;
  if (waiting.begin == waiting.end) return;
  const RefusalGroup& group = *waiting.group;
  Episode* const burst = client->burst != nullptr
                             ? context.episodes->Find(waiting.burst)
                             : nullptr;
  size_t peak = 0;
  for (uint32_t i = waiting.begin; i < waiting.end; ++i) {
    const Refusal& refusal = group.kept[i];
    client->window.AddNew({refusal}, settings_.window, kept_);
    peak = std::max(peak, client->window.size());
    if (burst == nullptr) continue;
    ExtendBurst(*client, {group, refusal, i, 1, waiting.late}, 0, *burst);
  }
  if (burst != nullptr) TellNumbers(*client->burst, peak, *burst);
  const EventTime last = group.kept[waiting.end - 1].time;
  client->last_failure = std::max(client->last_failure, last);
  const uint32_t count = waiting.end - waiting.begin;
  client->minutes.Add(last, count, 0, settings_.slow_window);
  if (Episode* slow = context.episodes->Find(waiting.slow)) {
    Episodes::Extend(*slow, last, count, Severity::kLow, slow->rule);
  }
}

FailingClient* UnauthorizedBurst::OnKey(const std::string& key, TableHandle* at,
                                        const Failure& failure, uint64_t source,
                                        JudgeContext& context) {
  const EventTime now = failure.refusal.time;
  FailingClient& client = clients_.Touch(key, now, Settling(context), at);
  // Of another group: there is one where observations were not Klaxon's.
  Settle(client, context);
  if (!client.window.Add({failure.refusal, source, failure.weight > 1},
                         settings_.window, kept_)) {
    return nullptr;
  }
  client.last_failure = std::max(client.last_failure, now);
  client.minutes.Add(now, failure.weight, source, settings_.slow_window);
  JudgeBurst(key, client, failure, source, context);
  JudgeSlow(key, client, failure, source, context);
  return &client;
}

// Of a window that outlasts an episode there may be more than is kept one by
// one, of the episode before: the minutes tell how many.
FailingMinutes::Sum UnauthorizedBurst::WindowThatFired(
    const FailingClient& client, const Failure& failure) const {
  if (settings_.window > settings_.quiet && !client.window.Whole(kept_)) {
    return client.minutes.Within(failure.refusal.time, settings_.window);
  }
  return {client.window.size() + failure.weight - 1,
          client.window.first_time()};
}

UnauthorizedBurst::Grade UnauthorizedBurst::GradeBurst(FailingClient& client,
                                                       const Failure& failure,
                                                       uint64_t source) {
  FailingClient::Burst& burst = *client.burst;
  const bool alike =
      failure.group.client_internal && burst.agents.size() <= 1 &&
      static_cast<int64_t>(burst.paths.size()) <= settings_.workload_paths;
  if (!alike) burst.pace.reset();
  if (alike &&
      burst.Steady(client.window, {failure.refusal, source, failure.weight > 1},
                   kept_, settings_.window)) {
    return {Severity::kLow, "workload"};
  }
  const auto size = static_cast<int64_t>(client.window.size());
  return {size >= settings_.high ? Severity::kHigh : Severity::kMedium,
          "burst"};
}

void UnauthorizedBurst::ExtendBurst(FailingClient& client,
                                    const Failure& failure, uint64_t source,
                                    Episode& open) {
  const EventTime now = failure.refusal.time;
  FailingClient::Burst& burst = *client.burst;
  burst.agents.Add(failure.refusal.agent);
  burst.paths.Add(failure.refusal.path);
  const Grade grade = GradeBurst(client, failure, source);
  if (failure.late && grade.severity != Severity::kLow &&
      open.rule == "workload") {
    burst.turned = now;
  }
  Episodes::Extend(open, now, failure.weight, grade.severity, grade.rule);
  // Of an address that opened it, it has been told.
  if (source != 0) open.client.Add(failure.group.client);
}

void UnauthorizedBurst::TellNumbers(FailingClient::Burst& burst, size_t peak,
                                    Episode& episode) {
  Raise("peak", static_cast<int64_t>(peak), &burst.told.peak, episode);
  Raise("distinct_user_agents", static_cast<int64_t>(burst.agents.size()),
        &burst.told.agents, episode);
  Raise("distinct_paths", static_cast<int64_t>(burst.paths.size()),
        &burst.told.paths, episode);
}

void UnauthorizedBurst::JudgeBurst(const std::string& key,
                                   FailingClient& client,
                                   const Failure& failure, uint64_t source,
                                   JudgeContext& context) {
  const EventTime now = failure.refusal.time;
  Episode* open = OpenBurst(client, key, now, context);
  if (open != nullptr) {
    ExtendBurst(client, failure, source, *open);
  } else {
    if (static_cast<int64_t>(client.window.size()) < settings_.threshold) {
      return;
    }
    client.burst = std::make_unique<FailingClient::Burst>();
    client.burst->fired = now;
    for (size_t i = 0; i < client.window.size(); ++i) {
      client.burst->agents.Add(client.window[i].refusal.agent);
      client.burst->paths.Add(client.window[i].refusal.path);
    }
    const Grade grade = GradeBurst(client, failure, source);
    Contribution c = Opening(failure, WindowThatFired(client, failure),
                             grade.severity, grade.rule);
    c.client = failure.group.client;
    open = &context.episodes->Add(BurstKey(key), settings_.quiet, c,
                                  &client.burst->told.episode);
    open->SetExplain("threshold", settings_.threshold);
    open->SetExplain("window", FormatDuration(settings_.window));
  }
  samples_.AddTo(key, now, &client.burst->told, *open);
  TellNumbers(*client.burst, client.window.size(), *open);
  context.episodes->Announce(*open);
}

void UnauthorizedBurst::JudgeSlow(const std::string& key, FailingClient& client,
                                  const Failure& failure, uint64_t source,
                                  JudgeContext& context) {
  const EventTime time = failure.refusal.time;
  const EventTime day = DayOf(time);
  if (client.slow_day != day &&
      static_cast<int64_t>(client.minutes.entries()) < settings_.slow_minutes) {
    return;
  }
  if (client.slow == nullptr) client.slow = std::make_unique<Told>();
  Episode* open = client.slow_day == day
                      ? context.episodes->Touch(kName, "low_and_slow", key,
                                                time, &client.slow->episode)
                      : nullptr;
  const auto minutes = static_cast<int64_t>(client.minutes.DistinctMinutes());
  if (open == nullptr && minutes < settings_.slow_minutes) return;
  client.slow_day = day;
  constexpr std::string_view kRule = "low_and_slow";
  if (open != nullptr) {
    Episodes::Extend(*open, time, failure.weight, Severity::kLow, kRule);
    if (source != 0) open->client.Add(failure.group.client);
  } else {
    Contribution c = Opening(
        failure, {client.minutes.Failures(), client.minutes.first_time()},
        Severity::kLow, kRule);
    c.client = failure.group.client;
    *client.slow = Told();
    open = &context.episodes->Add(
        {kName, kRule, {{"client", key}}, /*daily=*/true}, 0, c,
        &client.slow->episode);
    open->SetExplain("threshold_minutes", settings_.slow_minutes);
    open->SetExplain("window", FormatDuration(settings_.slow_window));
  }
  samples_.AddTo(key, time, client.slow.get(), *open);
  Raise("minutes", minutes, &client.slow->peak, *open);
  context.episodes->Announce(*open);
}

void UnauthorizedBurst::JudgeSpray(const Failure& failure, Place& place,
                                   JudgeContext& context) {
  const EventTime now = failure.refusal.time;
  const auto clients = static_cast<int64_t>(
      spray_.Add(place.prefix.empty() ? failure.group.client : place.prefix,
                 failure.group.client_internal, failure.refusal.agent, now,
                 failure.weight, &place.unit));
  if (clients < settings_.spray_clients) return;
  Episode* open =
      context.episodes->Touch(kName, kSpray, "", now, &spray_told_.episode);
  if (open == nullptr) {
    open = &OpenSpray(failure, context);
  } else if (open->severity != Severity::kLow) {
    // Once an attack, it is one.
    Episodes::Extend(*open, now, failure.weight, open->severity, "");
  } else {
    const Severity severity =
        LooksLikeRotation(spray_.state()) ? Severity::kLow : Severity::kMedium;
    Episodes::Extend(*open, now, failure.weight, severity, kSpray);
    if (open->severity != Severity::kLow) {
      open->SetExplain("looks_like", std::string("attack"));
    }
  }
  if (now >= spray_told_.evidence_until) {
    samples_.AddTo(kAllClients, now, &spray_told_, *open);
  }
  Raise("distinct_clients", clients, &spray_told_.peak, *open);
  context.episodes->Announce(*open);
}

bool UnauthorizedBurst::LooksLikeRotation(const Spray::State& spray) const {
  const auto most = [&](size_t part) {
    return 100 * static_cast<int64_t>(part) >=
           settings_.rotation_percent * static_cast<int64_t>(spray.clients);
  };
  return most(spray.internal) && most(spray.single_agent);
}

Episode& UnauthorizedBurst::OpenSpray(const Failure& failure,
                                      JudgeContext& context) {
  const Spray::State spray = spray_.state();
  const bool rotation = LooksLikeRotation(spray);
  spray_told_ = Told();
  Episode& open = context.episodes->Add(
      {kName, kSpray, {}, false}, settings_.quiet,
      Opening(failure, {spray.failures, spray.first_time},
              rotation ? Severity::kLow : Severity::kMedium, kSpray),
      &spray_told_.episode);
  open.SetExplain("looks_like",
                  std::string(rotation ? "key rotation" : "attack"));
  open.SetExplain("threshold_clients", settings_.spray_clients);
  open.SetExplain("window", FormatDuration(settings_.spray_window));
  return open;
}

void UnauthorizedBurst::OnLoginFailed(const Deed& deed, JudgeContext& context) {
  Episode* const open = password_spray_.Add(deed, context);
  if (open == nullptr) return;
  Told told;
  samples_.AddTo(deed.client, deed.time, &told, *open);
  context.episodes->Announce(*open);
}

void UnauthorizedBurst::OnIdentity(const Judged& judged,
                                   JudgeContext& context) {
  const Sighting& s = *judged.sighting;
  const bool total = judged.kind == JudgedKind::kTotal;
  // The mere end of a long-running request says nothing of who is there now.
  const EventTime used_last = std::max(s.flag(SightingFlag::kLetIn).last,
                                       s.flag(SightingFlag::kRefused).last);
  constexpr uint32_t kUsed =
      Bit(SightingFlag::kLetIn) | Bit(SightingFlag::kRefused);
  if (total ? used_last != kNoTime : (judged.raised & kUsed) != 0) {
    const EventTime when = total ? used_last : judged.time;
    identities_.ExpireUntil(judged.time);
    identities_.Touch(s.client, judged.time)
        .recent.Add(HashText(s.user), when,
                    static_cast<size_t>(settings_.shared_identities));
  }
  const Span& beyond = s.flag(SightingFlag::kBeyondPublic);
  if (s.trusted_proxy || !beyond.ever()) return;
  if (!total && !(judged.raised & Bit(SightingFlag::kBeyondPublic))) return;
  const EventTime time = total ? beyond.last : judged.time;
  JudgeSuccess(s.client, judged, time, context);
  const std::string prefix = IpAddress::Prefix64Of(s.client);
  if (!prefix.empty()) JudgeSuccess(prefix, judged, time, context);
}

void UnauthorizedBurst::JudgeSuccess(const std::string& key,
                                     const Judged& judged, EventTime time,
                                     JudgeContext& context) {
  const Sighting& s = *judged.sighting;
  FailingClient* client = clients_.Find(key);
  if (client == nullptr) return;
  Settle(*client, context);
  Episode* episode = OpenBurst(*client, key, time, context);
  if (episode == nullptr) return;
  const FailingClient::Burst& burst = *client->burst;
  if (time <= burst.fired) return;
  // What begins in a later minute is judged at once, the minute of the firing
  // at its end.
  const bool total = judged.kind == JudgedKind::kTotal;
  if (total != (s.minute == MinuteOf(burst.fired))) {
    // At once it may have been taken for a workload's new token because not
    // all failures before it were known, or not all of its user agents.
    if (!total) return;
    const EventTime first = s.flag(SightingFlag::kBeyondPublic).first;
    if (burst.turned >= s.minute) {
      time = first;
      if (time <= burst.turned) return;
    } else {
      time = std::max(first, AnotherAgent(s, burst));
      if (episode->rule != "workload" || time == kMaxTime) return;
    }
  }
  if (time - client->last_failure > settings_.success_within) return;
  const Identities* shared = identities_.Find(s.client);
  if (shared != nullptr &&
      static_cast<int64_t>(shared->recent.Within(
          time, settings_.success_within)) >= settings_.shared_identities) {
    return;
  }
  if (episode->rule == "workload") {
    // Its new token, as far as seen by then.
    if (AnotherAgent(s, burst) > time) return;
  }
  Contribution c;
  c.start = c.first = c.last = time;
  c.count = 0;
  c.severity = Severity::kCritical;
  c.rule = "success_after_burst";
  c.client = s.client;
  c.user = s.user;
  c.credential = s.credential;
  Episode& raised = context.episodes->Add(BurstKey(key), settings_.quiet, c);
  raised.AddExplainText("identities", s.user, 5);
  raised.AddExplainText("credentials", s.credential, 5);
  if (!raised.FindExplain("success_at")) {
    raised.SetExplain("success_at", FormatTime(time));
    raised.RequireEvidence(s.sample);
  } else {
    raised.AddEvidence(s.sample);
  }
  context.episodes->Announce(raised);
}

}  // namespace

const DetectorInfo& UnauthorizedBurstInfo() {
  static const DetectorInfo* const info = new DetectorInfo{
      .name = kName,
      .title = "Bursts and sprays of failed authentications",
      .meaning =
          "kube-apiserver answered 401: a credential was presented and was no "
          "good (garbage, expired, revoked, signed by another key: the audit "
          "log does not tell). Counted per client, for IPv6 per /64 too. A "
          "success from the same client afterwards is what an attacker "
          "wants.",
      .needs =
          "Level Metadata, and a policy that keeps stage ResponseStarted: a "
          "401 is written at no other. omitStages: [ResponseStarted] hides "
          "every one.",
      .false_positives =
          "A workload with an expired token (told apart as `workload`, low). "
          "A rotation of signing keys (spray, low). Users behind one NAT.",
      .rules =
          {{"burst", "medium; high at high_factor × threshold within window",
            "threshold failures of one client within window."},
           {"workload", "low",
            "The same from an internal client with one user agent, few paths "
            "and a steady pace."},
           {"success_after_burst", "critical",
            "An identity authenticated beyond public paths from the client of "
            "a burst, within success_within of its last failure. Not from a "
            "trusted proxy or shared address."},
           {"low_and_slow", "low, daily",
            "Failures in slow_minutes distinct minutes within slow_window."},
           {"spray", "medium; low where it looks like a key rotation",
            "spray_clients distinct clients failed within spray_window."},
           {"password_spray", "medium; high from password_names_high on",
            "password_names distinct names of one client at OpenShift's "
            "oauth-server within password_window."}},
      .options = UnauthorizedBurstOptions(),
      .mitre = {"T1110", "T1110.003"},
      .contradiction = UnauthorizedBurstContradiction,
  };
  return *info;
}

std::unique_ptr<Detector> MakeUnauthorizedBurst(const DetectorInput& input) {
  return std::make_unique<UnauthorizedBurst>(input);
}

}  // namespace klaxon
