#include "ingest/content_kind.h"

#include <algorithm>
#include <optional>

#include "ingest/member_stream.h"

namespace klaxon {
namespace {

using std::string_view_literals::operator""sv;

struct Magic {
  std::string_view bytes;
  ContentKind kind;
};

constexpr Magic kMagics[] = {
    {"\x1f\x8b\x08"sv, ContentKind::kGzip},
    {"\x28\xb5\x2f\xfd"sv, ContentKind::kZstd},
    {"\xfd\x37zXZ\0"sv, ContentKind::kFiltered},
    {"LZIP\x01"sv, ContentKind::kFiltered},
    {"\x04\x22\x4d\x18"sv, ContentKind::kFiltered},  // lz4
    {"\x1f\x9d\x90"sv, ContentKind::kFiltered},      // compress, 16 bits
};

// Behind "BZh" and the level: a block, or the end of an empty stream.
constexpr std::string_view kBzip2Block = "\x31\x41\x59\x26\x53\x59"sv;
constexpr std::string_view kBzip2End = "\x17\x72\x45\x38\x50\x90"sv;

bool IsBzip2(std::string_view head) {
  return head.size() >= 10 && head.substr(0, 3) == "BZh" && head[3] >= '1' &&
         head[3] <= '9' &&
         (head.substr(4, 6) == kBzip2Block || head.substr(4, 6) == kBzip2End);
}

bool IsZstdSkippable(std::string_view head) {
  return head.size() >= 4 && (static_cast<uint8_t>(head[0]) & 0xf0) == 0x50 &&
         head.substr(1, 3) == "\x2a\x4d\x18"sv;
}

// The checksum of a header, old (V7), ustar, pax or GNU, which all have it.
bool IsTarHeader(std::string_view head) {
  constexpr size_t kHeaderBytes = 512;
  constexpr size_t kSumBegin = 148;
  constexpr size_t kSumBytes = 8;
  if (head.size() < kHeaderBytes || head[0] == '\0') return false;
  uint32_t sum = ' ' * kSumBytes;
  int32_t signed_sum = ' ' * kSumBytes;  // Some old tars.
  for (size_t i = 0; i < kHeaderBytes; ++i) {
    if (i >= kSumBegin && i < kSumBegin + kSumBytes) continue;
    sum += static_cast<uint8_t>(head[i]);
    signed_sum += static_cast<int8_t>(head[i]);
  }
  std::string_view field = head.substr(kSumBegin, kSumBytes);
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  uint32_t stated = 0;
  size_t digits = 0;
  while (digits < field.size() && field[digits] >= '0' &&
         field[digits] <= '7') {
    stated = stated * 8 + (field[digits++] - '0');
  }
  return digits > 0 &&
         (stated == sum || static_cast<int32_t>(stated) == signed_sum);
}

std::optional<ContentKind> ByMagic(std::string_view head) {
  for (const Magic& magic : kMagics) {
    if (head.substr(0, magic.bytes.size()) == magic.bytes) return magic.kind;
  }
  if (IsZstdSkippable(head)) return ContentKind::kZstd;
  if (IsBzip2(head)) return ContentKind::kFiltered;
  return std::nullopt;
}

// A file of two or three bytes that begins like a compressed one: the
// compressor was killed at once. Not told by a byte that may begin a text.
std::optional<ContentKind> ByCutMagic(std::string_view head) {
  for (const Magic& magic : kMagics) {
    const size_t enough = magic.bytes[0] < ' ' ? 1 : 2;
    if (head.size() >= enough && head.size() < magic.bytes.size() &&
        magic.bytes.substr(0, head.size()) == head) {
      return magic.kind;
    }
  }
  return std::nullopt;
}

bool BeginsLikeJson(std::string_view head) {
  if (head.substr(0, 3) == "\xef\xbb\xbf") head.remove_prefix(3);
  const size_t begin = head.find_first_not_of(" \t\r\n");
  return begin != head.npos && (head[begin] == '{' || head[begin] == '[');
}

}  // namespace

ContentKind RecognizeContent(std::string_view head, bool at_end) {
  head = head.substr(0, kContentHeadBytes);
  if (const auto kind = ByMagic(head)) return *kind;
  if (BeginsLikeJson(head)) return ContentKind::kPlain;
  if (at_end) {
    if (const auto kind = ByCutMagic(head)) return *kind;
  }
  if (head.size() < kContentHeadBytes && !at_end) {
    return ContentKind::kUndecided;
  }
  return IsTarHeader(head) ? ContentKind::kTar : ContentKind::kPlain;
}

bool LooksLikeData(std::string_view head) {
  return ByMagic(head).has_value() || BeginsLikeJson(head);
}

}  // namespace klaxon
