// klaxon-bench-ingest FILE...: how fast ingest/ hands batches on, beside the
// least that anybody could do: for a plain file read(2) of 1 MiB at a time,
// for a .gz bare isal_inflate into one buffer of 1 MiB.
//
// First the bytes of both are compared (CRC-32 and length), then both are timed
// in turn, the best of seven runs each. Files come from the page cache: the
// first pass has put them there.
#include <fcntl.h>
#include <fmt/format.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "ingest/archive_source.h"

namespace klaxon {
namespace {

constexpr int kRuns = 7;
constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kInputBytes = 256 << 10;

using Consume = std::function<void(std::string_view)>;

class File {
 public:
  explicit File(const char* path) : fd_(open(path, O_RDONLY | O_CLOEXEC)) {}
  ~File() { close(fd_); }
  size_t Read(char* out, size_t bytes) {
    const ssize_t got = read(fd_, out, bytes);
    return got > 0 ? static_cast<size_t>(got) : 0;
  }

 private:
  const int fd_;
};

bool IsGzip(const char* path) {
  char magic[2] = {};
  return File(path).Read(magic, 2) == 2 &&
         std::string_view(magic, 2) == "\x1f\x8b";
}

void ReadBare(const char* path, const Consume& consume) {
  File file(path);
  const auto buffer = std::make_unique<char[]>(kPieceBytes);
  while (const size_t got = file.Read(buffer.get(), kPieceBytes)) {
    consume({buffer.get(), got});
  }
}

// One member or several; whatever is wrong with the file ends it.
void InflateBare(const char* path, const Consume& consume) {
  File file(path);
  const auto in = std::make_unique<uint8_t[]>(kInputBytes);
  const auto out = std::make_unique<uint8_t[]>(kPieceBytes);
  const auto state = std::make_unique<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  bool full = false;
  for (;;) {
    if (state->avail_in == 0 && !full) {
      state->next_in = in.get();
      state->avail_in = static_cast<uint32_t>(
          file.Read(reinterpret_cast<char*>(in.get()), kInputBytes));
      if (state->avail_in == 0) return;
    }
    if (state->block_state == ISAL_BLOCK_FINISH) {
      isal_inflate_reset(state.get());
      state->crc_flag = ISAL_GZIP;
    }
    state->next_out = out.get();
    state->avail_out = kPieceBytes;
    if (isal_inflate(state.get()) != ISAL_DECOMP_OK) return;
    full = state->avail_out == 0;
    consume({reinterpret_cast<const char*>(out.get()),
             kPieceBytes - state->avail_out});
  }
}

void ReadSource(const char* path, const Consume& consume) {
  ArchiveOptions options;
  options.paths = {path};
  const auto source = MakeArchiveSource(std::move(options));
  if (!source->Open({}).ok()) return;
  Batch batch;
  while (source->Read(absl::InfiniteDuration(), batch).ok()) {
    consume(batch.bytes.view());
  }
}

struct Answer {
  uint64_t bytes = 0;
  uint32_t crc = 0;
  bool operator==(const Answer&) const = default;
};

using Reader = void (*)(const char*, const Consume&);

Answer Ask(Reader reader, const char* path) {
  Answer answer;
  reader(path, [&](std::string_view bytes) {
    answer.bytes += bytes.size();
    answer.crc = crc32_gzip_refl(answer.crc,
                                 reinterpret_cast<const uint8_t*>(bytes.data()),
                                 bytes.size());
  });
  return answer;
}

double Seconds(Reader reader, const char* path) {
  uint64_t bytes = 0;
  const auto begin = std::chrono::steady_clock::now();
  reader(path, [&](std::string_view piece) { bytes += piece.size(); });
  const std::chrono::duration<double> taken =
      std::chrono::steady_clock::now() - begin;
  return bytes > 0 ? taken.count() : 0;
}

bool Compare(const char* path) {
  const bool gzip = IsGzip(path);
  const Reader bare = gzip ? InflateBare : ReadBare;
  const Answer want = Ask(bare, path);
  const Answer got = Ask(ReadSource, path);
  if (want != got) {
    fmt::print(stderr, "{}: {} bytes, crc {:08x}; should be {}, {:08x}\n", path,
               got.bytes, got.crc, want.bytes, want.crc);
    return false;
  }
  double best_bare = 1e9;
  double best_source = 1e9;
  for (int run = 0; run < kRuns; ++run) {
    best_bare = std::min(best_bare, Seconds(bare, path));
    best_source = std::min(best_source, Seconds(ReadSource, path));
  }
  fmt::print("{}: {} bytes; {} {:.2f} GB/s; ingest {:.2f} GB/s; ratio {:.3f}\n",
             path, want.bytes, gzip ? "isal_inflate" : "read(2)",
             want.bytes / best_bare / 1e9, want.bytes / best_source / 1e9,
             best_bare / best_source);
  return true;
}

}  // namespace
}  // namespace klaxon

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: klaxon-bench-ingest FILE...\n");
    return 2;
  }
  bool ok = true;
  for (int i = 1; i < argc; ++i) ok = klaxon::Compare(argv[i]) && ok;
  return ok ? 0 : 1;
}
