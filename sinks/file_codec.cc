#include "sinks/file_codec.h"

#include <fmt/format.h>
#include <isa-l/igzip_lib.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "sinks/write_all.h"

namespace klaxon {
namespace {

constexpr size_t kBlockBytes = 1 << 20;
constexpr int kZstdLevel = 3;

// The next block of the file; empty: its end.
absl::Status ReadBlock(int fd, std::string_view name, std::string* buffer,
                       std::string_view* block) {
  buffer->resize(kBlockBytes);
  size_t size = 0;
  while (size < buffer->size()) {
    const ssize_t got = read(fd, buffer->data() + size, buffer->size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::UnavailableError(
          fmt::format("{}: cannot be read: {}", name, std::strerror(errno)));
    }
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  *block = std::string_view(*buffer).substr(0, size);
  return absl::OkStatus();
}

absl::Status Damaged(std::string_view name) {
  return absl::DataLossError(fmt::format("{}: cannot be decompressed", name));
}

absl::Status CompressGzip(int in, int out, std::string_view name) {
  const auto stream = std::make_unique<isal_zstream>();
  std::vector<uint8_t> level_buffer(ISAL_DEF_LVL1_DEFAULT);
  isal_deflate_init(stream.get());
  stream->gzip_flag = IGZIP_GZIP;
  stream->level = 1;
  stream->level_buf = level_buffer.data();
  stream->level_buf_size = static_cast<uint32_t>(level_buffer.size());
  std::string input;
  std::string output(kBlockBytes, '\0');
  do {
    std::string_view block;
    absl::Status status = ReadBlock(in, name, &input, &block);
    if (!status.ok()) return status;
    stream->next_in =
        reinterpret_cast<uint8_t*>(const_cast<char*>(block.data()));
    stream->avail_in = static_cast<uint32_t>(block.size());
    stream->end_of_stream = block.size() < kBlockBytes ? 1 : 0;
    do {
      stream->next_out = reinterpret_cast<uint8_t*>(output.data());
      stream->avail_out = static_cast<uint32_t>(output.size());
      if (isal_deflate(stream.get()) != COMP_OK) return Damaged(name);
      status = WriteAll(
          out,
          std::string_view(output).substr(0, output.size() - stream->avail_out),
          name);
      if (!status.ok()) return status;
    } while (stream->avail_out == 0);
  } while (stream->internal_state.state != ZSTATE_END);
  return absl::OkStatus();
}

absl::Status CompressZstd(int in, int out, std::string_view name) {
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(
      ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kZstdLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string input;
  std::string output(kBlockBytes, '\0');
  bool last = false;
  while (!last) {
    std::string_view block;
    absl::Status status = ReadBlock(in, name, &input, &block);
    if (!status.ok()) return status;
    last = block.size() < kBlockBytes;
    ZSTD_inBuffer from{block.data(), block.size(), 0};
    size_t left = 1;
    while (last ? left > 0 : from.pos < from.size) {
      ZSTD_outBuffer to{output.data(), output.size(), 0};
      left = ZSTD_compressStream2(context.get(), &to, &from,
                                  last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left)) return Damaged(name);
      status = WriteAll(out, std::string_view(output).substr(0, to.pos), name);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

// What a decompressor does with a block.
class Decompressor {
 public:
  virtual ~Decompressor() = default;
  // Takes some of `in`; false: damaged. Nothing given and nothing taken: it has
  // ended.
  virtual bool Step(std::string_view* in, std::string* out, size_t* given) = 0;
  virtual bool ended() const = 0;
};

class GzipDecompressor : public Decompressor {
 public:
  GzipDecompressor() {
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }
  bool Step(std::string_view* in, std::string* out, size_t* given) override {
    state_->next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(in->data()));
    state_->avail_in = static_cast<uint32_t>(in->size());
    state_->next_out = reinterpret_cast<uint8_t*>(out->data());
    state_->avail_out = static_cast<uint32_t>(out->size());
    if (isal_inflate(state_.get()) != ISAL_DECOMP_OK) return false;
    *given = out->size() - state_->avail_out;
    in->remove_prefix(in->size() - state_->avail_in);
    return true;
  }
  bool ended() const override {
    return state_->block_state == ISAL_BLOCK_FINISH;
  }

 private:
  const std::unique_ptr<inflate_state> state_ =
      std::make_unique<inflate_state>();
};

class ZstdDecompressor : public Decompressor {
 public:
  bool Step(std::string_view* in, std::string* out, size_t* given) override {
    ZSTD_inBuffer from{in->data(), in->size(), 0};
    ZSTD_outBuffer to{out->data(), out->size(), 0};
    const size_t left = ZSTD_decompressStream(context_.get(), &to, &from);
    if (ZSTD_isError(left)) return false;
    ended_ = left == 0;
    *given = to.pos;
    in->remove_prefix(from.pos);
    return true;
  }
  bool ended() const override { return ended_; }

 private:
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context_{
      ZSTD_createDCtx(), ZSTD_freeDCtx};
  bool ended_ = false;
};

std::unique_ptr<Decompressor> DecompressorFor(std::string_view head) {
  if (head.starts_with("\x1f\x8b\x08")) {
    return std::make_unique<GzipDecompressor>();
  }
  if (head.starts_with("\x28\xb5\x2f\xfd")) {
    return std::make_unique<ZstdDecompressor>();
  }
  return nullptr;
}

}  // namespace

std::string_view CompressionSuffix(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "";
    case Compression::kGzip:
      return ".gz";
    case Compression::kZstd:
      return ".zst";
  }
  return "";
}

absl::Status CompressFile(int in, int out, Compression compression,
                          std::string_view name) {
  return compression == Compression::kGzip ? CompressGzip(in, out, name)
                                           : CompressZstd(in, out, name);
}

absl::Status ReadDecompressed(int in, std::string_view name,
                              absl::FunctionRef<void(std::string_view)> block) {
  std::string input;
  std::string output(kBlockBytes, '\0');
  std::string_view rest;
  absl::Status status = ReadBlock(in, name, &input, &rest);
  if (!status.ok()) return status;
  const std::unique_ptr<Decompressor> decompressor = DecompressorFor(rest);
  while (!rest.empty()) {
    if (decompressor == nullptr) {
      block(rest);
      rest = {};
    }
    while (!rest.empty()) {
      size_t given = 0;
      if (!decompressor->Step(&rest, &output, &given)) return Damaged(name);
      if (given > 0) block(std::string_view(output).substr(0, given));
      if (given < output.size() && decompressor->ended()) {
        return absl::OkStatus();
      }
    }
    status = ReadBlock(in, name, &input, &rest);
    if (!status.ok()) return status;
  }
  return decompressor == nullptr || decompressor->ended() ? absl::OkStatus()
                                                          : Damaged(name);
}

}  // namespace klaxon
