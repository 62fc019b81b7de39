#include "event/check_json.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "event/decode.h"

namespace klaxon {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHex(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

class Checker {
 public:
  Checker(std::string_view text, size_t begin, std::string* what)
      : text_(text), at_(begin), what_(what) {}

  JsonCheck Run();

 private:
  // What may come next.
  enum class Want { kValue, kFirstKey, kKey, kFirstElement, kCommaOrEnd };

  bool AtEnd() const { return at_ >= text_.size(); }
  bool Fail(std::string_view expected);
  bool ReadString();
  bool ReadEscape();
  bool ReadNumber();
  bool ReadDigits(std::string_view place);
  bool ReadWord(std::string_view word);
  bool ReadValue();
  bool ReadKey(bool may_end);
  bool ReadCommaOrEnd();
  bool Open(bool object);
  void Close() {
    stack_.pop_back();
    want_ = Want::kCommaOrEnd;
  }

  std::string_view text_;
  size_t at_;
  std::string* what_;
  std::vector<bool> stack_;  // true: object, false: array.
  Want want_ = Want::kValue;
  bool after_comma_ = false;  // The last thing read was a comma.
};

// Names the offending byte so that a person recognises it; never more than it.
std::string Shown(unsigned char c) {
  if (c == '\n') return "the end of the line";
  if (c >= 0x20 && c < 0x7f) return std::string("'") + char(c) + "'";
  static constexpr char kHex[] = "0123456789abcdef";
  return std::string("byte 0x") + kHex[c >> 4] + kHex[c & 15];
}

bool Checker::Fail(std::string_view expected) {
  if (what_ != nullptr) {
    *what_ = "expected ";
    what_->append(expected);
    what_->append(", found ");
    what_->append(AtEnd() ? "the end" : Shown(text_[at_]));
    if (after_comma_ && !AtEnd()) what_->append(" after a comma");
  }
  return false;
}

bool Checker::ReadEscape() {
  ++at_;  // The backslash.
  if (AtEnd()) return Fail("the rest of an escape");
  const char c = text_[at_];
  if (c == 'u') {
    ++at_;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (AtEnd() || !IsHex(text_[at_])) return Fail("four hex digits");
    }
    return true;
  }
  if (c == '\0' || std::strchr("\"\\/bfnrt", c) == nullptr) {
    return Fail("one of \"\\/bfnrtu after a backslash");
  }
  ++at_;
  return true;
}

bool Checker::ReadString() {
  ++at_;  // The opening quote.
  for (;;) {
    while (!AtEnd() && text_[at_] != '"' && text_[at_] != '\\' &&
           static_cast<unsigned char>(text_[at_]) >= 0x20) {
      ++at_;
    }
    if (AtEnd()) return Fail("the closing quote of a string");
    if (text_[at_] == '"') {
      ++at_;
      return true;
    }
    if (text_[at_] != '\\') return Fail("an escape for a control character");
    if (!ReadEscape()) return false;
  }
}

bool Checker::ReadDigits(std::string_view place) {
  if (AtEnd() || !IsDigit(text_[at_])) return Fail(place);
  while (!AtEnd() && IsDigit(text_[at_])) ++at_;
  return true;
}

bool Checker::ReadNumber() {
  if (text_[at_] == '-') ++at_;
  if (!AtEnd() && text_[at_] == '0') {
    ++at_;
    if (!AtEnd() && IsDigit(text_[at_])) {
      return Fail("no digit after a leading zero");
    }
  } else if (!ReadDigits("a digit")) {
    return false;
  }
  if (!AtEnd() && text_[at_] == '.') {
    ++at_;
    if (!ReadDigits("a digit after the decimal point")) return false;
  }
  if (!AtEnd() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (!AtEnd() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    if (!ReadDigits("a digit in the exponent")) return false;
  }
  return true;
}

bool Checker::ReadWord(std::string_view word) {
  for (char c : word) {
    if (AtEnd() || text_[at_] != c) return Fail(word);
    ++at_;
  }
  return true;
}

bool Checker::Open(bool object) {
  if (stack_.size() >= kJsonDepthMax) {
    return Fail("nesting of at most 100000 levels");
  }
  ++at_;
  stack_.push_back(object);
  want_ = object ? Want::kFirstKey : Want::kFirstElement;
  return true;
}

bool Checker::ReadValue() {
  const char c = text_[at_];
  if (c != ']' && c != '}') after_comma_ = false;
  if (c == '{' || c == '[') return Open(c == '{');
  bool ok = false;
  if (c == '"') {
    ok = ReadString();
  } else if (c == '-' || IsDigit(c)) {
    ok = ReadNumber();
  } else if (c == 't') {
    ok = ReadWord("true");
  } else if (c == 'f') {
    ok = ReadWord("false");
  } else if (c == 'n') {
    ok = ReadWord("null");
  } else {
    return Fail("a value");
  }
  want_ = Want::kCommaOrEnd;
  return ok;
}

bool Checker::ReadKey(bool may_end) {
  if (may_end && text_[at_] == '}') {
    ++at_;
    Close();
    return true;
  }
  if (text_[at_] != '"') return Fail(may_end ? "a key or '}'" : "a key");
  after_comma_ = false;
  if (!ReadString()) return false;
  at_ = SkipJsonSpace(text_, at_);
  if (AtEnd() || text_[at_] != ':') return Fail("':'");
  ++at_;
  want_ = Want::kValue;
  return true;
}

bool Checker::ReadCommaOrEnd() {
  const bool object = stack_.back();
  const char c = text_[at_];
  if (c == ',') {
    ++at_;
    after_comma_ = true;
    want_ = object ? Want::kKey : Want::kValue;
    return true;
  }
  if (c != (object ? '}' : ']'))
    return Fail(object ? "',' or '}'" : "',' or ']'");
  ++at_;
  Close();
  return true;
}

JsonCheck Checker::Run() {
  for (;;) {
    at_ = SkipJsonSpace(text_, at_);
    if (AtEnd()) {
      Fail(want_ == Want::kCommaOrEnd ? "a closing bracket" : "a value");
      return {false, at_};
    }
    bool ok = false;
    switch (want_) {
      case Want::kValue:
        ok = ReadValue();
        break;
      case Want::kFirstKey:
      case Want::kKey:
        ok = ReadKey(want_ == Want::kFirstKey);
        break;
      case Want::kFirstElement:
        ok = true;
        if (text_[at_] == ']') {
          ++at_;
          Close();
        } else {
          ok = ReadValue();
        }
        break;
      case Want::kCommaOrEnd:
        ok = ReadCommaOrEnd();
        break;
    }
    if (!ok) return {false, std::min(at_, text_.size())};
    if (want_ == Want::kCommaOrEnd && stack_.empty()) return {true, at_};
  }
}

}  // namespace

size_t SkipJsonSpace(std::string_view text, size_t begin) {
  while (begin < text.size() && IsSpace(text[begin])) ++begin;
  return begin;
}

JsonCheck CheckJsonValue(std::string_view text, size_t begin,
                         std::string* what) {
  return Checker(text, begin, what).Run();
}

size_t CheckJson(std::string_view text, std::string* what) {
  const JsonCheck value = CheckJsonValue(text, 0, what);
  if (!value.ok) {
    // text.size() means success, so a text that breaks off is reported at its
    // last byte, and an empty one, which has none, at 1.
    if (text.empty()) return 1;
    return std::min(value.offset, text.size() - 1);
  }
  const size_t end = SkipJsonSpace(text, value.offset);
  if (end < text.size() && what != nullptr) {
    *what = "expected nothing more behind the value, found " + Shown(text[end]);
  }
  return end;
}

TextPosition PositionOf(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const size_t line_begin = before.rfind('\n');
  return {
      .line = 1 + static_cast<uint64_t>(
                      std::count(before.begin(), before.end(), '\n')),
      .column = before.size() -
                (line_begin == std::string_view::npos ? 0 : line_begin + 1) + 1,
  };
}

}  // namespace klaxon
