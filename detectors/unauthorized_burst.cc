#include "detectors/unauthorized_burst.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

#include "detectors/burst_success.h"
#include "detectors/client_alerts.h"
#include "detectors/failing_client.h"
#include "detectors/failure.h"
#include "detectors/failure_samples.h"
#include "detectors/password_spray.h"
#include "detectors/spray_alert.h"
#include "detectors/unauthorized_burst_options.h"
#include "detectors/unauthorized_burst_text.h"
#include "event/address.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "unauthorized-burst";

uint64_t HashText(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
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

// What a spray counts: the address, an IPv6 one's /64.
std::string_view UnitOf(const RefusalGroup& group, const Place& place) {
  return place.prefix.empty() ? group.client : place.prefix;
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
        alerts_(settings_, &samples_),
        success_(settings_, input.keys_max),
        spray_(settings_, input.keys_max, &samples_),
        password_spray_(settings_, input.keys_max),
        state_{&clients_, samples_.state(), success_.state(), spray_.state(),
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
  void OnLoginFailed(const Deed& deed, JudgeContext& context);
  void OnIdentity(const Judged& judged, JudgeContext& context);
  void OnSuccess(const std::string& key, const Judged& judged, EventTime time,
                 JudgeContext& context);

  const BurstSettings settings_;
  Table<FailingClient> clients_;  // Addresses and /64s.
  FailureSamples samples_;
  ClientAlerts alerts_;
  BurstSuccess success_;
  SprayAlert spray_;
  PasswordSpray password_spray_;
  std::vector<Persistent*> state_;
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
  spray_.Prefetch(UnitOf(*judged.group, place));
  return place;
}

void UnauthorizedBurst::RememberSample(const Judged& judged,
                                       const Place& place) {
  const FailureSamples::Shared sample =
      samples_.Share(judged.group->sample, judged.time);
  samples_.Remember(judged.group->client, sample, settings_.window);
  if (!place.prefix.empty()) {
    samples_.Remember(place.prefix, sample, settings_.window);
  }
  samples_.Remember(FailureSamples::kAllClients, sample,
                    settings_.spray_window);
}

void UnauthorizedBurst::OnRest(const Judged& judged, Place& place,
                               JudgeContext& context) {
  Settle(place, context);
  const RefusalGroup& group = *judged.group;
  const std::array<const std::string*, 2> keys = {&group.client, &place.prefix};
  if (group.dropped > 0 && judged.rest_begin < group.kept.size()) {
    // Of those that were dropped between the first and the last N; what the
    // last have may be new only later.
    const SmallestHashes& agents = group.gone_agents;
    spray_.AddAgents(UnitOf(group, place), agents,
                     group.kept[judged.rest_begin].time, &place.unit);
    for (const std::string* key : keys) {
      FailingClient* client = key->empty() ? nullptr : clients_.Find(*key);
      if (client == nullptr) continue;
      Settle(*client, context);
      if (client->burst == nullptr) continue;
      for (uint64_t agent : agents) client->burst->agents.Add(agent);
      for (uint64_t path : group.gone_paths) client->burst->paths.Add(path);
    }
  }
  uint64_t weight = CappedSum(1, group.dropped);
  const auto end = static_cast<uint32_t>(group.kept.size());
  for (auto i = static_cast<uint32_t>(judged.rest_begin); i < end; ++i) {
    OnFailure({group, group.kept[i], i, weight, /*late=*/true}, place, context);
    weight = 1;
  }
  Settle(place, context);
  if (group.claimed_ips.empty()) return;
  for (const std::string* key : keys) {
    if (key->empty()) continue;
    if (Episode* e =
            context.episodes->Find(ClientAlerts::BurstKey(*key), judged.time)) {
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
  spray_.Add(failure, UnitOf(failure.group, place), &place.unit, context);
  if (!place.prefix.empty()) OnWhole(failure, place, *own, context);
  return true;
}

// The /64 counts only addresses that have no alert of their own.
void UnauthorizedBurst::OnWhole(const Failure& failure, Place& place,
                                FailingClient& own, JudgeContext& context) {
  const EventTime now = failure.refusal.time;
  if (ClientAlerts::OpenBurst(own, failure.group.client, now, context) ==
          nullptr &&
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
  spray_.Add(failure, UnitOf(failure.group, place), &place.unit, context);
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
  Episode* const burst = client->burst != nullptr
                             ? context.episodes->Find(waiting.burst)
                             : nullptr;
  alerts_.AddRow(*client,
                 {*waiting.group, waiting.begin, waiting.end, waiting.late},
                 burst, context.episodes->Find(waiting.slow));
}

FailingClient* UnauthorizedBurst::OnKey(const std::string& key, TableHandle* at,
                                        const Failure& failure, uint64_t source,
                                        JudgeContext& context) {
  FailingClient& client =
      clients_.Touch(key, failure.refusal.time, Settling(context), at);
  // Of another group: there is one where observations were not Klaxon's.
  Settle(client, context);
  return alerts_.Add(key, client, failure, source, context) ? &client : nullptr;
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
  success_.See(judged);
  const EventTime time = BurstSuccess::TimeOf(judged);
  if (time == kNoTime) return;
  const std::string& client = judged.sighting->client;
  OnSuccess(client, judged, time, context);
  const std::string prefix = IpAddress::Prefix64Of(client);
  if (!prefix.empty()) OnSuccess(prefix, judged, time, context);
}

void UnauthorizedBurst::OnSuccess(const std::string& key, const Judged& judged,
                                  EventTime time, JudgeContext& context) {
  FailingClient* client = clients_.Find(key);
  if (client == nullptr) return;
  Settle(*client, context);
  if (Episode* open = ClientAlerts::OpenBurst(*client, key, time, context)) {
    success_.Judge(key, *client, *open, judged, time, context);
  }
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
