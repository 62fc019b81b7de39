#include "detectors/unauthorized_burst_text.h"

#include <fmt/format.h>

#include "detectors/failing_client.h"
#include "detectors/tried_names.h"

namespace klaxon {
namespace {

// "12 s", for a person.
std::string Elapsed(const Episode& episode) {
  const Nanos span = episode.last_seen - episode.first_seen;
  if (span < kSecond) return "under 1 s";
  if (span < 2 * kMinute) return fmt::format("{} s", span / kSecond);
  if (span < 2 * kHour) return fmt::format("{} min", span / kMinute);
  return fmt::format("{} h", span / kHour);
}

AlertText DescribeSpray(const Episode& episode, const BurstSettings& settings) {
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

AlertText DescribeSlow(const Episode& episode, const BurstSettings& settings) {
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

AlertText DescribePasswordSpray(const Episode& episode,
                                const BurstSettings& settings) {
  AlertText text;
  const int64_t names = episode.ExplainInt("distinct_names");
  const std::string_view more =
      names >= static_cast<int64_t>(TriedNames::kNamesMax) ? " or more" : "";
  text.title = fmt::format("{}{} names tried at the login from {}", names, more,
                           episode.key[0].second);
  text.summary = fmt::format(
      "{} logins failed at OpenShift's oauth-server, under {}{} names within "
      "{} (threshold {}): few passwords against many accounts.",
      episode.count, names, more, FormatDuration(settings.password_window),
      settings.password_names);
  text.remediation = {
      "Block the client; check whether it logged in with any of the names.",
      "Let the identity provider lock accounts, and ask for a second factor."};
  return text;
}

AlertText DescribeBurst(const Episode& episode, const BurstSettings& settings) {
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
  // Each failure is judged by its own window: low while that is a workload's.
  if (episode.severity == Severity::kMedium &&
      episode.ExplainInt("peak") >= settings.high) {
    text.summary +=
        " So many came while it looked like a workload with an expired token, "
        "which alone is not grave.";
  }
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

}  // namespace

AlertText DescribeUnauthorizedBurst(const Episode& episode,
                                    const BurstSettings& settings) {
  if (episode.rule == "spray") return DescribeSpray(episode, settings);
  if (episode.rule == "low_and_slow") return DescribeSlow(episode, settings);
  if (episode.rule == "workload") return DescribeWorkload(episode);
  if (episode.rule == "password_spray") {
    return DescribePasswordSpray(episode, settings);
  }
  return DescribeBurst(episode, settings);
}

}  // namespace klaxon
