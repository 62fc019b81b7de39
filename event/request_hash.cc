#include "event/request_hash.h"

// A request is two blocks of SHA-256, and finding, making and forgetting an
// EVP context costs as much as one of them.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstring>

#include "event/wire.h"

namespace klaxon {

std::array<uint8_t, 16> RequestHasher::Hash(const EventView& event) {
  buffer_.clear();
  WireWriter w(&buffer_);
  w.Text(event.audit_id);
  w.Int(event.request_received_time != kNoTime ? event.request_received_time
                                               : event.stage_time);
  w.Text(event.verb);
  w.Text(event.request_uri);
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, buffer_.data(), buffer_.size());
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256_Final(hash, &context);
  std::array<uint8_t, 16> out;
  std::memcpy(out.data(), hash, out.size());
  return out;
}

uint64_t RequestHasher::Hash64(const EventView& event) {
  const std::array<uint8_t, 16> hash = Hash(event);
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | hash[i];
  return value;
}

}  // namespace klaxon
