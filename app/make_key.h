// Bytes that are equal where, and only where, equal things were added.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

#include "event/wire.h"

namespace klaxon {

// Empty: it cannot be read, is empty, or no file (of a folder a stream would
// throw).
inline std::string ContentsOf(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return "";
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

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
  // A property of librdkafka; a file that it names counts with what is in it,
  // so that a certificate that was exchanged in place is another one.
  KeyWriter& AddKafkaProperty(const std::string& name,
                              const std::string& value) {
    Add(name).Add(value);
    return name.ends_with(".location") ? Add(ContentsOf(value)) : *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace klaxon
