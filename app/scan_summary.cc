#include "app/scan_summary.h"

#include <algorithm>
#include <iterator>

#include "app/quantity.h"
#include "event/json_writer.h"
#include "fmt/format.h"
#include "sinks/terminal_text.h"

namespace klaxon {
namespace {

constexpr std::string_view kSeverities[] = {"info", "low", "medium", "high",
                                            "critical"};

uint64_t CountOf(const std::map<std::string, uint64_t>& counts,
                 std::string_view name) {
  auto it = counts.find(std::string(name));
  return it == counts.end() ? 0 : it->second;
}

uint64_t PerSecond(uint64_t count, double seconds) {
  if (seconds <= 0) return 0;
  return static_cast<uint64_t>(static_cast<double>(count) / seconds);
}

void TimeField(std::string_view name, EventTime time, JsonWriter* json) {
  json->Key(name);
  if (time == kNoTime) {
    json->Null();
  } else {
    json->String(FormatTime(time));
  }
}

// "  found    3 alerts" : a heading of fixed width.
void Line(std::string_view heading, std::string_view text, std::string* out) {
  fmt::format_to(std::back_inserter(*out), "  {:<11}", heading);
  AppendTerminalSafe(text, out);
  *out += '\n';
}

void AppendRead(const SummaryInput& input, std::string* out) {
  const ScanSummary& scan = input.scan;
  Line("read",
       fmt::format("{}, {}, {}, {} of {}", Plural(scan.inputs, "input"),
                   FormatBytes(static_cast<double>(scan.bytes)),
                   Plural(scan.lines, "line"), Plural(scan.events, "event"),
                   Plural(scan.requests, "request")),
       out);
  if (input.interrupted) Line("", "interrupted: the rest was not read", out);
  if (scan.first_event != kNoTime) {
    Line("from",
         fmt::format("{} to {}", FormatTime(scan.first_event),
                     FormatTime(scan.last_event)),
         out);
  }
  Line("took",
       fmt::format("{:.2f} s, {}/s, {} events/s", input.seconds,
                   FormatBytes(static_cast<double>(
                       PerSecond(scan.bytes, input.seconds))),
                   FormatRate(static_cast<double>(
                       PerSecond(scan.events, input.seconds)))),
       out);
}

void AppendFound(const SummaryInput& input, std::string* out) {
  const ScanSummary& scan = input.scan;
  uint64_t total = 0;
  uint64_t most = 0;
  std::string severities;
  for (size_t i = std::size(kSeverities); i-- > 0;) {
    uint64_t count = CountOf(scan.alerts_by_severity, kSeverities[i]);
    total += count;
    if (count == 0) continue;
    severities += fmt::format("{}{} {}", severities.empty() ? ": " : ", ",
                              FormatCount(count), kSeverities[i]);
  }
  Line("found", total == 0 ? "no alerts" : Plural(total, "alert") + severities,
       out);
  for (const auto& [detector, count] : scan.alerts_by_detector) {
    most = std::max(most, count);
  }
  size_t width = FormatCount(most).size();
  for (const auto& [detector, count] : scan.alerts_by_detector) {
    Line("", fmt::format("{:>{}}  {}", FormatCount(count), width, detector),
         out);
  }
  if (input.filtered > 0) {
    Line("",
         fmt::format("{} not shown: below a minimum severity, or no sink "
                     "asks for it",
                     FormatCount(input.filtered)),
         out);
  }
  for (const std::string& file : input.alert_files) Line("written", file, out);
}

void AppendUnread(const SummaryInput& input, std::string* out) {
  const ScanSummary& scan = input.scan;
  if (scan.quarantined > 0) {
    std::string where = input.quarantine_path.empty()
                            ? "see above, or keep them with --quarantine FILE"
                            : "kept in " + input.quarantine_path;
    Line("unreadable",
         fmt::format("{} ({}); {}", Plural(scan.quarantined, "piece"),
                     FormatBytes(static_cast<double>(scan.quarantined_bytes)),
                     where),
         out);
  }
  if (scan.unreadable_inputs > 0) {
    Line("",
         fmt::format("nothing could be read of {}",
                     Plural(scan.unreadable_inputs, "input")),
         out);
  }
  if (input.gaps > 0) {
    Line("missing",
         fmt::format("input in {}; see above", Plural(input.gaps, "place")),
         out);
  }
  if (scan.odd > 0) {
    Line("odd",
         fmt::format("{} judged although oddly written",
                     Plural(scan.odd, "event")),
         out);
  }
  if (scan.evicted > 0) {
    Line("evicted",
         fmt::format("{}: more clients or credentials than state.keys_max; "
                     "raise it and scan again",
                     Plural(scan.evicted, "key")),
         out);
  }
}

}  // namespace

std::string FormatSummaryJson(const SummaryInput& input) {
  const ScanSummary& scan = input.scan;
  std::string out;
  JsonWriter json(&out);
  auto field = [&json](std::string_view name, uint64_t value) {
    json.Key(name);
    json.Uint(value);
  };
  json.BeginObject();
  json.Field("schema", "klaxon.summary/v1");
  field("bytes", scan.bytes);
  field("lines", scan.lines);
  field("events", scan.events);
  field("observations", scan.observations);
  field("quarantined", scan.quarantined);
  field("gaps", input.gaps);
  // A scan believes the stamps and waits for everything: none of these.
  field("late", 0);
  field("future", 0);
  field("evicted", scan.evicted);
  field("shed", 0);
  field("reconfigured", 0);
  json.Key("alerts");
  json.BeginObject();
  json.Key("by_detector");
  json.BeginObject();
  for (const auto& [name, count] : scan.alerts_by_detector) field(name, count);
  json.EndObject();
  json.Key("by_severity");
  json.BeginObject();
  for (std::string_view name : kSeverities) {
    field(name, CountOf(scan.alerts_by_severity, name));
  }
  json.EndObject();
  json.EndObject();
  json.Key("seconds");
  json.Raw(fmt::format("{:.3f}", input.seconds));
  field("bytes_per_second", PerSecond(scan.bytes, input.seconds));
  field("events_per_second", PerSecond(scan.events, input.seconds));
  TimeField("first_event", scan.first_event, &json);
  TimeField("last_event", scan.last_event, &json);
  json.EndObject();
  return out + "\n";
}

std::string FormatSummaryText(const SummaryInput& input) {
  std::string out = "klaxon:\n";
  AppendRead(input, &out);
  AppendUnread(input, &out);
  if (input.judged) AppendFound(input, &out);
  return out;
}

}  // namespace klaxon
