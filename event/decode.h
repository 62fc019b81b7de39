// Turns one line (or document) of input into the audit events it holds.
//
// A line of kube-apiserver's own making takes the fast path, a schema-aware
// scanner that returns "not mine" on any surprise. Everything else takes the
// slow path: simdjson, Go's rules for keys (case-insensitive, last duplicate
// wins), then the wrappers (unwrap.h), then resynchronisation. Both agree on
// every input, or the line is quarantined; fuzz_decode holds them to it.
//
// Not thread-safe: one Decoder per thread. Keeps no state between lines but
// counters and scratch memory, which is bounded by the longest line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "event/event.h"

namespace klaxon {

// Bytes that must be readable (not necessarily zero) behind every line.
inline constexpr size_t kDecodePadding = 256;

// Why something could not be read. The names (QuarantineReasonName) are part
// of the quarantine file and of the metrics: add, do not rename.
enum class QuarantineReason : uint8_t {
  kNone,
  kNotJson,        // not_json: a syntax error; see `offset` and `message`.
  kHalfLine,       // half_line: JSON that breaks off (killed apiserver, EOF).
  kNotAuditEvent,  // not_audit_event: JSON, but no audit event nor wrapper.
  kNoTime,         // no_time: neither timestamp can be read.
  kLegacyFormat,   // legacy_format: --audit-log-format=legacy text.
  kKlog,           // klog: kube-apiserver's own log, not its audit log.
  kAccessLog,      // access_log: nginx/Apache.
  kText,           // text: some other text.
  kBinary,         // binary: NUL bytes and the like.
  kTruncated,      // truncated: CloudWatch's "[Truncated...]" and the like.
  kOversize,       // oversize: longer than line_bytes_max.
  kNesting,        // nesting: wrappers nested deeper than four.
};
std::string_view QuarantineReasonName(QuarantineReason reason);

struct DecodeOutcome {
  uint32_t events = 0;  // Events handed to the callback.
  // Recognised, and rightly no event: other categories of a wrapper,
  // CloudWatch CONTROL_MESSAGE, a blank line.
  uint32_t skipped = 0;
  // Set when all or part of the line could not be read. A half line with a
  // whole event behind it has both: events == 1 and reason == kHalfLine.
  QuarantineReason reason = QuarantineReason::kNone;
  size_t quarantine_begin = 0;  // The unreadable bytes of the line: [begin,
  size_t quarantine_end = 0;    // end).
  size_t error_offset = 0;      // Where reading failed, in the line.
  // One sentence: what is wrong and what would be right. No input bytes in it
  // beyond a few printable ones; tokens never.
  std::string message;
};

struct DecoderOptions {
  std::string cluster_field;  // See EventView.cluster. Empty: none.
  // Tests and benchmarks only: never take the fast path.
  bool slow_path_only = false;
};

// Monotone counters since construction.
struct DecodeCounters {
  uint64_t lines = 0;
  uint64_t events = 0;
  uint64_t fast_path_events = 0;
  uint64_t odd_events = 0;  // Events with any OddFlags.
  uint64_t wrapped_events = 0;
  uint64_t quarantined = 0;
};

using EventCallback = absl::FunctionRef<void(const EventView&)>;

class Decoder {
 public:
  explicit Decoder(DecoderOptions options = {});
  ~Decoder();

  // Decodes `line` (without its '\n'; a trailing '\r' is fine) and calls
  // `on_event` for each event in it, in order. The bytes of the line may be
  // rewritten (unescaping in place) only by the slow path and only if
  // quarantined bytes stay as they were.
  //
  // An event behind a half line is believed only where a '\n' stands at
  // line.end(): what ends with the line was written whole, while a file that
  // breaks off may break off right behind an event in somebody's patch.
  // REQUIRES: kDecodePadding readable bytes behind line.end(), and none of
  // them a '\n' right there unless it ends this line.
  DecodeOutcome DecodeLine(std::string_view line, EventCallback on_event);

  // The usual case of DecodeLine without looking for the end of the line first:
  // if `bytes` begin with a line that takes the fast path, hands its event on
  // and returns the line's length without its '\n'; else does nothing and
  // returns 0. Events and counters are those of DecodeLine, to the letter.
  // REQUIRES: bytes is not empty; kDecodePadding readable bytes behind it.
  size_t DecodeFastLine(std::string_view bytes, EventCallback on_event);

  // Decodes one document that may span lines (pretty-printed). Its syntax is
  // checked strictly first, so an error has an exact offset.
  DecodeOutcome DecodeDocument(std::string_view document,
                               EventCallback on_event);

  // A line longer than line_bytes_max: its first and its last bytes. The
  // event is judged (kOddOversize, without bodies) where both can be read:
  // everything before the bodies stands in `head`, timestamps and annotations
  // in `tail` (behind the *last* ,"requestReceivedTimestamp": of the line,
  // which no body can imitate). Also reports reason == kOversize.
  DecodeOutcome DecodeOversize(std::string_view head, std::string_view tail,
                               uint64_t line_bytes, EventCallback on_event);

  // CRI partial lines ("P" … "F") and docker chunks join across lines of one
  // stream; call at the end of a stream to learn what stayed unjoined.
  DecodeOutcome FinishStream();

  const DecodeCounters& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Checks that `text` is exactly one JSON value (RFC 8259 grammar, any depth
// up to 100 000, invalid UTF-8 and lone surrogates allowed inside strings).
// Returns text.size() if so, else the offset of the first error, and says in
// `what` (may be null) what was expected there.
size_t CheckJson(std::string_view text, std::string* what);

// 1-based line and column (in bytes) of `offset` in `text`.
struct TextPosition {
  uint64_t line;
  uint64_t column;
};
TextPosition PositionOf(std::string_view text, size_t offset);

}  // namespace klaxon
