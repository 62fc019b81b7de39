// What unauthorized-burst is, and its options.
#include "detectors/unauthorized_burst.h"

namespace klaxon {
namespace {

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
      .name = "unauthorized-burst",
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

}  // namespace klaxon
