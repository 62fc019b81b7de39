#include "event/decode_json.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "event/check_json.h"

namespace klaxon {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(kFastPadding >= simdjson::SIMDJSON_PADDING);

constexpr size_t kArenaBlock = 64 << 10;
constexpr uint32_t kReplacement = 0xfffd;

// Length of the well-formed UTF-8 sequence at `p`; 0 if there is none.
size_t Utf8Length(const char* p, const char* end) {
  const auto byte = [p](int i) { return static_cast<unsigned char>(p[i]); };
  const auto follows = [&byte](int i, int low, int high) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) {
    return end - p >= 2 && follows(1, 0x80, 0xbf) ? 2 : 0;
  }
  if (first >= 0xe0 && first <= 0xef) {
    const int low = first == 0xe0 ? 0xa0 : 0x80;   // Overlong.
    const int high = first == 0xed ? 0x9f : 0xbf;  // Surrogates.
    return end - p >= 3 && follows(1, low, high) && follows(2, 0x80, 0xbf) ? 3
                                                                           : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const int low = first == 0xf0 ? 0x90 : 0x80;
    const int high = first == 0xf4 ? 0x8f : 0xbf;
    return end - p >= 4 && follows(1, low, high) && follows(2, 0x80, 0xbf) &&
                   follows(3, 0x80, 0xbf)
               ? 4
               : 0;
  }
  return 0;
}

// The \uXXXX at `p`; -1 if there is none before `end`.
int EscapedUnit(const char* p, const char* end) {
  if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return -1;
  return ParseHex4(p + 2);
}
bool IsHighSurrogate(int unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool IsLowSurrogate(int unit) { return unit >= 0xdc00 && unit < 0xe000; }

// The character of \b \f \n \r \t \" \\ \/; 0 for any other letter.
char PlainEscape(char letter) {
  switch (letter) {
    case '"':
    case '\\':
    case '/':
      return letter;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return 0;
  }
}

// Unescapes [*from, end), which begins with a backslash. False: no escape.
bool UnescapeOne(const char** from, const char* end, char** to) {
  const char* const p = *from;
  const int unit = EscapedUnit(p, end);
  if (unit < 0) {
    if (end - p < 2) return false;
    const char plain = PlainEscape(p[1]);
    if (plain == 0) return false;
    *(*to)++ = plain;
    *from = p + 2;
    return true;
  }
  uint32_t code_point = static_cast<uint32_t>(unit);
  *from = p + 6;
  if (IsHighSurrogate(unit)) {
    const int low = EscapedUnit(p + 6, end);
    if (IsLowSurrogate(low)) {
      code_point = 0x10000 + ((static_cast<uint32_t>(unit) - 0xd800) << 10) +
                   (static_cast<uint32_t>(low) - 0xdc00);
      *from = p + 12;
    } else {
      code_point = kReplacement;
    }
  } else if (IsLowSurrogate(unit)) {
    code_point = kReplacement;
  }
  *to = AppendUtf8(code_point, *to);
  return true;
}

// The quote that closes a string whose text begins at `p`; `end` if none.
const char* ClosingQuote(const char* p, const char* end) {
  while (p < end && *p != '"') p += *p == '\\' ? 2 : 1;
  return std::min(p, end);
}

// Whether one of the eight bytes at `p` is a backslash.
bool HasBackslash(const char* p) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  uint64_t bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
  bytes ^= kOnes * '\\';
  return ((bytes - kOnes) & ~bytes & (kOnes << 7)) != 0;
}

std::string_view TrimEnd(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' ||
                           text.back() == '\n' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

JsonError ErrorOf(simdjson::error_code code) {
  if (code == simdjson::SUCCESS) return JsonError::kNone;
  return code == simdjson::UTF8_ERROR ? JsonError::kUtf8 : JsonError::kSyntax;
}

}  // namespace

// --------------------------------------------------------------------- Arena

void Arena::AddBlock(size_t bytes) {
  const size_t size = std::max(bytes + kFastPadding, kArenaBlock);
  blocks_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
  block_ = blocks_.back().bytes.get();
  room_ = size;
  used_ = 0;
}

void Arena::Shrink(const char* piece, size_t bytes) {
  used_ = static_cast<size_t>(piece - block_) + bytes;
}

// One block for all of it, the next time: lines of one log are alike.
void Arena::KeepLargest() {
  auto largest = std::max_element(
      blocks_.begin(), blocks_.end(),
      [](const auto& a, const auto& b) { return a.size < b.size; });
  std::swap(*largest, blocks_.front());
  blocks_.resize(1);
  block_ = blocks_.front().bytes.get();
  room_ = blocks_.front().size;
}

// -------------------------------------------------------------- JsonSplitter

struct JsonSplitter::Impl {
  explicit Impl(Arena* arena) : arena(arena) {}

  // The whole value inside `container` that begins with simdjson's `token`;
  // empty if it is none, or neither a comma nor the container's end follows.
  // On-Demand checks neither at once, and walks beyond the end of `[1,]` and
  // of `["a":1]`.
  static std::string_view ValueAt(std::string_view container,
                                  std::string_view token);

  Arena* arena;
  ondemand::parser parser;
};

std::string_view JsonSplitter::Impl::ValueAt(std::string_view container,
                                             std::string_view token) {
  if (token.empty() || std::memchr("]},:", token.front(), 4) != nullptr) {
    return {};
  }
  const size_t begin = static_cast<size_t>(token.data() - container.data());
  if (begin >= container.size()) return {};
  std::string_view value = TrimEnd(token);
  if (IsJsonObject(token) || IsJsonArray(token)) {
    const ValueEnd end = FindValueEnd(container, begin);
    if (end.end == nullptr) return {};
    value =
        container.substr(begin, static_cast<size_t>(end.end - token.data()));
  }
  const size_t next = SkipJsonSpace(container, begin + value.size());
  const bool last = next + 1 == container.size();
  if (!last && (next >= container.size() || container[next] != ',')) return {};
  return value;
}

JsonSplitter::JsonSplitter(Arena* arena)
    : impl_(std::make_unique<Impl>(arena)) {}
JsonSplitter::~JsonSplitter() = default;

JsonError JsonSplitter::SplitObject(std::string_view object,
                                    std::vector<JsonMember>* members) {
  members->clear();
  ondemand::document document;
  ondemand::object iterator;
  simdjson::error_code error =
      impl_->parser
          .iterate(object.data(), object.size(), object.size() + kFastPadding)
          .get(document);
  if (error == simdjson::SUCCESS) error = document.get_object().get(iterator);
  if (error != simdjson::SUCCESS) return ErrorOf(error);
  const char* const end = object.data() + object.size();
  for (auto result : iterator) {
    ondemand::field field;
    error = std::move(result).get(field);
    if (error != simdjson::SUCCESS) return ErrorOf(error);
    // From quote to quote, as it is written: simdjson compares keys raw.
    const char* const key = field.key().raw();
    const char* const quote = ClosingQuote(key, end);
    if (quote == end) return JsonError::kSyntax;
    const auto name = UnescapeString(
        std::string_view(key - 1, static_cast<size_t>(quote + 2 - key)),
        impl_->arena);
    const std::string_view value =
        Impl::ValueAt(object, field.value().raw_json_token());
    if (!name.has_value() || value.empty()) return JsonError::kSyntax;
    members->push_back({*name, value});
  }
  return JsonError::kNone;
}

JsonError JsonSplitter::SplitArray(std::string_view array,
                                   std::vector<std::string_view>* elements) {
  elements->clear();
  ondemand::document document;
  ondemand::array iterator;
  simdjson::error_code error =
      impl_->parser
          .iterate(array.data(), array.size(), array.size() + kFastPadding)
          .get(document);
  if (error == simdjson::SUCCESS) error = document.get_array().get(iterator);
  if (error != simdjson::SUCCESS) return ErrorOf(error);
  for (auto result : iterator) {
    ondemand::value element;
    error = std::move(result).get(element);
    if (error != simdjson::SUCCESS) return ErrorOf(error);
    const std::string_view value =
        Impl::ValueAt(array, element.raw_json_token());
    if (value.empty()) return JsonError::kSyntax;
    elements->push_back(value);
  }
  return JsonError::kNone;
}

// ------------------------------------------------------------------- strings

std::optional<std::string_view> UnescapeString(std::string_view literal,
                                               Arena* arena) {
  if (!IsJsonString(literal)) return std::nullopt;
  const std::string_view text = literal.substr(1, literal.size() - 2);
  const size_t first = text.find('\\');
  if (first == std::string_view::npos) return text;
  // An escape is never shorter than what it means.
  char* const begin = arena->Allocate(text.size());
  std::memcpy(begin, text.data(), first);
  char* to = begin + first;
  const char* from = text.data() + first;
  const char* const end = text.data() + text.size();
  while (from < end) {
    if (*from == '\\') {
      if (!UnescapeOne(&from, end, &to)) return std::nullopt;
    } else if (end - from >= 8 && !HasBackslash(from)) {
      // Eight at a time: in JSON inside JSON the next escape is never far.
      std::memcpy(to, from, 8);
      from += 8;
      to += 8;
    } else {
      *to++ = *from++;
    }
  }
  const size_t size = static_cast<size_t>(to - begin);
  arena->Shrink(begin, size);
  return std::string_view(begin, size);
}

namespace {

// Whether the escape at `p` is a surrogate that has no partner. Steps over a
// pair, so that its second half is not looked at again.
bool IsLoneSurrogate(const char** p, const char* end) {
  const int unit = EscapedUnit(*p, end);
  if (IsHighSurrogate(unit) && IsLowSurrogate(EscapedUnit(*p + 6, end))) {
    *p += 12;
    return false;
  }
  if (IsHighSurrogate(unit) || IsLowSurrogate(unit)) return true;
  // What a backslash stands before may be a fault of its own.
  *p += end - *p >= 2 && static_cast<unsigned char>((*p)[1]) < 0x80 ? 2 : 1;
  return false;
}

}  // namespace

std::string_view Sanitize(std::string_view text, Arena* arena) {
  const char* const end = text.data() + text.size();
  char* begin = nullptr;  // Allocated at the first fault.
  char* to = nullptr;
  const char* copied = text.data();  // What stands before is in the copy.
  const auto replace = [&](const char* fault, size_t length,
                           std::string_view by) {
    if (begin == nullptr) to = begin = arena->Allocate(3 * text.size());
    std::memcpy(to, copied, static_cast<size_t>(fault - copied));
    to += fault - copied;
    std::memcpy(to, by.data(), by.size());
    to += by.size();
    copied = fault + length;
  };
  for (const char* p = text.data(); p < end;) {
    if (*p == '\\') {
      const char* next = p;
      if (IsLoneSurrogate(&next, end)) {
        replace(p, 6, "\\ufffd");
        next = p + 6;
      }
      p = next;
      continue;
    }
    const size_t length = Utf8Length(p, end);
    if (length == 0) replace(p, 1, "\xef\xbf\xbd");
    p += std::max<size_t>(length, 1);
  }
  if (begin == nullptr) return text;
  std::memcpy(to, copied, static_cast<size_t>(end - copied));
  to += end - copied;
  const size_t size = static_cast<size_t>(to - begin);
  arena->Shrink(begin, size);
  return {begin, size};
}

ValueEnd FindValueEnd(std::string_view text, size_t begin) {
  static const FastKernel& kernel = FastKernels().front();
  return kernel.value_end(text.data() + begin, text.data() + text.size());
}

}  // namespace klaxon
