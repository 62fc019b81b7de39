// What exporters wrap around audit events, recognised by structure: lists,
// CloudWatch, GKE, AKS, docker, CRI, fluent-bit and its like, Elasticsearch,
// Loki, OVH. One level at a time; the decoder bounds how many.
//
// Not thread-safe: belongs to one Decoder, as the arena and the splitter.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "event/decode_event.h"
#include "event/decode_json.h"

namespace klaxon {

// Deepest nesting of wrappers.
inline constexpr int kWrapperDepthMax = 4;

// Something that may hold an event: a JSON object, an array, or a string
// literal with JSON in it.
struct WrappedPiece {
  std::string_view json;
  bool dots_are_underscores = false;  // See EventRules.
  std::string_view user_agent;        // Where the event has none of its own.
};

enum class WrapperKind : uint8_t {
  kNone,        // No wrapper that we know.
  kPieces,      // `pieces`, perhaps none.
  kGke,         // A LogEntry of Google's: ReadGkeEntry.
  kLogChunk,    // docker json-file: `pieces[0]` is text that may go on in the
                // next line of the same stream.
  kOtherLog,    // JSON of a kind we know, but no audit log: `message`.
  kUnreadable,  // A part that had to be read is not JSON.
};

struct Unwrapped {
  WrapperKind kind = WrapperKind::kNone;
  uint32_t skipped = 0;  // Pieces that rightly hold no audit event.
  bool is_stderr = false;
  std::string_view message;
};

class Unwrapper {
 public:
  // Both must outlive the unwrapper.
  Unwrapper(Arena* arena, JsonSplitter* splitter)
      : arena_(arena), splitter_(splitter) {}

  // `members` of an object that is no audit event. Appends to `pieces`.
  Unwrapped Unwrap(const std::vector<JsonMember>& members,
                   std::vector<WrappedPiece>* pieces);

  // Fills `builder` from a LogEntry (kGke) and names the cluster. False: the
  // entry is not of Kubernetes' audit log, or lacks what makes an event of it.
  bool ReadGkeEntry(const std::vector<JsonMember>& members,
                    EventBuilder* builder);

 private:
  using Members = std::vector<JsonMember>;
  using Pieces = std::vector<WrappedPiece>;

  std::optional<Unwrapped> TryCloudWatch(const Members& members,
                                         Pieces* pieces);
  std::optional<Unwrapped> TryAks(const Members& members, Pieces* pieces);
  std::optional<Unwrapped> TryElastic(const Members& members, Pieces* pieces);
  std::optional<Unwrapped> TryLoki(const Members& members, Pieces* pieces);
  std::optional<Unwrapped> TryText(const Members& members, Pieces* pieces);

  bool SplitGkeEntry(const Members& members, Members* entry, Members* payload);
  void ReadGkePayload(const Members& payload, EventBuilder* builder);

  // The elements of an array that is the member `name`; false: not JSON.
  bool AddElements(std::string_view array, Pieces* pieces);
  // The object's member along `path` ("a", "b"); empty if there is none.
  std::string_view At(const Members& members,
                      std::initializer_list<std::string_view> path);
  std::string_view TextAt(const Members& members,
                          std::initializer_list<std::string_view> path);

  Arena* const arena_;
  JsonSplitter* const splitter_;
  Members scratch_;  // Of At.
};

// A line of the Container Runtime Interface's log format:
// "2026-01-02T03:04:05.000000001Z stdout F {…}".
struct CriLine {
  bool is_stderr = false;
  bool partial = false;  // "P": goes on in the next line of the stream.
  std::string_view text;
};
std::optional<CriLine> ParseCri(std::string_view line);

// Length of what stands before the first '{' of a line, if it is the name of
// a node ("oc adm node-logs"), a time stamp, one with a tag, or a syslog
// header; else 0. Nothing freer: what an application logs before some JSON
// that a client sent must not make an event of it.
size_t PrefixLength(std::string_view line);

// How a line of docker's json-file begins.
inline constexpr std::string_view kDockerHead = "{\"log\":\"";

// docker and containerd cut what a container writes into pieces of this size.
inline constexpr size_t kLogChunkBytes = 16 << 10;

// Whether the next line of the same file belongs to this one (CRI "P", a full
// docker chunk without its newline): whoever cuts a stream into batches must
// not cut here, since a Decoder joins only what it sees in a row.
bool GoesOnInNextLine(std::string_view line);

}  // namespace klaxon
