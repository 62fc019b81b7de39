// Typed values out of a configuration tree. Each Read… reports what is wrong
// and what would be right at the node's place and returns false, or writes
// `*value` and returns true.
//
// Pure functions but for `problems`; any thread that owns those.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_tree.h"
#include "detectors/options.h"
#include "event/address.h"
#include "event/time.h"

namespace klaxon {

bool ReadText(const ConfigNode& node, ConfigProblems* problems,
              std::string* value);
bool ReadBool(const ConfigNode& node, ConfigProblems* problems, bool* value);
// A whole number within [min, max].
bool ReadCount(const ConfigNode& node, int64_t min, int64_t max,
               ConfigProblems* problems, int64_t* value);
// Likewise, "80" or "80%".
bool ReadPercent(const ConfigNode& node, int64_t min, int64_t max,
                 ConfigProblems* problems, int64_t* value);
// "60s 10m 24h 30d", within [min, max] nanoseconds.
bool ReadDuration(const ConfigNode& node, Nanos min, Nanos max,
                  ConfigProblems* problems, Nanos* value);
// "512MiB" (B KiB MiB GiB TiB), within [min, max] bytes.
bool ReadSize(const ConfigNode& node, uint64_t min, uint64_t max,
              ConfigProblems* problems, uint64_t* value);
// One of `choices`.
bool ReadChoice(const ConfigNode& node,
                std::span<const std::string_view> choices,
                ConfigProblems* problems, std::string* value);
bool ReadSeverity(const ConfigNode& node, ConfigProblems* problems,
                  Severity* value);
// "address:port"; the address may be empty, a name, an IPv4 or [IPv6].
bool ReadListenAddress(const ConfigNode& node, ConfigProblems* problems,
                       std::string* value);
// Lists report every bad item. A missing value (`key:`) is the empty list.
bool ReadTexts(const ConfigNode& node, ConfigProblems* problems,
               std::vector<std::string>* value);
bool ReadCidrs(const ConfigNode& node, ConfigProblems* problems,
               std::vector<Cidr>* value);
bool ReadAllowList(const ConfigNode& node, ConfigProblems* problems,
                   std::vector<AllowEntry>* value);

// The value of a detector's option, of the type and within the range that
// `info` says. Windows and quiet times below 60 s are refused whatever it
// says: counts are exact per minute and not below.
bool ReadOption(const ConfigNode& node, const OptionInfo& info,
                ConfigProblems* problems, OptionValue* value);
// The least value of a kDuration option that ReadOption takes.
int64_t LeastDuration(const OptionInfo& info);

// An RFC 3339 time, or a date: that day's start, or its end (`day_end`: the
// first instant of the next day), UTC. Nothing for all else.
std::optional<EventTime> ParseTimeOrDate(std::string_view text, bool day_end);

// As the configuration writes it: "512MiB", "1000B".
std::string FormatSize(uint64_t bytes);
// As the configuration writes it, on one line: "[10.0.0.0/8]", "60s".
std::string FormatOption(const OptionInfo& info, const OptionValue& value);
// "[a, b]", quoted where YAML would read anything but a text.
std::string FormatTexts(std::span<const std::string> texts);
// "duration, 60s to 7d", "list of CIDRs": type and range in words.
std::string OptionTypeWords(const OptionInfo& info);
// A value that shows how one is written: the default, or where that is an
// empty list, one with an item.
std::string ExampleOption(const OptionInfo& info);

}  // namespace klaxon
