#include "detectors/alert.h"

#include <array>

#include "event/json_writer.h"

namespace klaxon {
namespace {

constexpr std::array<std::string_view, 5> kSeverityNames = {
    "info", "low", "medium", "high", "critical"};
constexpr std::array<std::string_view, 3> kConfidenceNames = {"low", "medium",
                                                              "high"};

void AppendTexts(std::string_view key, const std::vector<std::string>& texts,
                 JsonWriter* json) {
  if (texts.empty()) return;
  json->Key(key);
  json->BeginArray();
  for (const std::string& text : texts) json->String(text);
  json->EndArray();
}

void AppendSample(const EventSample& sample, JsonWriter* json) {
  json->BeginObject();
  json->FieldUnlessEmpty("audit_id", sample.audit_id);
  if (sample.has_value()) json->Field("time", FormatTime(sample.time));
  json->FieldUnlessEmpty("verb", sample.verb);
  json->FieldUnlessEmpty("uri", sample.uri);
  json->Field("code", int64_t{sample.code});
  json->FieldUnlessEmpty("user", sample.user);
  AppendTexts("source_ips", sample.source_ips, json);
  json->FieldUnlessEmpty("user_agent", sample.user_agent);
  json->EndObject();
}

void AppendExplain(const ExplainMap& explain, JsonWriter* json) {
  if (explain.empty()) return;
  json->Key("explain");
  json->BeginObject();
  for (const auto& [name, value] : explain) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      json->FieldUnlessEmpty(name, *text);
    } else if (const auto* number = std::get_if<int64_t>(&value)) {
      json->Field(name, *number);
    } else if (const auto* texts =
                   std::get_if<std::vector<std::string>>(&value)) {
      AppendTexts(name, *texts, json);
    }
  }
  json->EndObject();
}

void AppendReferences(const Alert& alert, JsonWriter* json) {
  if (alert.owasp.empty() && alert.mitre.empty()) return;
  json->Key("references");
  json->BeginObject();
  AppendTexts("owasp", alert.owasp, json);
  AppendTexts("mitre", alert.mitre, json);
  json->EndObject();
}

// A key's values are the episode's identity: printed even where empty.
void AppendKey(const KeyFields& key, JsonWriter* json) {
  json->Key("key");
  json->BeginObject();
  for (const auto& [name, value] : key) json->Field(name, value);
  json->EndObject();
}

}  // namespace

std::string_view SeverityName(Severity severity) {
  return kSeverityNames[static_cast<size_t>(severity)];
}

bool ParseSeverity(std::string_view name, Severity* severity) {
  for (size_t i = 0; i < kSeverityNames.size(); ++i) {
    if (kSeverityNames[i] != name) continue;
    *severity = static_cast<Severity>(i);
    return true;
  }
  return false;
}

std::string_view ConfidenceName(Confidence confidence) {
  return kConfidenceNames[static_cast<size_t>(confidence)];
}

void AppendJson(const Alert& alert, std::string* out) {
  JsonWriter json(out);
  json.BeginObject();
  json.Field("schema", "klaxon.alert/v1");
  json.Field("id", alert.id);
  json.Key("revision");
  json.Uint(alert.revision);
  json.Field("status",
             alert.status == AlertStatus::kFiring ? "firing" : "resolved");
  json.Field("detector", alert.detector);
  json.FieldUnlessEmpty("rule", alert.rule);
  json.Field("severity", SeverityName(alert.severity));
  json.Field("confidence", ConfidenceName(alert.confidence));
  json.FieldUnlessEmpty("title", alert.title);
  json.FieldUnlessEmpty("summary", alert.summary);
  json.FieldUnlessEmpty("cluster", alert.cluster);
  json.Field("first_seen", FormatTime(alert.first_seen));
  json.Field("last_seen", FormatTime(alert.last_seen));
  json.Key("count");
  json.Uint(alert.count);
  AppendKey(alert.key, &json);
  json.FieldUnlessEmpty("client", alert.client);
  AppendTexts("claimed_ips", alert.claimed_ips, &json);
  json.FieldUnlessEmpty("user", alert.user);
  json.FieldUnlessEmpty("credential_id", alert.credential_id);
  if (!alert.evidence.empty()) {
    json.Key("evidence");
    json.BeginArray();
    for (const EventSample& sample : alert.evidence) {
      AppendSample(sample, &json);
    }
    json.EndArray();
  }
  AppendExplain(alert.explain, &json);
  AppendTexts("remediation", alert.remediation, &json);
  AppendReferences(alert, &json);
  json.EndObject();
}

bool PrintsBefore(const Alert& a, const Alert& b) {
  if (a.status != b.status) return a.status == AlertStatus::kResolved;
  const bool firing = a.status == AlertStatus::kFiring;
  const EventTime time_a = firing ? a.first_seen : a.closed;
  const EventTime time_b = firing ? b.first_seen : b.closed;
  return time_a != time_b ? time_a < time_b : a.id < b.id;
}

}  // namespace klaxon
