#include "event/path.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "event/wire.h"

namespace klaxon {
namespace {

constexpr uint64_t Repeat(uint8_t byte) {
  return uint64_t{byte} * 0x0101010101010101u;
}

// The first byte is the lowest.
uint64_t LoadWord(const char* text) {
  uint64_t word;
  std::memcpy(&word, text, sizeof(word));
  return LittleEndian(word);
}

// The top bit of every byte of `word` that is `byte`, and no other bit.
uint64_t BytesEqual(uint64_t word, uint8_t byte) {
  const uint64_t x = word ^ Repeat(byte);
  const uint64_t nonzero = ((x & Repeat(0x7f)) + Repeat(0x7f)) | x;
  return ~nonzero & Repeat(0x80);
}

static_assert('.' == 0x2e && '/' == 0x2f);  // They differ in one bit.

#if defined(__SSE2__)
// One bit a byte of sixteen.
struct Marks {
  uint32_t query;  // It is '?'.
  uint32_t odd;    // It is '%', or begins "//" or "/.".
};

Marks MarksOf(__m128i bytes, __m128i next) {
  const auto equal = [](__m128i text, char byte) {
    return _mm_cmpeq_epi8(text, _mm_set1_epi8(byte));
  };
  const __m128i twice = _mm_and_si128(
      equal(bytes, '/'), equal(_mm_or_si128(next, _mm_set1_epi8(0x01)), '/'));
  return {static_cast<uint32_t>(_mm_movemask_epi8(equal(bytes, '?'))),
          static_cast<uint32_t>(
              _mm_movemask_epi8(_mm_or_si128(twice, equal(bytes, '%'))))};
}

// PlainLength of what has sixteen bytes at least.
size_t PlainLengthOfLong(std::string_view uri) {
  const auto load = [&uri](size_t at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(uri.data() + at));
  };
  const size_t last = uri.size() - 16;
  for (size_t i = 0;; i = std::min(i + 16, last)) {
    // Behind the last byte comes none that matters.
    const __m128i bytes = load(i);
    const Marks marks =
        MarksOf(bytes, i == last ? _mm_srli_si128(bytes, 1) : load(i + 1));
    if ((marks.query | marks.odd) != 0) {
      const int before = marks.query == 0 ? 16 : std::countr_zero(marks.query);
      if ((marks.odd & ((1u << before) - 1)) != 0) return 0;
      if (marks.query != 0) return i + static_cast<size_t>(before);
    }
    if (i == last) return uri.size();
  }
}
#endif

// The number of bytes before the query of a URI whose path is normalised
// already: rooted, no escape, no "//" nor "/."; 0: it is not.
size_t PlainLength(std::string_view uri) {
  if (uri.empty() || uri[0] != '/') return 0;
#if defined(__SSE2__)
  if (uri.size() >= 16) return PlainLengthOfLong(uri);
#endif
  size_t i = 0;
  for (; i + 9 <= uri.size(); i += 8) {
    const uint64_t word = LoadWord(uri.data() + i);
    const uint64_t next = LoadWord(uri.data() + i + 1) | Repeat(0x01);
    const uint64_t query = BytesEqual(word, '?');
    const uint64_t odd =
        BytesEqual(word, '%') | (BytesEqual(word, '/') & BytesEqual(next, '/'));
    if ((query | odd) == 0) continue;
    // The bytes before the query: all, where there is none.
    const uint64_t before = query == 0 ? ~uint64_t{0} : (query & -query) - 1;
    if ((odd & before) != 0) return 0;
    return i + static_cast<size_t>(std::countr_zero(query)) / 8;
  }
  for (; i < uri.size() && uri[i] != '?'; ++i) {
    if (uri[i] == '%') return 0;
    if (uri[i] == '/' && i + 1 < uri.size() && (uri[i + 1] | 0x01) == '/') {
      return 0;
    }
  }
  return i;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void PercentDecode(std::string_view text, std::string* out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out->push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    out->push_back(text[i]);
  }
}

// Removes empty and dot segments in place. REQUIRES: path begins with '/'.
void CollapseSegments(std::string* path) {
  std::string& p = *path;
  size_t out = 1;  // p[0, out) is done and ends with '/'.
  for (size_t in = 1; in < p.size();) {
    const size_t slash = p.find('/', in);
    const bool last = slash == std::string::npos;
    const size_t end = last ? p.size() : slash;
    const std::string_view segment(p.data() + in, end - in);
    if (segment == "..") {
      // Back over the segment before; the root stays.
      if (out > 1) out = p.rfind('/', out - 2) + 1;
    } else if (!segment.empty() && segment != ".") {
      std::memmove(p.data() + out, segment.data(), segment.size());
      out += segment.size();
      if (!last) p[out++] = '/';
    }
    in = end + 1;
  }
  p.resize(out);
}

std::string_view WithoutTrailingSlash(std::string_view path) {
  if (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path;
}

// NormalizePath of what PlainLength does not know. Apart, so that nearly all
// URIs do without its registers.
[[gnu::noinline]] std::string_view NormalizeOdd(std::string_view request_uri,
                                                std::string* buffer) {
  const std::string_view raw = request_uri.substr(0, request_uri.find('?'));
  buffer->clear();
  if (raw.empty() || raw[0] != '/') {
    buffer->push_back('/');  // "*" of OPTIONS, an empty URI.
  }
  PercentDecode(raw, buffer);
  CollapseSegments(buffer);
  return *buffer;
}

}  // namespace

std::string_view NormalizePath(std::string_view request_uri,
                               std::string* buffer) {
  const size_t plain = PlainLength(request_uri);
  if (plain == 0) return NormalizeOdd(request_uri, buffer);
  return request_uri.substr(0, plain);
}

bool IsPublicPath(std::string_view path,
                  std::span<const std::string> public_paths) {
  const std::string_view bare = WithoutTrailingSlash(path);
  if (bare != "/healthz" && bare != "/livez" && bare != "/readyz" &&
      bare != "/version") {
    return std::find(public_paths.begin(), public_paths.end(), path) !=
           public_paths.end();
  }
  return std::any_of(public_paths.begin(), public_paths.end(),
                     [&](const std::string& public_path) {
                       return path == public_path || bare == public_path;
                     });
}

std::string_view FirstTwoSegments(std::string_view path) {
  size_t end = path.find('/', 1);
  if (end != std::string_view::npos) end = path.find('/', end + 1);
  return WithoutTrailingSlash(path.substr(0, end));
}

bool IsDiscoveryPath(std::string_view path) {
  path = WithoutTrailingSlash(path);
  if (path.empty() || path[0] != '/') return false;
  path.remove_prefix(1);
  const size_t slash = path.find('/');
  const std::string_view root = path.substr(0, slash);
  size_t below = 0;  // Segments below the root.
  if (slash != std::string_view::npos) {
    for (char c : path) below += c == '/';
  }
  if (root == "api") return below <= 1;
  if (root == "apis") return below <= 2;
  if (root == "openapi") return true;
  return below == 0 && (root == "version" || root == "healthz" ||
                        root == "livez" || root == "readyz");
}

}  // namespace klaxon
