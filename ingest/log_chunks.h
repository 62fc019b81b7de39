// Lines of a container runtime's log file (CRI, docker json-file): a runtime
// writes a long line in chunks, and stdout's between stderr's.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace klaxon {

// What is decoded on its own must not end between the chunks of a line:
// returns the latest end of a line, `cut` or before, at which no stream has an
// open one; 0 if there is none.
// REQUIRES: cut is 0 or the end of a line of `bytes`, which begin with one.
size_t CutBeforeOpenChunks(std::string_view bytes, size_t cut);

}  // namespace klaxon
