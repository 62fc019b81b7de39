// The one place where JSON is written: canonical, so equal values give equal
// bytes. Compact; strings escaped as RFC 8259 demands and no more (", \,
// C0 as \b \f \n \r \t or \u00xx), DEL, C1, U+2028/9 and bidirectional marks as
// \uxxxx so that a terminal that prints a line of it is safe; invalid UTF-8
// becomes U+FFFD, one per maximal ill-formed sequence; integers only. Keys are
// written in the order of the calls: callers keep them in one order.
//
//   JsonWriter json(&out);
//   json.BeginObject();
//   json.Key("code"); json.Int(401);
//   json.EndObject();
//
// Not thread-safe. Appends to the string it was given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace klaxon {

class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(out) {}

  void BeginObject();
  void EndObject();
  void BeginArray();
  void EndArray();
  void Key(std::string_view key);
  void String(std::string_view value);
  void Int(int64_t value);
  void Uint(uint64_t value);
  void Bool(bool value);
  void Null();
  // `json` is written as it is. REQUIRES: it is canonical JSON already.
  void Raw(std::string_view json);

  // Key and value in one call; the *Unless forms write nothing for "".
  void Field(std::string_view key, std::string_view value) {
    Key(key);
    String(value);
  }
  void FieldUnlessEmpty(std::string_view key, std::string_view value) {
    if (!value.empty()) Field(key, value);
  }
  void Field(std::string_view key, int64_t value) {
    Key(key);
    Int(value);
  }

 private:
  void Comma();
  std::string* out_;
  bool need_comma_ = false;
};

// Appends `text` as a JSON string literal, quotes included.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace klaxon
