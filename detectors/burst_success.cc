#include "detectors/burst_success.h"

#include <xxhash.h>

#include <algorithm>
#include <cstddef>

#include "detectors/client_alerts.h"

namespace klaxon {
namespace {

// When a user agent that is not the workload's came. kMaxTime: none did.
EventTime AnotherAgent(const Sighting& s, const FailingClient::Burst& burst) {
  for (const auto& [first, agent] : s.agents) {
    if (burst.agents.size() != 1 || agent != burst.agents.front()) return first;
  }
  return kMaxTime;
}

}  // namespace

BurstSuccess::BurstSuccess(const BurstSettings& settings, uint64_t keys_max)
    : settings_(settings),
      identities_({.name = "unauthorized-burst/identities",
                   .keys_max = keys_max,
                   .expiry = settings.success_within + kMinute}) {}

void BurstSuccess::See(const Judged& judged) {
  const Sighting& s = *judged.sighting;
  const bool total = judged.kind == JudgedKind::kTotal;
  // The mere end of a long-running request says nothing of who is there now.
  const EventTime used_last = std::max(s.flag(SightingFlag::kLetIn).last,
                                       s.flag(SightingFlag::kRefused).last);
  constexpr uint32_t kUsed =
      Bit(SightingFlag::kLetIn) | Bit(SightingFlag::kRefused);
  if (total ? used_last == kNoTime : (judged.raised & kUsed) == 0) return;
  identities_.ExpireUntil(judged.time);
  identities_.Touch(s.client, judged.time)
      .Add(XXH3_64bits(s.user.data(), s.user.size()),
           total ? used_last : judged.time,
           static_cast<size_t>(settings_.shared_identities));
}

EventTime BurstSuccess::TimeOf(const Judged& judged) {
  const Sighting& s = *judged.sighting;
  const Span& beyond = s.flag(SightingFlag::kBeyondPublic);
  if (s.trusted_proxy || !beyond.ever()) return kNoTime;
  if (judged.kind == JudgedKind::kTotal) return beyond.last;
  return judged.raised & Bit(SightingFlag::kBeyondPublic) ? judged.time
                                                          : kNoTime;
}

void BurstSuccess::Judge(const std::string& key, const FailingClient& client,
                         const Episode& open, const Judged& judged,
                         EventTime time, JudgeContext& context) {
  const Sighting& s = *judged.sighting;
  const FailingClient::Burst& burst = *client.burst;
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
      if (open.rule != "workload" || time == kMaxTime) return;
    }
  }
  if (time - client.last_failure > settings_.success_within) return;
  const RecentIdentities* shared = identities_.Find(s.client);
  if (shared != nullptr &&
      static_cast<int64_t>(shared->Within(time, settings_.success_within)) >=
          settings_.shared_identities) {
    return;
  }
  if (open.rule == "workload") {
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
  Episode& raised =
      context.episodes->Add(ClientAlerts::BurstKey(key), settings_.quiet, c);
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

}  // namespace klaxon
