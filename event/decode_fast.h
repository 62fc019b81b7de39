// The fast path: a scanner that knows kube-apiserver's own encoding of an
// audit event (field order, compact, HTML-escaped ASCII) and nothing else.
//
// One source, decode_fast_impl.inc, compiled once per instruction set and
// chosen at run time; every kernel gives the same answers (decode_fast_test).
// Kernels are pure functions of their arguments: any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "event/event.h"
#include "event/identity_cache.h"

namespace klaxon {

// Bytes behind the text that a kernel may read.
inline constexpr size_t kFastPadding = 256;
// Bytes behind the unescaped strings that a kernel may write.
inline constexpr size_t kFastArenaSlack = 64;

// Where a kernel puts what the event does not hold as it is. Reused from
// event to event, so that none allocates.
struct FastScratch {
  // A real event has about five of each; one with more is left to the slow
  // path, which has no limit.
  static constexpr size_t kListMax = 128;
  std::array<std::string_view, kListMax> groups;
  std::array<std::string_view, kListMax> source_ips;
  std::array<KeyValue, kListMax> extra;
  std::array<KeyValue, kListMax> annotations;

  // Unescaped strings go here. REQUIRES: room for the text's size +
  // kFastArenaSlack bytes. A kernel moves it behind what it wrote.
  char* arena = nullptr;

  // Null: each identity is read.
  IdentityCache* identities = nullptr;

  // The minute of the last timestamp of each kind, since the next is nearly
  // always its like: its bytes ("2026-01-02T03:04"), and the time at which it
  // began. And the day of the last that had another minute ("2026-01-02").
  struct Minute {
    std::array<char, 16> text = {'1', '9', '7', '0', '-', '0', '1', '-',
                                 '0', '1', 'T', '0', '0', ':', '0', '0'};
    EventTime begin = 0;
  };
  Minute received;
  Minute stage;
  std::array<char, 16> date{};
  EventTime date_begin = kNoTime;
};

// The end of a JSON value found by bracket balance outside of strings.
struct ValueEnd {
  // Just behind the closing bracket; null: there is none before `end`.
  const char* end = nullptr;
  bool deep = false;        // Nesting deeper than 1 000 somewhere.
  bool surrogates = false;  // An escape \ud… somewhere, of a pair or lone.
};

struct FastKernel {
  const char* name;
  // Reads the event at `begin`, which must reach just to `end` or to a '\n'
  // before it. Returns where it ends. Null: not what kube-apiserver writes, or
  // not readable here; `view` and the scratch then hold nothing of use. Views
  // point into the text or the arena, spans into the scratch.
  // REQUIRES: kFastPadding readable bytes behind `end`.
  const char* (*decode)(const char* begin, const char* end,
                        FastScratch* scratch, EventView* view);
  // Skips the array or object that begins at `begin`, whatever bytes it holds;
  // looks at brackets and strings only.
  // REQUIRES: *begin is '{' or '['; kFastPadding readable bytes behind `end`.
  ValueEnd (*value_end)(const char* begin, const char* end);
};

// Those that this machine can run, best first; never empty.
std::span<const FastKernel> FastKernels();

// Implemented in decode_fast_{generic,haswell,skx}.cc; call through
// FastKernels().
namespace generic {
extern const FastKernel kKernel;
}
namespace haswell {
extern const FastKernel kKernel;
}
namespace skx {
extern const FastKernel kKernel;
}

// Parts that need no instruction set, shared by the kernels.

inline constexpr std::string_view kDecisionKey =
    "authorization.k8s.io/decision";
inline constexpr std::string_view kReasonKey = "authorization.k8s.io/reason";
inline constexpr std::string_view kCredentialIdKey =
    "authentication.kubernetes.io/credential-id";
inline constexpr std::string_view kNodeNameKey =
    "authentication.kubernetes.io/node-name";
inline constexpr std::string_view kPodNameKey =
    "authentication.kubernetes.io/pod-name";
inline constexpr std::string_view kPodUidKey =
    "authentication.kubernetes.io/pod-uid";

// Each ASCII character 32 times. Not known where it is used, so that compilers
// load it: of a constant they would make it anew at each use.
struct alignas(32) Repeated {
  char bytes[32];
};
extern const std::array<Repeated, 128> kRepeated;

// The day that begins with `date` ("2026-01-02"), checked; kNoTime if none.
EventTime ParseDate(std::string_view date);
// Appends the UTF-8 form of a code point that is no surrogate; returns the new
// end. REQUIRES: room for 4 bytes.
char* AppendUtf8(uint32_t code_point, char* out);
// Whether all of it is well-formed UTF-8.
bool IsUtf8(std::string_view text);
// The four hex digits at `p` as a number; -1 if they are none.
int ParseHex4(const char* p);

}  // namespace klaxon
