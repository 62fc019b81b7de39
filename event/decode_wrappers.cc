// Wrapped events: lists and strings of them, and text of containers' streams
// that comes in pieces.
#include <cstring>

#include "event/check_json.h"
#include "event/decode_impl.h"

namespace klaxon {
namespace {

// What lines of one container stream may join to; more is given up as too
// long, so that memory stays bounded whatever a stream holds.
constexpr size_t kJoinedBytesMax = 16 << 20;

}  // namespace

void Decoder::Impl::DecodePieces(Level* level, std::string_view text,
                                 Context context) {
  ++context.depth;
  if (context.depth > kWrapperDepthMax) {
    Fail(QuarantineReason::kNesting, text, 0,
         "wrappers nested deeper than four");
    return;
  }
  context.ends_line = false;
  for (const WrappedPiece& piece : level->pieces) {
    Context inner = context;
    inner.dots_are_underscores |= piece.dots_are_underscores;
    if (!piece.user_agent.empty()) inner.user_agent = piece.user_agent;
    if (IsJsonString(piece.json)) {
      const auto inside = UnescapeString(piece.json, &arena);
      if (!inside.has_value()) {
        Fail(QuarantineReason::kNotJson, text, 0,
             "a string with an escape that JSON does not know");
      } else {
        DecodeText(*inside, inner);
      }
    } else if (IsJsonBracket(piece.json.front())) {
      if (!TryFast(piece.json, inner)) DecodeValue(piece.json, inner);
    } else {
      Fail(QuarantineReason::kNotAuditEvent, text, 0,
           "a list whose elements are no objects");
    }
  }
}

void Decoder::Impl::Append(Pending* partial, std::string_view text) {
  if (partial->overflow) return;
  if (partial->text.size() + text.size() > kJoinedBytesMax) {
    partial->overflow = true;
    partial->text.clear();
    partial->text.shrink_to_fit();
    return;
  }
  partial->text.append(text);
}

// The pieces and the last of them as one text in the arena.
std::string_view Decoder::Impl::TakeJoined(Pending* partial,
                                           std::string_view last) {
  const size_t first_size = partial->text.size();
  char* const joined = arena.Allocate(first_size + last.size());
  std::memcpy(joined, partial->text.data(), first_size);
  std::memcpy(joined + first_size, last.data(), last.size());
  partial->text.clear();
  partial->last_full = false;
  return {joined, first_size + last.size()};
}

// Whole text of a container. What it writes to stderr is its own log.
void Decoder::Impl::DecodeStreamText(std::string_view text, bool is_stderr,
                                     const Context& context) {
  if (is_stderr && IsKlog(text)) {
    ++outcome.skipped;
    return;
  }
  Context inner = context;
  ++inner.depth;
  DecodeText(text, inner);
}

void Decoder::Impl::DecodeCri(const CriLine& cri, const Context& context) {
  Pending& partial = pending[cri.is_stderr ? 1 : 0];
  if (cri.partial) {
    Append(&partial, cri.text);
    return;
  }
  if (partial.overflow) {
    partial.Clear();
    Fail(QuarantineReason::kOversize, cri.text, 0,
         "partial lines that join to more than 16 MiB");
    return;
  }
  Context inner = context;
  inner.ends_line = true;
  DecodeStreamText(partial.empty() ? cri.text : TakeJoined(&partial, cri.text),
                   cri.is_stderr, inner);
}

// docker's "log" is a line with its newline, or a piece of one without. Others
// write "log" and "stream" too, but strip the newline: what is a whole value
// needs no more.
void Decoder::Impl::DecodeChunk(std::string_view literal, bool is_stderr,
                                const Context& context) {
  Pending& partial = pending[is_stderr ? 1 : 0];
  const auto unescaped = UnescapeString(literal, &arena);
  if (!unescaped.has_value()) {
    Fail(QuarantineReason::kNotJson, literal, 0,
         "a string with an escape that JSON does not know");
    return;
  }
  std::string_view text = *unescaped;
  Context inner = context;
  inner.ends_line = !text.empty() && text.back() == '\n';
  const auto is_whole = [](std::string_view candidate) {
    candidate = TrimJson(candidate);
    return !candidate.empty() && IsJsonBracket(candidate.front()) &&
           FindValueEnd(candidate, 0).end ==
               candidate.data() + candidate.size();
  };
  if (partial.overflow) {
    if (!inner.ends_line) return;
    partial.Clear();
    Fail(QuarantineReason::kOversize, literal, 0,
         "pieces of a line that join to more than 16 MiB");
    return;
  }
  if (!partial.empty() && !partial.last_full && !inner.ends_line) {
    // No docker wrote the piece before: it was cut by somebody else.
    partial.Clear();
    Fail(QuarantineReason::kHalfLine, literal, 0,
         "the record before this one holds half a line");
  }
  const bool full = text.size() >= kLogChunkBytes;
  const bool begins = !text.empty() && IsJsonBracket(text.front());
  if (!inner.ends_line && (!partial.empty() || (begins && !is_whole(text)))) {
    Append(&partial, text);
    partial.last_full = full;
    return;
  }
  if (!partial.empty()) text = TakeJoined(&partial, text);
  DecodeStreamText(text, is_stderr, inner);
}

}  // namespace klaxon
