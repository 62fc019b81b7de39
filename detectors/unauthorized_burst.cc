#include "detectors/unauthorized_burst.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "detectors/failing_client.h"
#include "event/address.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "unauthorized-burst";

uint64_t HashText(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

// The /64 of an IPv6 client; empty for IPv4 and "unknown".
std::string PrefixOf(const std::string& client) {
  if (client.find(':') == std::string::npos) return "";
  const auto address = IpAddress::Parse(client);
  return address && !address->is_v4() ? address->Prefix64() : "";
}

// The earliest failure of each of the last minutes, for evidence of a window
// that reaches back. Encoded: a flood of clients leaves one each.
struct RecentSamples {
  struct Minute {
    EventTime time = kNoTime;  // Of the sample.
    uint64_t order = 0;
    std::string bytes;
  };
  std::vector<Minute> minutes;  // By time.
  void Add(const EventSample& sample, size_t keep) {
    Minute* at = nullptr;
    for (Minute& held : minutes) {
      if (MinuteOf(held.time) != MinuteOf(sample.time)) continue;
      if (std::pair(held.time, held.order) <=
          std::pair(sample.time, sample.order)) {
        return;
      }
      at = &held;
    }
    if (at == nullptr) {
      if (minutes.size() >= keep) minutes.erase(minutes.begin());
      at = &minutes.emplace_back();
    }
    at->time = sample.time;
    at->order = sample.order;
    at->bytes.clear();
    WireWriter w(&at->bytes);
    PutSample(sample, &w);
    at->bytes.shrink_to_fit();
  }
  void Save(WireWriter* out) const {
    out->Uint(minutes.size());
    for (const Minute& minute : minutes) out->Text(minute.bytes);
  }
  void Load(WireReader* in) {
    minutes.clear();
    for (uint64_t n = in->Count(); n > 0; --n) {
      const std::string_view bytes = in->Text();
      WireReader r(bytes);
      EventSample sample;
      GetSample(&r, &sample);
      minutes.push_back({sample.time, sample.order, std::string(bytes)});
    }
  }
};
// Key of the samples of all clients together; no client has this name.
constexpr std::string_view kAllClients = "*";

struct Identities {
  RecentIdentities recent;
  void Save(WireWriter* out) const { recent.Save(out); }
  void Load(WireReader* in) { recent.Load(in); }
};

struct Settings {
  explicit Settings(const DetectorOptions& options)
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
        workload_paths(options.GetCount("workload_paths")) {}
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
};

class UnauthorizedBurst final : public Detector {
 public:
  explicit UnauthorizedBurst(const DetectorInput& input)
      : settings_(*input.options),
        clients_({.name = "unauthorized-burst/clients",
                  .keys_max = input.keys_max,
                  .expiry = std::max(settings_.slow_window, settings_.window)}),
        samples_({.name = "unauthorized-burst/samples",
                  .keys_max = input.keys_max,
                  .expiry = std::max(settings_.window, settings_.spray_window) +
                            kMinute}),
        identities_({.name = "unauthorized-burst/identities",
                     .keys_max = input.keys_max,
                     .expiry = settings_.success_within + kMinute}),
        spray_(input.keys_max, settings_.spray_window),
        state_{&clients_, &samples_, &identities_, &spray_} {}

  void Judge(const Judged& judged, JudgeContext& context) override {
    if (judged.sighting != nullptr) {
      OnIdentity(judged, context);
    } else if (judged.kind == JudgedKind::kRefusal) {
      RememberSample(judged);
      OnFailure(*judged.group, *judged.refusal, 1, context);
    } else if (judged.kind == JudgedKind::kTotal && judged.group != nullptr) {
      OnRest(judged, context);
    }
  }

  AlertText Describe(const Episode& episode) const override;
  std::span<Persistent* const> state() override { return state_; }

 private:
  static EpisodeKey BurstKey(std::string_view client) {
    return {kName, "burst", {{"client", std::string(client)}}, false};
  }
  // Null: `client` has no open burst.
  Episode* OpenBurst(FailingClient& client, std::string_view name,
                     EventTime now, JudgeContext& context) {
    if (client.fired == kNoTime) return nullptr;
    Episode* episode = context.episodes->Touch(kName, "burst", name, now);
    if (episode == nullptr) {
      client.fired = kNoTime;
      client.agents.Clear();
      client.paths.Clear();
    }
    return episode;
  }

  void RememberSample(const Judged& judged);
  void OnRest(const Judged& judged, JudgeContext& context);
  void OnFailure(const RefusalGroup& group, const Refusal& refusal,
                 uint64_t weight, JudgeContext& context);
  // One failure of a key: an address, or the /64 of one (`source` its hash).
  // False: the request was counted before.
  bool OnKey(const std::string& key, const RefusalGroup& group,
             const Refusal& refusal, uint64_t source, uint64_t weight,
             JudgeContext& context);
  void JudgeBurst(const std::string& key, FailingClient& client,
                  const RefusalGroup& group, const Refusal& refusal,
                  uint64_t weight, JudgeContext& context);
  void JudgeSlow(const std::string& key, FailingClient& client,
                 const RefusalGroup& group, EventTime time, uint64_t weight,
                 JudgeContext& context);
  void JudgeSpray(const RefusalGroup& group, const std::string& unit,
                  const Refusal& refusal, uint64_t weight,
                  JudgeContext& context);
  void AddSamples(std::string_view key, EventTime now, Episode& episode);

  void OnIdentity(const Judged& judged, JudgeContext& context);
  void JudgeSuccess(const std::string& key, const Judged& judged,
                    EventTime time, JudgeContext& context);

  const Settings settings_;
  Table<FailingClient> clients_;  // Addresses and /64s.
  Table<RecentSamples> samples_;
  Table<Identities> identities_;
  Spray spray_;
  std::vector<Persistent*> state_;
};

void UnauthorizedBurst::RememberSample(const Judged& judged) {
  if (!judged.first_of_group) return;
  const RefusalGroup& group = *judged.group;
  samples_.ExpireUntil(judged.time);
  const auto minutes = [](Nanos window) {
    return static_cast<size_t>(window / kMinute) + 1;
  };
  const std::string prefix = PrefixOf(group.client);
  for (std::string_view key :
       {std::string_view(group.client), std::string_view(prefix)}) {
    if (key.empty()) continue;
    samples_.Touch(key, judged.time)
        .Add(group.sample, minutes(settings_.window));
  }
  samples_.Touch(kAllClients, judged.time)
      .Add(group.sample, minutes(settings_.spray_window));
}

void UnauthorizedBurst::OnRest(const Judged& judged, JudgeContext& context) {
  const RefusalGroup& group = *judged.group;
  const std::string prefix = PrefixOf(group.client);
  if (judged.rest_begin < group.kept.size()) {
    // What was dropped between the first and the last N: its agents and paths.
    for (const std::string* key : {&group.client, &prefix}) {
      FailingClient* client = key->empty() ? nullptr : clients_.Find(*key);
      if (client == nullptr || client->fired == kNoTime) continue;
      for (uint64_t agent : group.agents) client->agents.Add(agent);
      for (uint64_t path : group.paths) client->paths.Add(path);
    }
  }
  uint64_t weight = 1 + group.dropped;
  for (size_t i = judged.rest_begin; i < group.kept.size(); ++i) {
    OnFailure(group, group.kept[i], weight, context);
    weight = 1;
  }
  if (group.claimed_ips.empty()) return;
  for (const std::string* key : {&group.client, &prefix}) {
    if (key->empty()) continue;
    if (Episode* e = context.episodes->Find(BurstKey(*key), judged.time)) {
      e->claimed_ips.Merge(group.claimed_ips);
    }
  }
}

void UnauthorizedBurst::OnFailure(const RefusalGroup& group,
                                  const Refusal& refusal, uint64_t weight,
                                  JudgeContext& context) {
  clients_.ExpireUntil(refusal.time);
  if (!OnKey(group.client, group, refusal, 0, weight, context)) return;
  const std::string prefix = PrefixOf(group.client);
  JudgeSpray(group, prefix.empty() ? group.client : prefix, refusal, weight,
             context);
  if (prefix.empty()) return;
  // The /64 counts only addresses that have no alert of their own.
  const uint64_t source = HashText(group.client);
  FailingClient* own = clients_.Find(group.client);
  const bool alerted =
      own != nullptr &&
      (OpenBurst(*own, group.client, refusal.time, context) != nullptr ||
       own->slow_day == DayOf(refusal.time));
  if (!alerted) {
    OnKey(prefix, group, refusal, source, weight, context);
  } else if (FailingClient* whole = clients_.Find(prefix)) {
    whole->window.RemoveSource(source);
    whole->minutes.RemoveSource(source);
  }
}

bool UnauthorizedBurst::OnKey(const std::string& key, const RefusalGroup& group,
                              const Refusal& refusal, uint64_t source,
                              uint64_t weight, JudgeContext& context) {
  FailingClient& client = clients_.Touch(key, refusal.time);
  if (!client.window.Add(
          {refusal, source, weight > 1}, settings_.window,
          static_cast<size_t>(std::max(settings_.high, settings_.threshold)))) {
    return false;
  }
  client.last_failure = std::max(client.last_failure, refusal.time);
  client.minutes.Add(refusal.time, weight, source, settings_.slow_window);
  JudgeBurst(key, client, group, refusal, weight, context);
  JudgeSlow(key, client, group, refusal.time, weight, context);
  return true;
}

void UnauthorizedBurst::JudgeBurst(const std::string& key,
                                   FailingClient& client,
                                   const RefusalGroup& group,
                                   const Refusal& refusal, uint64_t weight,
                                   JudgeContext& context) {
  const EventTime now = refusal.time;
  Episode* open = OpenBurst(client, key, now, context);
  const auto size = static_cast<int64_t>(client.window.size());
  if (!open && size < settings_.threshold) return;
  if (open) {
    client.agents.Add(refusal.agent);
    client.paths.Add(refusal.path);
  } else {
    client.fired = now;
    for (const FailureWindow::Entry& entry : client.window.entries()) {
      client.agents.Add(entry.refusal.agent);
      client.paths.Add(entry.refusal.path);
    }
  }
  const bool workload =
      group.client_internal && client.agents.size() <= 1 &&
      static_cast<int64_t>(client.paths.size()) <= settings_.workload_paths &&
      client.window.Steady();
  Contribution c;
  c.start = now;
  c.first = open ? now : client.window.first_time();
  c.last = now;
  c.count = open ? weight : client.window.size() + weight - 1;
  c.severity = workload                 ? Severity::kLow
               : size >= settings_.high ? Severity::kHigh
                                        : Severity::kMedium;
  c.rule = workload ? "workload" : "burst";
  c.client = group.client;
  if (open != nullptr) {
    context.episodes->Extend(*open, c);
  } else {
    open = &context.episodes->Add(BurstKey(key), settings_.quiet, c);
    open->SetExplain("threshold", settings_.threshold);
    open->SetExplain("window", FormatDuration(settings_.window));
  }
  Episode& episode = *open;
  AddSamples(key, now, episode);
  episode.RaiseExplain("peak", size);
  episode.RaiseExplain("distinct_user_agents",
                       static_cast<int64_t>(client.agents.size()));
  episode.RaiseExplain("distinct_paths",
                       static_cast<int64_t>(client.paths.size()));
  context.episodes->Announce(episode);
}

void UnauthorizedBurst::AddSamples(std::string_view key, EventTime now,
                                   Episode& episode) {
  // The first failure of a minute brings its sample.
  if (episode.evidence.size() == Episode::kEvidenceMax ||
      (!episode.evidence.empty() &&
       MinuteOf(episode.evidence.back().time) >= MinuteOf(now))) {
    return;
  }
  const RecentSamples* recent = samples_.Find(key);
  if (recent == nullptr) return;
  for (const RecentSamples::Minute& minute : recent->minutes) {
    // Of an earlier minute than the episode's first: not of its window.
    if (MinuteOf(minute.time) < MinuteOf(episode.first_seen)) continue;
    WireReader r(minute.bytes);
    EventSample sample;
    GetSample(&r, &sample);
    episode.AddEvidence(sample);
  }
}

void UnauthorizedBurst::JudgeSlow(const std::string& key, FailingClient& client,
                                  const RefusalGroup& group, EventTime time,
                                  uint64_t weight, JudgeContext& context) {
  if (client.slow_day != DayOf(time) &&
      static_cast<int64_t>(client.minutes.entries()) < settings_.slow_minutes) {
    return;
  }
  Episode* open =
      client.slow_day == DayOf(time)
          ? context.episodes->Touch(kName, "low_and_slow", key, time)
          : nullptr;
  const auto minutes = static_cast<int64_t>(client.minutes.DistinctMinutes());
  if (open == nullptr && minutes < settings_.slow_minutes) return;
  Contribution c;
  c.start = time;
  c.first = open ? time : client.minutes.first_time();
  c.last = time;
  c.count = open ? weight : client.minutes.Failures();
  c.severity = Severity::kLow;
  c.rule = "low_and_slow";
  c.client = group.client;
  client.slow_day = DayOf(time);
  if (open != nullptr) {
    context.episodes->Extend(*open, c);
  } else {
    open = &context.episodes->Add(
        {kName, "low_and_slow", {{"client", key}}, /*daily=*/true}, 0, c);
    open->SetExplain("threshold_minutes", settings_.slow_minutes);
    open->SetExplain("window", FormatDuration(settings_.slow_window));
  }
  AddSamples(key, time, *open);
  open->RaiseExplain("minutes", minutes);
  context.episodes->Announce(*open);
}

void UnauthorizedBurst::JudgeSpray(const RefusalGroup& group,
                                   const std::string& unit,
                                   const Refusal& refusal, uint64_t weight,
                                   JudgeContext& context) {
  const Spray::State state = spray_.Add(unit, group.client_internal,
                                        refusal.agent, refusal.time, weight);
  const auto clients = static_cast<int64_t>(state.clients);
  if (clients < settings_.spray_clients) return;
  const bool rotation = 100 * static_cast<int64_t>(state.internal) >=
                            settings_.rotation_percent * clients &&
                        100 * static_cast<int64_t>(state.single_agent) >=
                            settings_.rotation_percent * clients;
  Episode* open = context.episodes->Touch(kName, "spray", "", refusal.time);
  Contribution c;
  c.start = refusal.time;
  c.first = open ? refusal.time : state.first_time;
  c.last = refusal.time;
  c.count = open ? weight : state.failures;
  c.severity = rotation ? Severity::kLow : Severity::kMedium;
  c.rule = "spray";
  if (open != nullptr) {
    const Severity before = open->severity;
    context.episodes->Extend(*open, c);
    if (open->severity != before) {
      open->SetExplain("looks_like", std::string("attack"));
    }
  } else {
    open =
        &context.episodes->Add({kName, "spray", {}, false}, settings_.quiet, c);
    open->SetExplain("looks_like",
                     std::string(rotation ? "key rotation" : "attack"));
    open->SetExplain("threshold_clients", settings_.spray_clients);
    open->SetExplain("window", FormatDuration(settings_.spray_window));
  }
  AddSamples(kAllClients, refusal.time, *open);
  open->RaiseExplain("distinct_clients", clients);
  context.episodes->Announce(*open);
}

void UnauthorizedBurst::OnIdentity(const Judged& judged,
                                   JudgeContext& context) {
  const Sighting& s = *judged.sighting;
  const bool total = judged.kind == JudgedKind::kTotal;
  if (total || judged.new_key) {
    const EventTime when = total ? s.seen.last : judged.time;
    identities_.ExpireUntil(judged.time);
    identities_.Touch(s.client, judged.time).recent.Add(HashText(s.user), when);
  }
  const Span& beyond = s.flag(SightingFlag::kBeyondPublic);
  if (s.trusted_proxy || !beyond.ever()) return;
  if (!total && !(judged.raised & Bit(SightingFlag::kBeyondPublic))) return;
  const EventTime time = total ? beyond.last : judged.time;
  JudgeSuccess(s.client, judged, time, context);
  const std::string prefix = PrefixOf(s.client);
  if (!prefix.empty()) JudgeSuccess(prefix, judged, time, context);
}

void UnauthorizedBurst::JudgeSuccess(const std::string& key,
                                     const Judged& judged, EventTime time,
                                     JudgeContext& context) {
  const Sighting& s = *judged.sighting;
  FailingClient* client = clients_.Find(key);
  if (client == nullptr) return;
  Episode* episode = OpenBurst(*client, key, time, context);
  if (episode == nullptr || time <= client->fired) return;
  // What begins in a later minute is judged at once, the minute of the firing
  // at its end.
  const bool same_minute = s.minute == MinuteOf(client->fired);
  if (same_minute != (judged.kind == JudgedKind::kTotal)) return;
  if (time - client->last_failure > settings_.success_within) return;
  const Identities* shared = identities_.Find(s.client);
  if (shared != nullptr &&
      static_cast<int64_t>(shared->recent.Within(
          time, settings_.success_within)) >= settings_.shared_identities) {
    return;
  }
  if (episode->rule == "workload") {
    const bool new_token =
        std::all_of(s.agents.begin(), s.agents.end(), [&](const auto& agent) {
          return agent.first > time ||
                 (client->agents.size() == 1 &&
                  agent.second == client->agents.values().front());
        });
    if (new_token) return;
  }
  Contribution c;
  c.start = c.first = c.last = time;
  c.count = 0;
  c.severity = Severity::kCritical;
  c.rule = "success_after_burst";
  c.client = s.client;
  c.user = s.user;
  c.credential = s.credential;
  c.sample = &s.sample;
  Episode& raised = context.episodes->Add(BurstKey(key), settings_.quiet, c);
  raised.AddExplainText("identities", s.user, 5);
  raised.AddExplainText("credentials", s.credential, 5);
  if (!raised.FindExplain("success_at")) {
    raised.SetExplain("success_at", FormatTime(time));
  }
  context.episodes->Announce(raised);
}

// "12 s", for a person.
std::string Elapsed(const Episode& episode) {
  const Nanos span = episode.last_seen - episode.first_seen;
  if (span < kSecond) return "under 1 s";
  if (span < 2 * kMinute) return fmt::format("{} s", span / kSecond);
  if (span < 2 * kHour) return fmt::format("{} min", span / kMinute);
  return fmt::format("{} h", span / kHour);
}

AlertText DescribeSpray(const Episode& episode, const Settings& settings) {
  AlertText text;
  const int64_t clients = episode.ExplainInt("distinct_clients");
  const bool attack = episode.ExplainText("looks_like") == "attack";
  text.title = fmt::format(
      "Failed authentications from {} clients at once: looks like {}", clients,
      attack ? "an attack" : "a key rotation");
  text.summary = fmt::format(
      "{} clients failed to authenticate within {} ({} failures). {}", clients,
      FormatDuration(settings.spray_window), episode.count,
      attack ? "They are spread like a password or token spray."
             : "Nearly all are internal and keep to one user agent each, as "
               "after a rotation of the signing key or CA.");
  text.remediation = {
      attack ? "Block the sources; check whether any of them succeeded since."
             : "If keys were rotated, restart the workloads that still use old "
               "tokens; if not, treat it as an attack."};
  return text;
}

AlertText DescribeSlow(const Episode& episode, const Settings& settings) {
  AlertText text;
  text.title =
      fmt::format("Failed authentications in {} different minutes from {}",
                  episode.ExplainInt("minutes"), episode.key[0].second);
  text.summary = fmt::format(
      "{} failures within {}, in {} different minutes: patience, not speed.",
      episode.count, FormatDuration(settings.slow_window),
      episode.ExplainInt("minutes"));
  text.remediation = {
      "If it is a workload with an expired token, restart it; else block the "
      "source."};
  return text;
}

AlertText DescribeWorkload(const Episode& episode) {
  AlertText text;
  const std::string& who = episode.key[0].second;
  text.title = fmt::format(
      "Workload with an expired token? {} failed authentications from {}",
      episode.count, who);
  text.summary = fmt::format(
      "An internal client repeats {} path(s) with one user agent at a steady "
      "pace and fails each time.",
      episode.ExplainInt("distinct_paths"));
  text.remediation = {
      fmt::format("kubectl get pods -A -o wide | grep -wF '{}'", who),
      "Restart that pod so that it gets a new token."};
  return text;
}

AlertText DescribeBurst(const Episode& episode, const Settings& settings) {
  AlertText text;
  const std::string& who = episode.key[0].second;
  const int64_t paths = episode.ExplainInt("distinct_paths");
  text.title = fmt::format("{} failed authentications in {} from {}",
                           episode.count, Elapsed(episode), who);
  text.summary = fmt::format(
      "{} within {} (threshold {}), with {} user agent(s) and {}{} path(s).",
      // No more than that are kept of one client.
      episode.ExplainInt("peak") >= settings.high
          ? fmt::format("{} or more", episode.ExplainInt("peak"))
          : fmt::format("At most {}", episode.ExplainInt("peak")),
      FormatDuration(settings.window), settings.threshold,
      episode.ExplainInt("distinct_user_agents"), paths,
      paths >= static_cast<int64_t>(FewDistinct::kMax) ? " or more" : "");
  text.remediation = {
      "Block the client, and find which credential it tried: kube-apiserver's "
      "own log says why (\"Unable to authenticate the request\")."};
  if (episode.rule != "success_after_burst") return text;
  const std::string user(episode.user.value());
  text.title = fmt::format("Success after {} failed authentications from {}{}",
                           episode.count, who, user.empty() ? "" : ": " + user);
  text.summary +=
      " Then an identity authenticated from there: one of the credentials "
      "tried was good, or another was stolen.";
  text.remediation.insert(
      text.remediation.begin(),
      "Revoke the credential that succeeded (delete the pod or Secret of a "
      "token, disable the user) and look at what it did.");
  return text;
}

AlertText UnauthorizedBurst::Describe(const Episode& episode) const {
  if (episode.rule == "spray") return DescribeSpray(episode, settings_);
  if (episode.rule == "low_and_slow") return DescribeSlow(episode, settings_);
  if (episode.rule == "workload") return DescribeWorkload(episode);
  return DescribeBurst(episode, settings_);
}

std::string Contradiction(const DetectorOptions& options,
                          std::string_view* option) {
  if (options.GetDuration("slow_window") < options.GetDuration("window")) {
    *option = "slow_window";
    return "slow_window is shorter than window; it must be longer";
  }
  if (options.GetDuration("slow_window") / kMinute + 1 <
      options.GetCount("slow_minutes")) {
    *option = "slow_minutes";
    return "slow_minutes is more than slow_window has minutes";
  }
  if (options.GetCount("threshold") * options.GetCount("high_factor") >
      10'000) {
    *option = "high_factor";
    return "threshold × high_factor is above 10000, more than can be kept of "
           "one client";
  }
  return "";
}

std::vector<OptionInfo> Options() {
  return {
      {"threshold", OptionType::kCount, int64_t{10},
       "Failures of one client within the window.", 2, 10'000},
      {"window", OptionType::kDuration, Duration{kMinute}, "Sliding window.",
       kMinute, kDay},
      {"high_factor", OptionType::kCount, int64_t{10},
       "This many times the threshold within the window is high.", 1, 1000},
      {"quiet", OptionType::kDuration, Duration{10 * kMinute},
       "An episode ends after this long without another failure.", kMinute,
       7 * kDay},
      {"slow_minutes", OptionType::kCount, int64_t{30},
       "Distinct minutes with a failure that make low_and_slow.", 2, 10'080},
      {"slow_window", OptionType::kDuration, Duration{kDay},
       "Window of low_and_slow.", kHour, 7 * kDay},
      {"spray_clients", OptionType::kCount, int64_t{20},
       "Distinct clients (IPv6: /64s) that make a spray.", 2, 100'000},
      {"spray_window", OptionType::kDuration, Duration{5 * kMinute},
       "Window of spray.", kMinute, kDay},
      {"rotation_percent", OptionType::kPercent, int64_t{80},
       "A spray looks like a key rotation from this share of internal "
       "clients, and of clients with a single user agent, on.",
       1, 100},
      {"success_within", OptionType::kDuration, Duration{10 * kMinute},
       "How long after the last failure a success counts.", kMinute, kDay},
      {"shared_identities", OptionType::kCount, int64_t{5},
       "From this many named identities within success_within on, an address "
       "is shared, and a success says nothing.",
       2, 12},
      {"workload_paths", OptionType::kCount, int64_t{5},
       "Most distinct paths of a workload with an expired token.", 1, 7},
  };
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
            "spray_clients distinct clients failed within spray_window."}},
      .options = Options(),
      .mitre = {"T1110", "T1110.003"},
      .contradiction = Contradiction,
  };
  return *info;
}

std::unique_ptr<Detector> MakeUnauthorizedBurst(const DetectorInput& input) {
  return std::make_unique<UnauthorizedBurst>(input);
}

}  // namespace klaxon
