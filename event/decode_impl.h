// The decoder's inside, shared by decode.cc and decode_wrappers.cc alone.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/decode.h"
#include "event/decode_classify.h"
#include "event/decode_event.h"
#include "event/decode_fast.h"
#include "event/decode_json.h"
#include "event/unwrap.h"

namespace klaxon {

// Without the byte order mark and the space around it.
std::string_view TrimJson(std::string_view text);

inline bool IsJsonBracket(char c) { return c == '{' || c == '['; }

struct Decoder::Impl {
  // What is known of a text from around it.
  struct Context {
    int depth = 0;     // Wrappers around it.
    uint32_t odd = 0;  // OddFlags found so far.
    bool dots_are_underscores = false;
    // The text ended where its line did, with a newline: what ends there was
    // written to its end.
    bool ends_line = false;
    std::string_view refused;  // By the fast path already: this very text.
    std::string_view cluster;
    std::string_view user_agent;
  };
  // Text of a container's stream that is not yet whole.
  struct Pending {
    std::string text;
    bool overflow = false;   // Longer than kJoinedBytesMax: its text is gone.
    bool last_full = false;  // The last piece had all of kLogChunkBytes.
    bool empty() const { return text.empty() && !overflow; }
    void Clear() { *this = Pending{}; }
  };
  // Scratch of one level of wrapping.
  struct Level {
    std::vector<JsonMember> members;
    std::vector<std::string_view> elements;
    std::vector<WrappedPiece> pieces;
  };

  explicit Impl(DecoderOptions opts)
      : options(std::move(opts)),
        kernel(FastKernels().front()),
        splitter(&arena),
        builder(&arena, &splitter),
        unwrapper(&arena, &splitter) {
    scratch.identities = &identities;
  }

  void Begin(std::string_view text, EventCallback* on_event);
  DecodeOutcome End();
  void Fail(QuarantineReason reason, std::string_view where, size_t offset,
            std::string message);
  void FailAs(const Diagnosis& diagnosis, std::string_view text);

  bool TryFast(std::string_view text, const Context& context);
  void Emit(EventView& view, std::string_view text, const Context& context);
  void KeepLists(EventView* view);

  void DecodeText(std::string_view text, Context context);
  void DecodeJson(std::string_view text, const Context& context);
  void DecodeSeveral(std::string_view text, const Context& context);
  void DecodeValue(std::string_view text, Context context);
  JsonError ReadValue(std::string_view text, const Context& context);
  JsonError ReadObject(std::string_view text, const Context& context);
  JsonError ReadGke(const std::vector<JsonMember>& members,
                    std::string_view text, const Context& context);
  void DecodePieces(Level* level, std::string_view text, Context context);
  void DecodeChunk(std::string_view literal, bool is_stderr,
                   const Context& context);
  void DecodeCri(const CriLine& cri, const Context& context);
  void DecodeStreamText(std::string_view text, bool is_stderr,
                        const Context& context);
  void Append(Pending* pending, std::string_view text);
  std::string_view TakeJoined(Pending* pending, std::string_view last);
  void Unreadable(std::string_view text, const Context& context);
  bool Resynchronise(std::string_view text, const Context& context);

  const DecoderOptions options;
  const FastKernel kernel;
  Arena arena;
  JsonSplitter splitter;
  EventBuilder builder;
  Unwrapper unwrapper;
  IdentityCache identities;
  FastScratch scratch;
  EventView fast_view;
  std::array<Level, kWrapperDepthMax + 2> levels;
  std::array<Pending, 2> pending;  // stdout, stderr.
  DecodeCounters counters;

  // Of the call that runs.
  std::string_view input;
  EventCallback* on_event = nullptr;
  DecodeOutcome outcome;
};

}  // namespace klaxon
