#include "event/decode_fast.h"

#include <simdjson.h>

#include <string>
#include <vector>

namespace klaxon {

EventTime ParseDate(std::string_view date) {
  // ParseTime knows the calendar; this runs once a day of event time.
  return ParseTime(std::string(date) + "T00:00:00Z").value_or(kNoTime);
}

bool IsUtf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

char* AppendUtf8(uint32_t code_point, char* out) {
  const auto put = [&out](uint32_t byte) { *out++ = static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
  return out;
}

namespace {

constexpr std::array<int8_t, 256> MakeHexTable() {
  std::array<int8_t, 256> table{};
  for (int8_t& value : table) value = -1;
  for (int i = 0; i < 10; ++i) table['0' + i] = static_cast<int8_t>(i);
  for (int i = 0; i < 6; ++i) {
    table['a' + i] = table['A' + i] = static_cast<int8_t>(10 + i);
  }
  return table;
}
constexpr std::array<int8_t, 256> kHex = MakeHexTable();

constexpr std::array<Repeated, 128> MakeRepeated() {
  std::array<Repeated, 128> all{};
  for (size_t c = 0; c < all.size(); ++c) {
    for (char& byte : all[c].bytes) byte = static_cast<char>(c);
  }
  return all;
}

}  // namespace

constinit const std::array<Repeated, 128> kRepeated = MakeRepeated();

int ParseHex4(const char* p) {
  int value = 0;
  int bad = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = kHex[static_cast<unsigned char>(p[i])];
    bad |= digit;
    value = value << 4 | (digit & 15);
  }
  return bad < 0 ? -1 : value;
}

std::span<const FastKernel> FastKernels() {
  static const std::vector<FastKernel> kernels = [] {
    std::vector<FastKernel> usable;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool haswell_like =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
        __builtin_cpu_supports("pclmul");
    if (haswell_like && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
      usable.push_back(skx::kKernel);
    }
    if (haswell_like) usable.push_back(haswell::kKernel);
#endif
    usable.push_back(generic::kKernel);
    return usable;
  }();
  return kernels;
}

}  // namespace klaxon
