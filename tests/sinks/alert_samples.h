// Alerts for the tests of the sinks.
#pragma once

#include <string>

#include "detectors/alert.h"

namespace klaxon {

inline constexpr EventTime kSampleStart =
    1767323045 * kSecond;  // 2026-01-02T03:04:05Z

inline std::string SampleId(int number) {
  std::string digits = std::to_string(number);
  return std::string(32 - digits.size(), '0') + digits;
}

// An alert with every field filled, and harmless.
inline Alert SampleAlert(int number = 1) {
  Alert alert;
  alert.id = SampleId(number);
  alert.detector = "unauthorized-burst";
  alert.rule = "burst";
  alert.severity = Severity::kMedium;
  alert.title = "57 failed authentications in 60 s from 203.0.113.9";
  alert.summary =
      "Somebody at 203.0.113.9 tries credentials: 57 requests were refused "
      "for want of a valid one. A workload whose token has expired looks "
      "alike, "
      "but uses one user agent at a steady pace.";
  alert.cluster = "prod-eu-1";
  alert.first_seen = kSampleStart;
  alert.last_seen = kSampleStart + 54 * kSecond;
  alert.count = 57;
  alert.key = {{"client", "203.0.113.9"}};
  alert.client = "203.0.113.9";
  alert.claimed_ips = {"1.2.3.4"};
  for (int i = 0; i < 2; ++i) {
    EventSample sample;
    sample.time = kSampleStart + i * kMinute;
    sample.code = 401;
    sample.audit_id = "7a81c0de-0000-4000-8000-00000000000" + std::to_string(i);
    sample.verb = i == 0 ? "list" : "get";
    sample.uri = i == 0 ? "/api/v1/secrets?limit=500" : "/api/v1/pods";
    sample.user_agent = "curl/8.5.0";
    sample.source_ips = {"203.0.113.9"};
    alert.evidence.push_back(sample);
  }
  alert.explain = {{"threshold", int64_t{10}},
                   {"window", "60s"},
                   {"distinct_paths", int64_t{2}}};
  alert.remediation = {"Block 203.0.113.9 before the API server.",
                       "kubectl get events -A --field-selector reason=Failed"};
  alert.owasp = {"K09:2025"};
  alert.mitre = {"T1110"};
  return alert;
}

}  // namespace klaxon
