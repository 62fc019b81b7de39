#include "event/decode_oversize.h"

#include "event/check_json.h"

namespace klaxon {
namespace {

// Just behind the string whose opening quote stands at `at`; npos: it breaks
// off.
size_t SkipString(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return text.npos;
}

// The comma before the first body of the outermost object; npos: none is seen.
size_t FindBodies(std::string_view head) {
  int depth = 0;
  for (size_t at = 0; at < head.size();) {
    const char c = head[at];
    if (c == '"') {
      at = SkipString(head, at);
      if (at == head.npos) return head.npos;
      continue;
    }
    if (c == ',' && depth == 1) {
      for (std::string_view body :
           {",\"requestObject\":", ",\"responseObject\":"}) {
        if (head.substr(at, body.size()) == body) return at;
      }
    }
    depth += c == '{' || c == '[' ? 1 : 0;
    depth -= c == '}' || c == ']' ? 1 : 0;
    if (depth == 0) return head.npos;  // The event ended, or never began.
    ++at;
  }
  return head.npos;
}

}  // namespace

std::optional<std::string> JoinOversize(std::string_view head,
                                        std::string_view tail) {
  const size_t bodies = FindBodies(head);
  const size_t stamps = tail.rfind(",\"requestReceivedTimestamp\":");
  if (bodies == head.npos || stamps == tail.npos) return std::nullopt;
  std::string event(head.substr(0, bodies));
  event.append(tail.substr(stamps));
  const JsonCheck check = CheckJsonValue(event, 0, nullptr);
  if (!check.ok || SkipJsonSpace(event, check.offset) != event.size()) {
    return std::nullopt;
  }
  event.resize(check.offset);
  return event;
}

}  // namespace klaxon
