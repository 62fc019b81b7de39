// An alert as sinks receive it: one revision of one episode.
//
// Plain value. interface.md ("Alert, one JSON object") is the promise; text
// fields may hold attacker-chosen bytes and are escaped for their target by
// whoever prints them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "event/observation.h"
#include "event/time.h"

namespace klaxon {

enum class Severity : uint8_t { kInfo, kLow, kMedium, kHigh, kCritical };
enum class Confidence : uint8_t { kLow, kMedium, kHigh };
enum class AlertStatus : uint8_t { kFiring, kResolved };

std::string_view SeverityName(Severity severity);
bool ParseSeverity(std::string_view name, Severity* severity);
std::string_view ConfidenceName(Confidence confidence);

using ExplainValue =
    std::variant<std::string, int64_t, std::vector<std::string>>;
using ExplainMap = std::vector<std::pair<std::string, ExplainValue>>;
using KeyFields = std::vector<std::pair<std::string, std::string>>;

struct Alert {
  std::string id;  // 32 hex digits.
  uint64_t revision = 1;
  AlertStatus status = AlertStatus::kFiring;
  std::string detector;
  std::string rule;
  Severity severity = Severity::kInfo;
  Confidence confidence = Confidence::kHigh;
  std::string title;
  std::string summary;
  std::string cluster;
  EventTime first_seen = 0;
  EventTime last_seen = 0;
  uint64_t count = 0;
  KeyFields key;
  std::string client;
  std::vector<std::string> claimed_ips;
  std::string user;
  std::string credential_id;
  std::vector<EventSample> evidence;  // At most 5, by time.
  ExplainMap explain;
  std::vector<std::string> remediation;
  std::vector<std::string> owasp;
  std::vector<std::string> mitre;
  // Event time at which the episode ended; kNoTime while firing. Not printed.
  EventTime closed = kNoTime;
};

// Appends the alert as interface.md prints it, without a newline.
void AppendJson(const Alert& alert, std::string* out);

// The order in which `scan` prints: resolved ones by (closed, id), then the
// firing ones by (first_seen, id).
bool PrintsBefore(const Alert& a, const Alert& b);

}  // namespace klaxon
