#include "detectors/unauthorized_burst_options.h"

#include "detectors/tried_names.h"
#include "event/time.h"

namespace klaxon {

std::vector<OptionInfo> UnauthorizedBurstOptions() {
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
      {"password_names", OptionType::kCount, int64_t{5},
       "Distinct names of one client at OpenShift's login that make a "
       "password_spray.",
       2, static_cast<int64_t>(TriedNames::kNamesMax)},
      {"password_names_high", OptionType::kCount, int64_t{20},
       "This many of them are high.", 2,
       static_cast<int64_t>(TriedNames::kNamesMax)},
      {"password_window", OptionType::kDuration, Duration{10 * kMinute},
       "Window of password_spray.", kMinute, kDay},
  };
}

std::string UnauthorizedBurstContradiction(const DetectorOptions& options,
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
  if (options.GetCount("password_names_high") <
      options.GetCount("password_names")) {
    *option = "password_names_high";
    return "password_names_high is less than password_names";
  }
  return "";
}

}  // namespace klaxon
