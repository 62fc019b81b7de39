#include "event/decode.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "event/check_json.h"
#include "event/decode_impl.h"
#include "event/decode_oversize.h"

namespace klaxon {
namespace {

static_assert(kDecodePadding >= kFastPadding);

// How every event begins that kube-apiserver writes, v1beta1 too.
constexpr std::string_view kEventHead = "{\"kind\":\"Event\"";

}  // namespace

std::string_view TrimJson(std::string_view text) {
  const auto is_space = [](char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
  };
  constexpr std::string_view kBom = "\xef\xbb\xbf";
  if (text.substr(0, kBom.size()) == kBom) text.remove_prefix(kBom.size());
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view QuarantineReasonName(QuarantineReason reason) {
  switch (reason) {
    case QuarantineReason::kNone:
      return "none";
    case QuarantineReason::kNotJson:
      return "not_json";
    case QuarantineReason::kHalfLine:
      return "half_line";
    case QuarantineReason::kNotAuditEvent:
      return "not_audit_event";
    case QuarantineReason::kNoTime:
      return "no_time";
    case QuarantineReason::kLegacyFormat:
      return "legacy_format";
    case QuarantineReason::kKlog:
      return "klog";
    case QuarantineReason::kAccessLog:
      return "access_log";
    case QuarantineReason::kText:
      return "text";
    case QuarantineReason::kBinary:
      return "binary";
    case QuarantineReason::kTruncated:
      return "truncated";
    case QuarantineReason::kOversize:
      return "oversize";
    case QuarantineReason::kNesting:
      return "nesting";
  }
  return "none";
}

// ------------------------------------------------------------------- outcome

void Decoder::Impl::Begin(std::string_view text, EventCallback* callback) {
  arena.Reset();
  input = text;
  on_event = callback;
  outcome = DecodeOutcome{};
}

DecodeOutcome Decoder::Impl::End() {
  if (outcome.reason != QuarantineReason::kNone) ++counters.quarantined;
  return std::move(outcome);
}

// The first failure names reason and message; the range covers them all. Text
// that is a copy (from inside a wrapper) stands for the whole line.
void Decoder::Impl::Fail(QuarantineReason reason, std::string_view where,
                         size_t offset, std::string message) {
  const bool inside =
      where.data() >= input.data() &&
      where.data() + where.size() <= input.data() + input.size();
  const size_t begin =
      inside ? static_cast<size_t>(where.data() - input.data()) : 0;
  const size_t end = inside ? begin + where.size() : input.size();
  if (outcome.reason != QuarantineReason::kNone) {
    outcome.quarantine_begin = std::min(outcome.quarantine_begin, begin);
    outcome.quarantine_end = std::max(outcome.quarantine_end, end);
    return;
  }
  outcome.reason = reason;
  outcome.quarantine_begin = begin;
  outcome.quarantine_end = end;
  outcome.error_offset = inside ? std::min(begin + offset, end) : 0;
  outcome.message = std::move(message);
}

void Decoder::Impl::FailAs(const Diagnosis& diagnosis, std::string_view text) {
  Fail(diagnosis.reason, text, diagnosis.offset, diagnosis.message);
}

// -------------------------------------------------------------------- events

// The lists of the fast path lie in scratch that the next event overwrites.
void Decoder::Impl::KeepLists(EventView* view) {
  const auto keep = [this]<typename T>(std::span<const T>* list) {
    if (list->empty()) return;
    T* const copy =
        reinterpret_cast<T*>(arena.Allocate(list->size() * sizeof(T)));
    std::uninitialized_copy(list->begin(), list->end(), copy);
    *list = {copy, list->size()};
  };
  keep(&view->user.groups);
  keep(&view->user.extra);
  keep(&view->source_ips);
  keep(&view->annotations);
}

bool Decoder::Impl::TryFast(std::string_view text, const Context& context) {
  // Keys that must be rewritten are none of the fast path's.
  if (options.slow_path_only || context.dots_are_underscores) return false;
  char* const memory = arena.Allocate(text.size() + kFastArenaSlack);
  scratch.arena = memory;
  const char* const end = text.data() + text.size();
  const bool read =
      kernel.decode(text.data(), end, &scratch, &fast_view) == end;
  arena.Shrink(memory, read ? static_cast<size_t>(scratch.arena - memory) : 0);
  if (!read) return false;
  if (context.depth > 0 || context.odd != 0) KeepLists(&fast_view);
  ++counters.fast_path_events;
  Emit(fast_view, text, context);
  return true;
}

void Decoder::Impl::Emit(EventView& view, std::string_view text,
                         const Context& context) {
  if (view.time() == kNoTime) {
    Fail(QuarantineReason::kNoTime, text, 0,
         "an audit event without a readable requestReceivedTimestamp or "
         "stageTimestamp (RFC 3339)");
    return;
  }
  view.odd |= context.odd;
  if (view.cluster.empty()) view.cluster = context.cluster;
  if (view.user_agent.empty()) view.user_agent = context.user_agent;
  ++outcome.events;
  ++counters.events;
  if (view.odd != 0) ++counters.odd_events;
  if (context.depth > 0) ++counters.wrapped_events;
  (*on_event)(view);
}

// ---------------------------------------------------------------------- text

void Decoder::Impl::DecodeText(std::string_view text, Context context) {
  text = TrimJson(text);
  if (text.empty()) {
    ++outcome.skipped;
    return;
  }
  if (context.depth > kWrapperDepthMax) {
    Fail(QuarantineReason::kNesting, text, 0,
         "wrappers nested deeper than four");
    return;
  }
  if (IsJsonBracket(text.front())) {
    const bool refused = text.data() == context.refused.data() &&
                         text.size() == context.refused.size();
    if (refused || !TryFast(text, context)) {
      DecodeJson(text, context);
    }
    return;
  }
  if (const auto cri = ParseCri(text)) {
    DecodeCri(*cri, context);
    return;
  }
  if (const size_t prefix = PrefixLength(text); prefix != 0 && !IsKlog(text)) {
    const std::string_view rest = text.substr(prefix);
    if (FindValueEnd(rest, 0).end == rest.data() + rest.size()) {
      ++context.depth;
      DecodeText(rest, context);
      return;
    }
  }
  Unreadable(text, context);
}

// `text` begins with a bracket.
void Decoder::Impl::DecodeJson(std::string_view text, const Context& context) {
  const ValueEnd end = FindValueEnd(text, 0);
  if (end.end == nullptr) {
    Unreadable(text, context);
  } else if (end.end == text.data() + text.size()) {
    DecodeValue(text, context);
  } else {
    DecodeSeveral(text, context);
  }
}

// Values behind each other. Each must be JSON to the letter: brackets alone
// would be a poor witness, since a half line turns the next line's strings
// inside out, and an attacker may have chosen what stands in them.
void Decoder::Impl::DecodeSeveral(std::string_view text,
                                  const Context& context) {
  Context inner = context;
  inner.odd |= kOddConcatenated;
  size_t at = 0;
  while (at < text.size()) {
    const JsonCheck check = CheckJsonValue(text, at, nullptr);
    if (!check.ok) {
      const std::string_view rest = text.substr(at);
      if (IsJsonBracket(rest.front())) {
        Unreadable(rest, context);
      } else {
        Fail(QuarantineReason::kNotJson, rest, 0,
             rest == "," ? "a comma behind the event; one event a line is "
                           "expected, or one JSON array in the whole file"
                         : "more text behind the JSON value; one event a line "
                           "is expected");
      }
      return;
    }
    const std::string_view value = text.substr(at, check.offset - at);
    if (!TryFast(value, inner)) DecodeValue(value, inner);
    at = SkipJsonSpace(text, check.offset);
  }
}

// One value, whole by bracket balance.
void Decoder::Impl::DecodeValue(std::string_view text, Context context) {
  std::string_view readable = text;
  if (IsJsonBracket(text.front()) && FindValueEnd(text, 0).surrogates) {
    // Lone surrogates would stop whoever parses a body.
    readable = Sanitize(text, &arena);
    if (readable.data() != text.data()) context.odd |= kOddInvalidUtf8;
  }
  JsonError error = ReadValue(readable, context);
  if (error == JsonError::kUtf8 && readable.data() == text.data()) {
    readable = Sanitize(text, &arena);
    context.odd |= kOddInvalidUtf8;
    error = ReadValue(readable, context);
  }
  if (error != JsonError::kNone) Unreadable(text, context);
}

JsonError Decoder::Impl::ReadValue(std::string_view text,
                                   const Context& context) {
  if (IsJsonObject(text)) return ReadObject(text, context);
  if (!IsJsonArray(text)) {
    Fail(QuarantineReason::kNotAuditEvent, text, 0,
         "a JSON value that is neither object nor array");
    return JsonError::kNone;
  }
  Level& level = levels[static_cast<size_t>(context.depth)];
  const JsonError error = splitter.SplitArray(text, &level.elements);
  if (error != JsonError::kNone) return error;
  level.pieces.clear();
  for (std::string_view element : level.elements) {
    level.pieces.push_back({element});
  }
  DecodePieces(&level, text, context);
  return JsonError::kNone;
}

JsonError Decoder::Impl::ReadObject(std::string_view text,
                                    const Context& context) {
  Level& level = levels[static_cast<size_t>(context.depth)];
  const JsonError error = splitter.SplitObject(text, &level.members);
  if (error != JsonError::kNone) return error;
  const Likeness likeness = RecogniseEvent(level.members);
  if (likeness == Likeness::kAuditEvent) {
    builder.Clear();
    if (!builder.Read(level.members,
                      {.cluster_field = options.cluster_field,
                       .dots_are_underscores = context.dots_are_underscores})) {
      return JsonError::kSyntax;
    }
    EventView& view = builder.Finish();
    if (FindValueEnd(text, 0).deep) view.odd |= kOddDepth;
    Emit(view, text, context);
    return JsonError::kNone;
  }
  if (likeness == Likeness::kCoreEvent) {
    Fail(QuarantineReason::kNotAuditEvent, text, 0,
         "a Kubernetes Event object (kubectl get events), not an event of the "
         "audit log (audit.k8s.io)");
    return JsonError::kNone;
  }
  level.pieces.clear();
  const Unwrapped unwrapped = unwrapper.Unwrap(level.members, &level.pieces);
  Context inner = context;
  if (const JsonMember* cluster =
          options.cluster_field.empty()
              ? nullptr
              : FindMember(level.members, options.cluster_field)) {
    inner.cluster =
        UnescapeString(cluster->value, &arena).value_or(inner.cluster);
  }
  outcome.skipped += unwrapped.skipped;
  switch (unwrapped.kind) {
    case WrapperKind::kNone:
      Fail(QuarantineReason::kNotAuditEvent, text, 0,
           "JSON, but neither an audit event nor a wrapper that is known");
      break;
    case WrapperKind::kOtherLog:
      Fail(QuarantineReason::kKlog, text, 0, std::string(unwrapped.message));
      break;
    case WrapperKind::kUnreadable:
      return JsonError::kSyntax;
    case WrapperKind::kGke:
      return ReadGke(level.members, text, inner);
    case WrapperKind::kLogChunk:
      DecodeChunk(level.pieces.front().json, unwrapped.is_stderr, inner);
      break;
    case WrapperKind::kPieces:
      DecodePieces(&level, text, inner);
      break;
  }
  return JsonError::kNone;
}

JsonError Decoder::Impl::ReadGke(const std::vector<JsonMember>& members,
                                 std::string_view text,
                                 const Context& context) {
  if (!unwrapper.ReadGkeEntry(members, &builder)) {
    ++outcome.skipped;  // Google's audit log of something else.
    return JsonError::kNone;
  }
  Context inner = context;
  ++inner.depth;
  Emit(builder.Finish(), text, inner);
  return JsonError::kNone;
}

// ---------------------------------------------------------------- unreadable

// A half line with the next event glued to it: kube-apiserver was killed, or
// the disk was full, in the middle of a write.
//
// The event is believed only if it ends where the line does, newline and all.
// What an attacker puts into a body looks like an event too, but the rest of
// his own follows it; and where his own was cut off right behind it, no
// newline does. Two values cannot both end there unless one is inside the
// other, so one pass from the end finds the only candidate.
bool Decoder::Impl::Resynchronise(std::string_view text,
                                  const Context& context) {
  if (!context.ends_line) return false;
  const size_t begin = FindLastValue(text);
  if (begin == text.npos || begin == 0) return false;
  const std::string_view value = text.substr(begin);
  if (value.substr(0, kEventHead.size()) != kEventHead) return false;
  const JsonCheck check = CheckJsonValue(value, 0, nullptr);
  if (!check.ok || check.offset != value.size()) return false;
  const std::string_view half = text.substr(0, begin);
  Fail(QuarantineReason::kHalfLine, half, half.size(),
       "half an event, with the next one behind it on the same line; the next "
       "one was read (a killed kube-apiserver or a full disk leaves this)");
  Context inner = context;
  inner.odd |= kOddResynced;
  inner.ends_line = false;
  if (!TryFast(value, inner)) DecodeValue(value, inner);
  return true;
}

void Decoder::Impl::Unreadable(std::string_view text, const Context& context) {
  // Klog quotes what clients send; only audit lines, whole or half, and the
  // NULs that a crashed file system leaves are looked into.
  const bool may_hold_event = text.front() == '{' || text.front() == '\0';
  if (may_hold_event && Resynchronise(text, context)) return;
  FailAs(Diagnose(text), text);
}

// -------------------------------------------------------------------- public

Decoder::Decoder(DecoderOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
Decoder::~Decoder() = default;

size_t Decoder::DecodeFastLine(std::string_view bytes, EventCallback on_event) {
  Impl& impl = *impl_;
  if (impl.options.slow_path_only || bytes.front() != '{') return 0;
  impl.arena.Reset();
  impl.scratch.arena = impl.arena.Allocate(bytes.size() + kFastArenaSlack);
  const char* const end =
      impl.kernel.decode(bytes.data(), bytes.data() + bytes.size(),
                         &impl.scratch, &impl.fast_view);
  if (end == nullptr || impl.fast_view.time() == kNoTime) return 0;
  ++impl.counters.lines;
  ++impl.counters.events;
  ++impl.counters.fast_path_events;
  on_event(impl.fast_view);
  return static_cast<size_t>(end - bytes.data());
}

DecodeOutcome Decoder::DecodeLine(std::string_view line,
                                  EventCallback on_event) {
  impl_->Begin(line, &on_event);
  ++impl_->counters.lines;
  std::string_view text = line;
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  Impl::Context context;
  const bool looks_fast = !text.empty() && text.front() == '{';
  if (!looks_fast || !impl_->TryFast(text, context)) {
    if (looks_fast) context.refused = text;
    context.ends_line = line.data() != nullptr && *line.end() == '\n';
    impl_->DecodeText(text, context);
  }
  return impl_->End();
}

DecodeOutcome Decoder::DecodeDocument(std::string_view document,
                                      EventCallback on_event) {
  impl_->Begin(document, &on_event);
  ++impl_->counters.lines;
  const std::string_view text = TrimJson(document);
  if (text.empty()) ++impl_->outcome.skipped;
  size_t at = 0;
  while (at < text.size()) {
    if (!IsJsonBracket(text[at])) {
      impl_->FailAs(Diagnose(text.substr(at)), text.substr(at));
      break;
    }
    std::string what;
    const JsonCheck check = CheckJsonValue(text, at, &what);
    if (!check.ok) {
      impl_->FailAs(Diagnose(text.substr(at)), text.substr(at));
      break;
    }
    impl_->DecodeJson(text.substr(at, check.offset - at), {});
    at = SkipJsonSpace(text, check.offset);
  }
  return impl_->End();
}

DecodeOutcome Decoder::DecodeOversize(std::string_view head,
                                      std::string_view tail,
                                      uint64_t line_bytes,
                                      EventCallback on_event) {
  impl_->Begin(head, &on_event);
  ++impl_->counters.lines;
  bool judged = false;
  if (const auto event = JoinOversize(head, tail)) {
    char* const memory = impl_->arena.Allocate(event->size());
    std::memcpy(memory, event->data(), event->size());
    impl_->DecodeValue({memory, event->size()}, {.odd = kOddOversize});
    judged = impl_->outcome.events != 0;
  }
  DecodeOutcome& outcome = impl_->outcome;
  outcome.reason = QuarantineReason::kOversize;
  outcome.quarantine_begin = 0;
  outcome.quarantine_end = head.size() + tail.size();
  outcome.error_offset = 0;
  outcome.message = "a line of " + std::to_string(line_bytes) +
                    " bytes, longer than line_bytes_max; " +
                    (judged ? "the event was judged without its bodies"
                            : "the event could not be judged");
  return impl_->End();
}

DecodeOutcome Decoder::FinishStream() {
  impl_->Begin({}, nullptr);
  for (Impl::Pending& partial : impl_->pending) {
    if (partial.empty()) continue;
    impl_->Fail(partial.overflow ? QuarantineReason::kOversize
                                 : QuarantineReason::kHalfLine,
                {}, 0,
                "the stream ended within a line that was written in pieces");
    partial.Clear();
  }
  return impl_->End();
}

const DecodeCounters& Decoder::counters() const { return impl_->counters; }

}  // namespace klaxon
