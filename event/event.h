// One audit.k8s.io/v1 Event as the decoder hands it on.
//
// Every string_view points into the batch that was decoded, or into memory of
// the Decoder; both, and the spans, live until the Decoder's next call. What
// must outlive that is copied, once, into an Observation.
// Field names and meaning: k8s.io/apiserver/pkg/apis/audit/v1/types.go.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "event/identity_key.h"
#include "event/time.h"

namespace klaxon {

enum class Level : uint8_t { kUnknown, kMetadata, kRequest, kRequestResponse };
enum class Stage : uint8_t {
  kUnknown,
  kRequestReceived,
  kResponseStarted,
  kResponseComplete,
  kPanic,
};

struct KeyValue {
  std::string_view key;
  std::string_view value;
};

// Text in which `\"` may stand for `"`, and nothing else is escaped: most of
// these are never asked for, so who asks pays.
struct QuotedText {
  std::string_view raw;
  bool escaped = false;

  std::string Text() const {
    std::string text(raw);
    if (escaped) std::erase(text, '\\');
    return text;
  }
};

struct UserView {
  std::string_view username;  // Empty: authentication failed, or none given.
  std::string_view uid;
  std::span<const std::string_view> groups;
  // user.extra, one entry per value ("k": ["a","b"] gives two).
  std::span<const KeyValue> extra;
  // The extras that every detector asks for, first value of each, else empty:
  // authentication.kubernetes.io/{credential-id,pod-name,pod-uid,node-name}.
  std::string_view credential_id;
  std::string_view pod_name;
  std::string_view pod_uid;
  std::string_view node_name;

  bool InGroup(std::string_view group) const {
    for (std::string_view g : groups) {
      if (g == group) return true;
    }
    return false;
  }
};

struct ObjectRef {
  std::string_view resource;
  std::string_view ns;
  std::string_view name;
  std::string_view uid;
  std::string_view api_group;
  std::string_view api_version;
  std::string_view subresource;
};

// What was odd about a line that could nevertheless be read: counted.
enum OddFlags : uint32_t {
  kOddInvalidUtf8 = 1 << 0,
  kOddDuplicateKey = 1 << 1,
  kOddKeyCase = 1 << 2,       // "Verb" for "verb": Go reads it, so do we.
  kOddDepth = 1 << 3,         // Nesting deeper than 1 000 somewhere.
  kOddConcatenated = 1 << 4,  // Several JSON values on one line.
  kOddResynced = 1 << 5,      // Found behind a half line (killed apiserver).
  kOddOversize = 1 << 6,      // Judged by the head and tail of its line.
};

struct EventView {
  Level level = Level::kUnknown;
  Stage stage = Stage::kUnknown;
  int32_t code = 0;           // responseStatus.code; 0: none.
  uint32_t odd = 0;           // OddFlags.
  std::string_view audit_id;  // Client-chosen (Audit-ID header): never trusted.
  std::string_view request_uri;
  std::string_view verb;
  UserView user;  // The real caller, before impersonation.
  bool has_impersonated_user = false;
  std::string_view impersonated_user;  // Raw JSON object, or empty.
  std::span<const std::string_view> source_ips;
  std::string_view user_agent;
  bool has_object_ref = false;
  ObjectRef object_ref;
  std::string_view status_message;
  std::string_view status_reason;
  std::string_view request_object;   // Raw JSON value, any type; or empty.
  std::string_view response_object;  // Raw JSON value, any type; or empty.
  EventTime request_received_time = kNoTime;
  EventTime stage_time = kNoTime;
  std::span<const KeyValue> annotations;  // All but decision_reason's.
  std::string_view decision;              // authorization.k8s.io/decision
  QuotedText decision_reason;             // authorization.k8s.io/reason
  // Value of the top-level key named by DecoderOptions.cluster_field, or what
  // a wrapper says of the cluster (GKE's cluster_name); else empty.
  std::string_view cluster;

  // Of bytes that alone determine user, impersonatedUser, sourceIPs and
  // userAgent: equal keys mean an equal identity, so what was worked out for it
  // once need not be again. None where the decoder cannot tell.
  IdentityKey identity;
  // Small, and nearly always the same for equal keys and another one for
  // others; 0: none.
  uint32_t identity_number = 0;

  // "event time" of detections.md. kNoTime: the event must be quarantined.
  EventTime time() const {
    return stage_time != kNoTime ? stage_time : request_received_time;
  }
  // The annotation's value; empty where it is absent (or empty).
  std::string_view Annotation(std::string_view key) const {
    for (const KeyValue& a : annotations) {
      if (a.key == key) return a.value;
    }
    return {};
  }
  bool HasAnnotation(std::string_view key) const {
    for (const KeyValue& a : annotations) {
      if (a.key == key) return true;
    }
    return false;
  }
};

}  // namespace klaxon
