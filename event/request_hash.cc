#include "event/request_hash.h"

#include <openssl/evp.h>

#include <cstring>

#include "event/wire.h"

namespace klaxon {

struct RequestHasher::Impl {
  EVP_MD* digest = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Impl() { EVP_DigestInit_ex2(context, digest, nullptr); }
  ~Impl() {
    EVP_MD_CTX_free(context);
    EVP_MD_free(digest);
  }
};

RequestHasher::RequestHasher() : impl_(std::make_unique<Impl>()) {}
RequestHasher::~RequestHasher() = default;

std::array<uint8_t, 16> RequestHasher::Hash(const EventView& event) {
  buffer_.clear();
  WireWriter w(&buffer_);
  w.Text(event.audit_id);
  w.Int(event.request_received_time != kNoTime ? event.request_received_time
                                               : event.stage_time);
  w.Text(event.verb);
  w.Text(event.request_uri);
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  // The digest that it has: to be told one costs as much as half of the rest.
  EVP_DigestInit_ex2(impl_->context, nullptr, nullptr);
  EVP_DigestUpdate(impl_->context, buffer_.data(), buffer_.size());
  EVP_DigestFinal_ex(impl_->context, hash, &size);
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
