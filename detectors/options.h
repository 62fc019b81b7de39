// What a detector says of itself, and the options it was given.
//
// DetectorInfo is static and immutable; it feeds the configuration's
// validation, `klaxon config`, `klaxon detectors NAME`, and the README.
// DetectorOptions is immutable once the configuration was read.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "detectors/alert.h"
#include "event/address.h"
#include "event/time.h"

namespace klaxon {

enum class OptionType : uint8_t {
  kBool,       // true | false
  kCount,      // A whole number, within [min, max].
  kPercent,    // A whole number of percent, within [min, max]; "80" or "80%".
  kDuration,   // "60s 10m 24h 30d", within [min, max] nanoseconds.
  kTextList,   // A list of strings.
  kGlobList,   // A list of files or globs, relative to the config file.
  kCidrList,   // A list of CIDRs.
  kAllowList,  // A list of {account, cidr, until} (AllowEntry).
};

// An exception with an end: {account: "ns/name", cidr: "203.0.113.0/24",
// until: "2026-12-31"}; `until` is the first instant at which it no longer
// holds (a date: that day's end, UTC) and must be given.
struct AllowEntry {
  std::string account;  // "namespace/name"; "*" in either part: any.
  Cidr cidr;
  EventTime until = kMaxTime;
  bool operator==(const AllowEntry&) const = default;
};

struct Duration {  // A duration option's value; a type of its own in variant.
  Nanos nanos = 0;
  bool operator==(const Duration&) const = default;
};

using OptionValue =
    std::variant<bool, int64_t, Duration, std::vector<std::string>,
                 std::vector<Cidr>, std::vector<AllowEntry>>;

struct OptionInfo {
  std::string_view name;
  OptionType type;
  OptionValue default_value;
  std::string_view help;  // One sentence; the unit goes without saying.
  int64_t min = 0;        // kCount, kPercent; kDuration: nanoseconds.
  int64_t max = INT64_MAX;
};

struct RuleInfo {
  std::string_view name;
  std::string_view severity;  // Words: "medium; high at 10×".
  std::string_view meaning;   // When it fires, one or two sentences.
};

class DetectorOptions;

struct DetectorInfo {
  std::string_view name;
  std::string_view title;    // One line: what it finds.
  std::string_view meaning;  // A paragraph: why it matters (K09).
  std::string_view needs;    // Audit level, version, stages it needs.
  std::string_view false_positives;
  std::vector<RuleInfo> rules;
  std::vector<OptionInfo> options;
  std::vector<std::string> mitre;
  // Contradictions between options ("threshold_high < threshold"). Empty: none;
  // else a sentence, and the option to point at.
  std::string (*contradiction)(const DetectorOptions& options,
                               std::string_view* option) = nullptr;
};

// Name → value, complete: every option of the DetectorInfo has one.
class DetectorOptions {
 public:
  DetectorOptions() = default;
  explicit DetectorOptions(const DetectorInfo& info);  // All defaults.

  void Set(std::string_view name, OptionValue value);
  // REQUIRES: the option exists and has that type.
  bool GetBool(std::string_view name) const;
  int64_t GetCount(std::string_view name) const;  // kPercent too.
  Nanos GetDuration(std::string_view name) const;
  const std::vector<std::string>& GetTexts(std::string_view name) const;
  const std::vector<Cidr>& GetCidrs(std::string_view name) const;
  const std::vector<AllowEntry>& GetAllowList(std::string_view name) const;
  bool enabled = true;  // `enabled:` of every detector.
  bool operator==(const DetectorOptions&) const = default;

 private:
  const OptionValue& Get(std::string_view name) const;
  std::map<std::string, OptionValue, std::less<>> values_;
};

// The detectors that exist, in the order in which they judge.
std::span<const DetectorInfo* const> AllDetectors();
const DetectorInfo* FindDetector(std::string_view name);  // Null: none.

}  // namespace klaxon
