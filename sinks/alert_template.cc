#include "sinks/alert_template.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "event/decode.h"
#include "event/json_writer.h"

namespace klaxon {
namespace {

enum class FieldKind { kText, kNumber, kObject };

struct Field {
  std::string_view name;
  FieldKind kind;
  std::string (*value)(const Alert&);
};

std::string Joined(const std::vector<std::string>& texts,
                   std::string_view between) {
  std::string joined;
  for (const std::string& text : texts) {
    if (!joined.empty()) joined.append(between);
    joined.append(text);
  }
  return joined;
}

std::string KeyText(const Alert& alert) {
  std::vector<std::string> texts;
  texts.reserve(alert.key.size());
  for (const auto& [name, value] : alert.key) {
    texts.push_back(fmt::format("{}={}", name, value));
  }
  return Joined(texts, ", ");
}

std::string AlertJson(const Alert& alert) {
  std::string json;
  AppendJson(alert, &json);
  return json;
}

using enum FieldKind;
constexpr std::array<Field, 22> kFields = {{
    {"alert", kObject, AlertJson},
    {"id", kText, [](const Alert& a) { return a.id; }},
    {"revision", kNumber,
     [](const Alert& a) { return std::to_string(a.revision); }},
    {"status", kText,
     [](const Alert& a) {
       return std::string(a.status == AlertStatus::kFiring ? "firing"
                                                           : "resolved");
     }},
    {"detector", kText, [](const Alert& a) { return a.detector; }},
    {"rule", kText, [](const Alert& a) { return a.rule; }},
    {"severity", kText,
     [](const Alert& a) { return std::string(SeverityName(a.severity)); }},
    {"confidence", kText,
     [](const Alert& a) { return std::string(ConfidenceName(a.confidence)); }},
    {"title", kText, [](const Alert& a) { return a.title; }},
    {"summary", kText, [](const Alert& a) { return a.summary; }},
    {"cluster", kText, [](const Alert& a) { return a.cluster; }},
    {"first_seen", kText,
     [](const Alert& a) { return FormatTime(a.first_seen); }},
    {"last_seen", kText,
     [](const Alert& a) { return FormatTime(a.last_seen); }},
    {"count", kNumber, [](const Alert& a) { return std::to_string(a.count); }},
    {"key", kText, KeyText},
    {"client", kText, [](const Alert& a) { return a.client; }},
    {"claimed_ips", kText,
     [](const Alert& a) { return Joined(a.claimed_ips, ", "); }},
    {"user", kText, [](const Alert& a) { return a.user; }},
    {"credential_id", kText, [](const Alert& a) { return a.credential_id; }},
    {"remediation", kText,
     [](const Alert& a) { return Joined(a.remediation, "\n"); }},
    {"owasp", kText, [](const Alert& a) { return Joined(a.owasp, ", "); }},
    {"mitre", kText, [](const Alert& a) { return Joined(a.mitre, ", "); }},
}};

int FindField(std::string_view name) {
  for (size_t i = 0; i < kFields.size(); ++i) {
    if (kFields[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

absl::Status ErrorAt(std::string_view text, size_t offset,
                     std::string_view what) {
  const TextPosition at = PositionOf(text, offset);
  return absl::InvalidArgumentError(fmt::format(
      "template, line {}, column {}: {}", at.line, at.column, what));
}

// Follows the literal text of a JSON template: is the next character inside a
// string?
class StringTracker {
 public:
  void Pass(std::string_view literal) {
    for (char c : literal) {
      if (escaped_) {
        escaped_ = false;
      } else if (in_string_ && c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = !in_string_;
      }
    }
  }
  bool in_string() const { return in_string_; }
  bool escaped() const { return escaped_; }

 private:
  bool in_string_ = false;
  bool escaped_ = false;
};

// What is wrong with a field there; empty: nothing.
std::string Misplaced(const Field& field, const StringTracker& at) {
  if (at.escaped()) return "a backslash stands before {{";
  if (field.kind == kText && !at.in_string()) {
    return fmt::format(
        "{{{{{0}}}}} is text, so it stands in quotes: "
        "\"{{{{{0}}}}}\"",
        field.name);
  }
  if (field.kind == kObject && at.in_string()) {
    return fmt::format(
        "{{{{{}}}}} is a JSON object, so it cannot stand in quotes",
        field.name);
  }
  return {};
}

// Every text of it would do harm if it were not escaped.
Alert SampleOfTheWorst() {
  const std::string text = "\"},\\\n\x01\xff{{title}}";
  Alert alert;
  for (std::string* field :
       {&alert.id, &alert.detector, &alert.rule, &alert.title, &alert.summary,
        &alert.cluster, &alert.client, &alert.user, &alert.credential_id}) {
    *field = text;
  }
  alert.key = {{"client", text}};
  for (auto* list :
       {&alert.claimed_ips, &alert.remediation, &alert.owasp, &alert.mitre}) {
    *list = {text, text};
  }
  return alert;
}

}  // namespace

std::string AlertTemplate::FieldNames() {
  std::string names;
  for (const Field& field : kFields) {
    if (!names.empty()) names += ", ";
    names += field.name;
  }
  return names;
}

absl::StatusOr<AlertTemplate> AlertTemplate::Parse(std::string_view text,
                                                   bool json) {
  AlertTemplate result;
  StringTracker tracker;
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = text.find("{{", at);
    Piece piece{std::string(text.substr(at, open - at)), at};
    tracker.Pass(piece.literal);
    if (open == std::string_view::npos) {
      result.pieces_.push_back(std::move(piece));
      break;
    }
    const size_t close = text.find("}}", open);
    if (close == std::string_view::npos) {
      return ErrorAt(text, open, "{{ without }}");
    }
    const std::string_view name =
        Trimmed(text.substr(open + 2, close - open - 2));
    piece.field = FindField(name);
    if (piece.field < 0) {
      return ErrorAt(text, open,
                     fmt::format("there is no field '{}'; there are {}", name,
                                 FieldNames()));
    }
    const Field& field = kFields[static_cast<size_t>(piece.field)];
    if (std::string wrong = Misplaced(field, tracker); json && !wrong.empty()) {
      return ErrorAt(text, open, wrong);
    }
    result.pieces_.push_back(std::move(piece));
    at = close + 2;
  }
  if (!json) return result;
  absl::Status status = result.CheckIsJson(text);
  if (!status.ok()) return status;
  return result;
}

absl::Status AlertTemplate::CheckIsJson(std::string_view text) const {
  const Alert sample = SampleOfTheWorst();
  std::string filled;
  for (const Piece& piece : pieces_) AppendTo(sample, piece, &filled);
  std::string what;
  const size_t wrong_at = CheckJson(filled, &what);
  if (wrong_at == filled.size() && what.empty()) return absl::OkStatus();
  // Back from what was filled in to where that stands in the template.
  size_t template_at = 0;
  std::string so_far;
  for (const Piece& piece : pieces_) {
    template_at = piece.offset;
    if (wrong_at <= so_far.size() + piece.literal.size()) {
      template_at += wrong_at - so_far.size();
      break;
    }
    template_at += piece.literal.size();
    AppendTo(sample, piece, &so_far);
    if (wrong_at < so_far.size()) break;
  }
  return ErrorAt(text, template_at,
                 fmt::format("what it gives is not JSON: {}", what));
}

void AlertTemplate::AppendTo(const Alert& alert, const Piece& piece,
                             std::string* out) {
  out->append(piece.literal);
  if (piece.field < 0) return;
  const Field& field = kFields[static_cast<size_t>(piece.field)];
  if (field.kind != kText) {
    out->append(field.value(alert));
    return;
  }
  std::string quoted;
  AppendJsonString(field.value(alert), &quoted);
  out->append(quoted, 1, quoted.size() - 2);
}

void AlertTemplate::AppendTo(const Alert& alert, std::string* out) const {
  for (const Piece& piece : pieces_) AppendTo(alert, piece, out);
}

}  // namespace klaxon
