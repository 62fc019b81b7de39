#include "event/decode_classify.h"

#include <algorithm>
#include <array>

#include "event/check_json.h"

namespace klaxon {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

// kube-apiserver --audit-log-format=legacy:
// 2026-01-02T03:04:05.000123Z AUDIT: id="…" stage="…"
bool IsLegacy(std::string_view text) {
  return Contains(text.substr(0, 256), " AUDIT: id=\"");
}

// 203.0.113.9 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 …
bool IsAccessLog(std::string_view text) {
  const std::string_view head = text.substr(0, 512);
  const size_t bracket = head.find('[');
  return bracket != head.npos &&
         HasShape(head.substr(bracket), "[##/~~~/####:##:##:## ") &&
         Contains(head.substr(bracket), "] \"");
}

// Bytes that no text has.
bool IsBinary(std::string_view text) {
  const std::string_view head = text.substr(0, 4096);
  size_t odd = 0;
  for (char c : head) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return true;
    if ((byte < 0x20 && c != '\t' && c != '\r' && c != '\n' && byte != 0x1b) ||
        byte == 0x7f) {
      ++odd;
    }
  }
  return odd * 20 > head.size();
}

std::string_view CompressionOf(std::string_view text) {
  struct Magic {
    std::string_view bytes;
    std::string_view name;
  };
  static constexpr std::array<Magic, 4> kMagics = {{
      {"\x1f\x8b", "gzip"},
      {"\x28\xb5\x2f\xfd", "zstd"},
      {"BZh", "bzip2"},
      {"\xfd"
       "7zXZ",
       "xz"},
  }};
  for (const Magic& magic : kMagics) {
    if (text.substr(0, magic.bytes.size()) == magic.bytes) return magic.name;
  }
  return {};
}

bool IsTruncated(std::string_view text) {
  std::string tail(
      text.substr(text.size() - std::min<size_t>(32, text.size())));
  std::transform(tail.begin(), tail.end(), tail.begin(), [](char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  });
  return Contains(tail, "[truncated") || Contains(tail, "...truncated");
}

Diagnosis DiagnoseJson(std::string_view text) {
  std::string what;
  const JsonCheck check = CheckJsonValue(text, 0, &what);
  if (check.ok) {
    return {QuarantineReason::kNotJson, 0,
            "JSON, but not in a form that can be read"};
  }
  if (check.offset >= text.size()) {
    return {QuarantineReason::kHalfLine, text.size(),
            "the JSON breaks off: " + what +
                "; a killed kube-apiserver, a full disk or a cut file leaves "
                "such a half line"};
  }
  return {QuarantineReason::kNotJson, check.offset, "not JSON: " + what};
}

Diagnosis DiagnoseText(std::string_view text) {
  if (IsLegacy(text)) {
    return {QuarantineReason::kLegacyFormat, 0,
            "kube-apiserver's legacy text format; set --audit-log-format=json"};
  }
  if (IsKlog(text)) {
    return {QuarantineReason::kKlog, 0,
            "this looks like kube-apiserver's own log (klog); the audit log "
            "is the file named by --audit-log-path"};
  }
  if (IsAccessLog(text)) {
    return {QuarantineReason::kAccessLog, 0,
            "this looks like an nginx or Apache access log, not a Kubernetes "
            "audit log"};
  }
  if (Contains(text, "\"stageTimestamp\":\"") && text.back() == '}') {
    return {QuarantineReason::kHalfLine, 0,
            "the end of an event whose beginning is missing"};
  }
  if (Contains(text.substr(0, 256), "apiVersion: ") ||
      Contains(text.substr(0, 256), "kind: ")) {
    return {QuarantineReason::kText, 0,
            "this looks like YAML, perhaps the audit policy; the audit log "
            "holds one JSON object a line"};
  }
  return {QuarantineReason::kText, 0,
          "text, not JSON; a Kubernetes audit log holds one JSON object a "
          "line"};
}

}  // namespace

bool HasShape(std::string_view text, std::string_view shape) {
  if (text.size() < shape.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool fits =
        shape[i] == '~' ||
        (shape[i] == '#' ? IsDigit(text[i]) : text[i] == shape[i]);
    if (!fits) return false;
  }
  return true;
}

bool IsKlog(std::string_view text) {
  return !text.empty() && Contains("IWEF", text.substr(0, 1)) &&
         HasShape(text.substr(1), "#### ##:##:##.######");
}

Diagnosis Diagnose(std::string_view text) {
  if (const std::string_view format = CompressionOf(text); !format.empty()) {
    return {QuarantineReason::kBinary, 0,
            "data compressed by " + std::string(format) +
                " inside the input; decompress it first"};
  }
  if (IsBinary(text)) {
    const size_t nul = text.find('\0');
    return {QuarantineReason::kBinary, nul == text.npos ? 0 : nul,
            "binary data (NUL or other control bytes), no text"};
  }
  if (IsTruncated(text)) {
    return {QuarantineReason::kTruncated, text.size(),
            "cut by the exporter (CloudWatch keeps 256 KiB of a message); the "
            "event cannot be judged"};
  }
  if (text.front() == '{' || text.front() == '[') return DiagnoseJson(text);
  return DiagnoseText(text);
}

size_t FindLastValue(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = text.size(); i-- > 0;) {
    const char c = text[i];
    if (c == '"') {
      size_t escapes = 0;
      while (escapes < i && text[i - 1 - escapes] == '\\') ++escapes;
      if (escapes % 2 == 0) in_string = !in_string;
      i -= escapes;
    } else if (in_string) {
      continue;
    } else if (c == '}' || c == ']') {
      ++depth;
    } else if (c == '{' || c == '[') {
      if (depth <= 1) return depth == 1 ? i : text.npos;
      --depth;
    } else if (depth == 0) {
      return text.npos;  // The last byte closes nothing.
    }
  }
  return text.npos;
}

}  // namespace klaxon
