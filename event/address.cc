#include "event/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

namespace klaxon {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0,    0,
                                                   0, 0, 0, 0, 0xff, 0xff};
// "[" + an IPv6 address + "%" + a zone + "]:65535", generously.
constexpr size_t kTextBytesMax = 128;

// "a.b.c.d", without leading zeros: some read those as octal.
bool ParseV4(std::string_view text, std::array<uint8_t, 16>* bytes) {
  size_t at = 0;
  std::memcpy(bytes->data(), kMappedPrefix.data(), kMappedPrefix.size());
  for (int i = 0; i < 4; ++i) {
    if (i > 0 && (at >= text.size() || text[at++] != '.')) return false;
    unsigned value = 0;
    const size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      value = value * 10 + static_cast<unsigned>(text[at] - '0');
      if (++at - begin > 3) return false;
    }
    if (at == begin || value > 255) return false;
    if (text[begin] == '0' && at - begin > 1) return false;
    (*bytes)[12 + static_cast<size_t>(i)] = static_cast<uint8_t>(value);
  }
  return at == text.size();
}

bool ParseV6(std::string_view text, std::array<uint8_t, 16>* bytes) {
  // inet_pton wants a terminated text, and must not meet a NUL within it.
  char buffer[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof(buffer) ||
      text.find('\0') != std::string_view::npos) {
    return false;
  }
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  return inet_pton(AF_INET6, buffer, bytes->data()) == 1;
}

std::optional<IpAddress> ParsePlain(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::array<uint8_t, 16> bytes{};
  const bool ok = text.find(':') == std::string_view::npos
                      ? ParseV4(text, &bytes)
                      : ParseV6(text, &bytes);
  if (!ok) return std::nullopt;
  return IpAddress::FromBytes(bytes);
}

// Eight bytes of an address as the number they are.
uint64_t WordAt(const IpAddress& address, size_t at) {
  uint64_t word;
  std::memcpy(&word, address.bytes().data() + at, sizeof(word));
  static_assert(std::endian::native == std::endian::little);
  return __builtin_bswap64(word);
}

// A whole number up to `max`, without sign or leading zeros.
std::optional<int> ParseNumber(std::string_view text, int max) {
  if (text.empty() || text[0] < '0' || text[0] > '9' ||
      (text[0] == '0' && text.size() > 1)) {
    return std::nullopt;
  }
  int value = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value > max) return std::nullopt;
  return value;
}

std::optional<IpAddress> ParseV6WithZone(std::string_view text) {
  const size_t percent = text.find('%');
  if (percent == std::string_view::npos) return ParsePlain(text);
  if (percent + 1 == text.size()) return std::nullopt;
  text = text.substr(0, percent);
  if (text.find(':') == std::string_view::npos) return std::nullopt;
  return ParsePlain(text);
}

// "[v6]" or "[v6]:port".
std::optional<IpAddress> ParseBracketed(std::string_view text) {
  const size_t close = text.find(']');
  if (close == std::string_view::npos) return std::nullopt;
  const std::string_view rest = text.substr(close + 1);
  if (!rest.empty() &&
      (rest[0] != ':' || !ParseNumber(rest.substr(1), 65535))) {
    return std::nullopt;
  }
  const std::string_view inside = text.substr(1, close - 1);
  if (inside.find(':') == std::string_view::npos) return std::nullopt;
  return ParseV6WithZone(inside);
}

char* PutDecimal(unsigned value, char* out) {
  return std::to_chars(out, out + 3, value).ptr;
}

std::string V4ToString(const uint8_t* bytes) {
  char buffer[16];
  char* end = buffer;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *end++ = '.';
    end = PutDecimal(bytes[i], end);
  }
  return std::string(buffer, end);
}

// RFC 5952, and so as Go prints it: never the mixed form "::1.2.3.4" that
// inet_ntop gives for some addresses.
std::string V6ToString(const std::array<uint8_t, 16>& bytes) {
  std::array<unsigned, 8> words;
  for (size_t i = 0; i < 8; ++i) {
    words[i] = bytes[2 * i] * 256u + bytes[2 * i + 1];
  }
  // The longest run of at least two zero words, the first of equals.
  size_t run_begin = 8;
  size_t run_size = 1;
  for (size_t i = 0; i < 8;) {
    size_t end = i;
    while (end < 8 && words[end] == 0) ++end;
    if (end - i > run_size) {
      run_begin = i;
      run_size = end - i;
    }
    i = end + 1;
  }
  char buffer[40];
  char* out = buffer;
  for (size_t i = 0; i < 8; ++i) {
    if (i == run_begin) {
      *out++ = ':';
      *out++ = ':';
      i += run_size - 1;
      continue;
    }
    if (i > 0 && out[-1] != ':') *out++ = ':';
    out = std::to_chars(out, out + 4, words[i], 16).ptr;
  }
  return std::string(buffer, out);
}

// A word of an IPv6 address as V6ToString writes it.
bool IsCanonicalWord(std::string_view word) {
  if (word.empty() || word.size() > 4) return false;
  if (word[0] == '0' && word.size() > 1) return false;
  return std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

// The words of `text`, at most 8. False: it is no list of such words.
bool SplitWords(std::string_view text, std::array<std::string_view, 8>* words,
                size_t* count) {
  *count = 0;
  while (!text.empty()) {
    if (*count == words->size()) return false;
    const size_t colon = text.find(':');
    std::string_view& word = (*words)[(*count)++];
    word = text.substr(0, colon);
    if (!IsCanonicalWord(word)) return false;
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;
  }
  return true;
}

// The first four words of an IPv6 address in canonical text. False: it may not
// be one.
bool FirstWords(std::string_view text, std::array<std::string_view, 4>* first) {
  std::array<std::string_view, 8> left;
  std::array<std::string_view, 8> right;
  size_t lefts = 0;
  size_t rights = 0;
  const size_t gap = text.find("::");
  if (!SplitWords(text.substr(0, gap), &left, &lefts)) return false;
  if (gap == std::string_view::npos) {
    if (lefts != left.size()) return false;
  } else if (!SplitWords(text.substr(gap + 2), &right, &rights) ||
             lefts + rights >= left.size()) {
    return false;
  }
  const size_t right_begin = left.size() - rights;
  for (size_t i = 0; i < first->size(); ++i) {
    (*first)[i] = i < lefts          ? left[i]
                  : i >= right_begin ? right[i - right_begin]
                                     : std::string_view("0");
  }
  return true;
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  if (text.empty() || text.size() > kTextBytesMax) return std::nullopt;
  if (text[0] == '[') return ParseBracketed(text);
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return ParsePlain(text);
  if (text.find(':', colon + 1) != std::string_view::npos) {
    return ParseV6WithZone(text);
  }
  // One colon: no IPv6 address has so few; an IPv4 address and a port.
  if (!ParseNumber(text.substr(colon + 1), 65535)) return std::nullopt;
  return ParsePlain(text.substr(0, colon));
}

IpAddress IpAddress::FromBytes(const std::array<uint8_t, 16>& bytes) {
  IpAddress address;
  address.bytes_ = bytes;
  return address;
}

bool IpAddress::is_v4() const {
  return std::memcmp(bytes_.data(), kMappedPrefix.data(),
                     kMappedPrefix.size()) == 0;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[12] == 127;
  constexpr std::array<uint8_t, 16> kLoopback = {0, 0, 0, 0, 0, 0, 0, 0,
                                                 0, 0, 0, 0, 0, 0, 0, 1};
  return bytes_ == kLoopback;
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes_[12] == 169 && bytes_[13] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

std::string IpAddress::ToString() const {
  return is_v4() ? V4ToString(bytes_.data() + 12) : V6ToString(bytes_);
}

std::string IpAddress::Prefix64() const {
  std::array<uint8_t, 16> prefix = bytes_;
  std::memset(prefix.data() + 8, 0, 8);
  return V6ToString(prefix).append("/64");
}

std::string IpAddress::Prefix64Of(std::string_view text) {
  if (text.find(':') == std::string_view::npos) return "";
  std::array<std::string_view, 4> words;
  size_t count = FirstWords(text, &words) ? words.size() : 0;
  while (count > 0 && words[count - 1] == "0") --count;
  if (count == 0) {  // Also where IPv4 may be mapped.
    const std::optional<IpAddress> address = Parse(text);
    return address && !address->is_v4() ? address->Prefix64() : "";
  }
  std::string prefix;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) prefix += ':';
    prefix += words[i];
  }
  return prefix += "::/64";
}

std::optional<Cidr> Cidr::Parse(std::string_view text) {
  if (text.size() > kTextBytesMax) return std::nullopt;
  const size_t slash = text.find('/');
  const std::string_view address_text = text.substr(0, slash);
  const std::optional<IpAddress> address = ParsePlain(address_text);
  if (!address) return std::nullopt;
  Cidr cidr{*address, 128};
  if (slash != std::string_view::npos) {
    const bool v4 = address_text.find(':') == std::string_view::npos;
    const std::optional<int> bits =
        ParseNumber(text.substr(slash + 1), v4 ? 32 : 128);
    if (!bits) return std::nullopt;
    cidr.prefix_bits = v4 ? *bits + 96 : *bits;
  }
  for (int bit = cidr.prefix_bits; bit < 128; ++bit) {
    const uint8_t byte = address->bytes()[static_cast<size_t>(bit / 8)];
    if (byte & (0x80 >> (bit % 8))) return std::nullopt;
  }
  return cidr;
}

bool Cidr::Contains(const IpAddress& address) const {
  // IPv4 lies within ::ffff:0:0/96 here, but "::/0" means IPv6.
  if (prefix_bits < 96 && address.is_v4()) return false;
  const uint64_t high = WordAt(base, 0) ^ WordAt(address, 0);
  if (prefix_bits <= 64) {
    return prefix_bits == 0 || high >> (64 - prefix_bits) == 0;
  }
  const uint64_t low = WordAt(base, 8) ^ WordAt(address, 8);
  return high == 0 && low >> (128 - prefix_bits) == 0;
}

std::string Cidr::ToString() const {
  const bool v4 = base.is_v4();
  return base.ToString().append("/").append(
      std::to_string(v4 ? prefix_bits - 96 : prefix_bits));
}

bool CidrSet::Contains(const IpAddress& address) const {
  for (const Cidr& cidr : cidrs_) {
    if (cidr.Contains(address)) return true;
  }
  return false;
}

}  // namespace klaxon
