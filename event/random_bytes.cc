#include "event/random_bytes.h"

#include <sys/random.h>

namespace klaxon {

void FillWithRandom(void* bytes, size_t size) {
  auto* at = static_cast<char*>(bytes);
  while (size > 0) {
    const ssize_t got = getrandom(at, size, 0);
    if (got <= 0) continue;  // A signal.
    at += got;
    size -= static_cast<size_t>(got);
  }
}

}  // namespace klaxon
