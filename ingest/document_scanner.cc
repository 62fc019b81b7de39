#include "ingest/document_scanner.h"

namespace klaxon {
namespace {

// Any byte of one: files with a mark each may have been concatenated.
bool IsByteOrderMark(char c) {
  return c == '\xef' || c == '\xbb' || c == '\xbf';
}

}  // namespace

void DocumentScanner::BeginRegion() {
  // What ends a region begins a line or follows a value: `line_start_` stays.
  open_.clear();
  previous_ = 0;
  in_string_ = escaped_ = broken_ = closed_ = ended_ = false;
  end_at_comma_ = ended_at_comma_ = false;
  position_ = value_end_ = last_comma_ = 0;
}

void DocumentScanner::BeginAtComma() {
  BeginRegion();
  line_start_ = false;
  open_.push_back('[');
  previous_ = '}';
}

size_t DocumentScanner::Feed(std::string_view bytes) {
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* p = begin;
  while (p != end && !ended_) {
    if (in_string_ && !escaped_) {
      const char* stop = SkipString(p, end);
      position_ += stop - p;
      p = stop;
      if (p == end) break;
    }
    if (Take(*p)) {
      ended_ = true;
      break;
    }
    ++p;
    ++position_;
  }
  return p - begin;
}

const char* DocumentScanner::SkipString(const char* p, const char* end) const {
  while (p != end && *p != '"' && *p != '\\' && *p != '\n') ++p;
  return p;
}

bool DocumentScanner::Take(char c) {
  if (broken_) return TakeBroken(c);
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
      if (c != '\n') return false;
    } else if (c == '\\') {
      escaped_ = true;
      return false;
    }
    if (c == '"') {
      in_string_ = false;
      previous_ = '"';
    } else if (c == '\n') {
      Break();
      line_start_ = true;
    }
    return false;
  }
  if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
    line_start_ = c == '\n';
    return false;
  }
  if (closed_) return true;
  bool ends = false;
  switch (c) {
    case '{':
    case '[':
      ends = TakeOpening(c);
      break;
    case '}':
    case ']':
      ends = TakeClosing(c);
      break;
    case ',':
      ends = TakeComma();
      break;
    default:
      if (open_.empty()) return IsByteOrderMark(c) ? false : Break();
      in_string_ = c == '"';
      previous_ = c;
  }
  if (!ends) line_start_ = false;
  return ends;
}

bool DocumentScanner::TakeBroken(char c) {
  if (line_start_ && (c == '{' || c == '[') && position_ > 0) return true;
  line_start_ = c == '\n';
  return false;
}

bool DocumentScanner::TakeOpening(char c) {
  if (!open_.empty()) {
    const bool may_stand = open_.back() == '['
                               ? previous_ == '[' || previous_ == ','
                               : previous_ == ':';
    if (!may_stand) {
      broken_ = true;
      return TakeBroken(c);
    }
  }
  if (open_.size() == kDepthMax) return Break();
  open_.push_back(c);
  previous_ = c;
  return false;
}

bool DocumentScanner::TakeClosing(char c) {
  const char opening = c == '}' ? '{' : '[';
  if (open_.empty() || open_.back() != opening) return Break();
  open_.pop_back();
  previous_ = c;
  if (open_.empty()) {
    closed_ = true;
    value_end_ = position_ + 1;
  }
  return false;
}

bool DocumentScanner::TakeComma() {
  if (open_.empty()) return Break();
  if (open_.size() == 1 && open_.front() == '[' && position_ > 0) {
    if (end_at_comma_) return ended_at_comma_ = true;
    last_comma_ = position_;
  }
  previous_ = ',';
  return false;
}

bool DocumentScanner::Break() {
  broken_ = true;
  in_string_ = false;
  line_start_ = false;
  return false;
}

}  // namespace klaxon
