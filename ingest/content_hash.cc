#include "ingest/content_hash.h"

#include <openssl/sha.h>

#include <cstring>

namespace klaxon {

ContentHash HashContent(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         digest);
  ContentHash hash;
  std::memcpy(hash.data(), digest, hash.size());
  return hash;
}

}  // namespace klaxon
