// A table's key: an address or a /64, most of the time, which has room in the
// slot. Longer ones are elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace klaxon {

class TableKey {
 public:
  TableKey() = default;
  TableKey(const TableKey&) = delete;
  TableKey& operator=(const TableKey&) = delete;
  ~TableKey() { Free(); }

  void Set(std::string_view text) {
    Free();
    if (text.size() <= kInline) {
      size_ = static_cast<uint8_t>(text.size());
      std::memcpy(bytes_, text.data(), text.size());
      return;
    }
    size_ = kElsewhere;
    const Elsewhere there{new char[text.size()], text.size()};
    std::memcpy(there.bytes, text.data(), text.size());
    std::memcpy(bytes_, &there, sizeof(there));
  }
  std::string_view view() const {
    if (size_ != kElsewhere) return {bytes_, size_};
    const Elsewhere there = where();
    return {there.bytes, there.size};
  }

 private:
  static constexpr size_t kInline = 47;
  static constexpr uint8_t kElsewhere = kInline + 1;
  struct Elsewhere {
    char* bytes;
    size_t size;
  };

  Elsewhere where() const {
    Elsewhere there;
    std::memcpy(&there, bytes_, sizeof(there));
    return there;
  }
  void Free() {
    if (size_ == kElsewhere) delete[] where().bytes;
    size_ = 0;
  }

  uint8_t size_ = 0;
  char bytes_[kInline];
};

}  // namespace klaxon
