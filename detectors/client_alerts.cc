#include "detectors/client_alerts.h"

#include <algorithm>
#include <memory>

#include "detectors/options.h"

namespace klaxon {
namespace {

constexpr std::string_view kDetector = "unauthorized-burst";

}  // namespace

ClientAlerts::ClientAlerts(const BurstSettings& settings,
                           FailureSamples* samples)
    : settings_(settings),
      kept_(static_cast<size_t>(std::max(settings.high, settings.threshold))),
      samples_(samples) {}

EpisodeKey ClientAlerts::BurstKey(std::string_view client) {
  return {kDetector, "burst", {{"client", std::string(client)}}, false};
}

Episode* ClientAlerts::OpenBurst(FailingClient& client, std::string_view name,
                                 EventTime now, JudgeContext& context) {
  if (client.burst == nullptr) return nullptr;
  Episode* episode = context.episodes->Touch(kDetector, "burst", name, now,
                                             &client.burst->told.episode);
  if (episode == nullptr) client.burst.reset();
  return episode;
}

bool ClientAlerts::Add(const std::string& key, FailingClient& client,
                       const Failure& failure, uint64_t source,
                       JudgeContext& context) {
  const EventTime now = failure.refusal.time;
  if (!client.window.Add({failure.refusal, source, failure.weight > 1},
                         settings_.window, kept_)) {
    return false;
  }
  client.last_failure = std::max(client.last_failure, now);
  client.minutes.Add(now, failure.weight, source, settings_.slow_window);
  JudgeBurst(key, client, failure, source, context);
  JudgeSlow(key, client, failure, source, context);
  return true;
}

void ClientAlerts::AddRow(FailingClient& client, const FailureRow& row,
                          Episode* burst, Episode* slow) {
  size_t peak = 0;
  for (uint32_t i = row.begin; i < row.end; ++i) {
    const Refusal& refusal = row.group.kept[i];
    client.window.AddNew({refusal}, settings_.window, kept_);
    peak = std::max(peak, client.window.size());
    if (burst == nullptr) continue;
    ExtendBurst(client, {row.group, refusal, i, 1, row.late}, 0, *burst);
  }
  if (burst != nullptr) TellNumbers(*client.burst, peak, *burst);
  const EventTime last = row.group.kept[row.end - 1].time;
  client.last_failure = std::max(client.last_failure, last);
  const uint32_t count = row.end - row.begin;
  client.minutes.Add(last, count, 0, settings_.slow_window);
  if (slow == nullptr) return;
  Episodes::Extend(*slow, last, count, Severity::kLow, slow->rule);
}

// Of a window that outlasts an episode there may be more than is kept one by
// one, of the episode before: the minutes tell how many.
FailingMinutes::Sum ClientAlerts::WindowThatFired(
    const FailingClient& client, const Failure& failure) const {
  if (settings_.window > settings_.quiet && !client.window.Whole(kept_)) {
    return client.minutes.Within(failure.refusal.time, settings_.window);
  }
  return {client.window.size() + failure.weight - 1,
          client.window.first_time()};
}

ClientAlerts::Grade ClientAlerts::GradeBurst(FailingClient& client,
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

void ClientAlerts::ExtendBurst(FailingClient& client, const Failure& failure,
                               uint64_t source, Episode& open) {
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

void ClientAlerts::TellNumbers(FailingClient::Burst& burst, size_t peak,
                               Episode& episode) {
  Raise("peak", static_cast<int64_t>(peak), &burst.told.peak, episode);
  Raise("distinct_user_agents", static_cast<int64_t>(burst.agents.size()),
        &burst.told.agents, episode);
  Raise("distinct_paths", static_cast<int64_t>(burst.paths.size()),
        &burst.told.paths, episode);
}

void ClientAlerts::JudgeBurst(const std::string& key, FailingClient& client,
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
  samples_->AddTo(key, now, &client.burst->told, *open);
  TellNumbers(*client.burst, client.window.size(), *open);
  context.episodes->Announce(*open);
}

void ClientAlerts::JudgeSlow(const std::string& key, FailingClient& client,
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
                      ? context.episodes->Touch(kDetector, "low_and_slow", key,
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
        {kDetector, kRule, {{"client", key}}, /*daily=*/true}, 0, c,
        &client.slow->episode);
    open->SetExplain("threshold_minutes", settings_.slow_minutes);
    open->SetExplain("window", FormatDuration(settings_.slow_window));
  }
  samples_->AddTo(key, time, client.slow.get(), *open);
  Raise("minutes", minutes, &client.slow->peak, *open);
  context.episodes->Announce(*open);
}

}  // namespace klaxon
