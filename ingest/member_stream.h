// Inflates formats that are a sequence of members, each with a magic number:
// gzip and zstd. What stands behind the last member is counted and reported.
//
// Not thread-safe: a stream belongs to one input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ingest/byte_stream.h"

namespace klaxon {

enum class MagicMatch : uint8_t {
  kNo,
  kPrefix,  // So far; the bytes are too few to tell.
  kYes,
};

enum class CodecStep : uint8_t {
  kGoOn,         // All input is used, or all output.
  kMemberEnd,    // The next byte of input is behind the member.
  kBadChecksum,  // The same, but what came out is not what went in once.
  kDamaged,      // Cannot go on; see error().
};

struct CodecBuffers {
  const char* in;
  size_t in_bytes;
  char* out;
  size_t out_bytes;
};

// One compression format. Not thread-safe.
class MemberCodec {
 public:
  virtual ~MemberCodec() = default;
  virtual std::string_view name() const = 0;
  // Whether a member begins with `bytes`.
  virtual MagicMatch Match(std::string_view bytes) const = 0;
  // The next byte of input is the first of a member.
  virtual void BeginMember() = 0;
  // Moves `buffers` on over what it used and wrote.
  virtual CodecStep Decode(CodecBuffers* buffers) = 0;
  // What is wrong and what to do, after kDamaged.
  virtual std::string error() const = 0;
};

std::unique_ptr<MemberCodec> MakeGzipCodec();
std::unique_ptr<MemberCodec> MakeZstdCodec();

class MemberStream : public ByteStream {
 public:
  // `in` and `context` outlive the stream.
  MemberStream(std::unique_ptr<MemberCodec> codec, ByteStream* in,
               StreamContext* context);

  StreamRead Read(char* out, size_t capacity) override;

 private:
  enum class Phase : uint8_t { kBetween, kInside, kGarbage, kDone };

  std::string_view available() const {
    return {in_.get() + in_begin_, in_end_ - in_begin_};
  }
  StreamState Refill();
  void FindMember();
  void Decode(char* out, size_t capacity, size_t* produced);
  void BadChecksum();
  void Finish();
  void Truncated();
  void ReportLeftOver();

  const std::unique_ptr<MemberCodec> codec_;
  ByteStream* const source_;
  StreamContext* const context_;
  std::unique_ptr<char[]> in_;
  size_t in_begin_ = 0;
  size_t in_end_ = 0;
  bool in_ended_ = false;
  bool need_input_ = true;  // What is available does not suffice.
  bool reported_ = false;   // Since Read was called.
  Phase phase_ = Phase::kBetween;
  uint64_t members_ = 0;
  uint64_t bad_checksums_ = 0;
  uint64_t zero_bytes_ = 0;     // Padding seen since the last member.
  uint64_t garbage_bytes_ = 0;  // Behind it.
  bool garbage_is_data_ = false;
};

}  // namespace klaxon
