#include "event/unwrap.h"

#include <algorithm>
#include <array>

#include "event/decode_classify.h"

namespace klaxon {
namespace {

// Streams of an EKS control plane's log group that are no audit log
// (docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html).
constexpr std::array<std::string_view, 6> kOtherEksStreams = {
    "authenticator-",           "kube-scheduler-", "cloud-controller-manager-",
    "kube-controller-manager-", "kube-apiserver-", "etcd-",
};
constexpr std::string_view kAuditEksStream = "kube-apiserver-audit-";

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Something that can hold an event.
bool IsContainer(std::string_view value) {
  return IsJsonObject(value) || IsJsonArray(value) || IsJsonString(value);
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string_view Unwrapper::At(const Members& members,
                               std::initializer_list<std::string_view> path) {
  const Members* level = &members;
  std::string_view value;
  for (const std::string_view* name = path.begin(); name != path.end();
       ++name) {
    if (name != path.begin()) {
      if (!IsJsonObject(value) ||
          splitter_->SplitObject(value, &scratch_) != JsonError::kNone) {
        return {};
      }
      level = &scratch_;
    }
    const JsonMember* const member = FindMember(*level, *name);
    if (member == nullptr) return {};
    value = member->value;
  }
  return value;
}

std::string_view Unwrapper::TextAt(
    const Members& members, std::initializer_list<std::string_view> path) {
  return UnescapeString(At(members, path), arena_).value_or("");
}

bool Unwrapper::AddElements(std::string_view array, Pieces* pieces) {
  std::vector<std::string_view> elements;
  if (splitter_->SplitArray(array, &elements) != JsonError::kNone) {
    return false;
  }
  for (std::string_view element : elements) pieces->push_back({element});
  return true;
}

// {"messageType":"DATA_MESSAGE","logGroup":…,"logStream":…,"logEvents":[…]},
// and what `aws logs filter-log-events` prints: {"events":[…]}.
std::optional<Unwrapped> Unwrapper::TryCloudWatch(const Members& members,
                                                  Pieces* pieces) {
  Unwrapped result{.kind = WrapperKind::kPieces};
  if (TextAt(members, {"messageType"}) == "CONTROL_MESSAGE") {
    result.skipped = 1;
    return result;
  }
  std::string_view events = At(members, {"logEvents"});
  if (!IsJsonArray(events)) events = At(members, {"events"});
  if (!IsJsonArray(events)) return std::nullopt;
  Pieces elements;
  if (!AddElements(events, &elements)) {
    return Unwrapped{.kind = WrapperKind::kUnreadable};
  }
  const std::string_view stream = TextAt(members, {"logStream"});
  const auto is_other = [](std::string_view name) {
    return !StartsWith(name, kAuditEksStream) &&
           std::any_of(
               kOtherEksStreams.begin(), kOtherEksStreams.end(),
               [name](std::string_view p) { return StartsWith(name, p); });
  };
  Members event;
  for (const WrappedPiece& element : elements) {
    std::string_view name = stream;
    std::string_view message;
    if (IsJsonObject(element.json)) {
      if (splitter_->SplitObject(element.json, &event) != JsonError::kNone) {
        return Unwrapped{.kind = WrapperKind::kUnreadable};
      }
      message = At(event, {"message"});
      if (name.empty()) name = TextAt(event, {"logStreamName"});
    }
    if (is_other(name) || !IsContainer(message)) {
      ++result.skipped;
    } else {
      pieces->push_back({message});
    }
  }
  return result;
}

// {"records":[…]}, or one record a line.
std::optional<Unwrapped> Unwrapper::TryAks(const Members& members,
                                           Pieces* pieces) {
  const std::string_view records = At(members, {"records"});
  if (IsJsonArray(records)) {
    if (!AddElements(records, pieces)) {
      return Unwrapped{.kind = WrapperKind::kUnreadable};
    }
    return Unwrapped{.kind = WrapperKind::kPieces};
  }
  const std::string_view category = TextAt(members, {"category"});
  const std::string_view properties = At(members, {"properties"});
  if (category.empty() || properties.empty()) return std::nullopt;
  Unwrapped result{.kind = WrapperKind::kPieces};
  if (category != "kube-audit" && category != "kube-audit-admin") {
    result.skipped = 1;  // Of the kube-apiserver, the scheduler, …: klog text.
    return result;
  }
  const std::string_view log = IsJsonString(properties)
                                   ? properties
                                   : At(members, {"properties", "log"});
  if (!IsContainer(log)) return std::nullopt;
  pieces->push_back({log});
  return result;
}

// A search's answer, a document of it, or what Filebeat sends.
std::optional<Unwrapped> Unwrapper::TryElastic(const Members& members,
                                               Pieces* pieces) {
  const Unwrapped result{.kind = WrapperKind::kPieces};
  const std::string_view hits = At(members, {"hits", "hits"});
  if (IsJsonArray(hits)) {
    if (!AddElements(hits, pieces)) {
      return Unwrapped{.kind = WrapperKind::kUnreadable};
    }
    return result;
  }
  std::string_view source = At(members, {"_source"});
  if (IsJsonObject(source)) {
    pieces->push_back({source});
    return result;
  }
  for (std::string_view event :
       {At(members, {"kubernetes", "audit"}), At(members, {"kubernetes.audit"}),
        At(members, {"azure", "platformlogs", "properties", "log"})}) {
    if (!IsJsonObject(event)) continue;
    pieces->push_back(
        {.json = event,
         .dots_are_underscores = true,
         .user_agent = TextAt(members, {"user_agent", "original"})});
    return result;
  }
  return std::nullopt;
}

// logcli -o jsonl ({"labels":…,"line":…}), and answers of the API, in which
// the lines are the second elements of pairs.
std::optional<Unwrapped> Unwrapper::TryLoki(const Members& members,
                                            Pieces* pieces) {
  const Unwrapped result{.kind = WrapperKind::kPieces};
  const std::string_view line = At(members, {"line"});
  if (IsJsonString(line)) {
    pieces->push_back({line});
    return result;
  }
  std::string_view streams = At(members, {"data", "result"});
  if (!IsJsonArray(streams)) streams = At(members, {"streams"});
  if (!IsJsonArray(streams)) return std::nullopt;
  const Unwrapped unreadable{.kind = WrapperKind::kUnreadable};
  Pieces parts;
  if (!AddElements(streams, &parts)) return unreadable;
  Members stream;
  Pieces entries;
  for (const WrappedPiece& part : parts) {
    if (!IsJsonObject(part.json)) continue;
    if (splitter_->SplitObject(part.json, &stream) != JsonError::kNone) {
      return unreadable;
    }
    const std::string_view values = At(stream, {"values"});
    if (IsJsonArray(values) && !AddElements(values, &entries)) {
      return unreadable;
    }
  }
  std::vector<std::string_view> pair;
  for (const WrappedPiece& entry : entries) {
    if (!IsJsonArray(entry.json)) continue;
    if (splitter_->SplitArray(entry.json, &pair) != JsonError::kNone) {
      return unreadable;
    }
    if (pair.size() >= 2 && IsJsonString(pair[1])) {
      pieces->push_back({pair[1]});
    }
  }
  return result;
}

// One key holds the line: docker, fluent-bit, fluentd, Vector, GELF.
std::optional<Unwrapped> Unwrapper::TryText(const Members& members,
                                            Pieces* pieces) {
  Unwrapped result{.kind = WrapperKind::kPieces};
  const std::string_view log = At(members, {"log"});
  const std::string_view stream = TextAt(members, {"stream"});
  if (IsJsonString(log) && (stream == "stdout" || stream == "stderr")) {
    result.kind = WrapperKind::kLogChunk;
    result.is_stderr = stream == "stderr";
    pieces->push_back({log});
    return result;
  }
  for (std::string_view key :
       {"short_message", "log_processed", "log", "message"}) {
    const std::string_view value = At(members, {key});
    if (IsContainer(value)) {
      pieces->push_back({value});
      return result;
    }
  }
  return std::nullopt;
}

Unwrapped Unwrapper::Unwrap(const Members& members, Pieces* pieces) {
  if (FindMember(members, "protoPayload") != nullptr ||
      FindMember(members, "AuditPayload") != nullptr) {
    return {.kind = WrapperKind::kGke};
  }
  const auto has = [&members](std::string_view name) {
    return FindMember(members, name) != nullptr;
  };
  if (has("insertId") && (has("textPayload") || has("jsonPayload"))) {
    // Google's too, of another log than the audit log.
    return {.kind = WrapperKind::kPieces, .skipped = 1};
  }
  if (has("ts") && has("caller") && has("msg")) {
    return {.kind = WrapperKind::kOtherLog,
            .message =
                "this is a Kubernetes component's own log "
                "(--logging-format=json), not its audit log"};
  }
  const std::string_view items = At(members, {"items"});
  if (IsJsonArray(items)) {
    if (!AddElements(items, pieces)) return {.kind = WrapperKind::kUnreadable};
    return {.kind = WrapperKind::kPieces};
  }
  using Try = std::optional<Unwrapped> (Unwrapper::*)(const Members&, Pieces*);
  for (Try attempt :
       {&Unwrapper::TryCloudWatch, &Unwrapper::TryAks, &Unwrapper::TryElastic,
        &Unwrapper::TryLoki, &Unwrapper::TryText}) {
    if (const auto result = (this->*attempt)(members, pieces)) return *result;
  }
  return {};
}

std::optional<CriLine> ParseCri(std::string_view line) {
  // The time stamp first: "2026-01-02T…".
  if (line.size() < 24 || !IsDigit(line[0]) || line[4] != '-' ||
      line[10] != 'T') {
    return std::nullopt;
  }
  const size_t time_end = line.find(' ');
  if (time_end > 40) return std::nullopt;  // npos too.
  std::string_view rest = line.substr(time_end + 1);
  CriLine cri;
  cri.is_stderr = StartsWith(rest, "stderr ");
  if (!cri.is_stderr && !StartsWith(rest, "stdout ")) return std::nullopt;
  rest.remove_prefix(7);
  const size_t tag_end = rest.find(' ');
  if (tag_end == rest.npos) return std::nullopt;
  // Tags are separated by colons; the first says whole or partial.
  const std::string_view tags = rest.substr(0, tag_end);
  cri.partial = tags == "P" || StartsWith(tags, "P:");
  cri.text = rest.substr(tag_end + 1);
  return cri;
}

size_t PrefixLength(std::string_view line) {
  constexpr size_t kPrefixMax = 256;
  const size_t brace = line.substr(0, kPrefixMax).find('{');
  if (brace == line.npos || brace == 0) return 0;
  std::vector<std::string_view> words;
  for (size_t begin = 0; begin < brace;) {
    const size_t end = std::min(line.find_first_of(" \t", begin), brace);
    if (end == brace) return 0;  // No space before the brace.
    if (end > begin) words.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  const auto is_name = [](std::string_view word) {
    return std::all_of(word.begin(), word.end(), [](char c) {
      return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             std::string_view("._-+:/").find(c) != std::string_view::npos;
    });
  };
  // "master-0.example.com {", "2026-01-02T03:04:05.000Z {",
  // "2026-01-02T03:04:05+00:00\tkube.audit\t{".
  if (words.size() == 1 && is_name(words[0])) return brace;
  if (words.size() == 2 && HasShape(words[0], "####-##-##T") &&
      is_name(words[0]) && is_name(words[1])) {
    return brace;
  }
  // "<134>Jan  2 03:04:05 master-0 audit: {".
  const bool syslog =
      words.size() == 5 && HasShape(words[2], "##:##:##") &&
      is_name(words[3]) && words[4].back() == ':' &&
      words[1].find_first_not_of("0123456789") == std::string_view::npos;
  return syslog ? brace : 0;
}

bool GoesOnInNextLine(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) {
    line.remove_suffix(1);
  }
  if (const auto cri = ParseCri(line)) return cri->partial;
  // docker: the text's newline would stand before the closing quote of "log",
  // the first key that the json-file driver writes.
  if (!StartsWith(line, kDockerHead)) return false;
  const size_t end = line.find("\",\"stream\":\"", kDockerHead.size());
  return end != line.npos && end >= kDockerHead.size() + kLogChunkBytes &&
         line.substr(end - 2, 2) != "\\n";
}

}  // namespace klaxon
