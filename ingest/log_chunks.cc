#include "ingest/log_chunks.h"

#include "event/unwrap.h"

namespace klaxon {
namespace {

// A line of a container runtime's log file: of which stream, and whether the
// next line of that stream belongs to it.
struct LogChunk {
  bool is_chunk = false;
  bool is_stderr = false;
  bool goes_on = false;
};

LogChunk LogChunkOf(std::string_view line) {
  if (const auto cri = ParseCri(line)) {
    return {true, cri->is_stderr, cri->partial};
  }
  if (!line.starts_with(kDockerHead)) return {};
  return {true, line.find("\",\"stream\":\"stderr\"") != line.npos,
          GoesOnInNextLine(line)};
}

// The start of the chunks that are still open at `cut`; `cut` if none is.
size_t OpenChunksBegin(std::string_view bytes, size_t cut) {
  constexpr int kLinesBackMax = 256;
  size_t open_from = cut;
  bool seen[2] = {false, false};
  bool open[2] = {false, false};
  size_t end = cut;
  for (int back = 0; back < kLinesBackMax && end > 0; ++back) {
    const size_t newline =
        end >= 2 ? bytes.rfind('\n', end - 2) : std::string_view::npos;
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    const LogChunk chunk = LogChunkOf(bytes.substr(begin, end - begin));
    if (!chunk.is_chunk) break;
    const size_t stream = chunk.is_stderr ? 1 : 0;
    open[stream] = chunk.goes_on && (open[stream] || !seen[stream]);
    seen[stream] = true;
    if (open[stream]) open_from = begin;
    if (seen[0] && seen[1] && !open[0] && !open[1]) break;
    end = begin;
  }
  return open_from;
}

}  // namespace

size_t CutBeforeOpenChunks(std::string_view bytes, size_t cut) {
  for (size_t begin; (begin = OpenChunksBegin(bytes, cut)) != cut;) {
    cut = begin;
  }
  return cut;
}

}  // namespace klaxon
