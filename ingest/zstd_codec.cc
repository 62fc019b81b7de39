#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <memory>

#include "ingest/member_stream.h"

namespace klaxon {
namespace {

constexpr size_t kMagicBytes = 4;

uint32_t LittleEndian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return value;
}

// Windows up to 128 MiB (zstd's own limit, `--long=27`) are inflated.
class ZstdCodec : public MemberCodec {
 public:
  std::string_view name() const override { return "zstd"; }

  // Skippable frames too: they have sixteen magic numbers.
  MagicMatch Match(std::string_view bytes) const override {
    const std::string_view head = bytes.substr(0, kMagicBytes);
    const uint32_t magic = LittleEndian(head);
    if (head.size() == kMagicBytes) {
      const bool yes =
          magic == ZSTD_MAGICNUMBER ||
          (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
      return yes ? MagicMatch::kYes : MagicMatch::kNo;
    }
    const uint32_t known = (uint32_t{1} << (8 * head.size())) - 1;
    const bool so_far = magic == (ZSTD_MAGICNUMBER & known) ||
                        (magic & ZSTD_MAGIC_SKIPPABLE_MASK & known) ==
                            (ZSTD_MAGIC_SKIPPABLE_START & known);
    return so_far ? MagicMatch::kPrefix : MagicMatch::kNo;
  }

  void BeginMember() override {
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
  }

  CodecStep Decode(CodecBuffers* buffers) override {
    ZSTD_inBuffer in = {buffers->in, buffers->in_bytes, 0};
    ZSTD_outBuffer out = {buffers->out, buffers->out_bytes, 0};
    const size_t result = ZSTD_decompressStream(context_.get(), &out, &in);
    buffers->in += in.pos;
    buffers->in_bytes -= in.pos;
    buffers->out += out.pos;
    buffers->out_bytes -= out.pos;
    if (ZSTD_isError(result)) {
      result_ = result;
      return CodecStep::kDamaged;
    }
    return result == 0 ? CodecStep::kMemberEnd : CodecStep::kGoOn;
  }

  std::string error() const override {
    if (ZSTD_getErrorCode(result_) ==
        ZSTD_error_frameParameter_windowTooLarge) {
      return "zstd data with a window larger than 128 MiB: inflate it first, "
             "with `zstd -d --long=31`";
    }
    return fmt::format(
        "corrupt zstd data ({}): nothing behind here can be inflated. Fetch "
        "the file again from where it came from; `zstd -t` checks it",
        ZSTD_getErrorName(result_));
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  const std::unique_ptr<ZSTD_DCtx, Free> context_{ZSTD_createDCtx()};
  size_t result_ = 0;
};

}  // namespace

std::unique_ptr<MemberCodec> MakeZstdCodec() {
  return std::make_unique<ZstdCodec>();
}

}  // namespace klaxon
