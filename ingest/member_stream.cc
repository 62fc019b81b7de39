#include "ingest/member_stream.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "ingest/content_kind.h"

namespace klaxon {
namespace {

constexpr size_t kInputBytes = 256 << 10;

}  // namespace

MemberStream::MemberStream(std::unique_ptr<MemberCodec> codec, ByteStream* in,
                           StreamContext* context)
    : codec_(std::move(codec)),
      source_(in),
      context_(context),
      in_(std::make_unique_for_overwrite<char[]>(kInputBytes)) {}

StreamRead MemberStream::Read(char* out, size_t capacity) {
  size_t produced = 0;
  while (produced < capacity && phase_ != Phase::kDone) {
    if (need_input_ && !in_ended_) {
      const StreamState state = Refill();
      if (state == StreamState::kBlocked ||
          state == StreamState::kInterrupted) {
        if (produced > 0) break;
        return {0, state};
      }
    }
    reported_ = false;
    switch (phase_) {
      case Phase::kBetween:
        FindMember();
        break;
      case Phase::kInside:
        Decode(out, capacity, &produced);
        break;
      case Phase::kGarbage:
        garbage_bytes_ += available().size();
        in_begin_ = in_end_;
        need_input_ = true;
        if (in_ended_) Finish();
        break;
      case Phase::kDone:
        break;
    }
    if (reported_ && produced > 0) break;
  }
  if (produced > 0) return {produced, StreamState::kData};
  return {0, StreamState::kEnd};
}

StreamState MemberStream::Refill() {
  if (in_begin_ > 0) {
    std::memmove(in_.get(), in_.get() + in_begin_, in_end_ - in_begin_);
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
  const StreamRead read =
      source_->Read(in_.get() + in_end_, kInputBytes - in_end_);
  in_end_ += read.bytes;
  if (read.state == StreamState::kEnd) in_ended_ = true;
  if (read.state == StreamState::kData) need_input_ = false;
  return read.state;
}

void MemberStream::FindMember() {
  // Zeros pad what was on a tape or in a block device.
  while (members_ > 0 && in_begin_ < in_end_ && in_[in_begin_] == '\0') {
    ++in_begin_;
    ++zero_bytes_;
  }
  const std::string_view rest = available();
  if (rest.empty()) {
    need_input_ = true;
    if (in_ended_) Finish();
    return;
  }
  switch (codec_->Match(rest)) {
    case MagicMatch::kYes:
      codec_->BeginMember();
      phase_ = Phase::kInside;
      return;
    case MagicMatch::kPrefix:
      need_input_ = true;
      if (in_ended_) Truncated();
      return;
    case MagicMatch::kNo:
      garbage_is_data_ = LooksLikeData(rest);
      phase_ = Phase::kGarbage;
      return;
  }
}

void MemberStream::Decode(char* out, size_t capacity, size_t* produced) {
  CodecBuffers buffers = {in_.get() + in_begin_, in_end_ - in_begin_,
                          out + *produced, capacity - *produced};
  const CodecStep step = codec_->Decode(&buffers);
  in_begin_ = in_end_ - buffers.in_bytes;
  *produced = capacity - buffers.out_bytes;
  switch (step) {
    case CodecStep::kGoOn:
      need_input_ = buffers.in_bytes == 0;
      if (need_input_ && in_ended_ && buffers.out_bytes > 0) Truncated();
      return;
    case CodecStep::kBadChecksum:
      BadChecksum();
      [[fallthrough]];
    case CodecStep::kMemberEnd:
      ++members_;
      phase_ = Phase::kBetween;
      return;
    case CodecStep::kDamaged:
      reported_ = true;
      phase_ = Phase::kDone;
      context_->Report(ProblemCause::kDamaged, true, codec_->error());
      return;
  }
}

void MemberStream::BadChecksum() {
  // A file may have millions of members: the rest is summed up at its end.
  if (bad_checksums_++ > 0) return;
  reported_ = true;
  context_->Report(
      ProblemCause::kDamaged, true,
      fmt::format("corrupt {} data: a checksum does not match what was "
                  "inflated before here; events of it may be wrong or "
                  "missing. Fetch the file again from where it came from",
                  codec_->name()));
}

void MemberStream::Finish() {
  phase_ = Phase::kDone;
  if (bad_checksums_ > 1) {
    reported_ = true;
    context_->Report(ProblemCause::kDamaged, true,
                     fmt::format("{} of its {} members have wrong checksums",
                                 bad_checksums_, members_));
  }
  ReportLeftOver();
}

void MemberStream::Truncated() {
  reported_ = true;
  phase_ = Phase::kDone;
  context_->Report(
      ProblemCause::kDamaged, true,
      fmt::format("truncated {} data: the file ends in the middle of it, so "
                  "what came behind is missing (what came before was read). "
                  "Fetch it again, or wait until it is completely written",
                  codec_->name()));
}

void MemberStream::ReportLeftOver() {
  if (zero_bytes_ + garbage_bytes_ == 0) return;
  reported_ = true;
  if (garbage_bytes_ == 0) {
    context_->Report(ProblemCause::kLeftOver, false,
                     fmt::format("{} zero bytes stand behind the {} data; "
                                 "ignored, nothing is missing",
                                 zero_bytes_, codec_->name()));
  } else if (!garbage_is_data_) {
    context_->Report(
        ProblemCause::kLeftOver, false,
        fmt::format("{} bytes of garbage stand behind the {} data; ignored",
                    zero_bytes_ + garbage_bytes_, codec_->name()));
  } else {
    context_->Report(
        ProblemCause::kLeftOver, true,
        fmt::format("{} bytes behind the {} data are not {} but look like "
                    "another log; they were not read. Split the file, or "
                    "inflate it and add them by hand",
                    zero_bytes_ + garbage_bytes_, codec_->name(),
                    codec_->name()));
  }
}

}  // namespace klaxon
