// Bytes that are equal where, and only where, equal things were added.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "event/wire.h"

namespace klaxon {

class KeyWriter {
 public:
  KeyWriter& Add(std::string_view text) {
    WireWriter(&bytes_).Text(text);
    return *this;
  }
  KeyWriter& Add(uint64_t number) {
    WireWriter(&bytes_).Uint(number);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace klaxon
