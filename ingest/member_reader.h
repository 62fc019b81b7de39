// The content of one file of a rotation family, decompressed, while it may be
// growing, cut off, or written over.
//
// Each read begins with the last bytes of the one before: a file that no longer
// holds them was truncated or replaced, however long it is by now.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ingest/byte_stream.h"
#include "ingest/content_stream.h"
#include "ingest/log_files.h"
#include "ingest/tail_state.h"

namespace klaxon {

class MemberReader : public ByteStream {
 public:
  // `fd` stays open, and the others live, as long as this. `named_compressed`:
  // its name says so; what is true its first bytes say, if there are any.
  MemberReader(LogFiles* files, int fd, bool named_compressed,
               Interrupter* interrupter);

  // A compressed file does not grow, and can be read on only.
  bool compressed() const { return content_ != nullptr; }
  // Moves on without handing on. kData: at `offset`. kEnd: there are fewer
  // bytes (or the error() says why not). REQUIRES: position() <= offset.
  StreamState SkipTo(uint64_t offset);
  // Moves behind the zeros that a writer leaves who goes on at his old offset
  // after somebody truncated the file. REQUIRES: position() == 0.
  void SkipHole();

  // kBlocked: at the end of what there is now.
  StreamRead Read(char* out, size_t capacity) override;
  // What there is now is all: its end is kEnd.
  void Finish() { final_ = true; }
  // Nothing more of it is wanted: kEnd, at once.
  void Abandon() { abandoned_ = true; }
  bool final() const { return final_; }

  // What was read stands there no longer.
  bool changed() const { return changed_; }
  // errno of a read that failed; 0 as soon as one succeeds.
  int error() const { return error_; }
  // Of a compressed file: what is wrong with it (a sentence); or nothing.
  const std::string& damage() const { return damage_; }

  // Of content.
  uint64_t position() const { return position_; }
  std::string_view head() const { return head_; }      // The first kMarkBytes.
  std::string_view window() const { return window_; }  // The last before here.
  // Bytes of the file itself that were read.
  uint64_t raw_position() const;

 private:
  class RawStream;

  StreamRead ReadPlain(char* out, size_t capacity);
  StreamRead ReadCompressed(char* out, size_t capacity);
  StreamState SeekTo(uint64_t offset);
  ssize_t ReadAt(char* out, size_t bytes, uint64_t offset);
  void Remember(std::string_view bytes);

  LogFiles* const files_;
  const int fd_;
  StreamContext context_;
  std::unique_ptr<ContentStream> content_;  // Compressed.
  uint64_t position_ = 0;
  std::string head_;
  std::string window_;
  bool final_ = false;
  bool abandoned_ = false;
  bool changed_ = false;
  int error_ = 0;
  std::string damage_;
};

}  // namespace klaxon
