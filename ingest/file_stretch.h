// A stretch of a plain file: lines that one worker reads and cuts by itself
// while others read other stretches, and take half of it when they are done.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ingest/batch_framer.h"
#include "ingest/file_stream.h"
#include "ingest/source.h"

namespace klaxon {

// Whether a line begins as an event that stands there by itself: not as what a
// container runtime wrote, of which a line may be in chunks, with others
// between them.
bool BeginsAnEvent(std::string_view line);

// Where a stretch that reaches beyond `from` may end: between two lines that
// are events by themselves. kToEnd: none such was found within 4 MiB; at the
// end of the file only, as far as it can be read.
inline constexpr uint64_t kToEnd = ~uint64_t{0};
uint64_t StretchEnd(const OpenFile& file, uint64_t from);

struct StretchOptions {
  uint64_t begin = 0;     // A line begins there.
  uint64_t end = kToEnd;  // And ends before here.
  uint32_t input = 0;     // Position::input.
  std::string path;       // For problems.
  FramerOptions framer;
};

// `raw_bytes` counts what is read. It and the interrupter outlive the reader.
std::unique_ptr<BatchReader> MakeStretchReader(
    std::shared_ptr<const OpenFile> file, const StretchOptions& options,
    Interrupter* interrupter, std::atomic<uint64_t>* raw_bytes);

}  // namespace klaxon
