#include "detectors/spray_alert.h"

#include <string>

#include "detectors/options.h"

namespace klaxon {
namespace {

constexpr std::string_view kDetector = "unauthorized-burst";
constexpr std::string_view kRule = "spray";

}  // namespace

SprayAlert::SprayAlert(const BurstSettings& settings, uint64_t keys_max,
                       FailureSamples* samples)
    : settings_(settings),
      spray_(keys_max, settings.spray_window),
      samples_(samples) {}

void SprayAlert::Add(const Failure& failure, std::string_view unit,
                     TableHandle* at, JudgeContext& context) {
  const EventTime now = failure.refusal.time;
  const auto clients = static_cast<int64_t>(
      spray_.Add(unit, failure.group.client_internal, failure.refusal.agent,
                 now, failure.weight, at));
  if (clients < settings_.spray_clients) return;
  Episode* open =
      context.episodes->Touch(kDetector, kRule, "", now, &told_.episode);
  if (open == nullptr) {
    open = &Open(failure, context);
  } else if (open->severity != Severity::kLow) {
    // Once an attack, it is one.
    Episodes::Extend(*open, now, failure.weight, open->severity, "");
  } else {
    const Severity severity =
        LooksLikeRotation(spray_.state()) ? Severity::kLow : Severity::kMedium;
    Episodes::Extend(*open, now, failure.weight, severity, kRule);
    if (open->severity != Severity::kLow) {
      open->SetExplain("looks_like", std::string("attack"));
    }
  }
  if (now >= told_.evidence_until) {
    samples_->AddTo(FailureSamples::kAllClients, now, &told_, *open);
  }
  Raise("distinct_clients", clients, &told_.peak, *open);
  context.episodes->Announce(*open);
}

bool SprayAlert::LooksLikeRotation(const Spray::State& spray) const {
  const auto most = [&](size_t part) {
    return 100 * static_cast<int64_t>(part) >=
           settings_.rotation_percent * static_cast<int64_t>(spray.clients);
  };
  return most(spray.internal) && most(spray.single_agent);
}

Episode& SprayAlert::Open(const Failure& failure, JudgeContext& context) {
  const Spray::State spray = spray_.state();
  const bool rotation = LooksLikeRotation(spray);
  told_ = Told();
  Episode& open = context.episodes->Add(
      {kDetector, kRule, {}, false}, settings_.quiet,
      Opening(failure, {spray.failures, spray.first_time},
              rotation ? Severity::kLow : Severity::kMedium, kRule),
      &told_.episode);
  open.SetExplain("looks_like",
                  std::string(rotation ? "key rotation" : "attack"));
  open.SetExplain("threshold_clients", settings_.spray_clients);
  open.SetExplain("window", FormatDuration(settings_.spray_window));
  return open;
}

}  // namespace klaxon
