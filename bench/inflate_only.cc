// klaxon-inflate-only FILE: how fast ISA-L alone inflates a .gz file, as a
// yardstick for `klaxon scan FILE`. Prints the number of decompressed bytes,
// so that the answer can be checked.
//
// Uses ISA-L as a program whose output nobody keeps would: one buffer of 1 MiB
// that is overwritten.
#include <isa-l.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace klaxon {
namespace {

constexpr size_t kInputBytes = 256 << 10;
constexpr size_t kOutputBytes = 1 << 20;

bool InflateFile(std::FILE* file, uint64_t* bytes) {
  std::vector<uint8_t> input(kInputBytes);
  std::vector<uint8_t> output(kOutputBytes);
  auto state = std::make_unique<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  bool was_full = false;  // More output may wait inside.
  for (;;) {
    if (state->avail_in == 0 && !was_full) {
      state->next_in = input.data();
      state->avail_in = static_cast<uint32_t>(
          std::fread(input.data(), 1, input.size(), file));
      if (state->avail_in == 0) return state->block_state == ISAL_BLOCK_FINISH;
    }
    if (state->block_state == ISAL_BLOCK_FINISH) {  // The next member.
      isal_inflate_reset(state.get());
      state->crc_flag = ISAL_GZIP;
    }
    state->next_out = output.data();
    state->avail_out = static_cast<uint32_t>(output.size());
    if (isal_inflate(state.get()) != ISAL_DECOMP_OK) return false;
    was_full = state->avail_out == 0 && state->block_state != ISAL_BLOCK_FINISH;
    *bytes += output.size() - state->avail_out;
  }
}

}  // namespace
}  // namespace klaxon

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: klaxon-inflate-only FILE\n", stderr);
    return 2;
  }
  std::FILE* file = std::fopen(argv[1], "rb");
  if (file == nullptr) {
    std::perror(argv[1]);
    return 1;
  }
  uint64_t bytes = 0;
  const bool ok = klaxon::InflateFile(file, &bytes);
  std::fclose(file);
  if (!ok) {
    std::fprintf(stderr, "%s: not a whole .gz file\n", argv[1]);
    return 1;
  }
  std::printf("%llu\n", static_cast<unsigned long long>(bytes));
  return 0;
}
