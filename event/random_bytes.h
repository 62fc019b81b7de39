// Bytes that nobody can foresee: secrets of hashes, names of runs.
//
// Any thread.
#pragma once

#include <cstddef>

namespace klaxon {

// Waits where the machine has none yet (random(4): only while it boots).
void FillWithRandom(void* bytes, size_t size);

}  // namespace klaxon
