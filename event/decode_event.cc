#include "event/decode_event.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <numeric>

namespace klaxon {

enum class EventBuilder::Field : uint8_t {
  kLevel,
  kAuditId,
  kStage,
  kRequestUri,
  kVerb,
  kUser,
  kImpersonatedUser,
  kSourceIps,
  kUserAgent,
  kObjectRef,
  kResponseStatus,
  kRequestObject,
  kResponseObject,
  kRequestReceivedTimestamp,
  kStageTimestamp,
  kOldTimestamp,
  kAnnotations,
  kUsername,
  kUserUid,
  kGroups,
  kExtra,
  kResource,
  kNamespace,
  kName,
  kUid,
  kApiGroup,
  kApiVersion,
  kSubresource,
  kMessage,
  kReason,
  kCode,
};

struct EventBuilder::KnownKey {
  std::string_view name;
  Field field;
};

namespace {

// One step of case folding as Go's encoding/json does it: ASCII, and the two
// characters beyond that fold into it. Returns the folded byte and steps.
unsigned char NextFolded(std::string_view* key) {
  const char c = key->front();
  if (static_cast<unsigned char>(c) < 0x80) {
    key->remove_prefix(1);
    return static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  const auto starts = [key](std::string_view prefix) {
    return key->substr(0, prefix.size()) == prefix;
  };
  if (starts("\xe2\x84\xaa")) {  // U+212A, the Kelvin sign.
    key->remove_prefix(3);
    return 'k';
  }
  if (starts("\xc5\xbf")) {  // U+017F, the long s.
    key->remove_prefix(2);
    return 's';
  }
  key->remove_prefix(1);
  return static_cast<unsigned char>(c);
}

// `name` is ASCII.
bool EqualFolded(std::string_view key, std::string_view name) {
  if (key.size() < name.size()) return false;
  while (!key.empty() && !name.empty()) {
    if (NextFolded(&key) != NextFolded(&name)) return false;
  }
  return key.empty() && name.empty();
}

bool IsNull(std::string_view value) { return value == "null"; }

template <typename T>
std::span<const T> CopyTo(Arena* arena, const std::vector<T>& list) {
  if (list.empty()) return {};
  char* const memory = arena->Allocate(list.size() * sizeof(T));
  T* const copy = reinterpret_cast<T*>(memory);
  std::uninitialized_copy(list.begin(), list.end(), copy);
  return {copy, list.size()};
}

Level LevelOf(std::string_view text) {
  if (text == "Metadata") return Level::kMetadata;
  if (text == "Request") return Level::kRequest;
  if (text == "RequestResponse") return Level::kRequestResponse;
  return Level::kUnknown;
}

Stage StageOf(std::string_view text) {
  if (text == "RequestReceived") return Stage::kRequestReceived;
  if (text == "ResponseStarted") return Stage::kResponseStarted;
  if (text == "ResponseComplete") return Stage::kResponseComplete;
  if (text == "Panic") return Stage::kPanic;
  return Stage::kUnknown;
}

// 200, "200", 200.0 (exporters that know only doubles); nothing else.
std::optional<int32_t> CodeOf(std::string_view value) {
  if (IsJsonString(value)) value = value.substr(1, value.size() - 2);
  const size_t point = value.find('.');
  if (point != std::string_view::npos) {
    const std::string_view rest = value.substr(point + 1);
    if (rest.empty() || rest.find_first_not_of('0') != rest.npos) return {};
    value = value.substr(0, point);
  }
  if (value.empty() || value.size() > 9) return {};
  int32_t code = 0;
  for (char c : value) {
    if (c < '0' || c > '9') return {};
    code = code * 10 + (c - '0');
  }
  return code;
}

std::string_view ValueOf(const std::vector<KeyValue>& map,
                         std::string_view key) {
  for (const KeyValue& entry : map) {
    if (entry.key == key) return entry.value;
  }
  return {};
}

}  // namespace

const JsonMember* FindMember(const std::vector<JsonMember>& members,
                             std::string_view name) {
  const auto last = [&members](auto&& matches) -> const JsonMember* {
    const auto it = std::find_if(members.rbegin(), members.rend(), matches);
    return it == members.rend() ? nullptr : &*it;
  };
  const JsonMember* exact =
      last([name](const JsonMember& m) { return m.key == name; });
  if (exact != nullptr) return exact;
  return last([name](const JsonMember& m) { return EqualFolded(m.key, name); });
}

Likeness RecogniseEvent(const std::vector<JsonMember>& members) {
  const auto has = [&members](std::string_view name) {
    return FindMember(members, name) != nullptr;
  };
  const JsonMember* const kind = FindMember(members, "kind");
  const JsonMember* const version = FindMember(members, "apiVersion");
  constexpr std::string_view kGroup = "\"audit.k8s.io/";
  if (kind != nullptr && kind->value != "\"Event\"") return Likeness::kOther;
  if (version != nullptr) {
    if (version->value.substr(0, kGroup.size()) != kGroup) {
      return kind != nullptr ? Likeness::kCoreEvent : Likeness::kOther;
    }
    if (kind != nullptr) return Likeness::kAuditEvent;
  }
  // "stage" is what tells an audit event from Rancher's own audit log, which
  // has auditID and requestURI too.
  if (has("stage") && (has("auditID") || (has("verb") && has("requestURI")))) {
    return Likeness::kAuditEvent;
  }
  return Likeness::kOther;
}

void EventBuilder::Clear() {
  view_ = EventView{};
  old_time_ = kNoTime;
  seen_ = 0;
  occurrence_ = 0;
  groups_.clear();
  source_ips_.clear();
  extra_.clear();
  annotations_.clear();
}

void EventBuilder::ReadText(std::string_view value, std::string_view* field) {
  if (const auto text = Text(value)) *field = *text;
}

void EventBuilder::ReadTime(std::string_view value, EventTime* field) {
  const auto text = Text(value);
  if (!text.has_value()) return;
  if (const auto time = ParseTime(*text)) *field = *time;
}

// A list of strings, or one string. What is no string is left out.
bool EventBuilder::ReadTexts(std::string_view value,
                             std::vector<std::string_view>* list) {
  if (IsNull(value)) {
    list->clear();
  } else if (IsJsonString(value)) {
    list->clear();
    if (const auto text = Text(value)) list->push_back(*text);
  } else if (IsJsonArray(value)) {
    list->clear();
    if (splitter_->SplitArray(value, &elements_) != JsonError::kNone) {
      return false;
    }
    for (std::string_view element : elements_) {
      if (const auto text = Text(element)) list->push_back(*text);
    }
  }
  return true;
}

void EventBuilder::ReadRaw(std::string_view value, std::string_view* field) {
  *field = IsNull(value) ? std::string_view() : value;
}

// "authorization_k8s_io/decision" → "authorization.k8s.io/decision". What
// stands before the slash is a DNS name, which has no underscores of its own.
std::string_view EventBuilder::RestoreDots(std::string_view key,
                                           const EventRules& rules) {
  const size_t slash = key.find('/');
  if (!rules.dots_are_underscores || slash == std::string_view::npos) {
    return key;
  }
  char* const copy = arena_->Allocate(key.size());
  std::memcpy(copy, key.data(), key.size());
  std::replace(copy, copy + slash, '_', '.');
  return {copy, key.size()};
}

// Leaves of each key what its last occurrence gave, in the order written.
// Sorted, not searched: a hostile event may have a million keys.
std::vector<KeyValue>& EventBuilder::LastOfEachKey(std::vector<Entry>* map) {
  last_of_key_.clear();
  by_key_.resize(map->size());
  std::iota(by_key_.begin(), by_key_.end(), 0);
  std::sort(by_key_.begin(), by_key_.end(), [map](uint32_t a, uint32_t b) {
    const Entry& left = (*map)[a];
    const Entry& right = (*map)[b];
    const int order = left.pair.key.compare(right.pair.key);
    return order != 0 ? order < 0 : a < b;
  });
  for (size_t i = map->size(); i-- > 1;) {
    Entry& earlier = (*map)[by_key_[i - 1]];
    const Entry& later = (*map)[by_key_[i]];
    if (earlier.pair.key != later.pair.key) continue;
    if (earlier.occurrence == later.occurrence && !later.dropped) continue;
    if (earlier.occurrence != later.occurrence) {
      view_.odd |= kOddDuplicateKey;
    }
    earlier.dropped = earlier.occurrence != later.occurrence || later.dropped;
  }
  for (const Entry& entry : *map) {
    if (!entry.dropped && !entry.empty) last_of_key_.push_back(entry.pair);
  }
  return last_of_key_;
}

bool EventBuilder::ReadAnnotations(std::string_view value,
                                   const EventRules& rules) {
  if (IsNull(value)) annotations_.clear();
  if (!IsJsonObject(value)) return true;
  if (splitter_->SplitObject(value, &map_members_) != JsonError::kNone) {
    return false;
  }
  for (const JsonMember& member : map_members_) {
    const auto text = Text(member.value);
    if (!text.has_value()) continue;
    AddAnnotation(RestoreDots(member.key, rules), *text);
  }
  return true;
}

bool EventBuilder::ReadExtra(std::string_view value, const EventRules& rules) {
  if (IsNull(value)) extra_.clear();
  if (!IsJsonObject(value)) return true;
  if (splitter_->SplitObject(value, &map_members_) != JsonError::kNone) {
    return false;
  }
  for (const JsonMember& member : map_members_) {
    const std::string_view key = RestoreDots(member.key, rules);
    values_.clear();
    if (!ReadTexts(member.value, &values_)) return false;
    ++occurrence_;
    for (std::string_view text : values_) {
      extra_.push_back({{key, text}, occurrence_});
    }
    if (values_.empty()) {
      extra_.push_back({{key, {}}, occurrence_, /*empty=*/true});
    }
  }
  return true;
}

void EventBuilder::ReadMembers(const std::vector<JsonMember>& members,
                               std::pair<const KnownKey*, size_t> keys,
                               const EventRules& rules, bool* ok) {
  const std::span<const KnownKey> known(keys.first, keys.second);
  for (const JsonMember& member : members) {
    const KnownKey* match = nullptr;
    for (const KnownKey& key : known) {
      if (key.name == member.key) match = &key;
    }
    if (match == nullptr) {
      for (const KnownKey& key : known) {
        if (EqualFolded(member.key, key.name)) match = &key;
      }
      if (match == nullptr) continue;
      view_.odd |= kOddKeyCase;
    }
    const uint64_t bit = uint64_t{1} << static_cast<int>(match->field);
    if ((seen_ & bit) != 0) view_.odd |= kOddDuplicateKey;
    seen_ |= bit;
    *ok = *ok && ReadField(match->field, member.value, rules);
  }
}

// Members of a nested object, which override those of an earlier one.
bool EventBuilder::ReadObject(std::string_view value, const EventRules& rules,
                              std::pair<const KnownKey*, size_t> keys) {
  if (!IsJsonObject(value)) return true;
  if (splitter_->SplitObject(value, &object_members_) != JsonError::kNone) {
    return false;
  }
  bool ok = true;
  ReadMembers(object_members_, keys, rules, &ok);
  return ok;
}

bool EventBuilder::Read(const std::vector<JsonMember>& members,
                        const EventRules& rules) {
  static constexpr KnownKey kKeys[] = {
      {"level", Field::kLevel},
      {"auditID", Field::kAuditId},
      {"stage", Field::kStage},
      {"requestURI", Field::kRequestUri},
      {"verb", Field::kVerb},
      {"user", Field::kUser},
      {"impersonatedUser", Field::kImpersonatedUser},
      {"sourceIPs", Field::kSourceIps},
      {"userAgent", Field::kUserAgent},
      {"objectRef", Field::kObjectRef},
      {"responseStatus", Field::kResponseStatus},
      {"requestObject", Field::kRequestObject},
      {"responseObject", Field::kResponseObject},
      {"requestReceivedTimestamp", Field::kRequestReceivedTimestamp},
      {"stageTimestamp", Field::kStageTimestamp},
      {"timestamp", Field::kOldTimestamp},
      {"annotations", Field::kAnnotations},
  };
  bool ok = true;
  ReadMembers(members, {kKeys, std::size(kKeys)}, rules, &ok);
  if (!rules.cluster_field.empty()) {
    for (const JsonMember& member : members) {
      if (member.key == rules.cluster_field) {
        ReadText(member.value, &view_.cluster);
      }
    }
  }
  return ok;
}

bool EventBuilder::ReadField(Field field, std::string_view value,
                             const EventRules& rules) {
  static constexpr KnownKey kUserKeys[] = {
      {"username", Field::kUsername},
      {"uid", Field::kUserUid},
      {"groups", Field::kGroups},
      {"extra", Field::kExtra},
  };
  static constexpr KnownKey kObjectRefKeys[] = {
      {"resource", Field::kResource},
      {"namespace", Field::kNamespace},
      {"name", Field::kName},
      {"uid", Field::kUid},
      {"apiGroup", Field::kApiGroup},
      {"apiVersion", Field::kApiVersion},
      {"subresource", Field::kSubresource},
  };
  static constexpr KnownKey kStatusKeys[] = {
      {"message", Field::kMessage},
      {"reason", Field::kReason},
      {"code", Field::kCode},
  };
  switch (field) {
    case Field::kUser:
      return ReadObject(value, rules, {kUserKeys, std::size(kUserKeys)});
    case Field::kImpersonatedUser:
      if (!IsJsonObject(value) && !IsNull(value)) return true;
      ReadRaw(value, &view_.impersonated_user);
      view_.has_impersonated_user = !view_.impersonated_user.empty();
      return true;
    case Field::kSourceIps:
      return ReadTexts(value, &source_ips_);
    case Field::kObjectRef:
      if (IsNull(value)) view_.object_ref = ObjectRef{};
      if (IsNull(value) || IsJsonObject(value)) {
        view_.has_object_ref = !IsNull(value);
      }
      return ReadObject(value, rules,
                        {kObjectRefKeys, std::size(kObjectRefKeys)});
    case Field::kResponseStatus:
      if (IsNull(value)) {
        view_.status_message = view_.status_reason = {};
        view_.code = 0;
      }
      return ReadObject(value, rules, {kStatusKeys, std::size(kStatusKeys)});
    case Field::kRequestObject:
      ReadRaw(value, &view_.request_object);
      return true;
    case Field::kResponseObject:
      ReadRaw(value, &view_.response_object);
      return true;
    case Field::kRequestReceivedTimestamp:
      ReadTime(value, &view_.request_received_time);
      return true;
    case Field::kStageTimestamp:
      ReadTime(value, &view_.stage_time);
      return true;
    case Field::kOldTimestamp:
      ReadTime(value, &old_time_);
      return true;
    case Field::kAnnotations:
      return ReadAnnotations(value, rules);
    default:
      return ReadPlainField(field, value, rules);
  }
}

bool EventBuilder::ReadPlainField(Field field, std::string_view value,
                                  const EventRules& rules) {
  switch (field) {
    case Field::kLevel:
      if (const auto text = Text(value)) view_.level = LevelOf(*text);
      return true;
    case Field::kStage:
      if (const auto text = Text(value)) view_.stage = StageOf(*text);
      return true;
    case Field::kGroups:
      return ReadTexts(value, &groups_);
    case Field::kExtra:
      return ReadExtra(value, rules);
    case Field::kCode:
      if (const auto code = CodeOf(value)) view_.code = *code;
      return true;
    case Field::kAuditId:
      ReadText(value, &view_.audit_id);
      return true;
    case Field::kRequestUri:
      ReadText(value, &view_.request_uri);
      return true;
    case Field::kVerb:
      ReadText(value, &view_.verb);
      return true;
    case Field::kUserAgent:
      ReadText(value, &view_.user_agent);
      return true;
    case Field::kUsername:
      ReadText(value, &view_.user.username);
      return true;
    case Field::kUserUid:
      ReadText(value, &view_.user.uid);
      return true;
    case Field::kResource:
      ReadText(value, &view_.object_ref.resource);
      return true;
    case Field::kNamespace:
      ReadText(value, &view_.object_ref.ns);
      return true;
    case Field::kName:
      ReadText(value, &view_.object_ref.name);
      return true;
    case Field::kUid:
      ReadText(value, &view_.object_ref.uid);
      return true;
    case Field::kApiGroup:
      ReadText(value, &view_.object_ref.api_group);
      return true;
    case Field::kApiVersion:
      ReadText(value, &view_.object_ref.api_version);
      return true;
    case Field::kSubresource:
      ReadText(value, &view_.object_ref.subresource);
      return true;
    case Field::kMessage:
      ReadText(value, &view_.status_message);
      return true;
    case Field::kReason:
      ReadText(value, &view_.status_reason);
      return true;
    default:
      return true;
  }
}

EventView& EventBuilder::Finish() {
  if (view_.request_received_time == kNoTime) {
    view_.request_received_time = old_time_;
  }
  view_.user.groups = CopyTo(arena_, groups_);
  view_.source_ips = CopyTo(arena_, source_ips_);
  UserView& user = view_.user;
  const std::vector<KeyValue>& extra = LastOfEachKey(&extra_);
  user.extra = CopyTo(arena_, extra);
  user.credential_id = ValueOf(extra, kCredentialIdKey);
  user.node_name = ValueOf(extra, kNodeNameKey);
  user.pod_name = ValueOf(extra, kPodNameKey);
  user.pod_uid = ValueOf(extra, kPodUidKey);
  std::vector<KeyValue>& annotations = LastOfEachKey(&annotations_);
  view_.decision = ValueOf(annotations, kDecisionKey);
  view_.decision_reason.raw = ValueOf(annotations, kReasonKey);
  std::erase_if(annotations, [](const KeyValue& annotation) {
    return annotation.key == kReasonKey;
  });
  view_.annotations = CopyTo(arena_, annotations);
  return view_;
}

}  // namespace klaxon
