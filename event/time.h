// Event time: the only clock that detectors know.
//
// Nanoseconds since 1970-01-01T00:00:00Z, signed, UTC, no leap seconds: what
// kube-apiserver's MicroTime carries (6 digits), with room for re-exports that
// print up to 9. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace klaxon {

using EventTime = int64_t;  // Nanoseconds since the Unix epoch.
using Nanos = int64_t;      // A span of event time, in nanoseconds.

inline constexpr EventTime kNoTime = std::numeric_limits<int64_t>::min();
inline constexpr EventTime kMaxTime = std::numeric_limits<int64_t>::max();
inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr Nanos kMinute = 60 * kSecond;
inline constexpr Nanos kHour = 60 * kMinute;
inline constexpr Nanos kDay = 24 * kHour;

// Parses RFC 3339 with 0–9 fraction digits and any offset ("Z", "+02:00").
// Lower-case 't'/'z' and a space for 'T' are accepted. Years 1678–2261 (what
// int64 nanoseconds can hold). Returns nothing for anything else.
std::optional<EventTime> ParseTime(std::string_view text);

// "2026-01-02T03:04:05.000123Z": UTC, always 6 digits (truncated, not rounded).
std::string FormatTime(EventTime time);
// "2026-01-02".
std::string FormatDate(EventTime time);
// "2026-01-02T03:04:05.000000001Z", 9 digits: where nothing may be lost.
std::string FormatTimeNanos(EventTime time);

// Start of the minute (day) that holds `time`; right for negative times too.
constexpr EventTime FloorTo(EventTime time, Nanos unit) {
  EventTime floor = time / unit * unit;
  return floor > time ? floor - unit : floor;
}
constexpr EventTime MinuteOf(EventTime time) { return FloorTo(time, kMinute); }
constexpr EventTime DayOf(EventTime time) { return FloorTo(time, kDay); }

// "60s", "10m", "24h", "30d", "1500ms", "500us"; also sums, "1h30m". Nothing
// for a missing unit, a negative or an overflowing value.
std::optional<Nanos> ParseDuration(std::string_view text);
// The shortest exact form: 60s → "60s" (never "1m": detections.md speaks of
// seconds up to 119 s), 600 s → "10m", 86 400 s → "24h", 30 days → "30d".
std::string FormatDuration(Nanos span);

}  // namespace klaxon
