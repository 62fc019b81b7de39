#include "pipeline/batch_decoder.h"

#include <algorithm>
#include <utility>

namespace klaxon {

BatchOutcome BatchDecoder::Decode(const Batch& batch, EventCallback on_event) {
  outcome_ = BatchOutcome();
  const std::string_view bytes = batch.bytes.view();
  if (batch.framing == BatchFraming::kLines) {
    DecodeLines(bytes, on_event);
  } else {
    DecodeWhole(batch, on_event);
  }
  Take(decoder_.FinishStream(), {}, bytes.size(), outcome_.lines);
  return std::exchange(outcome_, BatchOutcome());
}

void BatchDecoder::DecodeLines(std::string_view bytes, EventCallback on_event) {
  size_t begin = 0;
  while (begin < bytes.size()) {
    if (const size_t size =
            decoder_.DecodeFastLine(bytes.substr(begin), on_event)) {
      ++outcome_.lines;
      begin += size + 1;
      continue;
    }
    const size_t newline = bytes.find('\n', begin);
    const size_t end =
        newline == std::string_view::npos ? bytes.size() : newline;
    const std::string_view line = bytes.substr(begin, end - begin);
    Take(decoder_.DecodeLine(line, on_event), line, begin, outcome_.lines);
    ++outcome_.lines;
    begin = end + 1;
  }
}

void BatchDecoder::DecodeWhole(const Batch& batch, EventCallback on_event) {
  const std::string_view bytes = batch.bytes.view();
  if (batch.framing == BatchFraming::kDocument) {
    Take(decoder_.DecodeDocument(bytes, on_event), bytes, 0, 0);
    outcome_.lines +=
        static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
    return;
  }
  const size_t head = batch.oversize_head_bytes;
  Take(decoder_.DecodeOversize(bytes.substr(0, head), bytes.substr(head),
                               batch.oversize_line_bytes, on_event),
       bytes, 0, 0);
  ++outcome_.lines;
}

void BatchDecoder::Take(const DecodeOutcome& outcome, std::string_view text,
                        size_t offset, uint64_t line) {
  outcome_.skipped += outcome.skipped;
  if (outcome.reason == QuarantineReason::kNone) return;
  const TextPosition at = PositionOf(text, outcome.error_offset);
  const size_t end = std::min(outcome.quarantine_end, text.size());
  const size_t begin = std::min(outcome.quarantine_begin, end);
  outcome_.unreadable.push_back(
      {offset + begin, std::string(text.substr(begin, end - begin)),
       line + at.line - 1, at.column, outcome.reason, outcome.message});
}

}  // namespace klaxon
