// Which of several files that should hold the same need to be read.
#pragma once

#include <vector>

#include "ingest/byte_stream.h"
#include "ingest/file_access.h"
#include "ingest/input_list.h"

namespace klaxon {

// Compares what the files inflate to, byte by byte from the start. Of two of
// which one is the beginning of the other (as a .gz whose compressor was
// killed half-way, beside its .log) only the longer stays; also of two equal
// ones, where the earlier stays. Those that differ, or that cannot be read,
// all stay. Reads at most as far as the first difference; reports nothing:
// what is wrong with a file that stays is found when it is read.
// kInterrupted: `*files` is as it was. Else kData.
StreamState DropTwins(FileAccess* access, Interrupter* interrupter,
                      std::vector<InputFile>* files);

}  // namespace klaxon
