// Memory for small things of which there are millions and which live long.
//
// On the heap they would lie among what comes and goes: pages of which only a
// little is in use, all the same resident, and copied by each fork. Here each
// size has blocks of its own, huge pages when there are many (large_blocks.h).
// What is given back serves the next of its size, and is never given to the
// system. Any thread.
#pragma once

#include <cstddef>

namespace klaxon {

// As aligned as from the heap. Large ones do come from there.
void* TakePiece(size_t bytes);
// REQUIRES: `piece` was taken with as many bytes.
void GivePiece(void* piece, size_t bytes);

}  // namespace klaxon
