// Bytes of observations, snapshots and spill files: varints and length-
// prefixed texts, little-endian, no alignment. docs/OBSERVATIONS.md.
//
// WireReader never reads past its input: once something is malformed, ok() is
// false for good and every further read returns an empty value. It takes only
// what WireWriter writes (no overlong varint, no truth value but 0 and 1), so
// that what was read, written again, gives the same bytes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace klaxon {

// From or to what this machine has.
inline uint64_t LittleEndian(uint64_t value) {
  return std::endian::native == std::endian::little ? value
                                                    : __builtin_bswap64(value);
}

class WireWriter {
 public:
  // The same at `at`, where there is room: many numbers at once are appended
  // once. Each returns where the next one goes.
  static constexpr size_t kVarintMax = 10;
  static char* PutUint(uint64_t value, char* at) {
    for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
    *at++ = static_cast<char>(value);
    return at;
  }
  static char* PutFixed64(uint64_t value, char* at) {
    value = LittleEndian(value);
    std::memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
  }

  static char* PutInt(int64_t value, char* at) {
    return PutUint(ZigZag(value), at);
  }
  static char* PutText(std::string_view text, char* at) {
    at = PutUint(text.size(), at);
    // An empty one may have no address.
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    return at + text.size();
  }

  explicit WireWriter(std::string* out) : out_(out) {}
  void Uint(uint64_t value) {  // LEB128
    if (value < 0x80) return out_->push_back(static_cast<char>(value));
    char bytes[kVarintMax];
    out_->append(bytes, static_cast<size_t>(PutUint(value, bytes) - bytes));
  }
  void Int(int64_t value) { Uint(ZigZag(value)); }
  void Fixed64(uint64_t value) {
    char bytes[8];
    out_->append(bytes, static_cast<size_t>(PutFixed64(value, bytes) - bytes));
  }
  void Text(std::string_view text) {
    Uint(text.size());
    out_->append(text);
  }
  // As it is.
  void Raw(std::string_view bytes) { out_->append(bytes); }
  // For so many bytes, to be written at once.
  char* Room(size_t bytes) {
    const size_t at = out_->size();
    out_->resize(at + bytes);
    return out_->data() + at;
  }
  // Gives back what of the last Room was not written.
  void Close(const char* end) {
    out_->resize(static_cast<size_t>(end - out_->data()));
  }
  void Bool(bool value) { out_->push_back(value ? 1 : 0); }

 private:
  static uint64_t ZigZag(int64_t value) {
    return (static_cast<uint64_t>(value) << 1) ^
           static_cast<uint64_t>(value >> 63);
  }
  std::string* out_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view in) : in_(in) {}
  bool ok() const { return ok_; }
  bool done() const { return ok_ && in_.empty(); }
  // Not read yet.
  std::string_view rest() const { return in_; }
  uint64_t Uint() {
    // Most are lengths of short texts.
    if (in_.empty() || static_cast<uint8_t>(in_.front()) >= 0x80) {
      return LongUint();
    }
    const auto value = static_cast<uint8_t>(in_.front());
    in_.remove_prefix(1);
    return value;
  }
  int64_t Int() {
    const uint64_t value = Uint();
    return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
  }
  uint64_t Fixed64() {
    const std::string_view bytes = Bytes(8);
    return bytes.empty() ? 0 : GetFixed64(bytes.data());
  }
  // Of 8 bytes that are there.
  static uint64_t GetFixed64(const char* at) {
    uint64_t value;
    std::memcpy(&value, at, sizeof(value));
    return LittleEndian(value);
  }
  // So many. Malformed, and none, if there are fewer.
  std::string_view Bytes(size_t count) {
    if (count > in_.size()) {
      Fail();
      return {};
    }
    const std::string_view bytes = in_.substr(0, count);
    in_.remove_prefix(count);
    return bytes;
  }
  std::string_view Text() { return Bytes(Uint()); }
  bool Bool() { return UintUpTo(1) != 0; }
  // Malformed if larger than `max`: enumerations, bits, narrower numbers.
  uint64_t UintUpTo(uint64_t max) {
    const uint64_t value = Uint();
    return value <= max ? value : Fail();
  }
  // A count of elements of at least one byte each: never more than what is
  // left, so that a damaged count cannot ask for memory.
  uint64_t Count() {
    const uint64_t count = Uint();
    return count <= in_.size() ? count : Fail();
  }
  // For the caller, who found a value that cannot be.
  uint64_t Fail() {
    ok_ = false;
    in_ = {};
    return 0;
  }

 private:
  [[gnu::noinline]] uint64_t LongUint() {
    uint64_t value = 0;
    const size_t bytes = std::min(in_.size(), WireWriter::kVarintMax);
    for (size_t i = 0; i < bytes; ++i) {
      const auto byte = static_cast<uint8_t>(in_[i]);
      value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
      if (byte >= 0x80) continue;
      const bool overlong = byte == 0 && i > 0;
      const bool overflows = i == WireWriter::kVarintMax - 1 && byte > 1;
      if (overlong || overflows) break;
      in_.remove_prefix(i + 1);
      return value;
    }
    return Fail();
  }

  std::string_view in_;
  bool ok_ = true;
};

struct EventSample;
class SmallTextSet;
void PutSample(const EventSample& sample, WireWriter* w);
void GetSample(WireReader* r, EventSample* sample);
void PutTexts(const SmallTextSet& set, WireWriter* w);
void GetTexts(WireReader* r, SmallTextSet* set);

}  // namespace klaxon
