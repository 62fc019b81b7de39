#include "detectors/password_spray.h"

#include <string>
#include <string_view>

namespace klaxon {
namespace {

constexpr std::string_view kDetector = "unauthorized-burst";
// Of a name that was tried, and of these, what an alert shows.
constexpr size_t kNameMax = 128;
constexpr size_t kNamesShown = 20;

}  // namespace

PasswordSpray::PasswordSpray(const BurstSettings& settings, uint64_t keys_max)
    : settings_(settings),
      names_({.name = "unauthorized-burst/names",
              .keys_max = keys_max,
              .expiry = settings.password_window + kMinute}) {}

void PasswordSpray::Observe(const RequestView& request, DeedWriter& out) {
  if (!(request.traits & kTraitLoginFailed)) return;
  const std::string_view name =
      request.event->Annotation("authentication.openshift.io/username");
  out.Add(request, kDetector).fields = {
      {"name", std::string(name.substr(0, kNameMax))}};
}

Episode* PasswordSpray::Add(const Deed& deed, JudgeContext& context) {
  names_.ExpireUntil(deed.time);
  TriedNames& tried = names_.Touch(deed.client, deed.time);
  tried.Add(deed.time, deed.field("name"), settings_.password_window);
  const EpisodeKey key{
      kDetector, "password_spray", {{"client", deed.client}}, false};
  const bool open = context.episodes->Find(key, deed.time) != nullptr;
  const auto distinct = static_cast<int64_t>(tried.names().size());
  if (!open && distinct < settings_.password_names) return nullptr;
  Contribution c;
  c.start = c.last = deed.time;
  c.first = open ? deed.time : tried.first_time();
  c.count = open ? 1 : tried.attempts();
  c.severity = distinct >= settings_.password_names_high ? Severity::kHigh
                                                         : Severity::kMedium;
  c.rule = "password_spray";
  c.client = deed.client;
  c.claimed_ips = &deed.claimed_ips;
  Episode& episode = context.episodes->Add(key, settings_.quiet, c);
  if (!open) {
    episode.SetExplain("threshold_names", settings_.password_names);
    episode.SetExplain("window", FormatDuration(settings_.password_window));
  }
  for (const TriedNames::Name& name : tried.names()) {
    episode.AddExplainText("names", name.text, kNamesShown);
  }
  episode.RaiseExplain("distinct_names", distinct);
  return &episode;
}

}  // namespace klaxon
