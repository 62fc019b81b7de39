// An EventView as text, every field of it: what two ways of decoding are
// compared by (tests and fuzz_decode).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "event/decode.h"
#include "event/event.h"

namespace klaxon {

inline void AppendField(std::string_view name, std::string_view value,
                        std::string* out) {
  out->append(name).append("=<").append(value).append(">\n");
}

inline std::string Dump(const EventView& event) {
  std::string out;
  const auto field = [&out](std::string_view name, std::string_view value) {
    AppendField(name, value, &out);
  };
  const auto number = [&out](std::string_view name, int64_t value) {
    AppendField(name, std::to_string(value), &out);
  };
  number("level", static_cast<int>(event.level));
  number("stage", static_cast<int>(event.stage));
  number("code", event.code);
  number("odd", event.odd);
  field("audit_id", event.audit_id);
  field("request_uri", event.request_uri);
  field("verb", event.verb);
  field("username", event.user.username);
  field("uid", event.user.uid);
  for (std::string_view group : event.user.groups) field("group", group);
  for (const KeyValue& extra : event.user.extra) {
    field("extra", extra.key);
    field("extra value", extra.value);
  }
  field("credential_id", event.user.credential_id);
  field("pod_name", event.user.pod_name);
  field("pod_uid", event.user.pod_uid);
  field("node_name", event.user.node_name);
  number("has_impersonated_user", event.has_impersonated_user);
  field("impersonated_user", event.impersonated_user);
  for (std::string_view address : event.source_ips) field("ip", address);
  field("user_agent", event.user_agent);
  number("has_object_ref", event.has_object_ref);
  field("resource", event.object_ref.resource);
  field("namespace", event.object_ref.ns);
  field("name", event.object_ref.name);
  field("ref uid", event.object_ref.uid);
  field("api_group", event.object_ref.api_group);
  field("api_version", event.object_ref.api_version);
  field("subresource", event.object_ref.subresource);
  field("message", event.status_message);
  field("reason", event.status_reason);
  field("request_object", event.request_object);
  field("response_object", event.response_object);
  number("received", event.request_received_time);
  number("stage_time", event.stage_time);
  for (const KeyValue& annotation : event.annotations) {
    field("annotation", annotation.key);
    field("annotation value", annotation.value);
  }
  field("decision", event.decision);
  field("decision_reason", event.decision_reason.Text());
  field("cluster", event.cluster);
  return out;
}

// What decoding one text gave.
struct Decoded {
  std::vector<std::string> events;
  DecodeOutcome outcome;
};

// The text with the padding that the decoder asks for, in memory of its own
// exact size, so that ASan sees a read beyond it.
class PaddedText {
 public:
  // `line`: with the newline that ends a line of a file.
  explicit PaddedText(std::string_view text, bool line = true)
      : bytes_(text), size_(text.size()) {
    if (line) bytes_.push_back('\n');
    bytes_.resize(size_ + kDecodePadding, '\0');
    bytes_.shrink_to_fit();
  }
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::string bytes_;
  size_t size_;
};

inline Decoded DecodeOneLine(Decoder* decoder, std::string_view line) {
  const PaddedText text(line);
  Decoded decoded;
  decoded.outcome = decoder->DecodeLine(
      text.view(),
      [&](const EventView& event) { decoded.events.push_back(Dump(event)); });
  return decoded;
}

inline Decoded DecodeOneDocument(Decoder* decoder, std::string_view document) {
  const PaddedText text(document, /*line=*/false);
  Decoded decoded;
  decoded.outcome = decoder->DecodeDocument(
      text.view(),
      [&](const EventView& event) { decoded.events.push_back(Dump(event)); });
  return decoded;
}

// The outcome as text; both ways of decoding must agree in it too.
inline std::string DumpOutcome(const DecodeOutcome& outcome) {
  std::string out;
  AppendField("events", std::to_string(outcome.events), &out);
  AppendField("skipped", std::to_string(outcome.skipped), &out);
  AppendField("reason", QuarantineReasonName(outcome.reason), &out);
  AppendField("begin", std::to_string(outcome.quarantine_begin), &out);
  AppendField("end", std::to_string(outcome.quarantine_end), &out);
  AppendField("offset", std::to_string(outcome.error_offset), &out);
  AppendField("message", outcome.message, &out);
  return out;
}

inline std::string DumpAll(const Decoded& decoded) {
  std::string out = DumpOutcome(decoded.outcome);
  for (const std::string& event : decoded.events) out += "--\n" + event;
  return out;
}

}  // namespace klaxon
