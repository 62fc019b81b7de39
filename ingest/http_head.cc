#include "ingest/http_head.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace klaxon {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsToken(char c) {
  return IsDigit(c) || IsAlpha(c) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
char Lower(char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; }

// Of a target: visible ASCII; a fragment is never sent.
bool IsTarget(char c) { return c > ' ' && c < 0x7f && c != '#'; }

bool IsValue(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

// Of a Host field: a name, an address, a port.
bool IsHost(char c) {
  return IsDigit(c) || IsAlpha(c) ||
         std::string_view(".-_:[]%").find(c) != std::string_view::npos;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

// Fields that may stand once, for what they decide.
enum Single : uint8_t {
  kHost,
  kContentLength,
  kTransferEncoding,
  kContentType,
  kContentEncoding,
  kAuthorization,
  kExpect,
  kSingles,
};
constexpr std::string_view kSingleNames[kSingles] = {
    "host",         "content-length",   "transfer-encoding",
    "content-type", "content-encoding", "authorization",
    "expect"};

class HeadChecker {
 public:
  HttpHead Check(std::string_view head) {
    // Before anything else, as a fold may lie behind any line.
    if (head.find("\r\n ") != std::string_view::npos ||
        head.find("\r\n\t") != std::string_view::npos) {
      Fail(400, "a header line is folded");
      return result_;
    }
    std::string_view line = TakeLine(&head);
    if (CheckRequestLine(line)) {
      int fields = 0;
      for (line = TakeLine(&head); !line.empty() && result_.error == 0;
           line = TakeLine(&head)) {
        if (++fields > kHttpFieldsMax) Fail(431, "too many header fields");
        CheckField(line);
      }
    }
    if (result_.error == 0) CheckWhole();
    return result_;
  }

 private:
  // Without its end. FindHeadEnd saw to it that each line has one.
  static std::string_view TakeLine(std::string_view* rest) {
    const size_t end = rest->find(kLineEnd);
    const std::string_view line = rest->substr(0, end);
    rest->remove_prefix(end == std::string_view::npos ? rest->size()
                                                      : end + kLineEnd.size());
    return line;
  }

  bool Fail(int status, std::string_view why) {
    if (result_.error == 0) {
      result_.error = status;
      result_.why = why;
    }
    return false;
  }

  bool CheckRequestLine(std::string_view line) {
    const size_t method_end = line.find(' ');
    const size_t target_end = line.rfind(' ');
    if (method_end == std::string_view::npos || method_end == 0 ||
        target_end <= method_end + 1) {
      return Fail(400, "the request line is not METHOD SP TARGET SP VERSION");
    }
    const std::string_view method = line.substr(0, method_end);
    const std::string_view target =
        line.substr(method_end + 1, target_end - method_end - 1);
    if (method.size() > 32 ||
        !std::all_of(method.begin(), method.end(), IsToken)) {
      return Fail(400, "the method is no token");
    }
    if (!CheckVersion(line.substr(target_end + 1))) return false;
    if (target.front() != '/') {
      return Fail(400, "the target must be a path that begins with '/'");
    }
    if (target.size() > kHttpTargetBytesMax) {
      return Fail(414, "the target is longer than 4096 bytes");
    }
    if (!std::all_of(target.begin(), target.end(), IsTarget)) {
      return Fail(400, "the target holds bytes that no URI may hold");
    }
    return true;
  }

  bool CheckVersion(std::string_view version) {
    if (version == "HTTP/1.1" || version == "HTTP/1.0") {
      result_.http_1_0 = version.back() == '0';
      result_.keep_alive = !result_.http_1_0;
      return true;
    }
    if (version.size() == 8 && version.substr(0, 5) == "HTTP/" &&
        IsDigit(version[5]) && version[6] == '.' && IsDigit(version[7])) {
      return Fail(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    return Fail(400, "the request line does not end in HTTP/1.1");
  }

  void CheckField(std::string_view line) {
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == std::string_view::npos || name.empty() ||
        !std::all_of(name.begin(), name.end(), IsToken)) {
      Fail(400, "a header field has no name, or spaces before its colon");
      return;
    }
    const std::string_view value = Trim(line.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), IsValue)) {
      Fail(400, "a header field holds control characters");
      return;
    }
    if (EqualsIgnoringCase(name, "connection")) return CheckConnection(value);
    for (uint8_t single = 0; single < kSingles; ++single) {
      if (!EqualsIgnoringCase(name, kSingleNames[single])) continue;
      if (seen_[single]) {
        Fail(400, "a header field that may stand once stands twice");
        return;
      }
      seen_[single] = true;
      CheckSingle(static_cast<Single>(single), value);
      return;
    }
  }

  void CheckSingle(Single single, std::string_view value) {
    switch (single) {
      case kHost:
        if (!std::all_of(value.begin(), value.end(), IsHost)) {
          Fail(400, "Host is no host");
        }
        return;
      case kContentLength:
        CheckContentLength(value);
        return;
      case kTransferEncoding:
        result_.chunked = EqualsIgnoringCase(value, "chunked");
        if (!result_.chunked)
          Fail(501, "Transfer-Encoding may be chunked only");
        return;
      case kExpect:
        result_.expects_continue = EqualsIgnoringCase(value, "100-continue");
        if (!result_.expects_continue) Fail(417, "Expect is not 100-continue");
        return;
      default:
        return;
    }
  }

  // Digits and nothing else: no sign, no list, no 0x.
  void CheckContentLength(std::string_view value) {
    uint64_t length = 0;
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), length);
    if (value.empty() || value.size() > 18 ||
        !std::all_of(value.begin(), value.end(), IsDigit) ||
        error != std::errc{} || end != value.data() + value.size()) {
      Fail(400, "Content-Length is no number");
      return;
    }
    result_.content_length = length;
  }

  void CheckConnection(std::string_view list) {
    while (!list.empty()) {
      const size_t comma = std::min(list.find(','), list.size());
      const std::string_view option = Trim(list.substr(0, comma));
      list.remove_prefix(std::min(comma + 1, list.size()));
      if (EqualsIgnoringCase(option, "close")) {
        close_ = true;
      } else if (EqualsIgnoringCase(option, "keep-alive")) {
        if (result_.http_1_0) result_.keep_alive = true;
      }
      // A relay would drop what is named here, and so read another request.
      for (const std::string_view name : kSingleNames) {
        if (EqualsIgnoringCase(option, name)) {
          Fail(400, "Connection names a field that is not its business");
        }
      }
    }
  }

  void CheckWhole() {
    if (close_) result_.keep_alive = false;
    if (!seen_[kHost] && !result_.http_1_0) {
      Fail(400, "HTTP/1.1 needs a Host");
    }
    if (result_.chunked && result_.content_length) {
      Fail(400, "both Content-Length and Transfer-Encoding");
    }
    if (result_.chunked && result_.http_1_0) {
      Fail(400, "HTTP/1.0 knows no Transfer-Encoding");
    }
    if (result_.http_1_0) result_.expects_continue = false;
  }

  HttpHead result_;
  bool seen_[kSingles] = {};
  bool close_ = false;
};

}  // namespace

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

HeadScan FindHeadEnd(std::string_view bytes, size_t from) {
  for (size_t at = from; at < bytes.size(); ++at) {
    const char c = bytes[at];
    if (c == '\0') return {HeadEnd::kBad, at};
    if (at > 0 && bytes[at - 1] == '\r' && c != '\n')
      return {HeadEnd::kBad, at};
    if (c != '\n') continue;
    if (at == 0 || bytes[at - 1] != '\r') return {HeadEnd::kBad, at};
    // An empty line at the very beginning is no head, it is somebody's rest.
    if (at == 1) return {HeadEnd::kBad, at};
    if (at >= 3 && bytes[at - 2] == '\n') return {HeadEnd::kWhole, at + 1};
  }
  return {};
}

HttpHead CheckHead(std::string_view head) { return HeadChecker().Check(head); }

}  // namespace klaxon
