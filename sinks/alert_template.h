// A user's own text for an alert: what a receiver wants that does not take our
// JSON.
//
//   {"text": "{{severity}}: {{title}}", "count": {{count}}, "raw": {{alert}}}
//
// `{{field}}` stands for the value of an alert's field, escaped for the inside
// of a JSON string (whatever the content type: so it never breaks a line);
// `{{alert}}` for the whole alert as one JSON object. Blanks within the braces
// are allowed; a literal "{{" cannot be written. Lists are joined: addresses,
// references and "name=value" of `key` by ", ", remediation by a line feed.
//
// In a JSON template nothing that an alert says can change the structure: texts
// may stand only within a string, `{{alert}}` only outside; numbers anywhere.
//
// Immutable once parsed; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "detectors/alert.h"

namespace klaxon {

class AlertTemplate {
 public:
  // `json`: the result must be JSON. InvalidArgument says line and column, what
  // is wrong and what would be right.
  static absl::StatusOr<AlertTemplate> Parse(std::string_view text, bool json);

  void AppendTo(const Alert& alert, std::string* out) const;

  // "alert, id, revision, …": for messages and the reference.
  static std::string FieldNames();

 private:
  struct Piece {
    std::string literal;  // Stands before the field.
    size_t offset = 0;    // Of the literal, in the template.
    int field = -1;       // Index into the table of fields; -1: none follows.
  };
  static void AppendTo(const Alert& alert, const Piece& piece,
                       std::string* out);
  absl::Status CheckIsJson(std::string_view text) const;

  std::vector<Piece> pieces_;
};

}  // namespace klaxon
