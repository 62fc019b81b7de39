#include "bench/random.h"

#include <algorithm>

namespace klaxon {

Random::Random(uint64_t seed)
    : state_{0x9E3779B97F4A7C15ull ^ seed, 0xBF58476D1CE4E5B9ull} {
  // The first numbers of neighbouring seeds resemble each other.
  for (int i = 0; i < 20; ++i) Next();
}

void Random::AppendHex(size_t digits, std::string* out) {
  while (digits > 0) {
    const size_t now = std::min<size_t>(digits, 16);
    uint64_t bits = Next();
    char text[16];
    for (size_t i = 0; i < now; ++i, bits >>= 4) {
      text[i] = "0123456789abcdef"[bits & 15];
    }
    out->append(text, now);
    digits -= now;
  }
}

void Random::AppendUuid(std::string* out) {
  const size_t begin = out->size();
  AppendHex(36, out);
  char* text = out->data() + begin;
  text[8] = text[13] = text[18] = text[23] = '-';
  text[14] = '4';
  text[19] = "89ab"[text[19] & 3];
}

void Random::AppendName(size_t length, std::string* out) {
  for (size_t i = 0; i < length; ++i) {
    out->push_back("bcdfghjklmnpqrstvwxz2456789"[Below(27)]);
  }
}

std::string Random::Hex(size_t digits) {
  std::string text;
  AppendHex(digits, &text);
  return text;
}

std::string Random::Uuid() {
  std::string text;
  AppendUuid(&text);
  return text;
}

std::string Random::Name(size_t length) {
  std::string text;
  AppendName(length, &text);
  return text;
}

}  // namespace klaxon
