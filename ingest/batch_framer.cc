#include "ingest/batch_framer.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "ingest/log_chunks.h"

namespace klaxon {
namespace {

constexpr size_t kLookAheadBytes = 4096;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

size_t BlankBytes(std::string_view bytes) {
  const size_t mark = bytes.substr(0, kByteOrderMark.size()) == kByteOrderMark
                          ? kByteOrderMark.size()
                          : 0;
  const size_t begin = bytes.find_first_not_of(" \t\r\n", mark);
  return begin == bytes.npos ? bytes.size() : begin;
}

void ZeroPadding(BatchBuffer& buffer) {
  buffer.Reserve(buffer.size());  // An empty one has no memory yet.
  std::memset(buffer.data() + buffer.size(), 0, BatchBuffer::kPadding);
}

}  // namespace

std::optional<bool> BeginsPretty(std::string_view bytes, bool ended) {
  bytes.remove_prefix(BlankBytes(bytes));
  size_t end = bytes.find('\n');
  if (end == bytes.npos) {
    if (!ended) return std::nullopt;
    end = bytes.size();
  }
  const std::string_view line = bytes.substr(0, end);
  if (line.empty() || (line[0] != '{' && line[0] != '[')) return false;
  const char last = line[line.find_last_not_of(" \t\r")];
  return last == '{' || last == '[' || last == ',';
}

void BatchFramer::Oversize::Begin(size_t keep_bytes) {
  active_ = true;
  keep_bytes_ = keep_bytes;
  total_ = 0;
  head_.clear();
  tail_.clear();
}

void BatchFramer::Oversize::Append(std::string_view bytes) {
  total_ += bytes.size();
  const size_t head = std::min(bytes.size(), keep_bytes_ - head_.size());
  head_.append(bytes.substr(0, head));
  bytes.remove_prefix(head);
  if (bytes.size() >= keep_bytes_) {
    tail_.assign(bytes.substr(bytes.size() - keep_bytes_));
    return;
  }
  // Moved down only now and then, so that small pieces cost little.
  if (tail_.size() + bytes.size() > 4 * keep_bytes_) {
    tail_.erase(0, tail_.size() - keep_bytes_);
  }
  tail_.append(bytes);
}

void BatchFramer::Oversize::Finish(Batch& batch) {
  active_ = false;
  if (tail_.size() > keep_bytes_) tail_.erase(0, tail_.size() - keep_bytes_);
  batch.bytes.set_size(0);
  batch.bytes.Reserve(head_.size() + tail_.size());
  std::memcpy(batch.bytes.data(), head_.data(), head_.size());
  std::memcpy(batch.bytes.data() + head_.size(), tail_.data(), tail_.size());
  batch.bytes.set_size(head_.size() + tail_.size());
  batch.oversize_head_bytes = head_.size();
  batch.oversize_line_bytes = total_;
}

BatchFramer::BatchFramer(const FramerOptions& options, StreamContext* context)
    : line_bytes_max_(std::max<size_t>(options.line_bytes_max, 16)),
      batch_bytes_(
          std::clamp<size_t>(options.batch_bytes, 1, line_bytes_max_ + 1)),
      keep_bytes_(std::clamp<size_t>(options.oversize_keep_bytes, 1,
                                     line_bytes_max_ / 2)),
      context_(context) {}

void BatchFramer::Begin(ByteStream* stream) {
  stream_ = stream;
  stream_ended_ = false;
  stream_bytes_ = 0;
  offset_ = 0;
  mode_ = Mode::kUndecided;
  first_ = true;
  finished_ = false;
  pending_.set_size(0);
  pending_begin_ = 0;
}

void BatchFramer::BeginLines(ByteStream* stream, uint64_t offset) {
  Begin(stream);
  stream_bytes_ = offset;
  offset_ = offset;
  mode_ = Mode::kLines;
  first_ = false;
}

BatchFramer::Result BatchFramer::Next(Batch& batch) {
  batch.bytes.set_size(0);
  batch.oversize_head_bytes = 0;
  batch.oversize_line_bytes = 0;
  if (mode_ == Mode::kUndecided) {
    const StreamState state = DecideMode(batch.bytes);
    if (state != StreamState::kData) return state;
  }
  return mode_ == Mode::kLines ? NextLines(batch) : NextDocument(batch);
}

// Appends one piece of the stream.
StreamState BatchFramer::ReadInto(BatchBuffer& buffer, size_t bytes_max) {
  if (context_->interrupter->interrupted()) return StreamState::kInterrupted;
  const StreamRead read =
      stream_->Read(buffer.data() + buffer.size(), bytes_max);
  buffer.set_size(buffer.size() + read.bytes);
  stream_bytes_ += read.bytes;
  context_->StampProblems(stream_bytes_);
  if (read.state == StreamState::kEnd) stream_ended_ = true;
  return read.state;
}

// Reads until `buffer` holds `target` bytes. kData: it does.
// REQUIRES: target <= capacity.
StreamState BatchFramer::Fill(BatchBuffer& buffer, size_t target) {
  while (buffer.size() < target && !stream_ended_) {
    const StreamState state = ReadInto(buffer, target - buffer.size());
    if (state == StreamState::kBlocked || state == StreamState::kInterrupted) {
      return state;
    }
  }
  return buffer.size() >= target ? StreamState::kData : StreamState::kEnd;
}

// In few steps, and none of almost the largest size: while a buffer grows, both
// are held, and the heap may keep the smaller one for ever.
size_t BatchFramer::GrownTarget(size_t size) const {
  const size_t grown = 4 * size;
  return grown > line_bytes_max_ / 2 ? line_bytes_max_ + 1 : grown;
}

void BatchFramer::TakePending(BatchBuffer& buffer, size_t capacity) {
  const std::string_view bytes = pending();
  buffer.set_size(0);
  // A long line that waits for its rest is neither copied nor held twice.
  if (pending_begin_ == 0 && pending_.capacity() > buffer.capacity()) {
    std::swap(buffer, pending_);
    buffer.Reserve(capacity);
    return;
  }
  buffer.Reserve(std::max(capacity, bytes.size()));
  if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
  buffer.set_size(bytes.size());
  pending_.set_size(0);
  pending_begin_ = 0;
}

// REQUIRES: pending() is empty.
void BatchFramer::PutBackAll(BatchBuffer& buffer) {
  pending_begin_ = 0;
  pending_.set_size(0);
  std::swap(buffer, pending_);
}

// REQUIRES: pending() is empty.
void BatchFramer::PutBack(std::string_view bytes) {
  pending_begin_ = 0;
  pending_.set_size(0);
  if (bytes.empty()) return;
  pending_.Reserve(bytes.size());
  std::memcpy(pending_.data(), bytes.data(), bytes.size());
  pending_.set_size(bytes.size());
}

// Learns whether the input ends here, where all that was read is handed on.
void BatchFramer::LookAhead() {
  if (stream_ended_ || !pending().empty()) return;
  const size_t capacity = std::min(kLookAheadBytes, batch_bytes_);
  pending_begin_ = 0;
  pending_.set_size(0);
  pending_.Reserve(capacity);
  ReadInto(pending_, capacity);
}

StreamState BatchFramer::DecideMode(BatchBuffer& buffer) {
  size_t target = batch_bytes_;
  TakePending(buffer, target);
  for (;;) {
    const StreamState state = Fill(buffer, target);
    const std::optional<bool> pretty =
        BeginsPretty(buffer.view(), stream_ended_);
    if (pretty.has_value()) {
      mode_ = *pretty ? Mode::kDocuments : Mode::kLines;
    } else if (buffer.size() > line_bytes_max_) {
      mode_ = ModeOfLongLine(buffer.view());
    } else if (state != StreamState::kData) {
      PutBackAll(buffer);
      return state;
    }
    if (mode_ != Mode::kUndecided) break;
    target = GrownTarget(buffer.size());
    buffer.Reserve(target);
  }
  PutBackAll(buffer);
  scanner_ = DocumentScanner();
  scanned_ = 0;
  continues_array_ = false;
  return StreamState::kData;
}

// An array on one line, or values one behind the other without a newline, as
// cloud exports have them. REQUIRES: more than line_bytes_max_ bytes.
BatchFramer::Mode BatchFramer::ModeOfLongLine(std::string_view bytes) {
  bytes = bytes.substr(0, line_bytes_max_ + 1);
  bytes.remove_prefix(BlankBytes(bytes));
  if (bytes.empty()) return Mode::kLines;
  if (bytes[0] == '[') return Mode::kDocuments;
  if (bytes[0] != '{') return Mode::kLines;
  DocumentScanner scanner;
  scanner.BeginRegion();
  const size_t end = scanner.Feed(bytes);
  return end < bytes.size() && bytes[end] == '{' ? Mode::kDocuments
                                                 : Mode::kLines;
}

BatchFramer::Result BatchFramer::NextLines(Batch& batch) {
  BatchBuffer& buffer = batch.bytes;
  size_t target = batch_bytes_;
  TakePending(buffer, target);
  if (oversize_.active()) return NextOversizeLine(batch);
  size_t searched = 0;
  for (;;) {
    const StreamState state = Fill(buffer, target);
    if (state == StreamState::kInterrupted) {
      PutBackAll(buffer);
      return state;
    }
    const void* newline =
        memrchr(buffer.data() + searched, '\n', buffer.size() - searched);
    if (newline != nullptr ||
        (stream_ended_ && buffer.size() <= line_bytes_max_)) {
      size_t cut = stream_ended_
                       ? buffer.size()
                       : static_cast<const char*>(newline) + 1 - buffer.data();
      if (!stream_ended_) {
        const size_t joined = CutBeforeOpenChunks(buffer.view(), cut);
        if (joined == 0 && buffer.size() < line_bytes_max_) {
          // Nothing but chunks of one long line: read on.
          if (state != StreamState::kData) {
            PutBackAll(buffer);
            return state;
          }
          target = GrownTarget(buffer.size());
          buffer.Reserve(target);
          continue;
        }
        if (joined != 0) cut = joined;
      }
      PutBack(buffer.view().substr(cut));
      buffer.set_size(cut);
      return Deliver(batch, BatchFraming::kLines, cut);
    }
    searched = buffer.size();
    if (searched > line_bytes_max_) {
      oversize_.Begin(keep_bytes_);
      oversize_bytes_ = 0;
      return NextOversizeLine(batch);
    }
    if (state != StreamState::kData) {
      PutBackAll(buffer);
      return state;
    }
    target = GrownTarget(searched);
    buffer.Reserve(target);
  }
}

// The batch's buffer, full of what was read already, serves to read the rest.
BatchFramer::Result BatchFramer::NextOversizeLine(Batch& batch) {
  BatchBuffer& buffer = batch.bytes;
  for (;;) {
    const std::string_view bytes = buffer.view();
    const size_t newline = bytes.find('\n');
    const bool ended = newline != bytes.npos;
    oversize_.Append(bytes.substr(0, newline));
    oversize_bytes_ += ended ? newline + 1 : bytes.size();
    if (ended) PutBack(bytes.substr(newline + 1));
    if (ended || stream_ended_) {
      oversize_.Finish(batch);
      return Deliver(batch, BatchFraming::kOversize, oversize_bytes_);
    }
    buffer.set_size(0);
    const StreamState state = Fill(buffer, batch_bytes_);
    if (state == StreamState::kBlocked || state == StreamState::kInterrupted) {
      PutBackAll(buffer);
      return state;
    }
  }
}

BatchFramer::Result BatchFramer::NextDocument(Batch& batch) {
  for (;;) {
    std::string_view rest = pending().substr(scanned_);
    // Stops at the same byte however the bytes came: what is cut must not
    // depend on that.
    if (!oversize_.active()) {
      rest = rest.substr(0, line_bytes_max_ + 1 - scanner_.position());
    }
    scanned_ += scanner_.Feed(rest);
    const bool full =
        !oversize_.active() && scanner_.position() > line_bytes_max_;
    if (full && ValueTooLong()) {
      if (scanner_.last_comma() > 0) {
        return DeliverDocument(batch, scanner_.last_comma());
      }
      oversize_.Begin(keep_bytes_);
      oversize_bytes_ = 0;
      scanner_.EndAtComma();
    } else if (full) {  // By the white space behind it.
      return DeliverDocument(batch, scanned_);
    }
    if (scanner_.ended()) return DeliverDocument(batch, scanned_);
    if (scanned_ < pending().size()) continue;
    if (oversize_.active()) DropScanned();
    if (stream_ended_) return DeliverDocument(batch, scanned_);
    const StreamState state = FillPending();
    if (state == StreamState::kBlocked && scanner_.closed() &&
        !oversize_.active()) {
      return DeliverDocument(batch, scanned_);
    }
    if (state == StreamState::kBlocked || state == StreamState::kInterrupted) {
      return state;
    }
  }
}

bool BatchFramer::ValueTooLong() const {
  return !scanner_.closed() || scanner_.value_end() > line_bytes_max_;
}

void BatchFramer::DropScanned() {
  oversize_.Append(pending().substr(0, scanned_));
  oversize_bytes_ += scanned_;
  pending_begin_ += scanned_;
  scanned_ = 0;
}

// One more piece of the stream. kEnd also sets stream_ended_.
StreamState BatchFramer::FillPending() {
  if (pending_.capacity() - pending_.size() < batch_bytes_) {
    const std::string_view bytes = pending();
    std::memmove(pending_.data(), bytes.data(), bytes.size());
    pending_.set_size(bytes.size());
    pending_begin_ = 0;
    const size_t needed = bytes.size() + batch_bytes_;
    if (needed > pending_.capacity()) {
      pending_.Reserve(std::max(
          needed, std::min(2 * needed, line_bytes_max_ + 1 + batch_bytes_)));
    }
  }
  return ReadInto(pending_, batch_bytes_);
}

// The region, or what is left of it, up to `cut`.
BatchFramer::Result BatchFramer::DeliverDocument(Batch& batch, size_t cut) {
  const bool split = cut < scanned_;
  const bool array_goes_on = split || scanner_.ended_at_comma();
  BatchFraming framing = BatchFraming::kDocument;
  uint64_t input_bytes = cut;
  if (oversize_.active()) {
    DropScanned();
    oversize_.Finish(batch);
    framing = BatchFraming::kOversize;
    input_bytes = oversize_bytes_;
  } else {
    CopyDocument(batch.bytes, cut, split);
    pending_begin_ += cut;
    if (cut == 0) framing = BatchFraming::kLines;  // Only the end is news.
  }
  scanned_ = 0;
  continues_array_ = array_goes_on;
  if (array_goes_on) {
    scanner_.BeginAtComma();
  } else {
    scanner_.BeginRegion();
  }
  return Deliver(batch, framing, input_bytes);
}

void BatchFramer::CopyDocument(BatchBuffer& buffer, size_t cut, bool split) {
  const std::string_view bytes = pending().substr(0, cut);
  buffer.Reserve(cut + 1);
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  if (continues_array_) buffer.data()[0] = '[';
  if (split) buffer.data()[cut++] = ']';
  buffer.set_size(cut);
}

BatchFramer::Result BatchFramer::Deliver(Batch& batch, BatchFraming framing,
                                         uint64_t input_bytes) {
  LookAhead();
  batch.framing = framing;
  batch.begin.offset = offset_;
  batch.input_bytes = input_bytes;
  batch.first_of_input = first_;
  batch.last_of_input = stream_ended_ && pending().empty();
  ZeroPadding(batch.bytes);
  offset_ += input_bytes;
  first_ = false;
  finished_ = batch.last_of_input;
  return StreamState::kData;
}

}  // namespace klaxon
