#include "event/request_hash.h"

// A request is two blocks of SHA-256, and finding, making and forgetting an
// EVP context costs as much as one of them.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <xxhash.h>

#include <cstring>

#include "event/wire.h"

namespace klaxon {
namespace {

EventTime StampOf(const EventView& event) {
  return event.request_received_time != kNoTime ? event.request_received_time
                                                : event.stage_time;
}

}  // namespace

std::array<uint8_t, 16> RequestHasher::Hash(const EventView& event) {
  buffer_.clear();
  WireWriter w(&buffer_);
  w.Text(event.audit_id);
  w.Int(StampOf(event));
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

uint64_t RequestHasher::CountedHash(const EventView& event) {
  constexpr Nanos kMillisecond = 1'000'000;
  const EventTime stamp = StampOf(event);
  if (stamp % kMillisecond == 0) {
    const std::array<uint8_t, 16> whole = Hash(event);
    uint64_t head = 0;
    for (int i = 0; i < 8; ++i) head = head << 8 | whole[i];
    return head;
  }
  const auto go_on = [](std::string_view text, uint64_t hash) {
    return XXH3_64bits_withSeed(text.data(), text.size(), hash);
  };
  uint64_t hash = go_on(event.audit_id, static_cast<uint64_t>(stamp));
  hash = go_on(event.verb, hash);
  return go_on(event.request_uri, hash);
}

}  // namespace klaxon
