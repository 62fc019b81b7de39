// A whole file through a compressor, and back. gzip (ISA-L) and Zstandard.
//
// Any thread; memory is a few MiB, whatever the file's size. Unavailable: the
// system says no; ResourceExhausted: no room; DataLoss: not what was written.
#pragma once

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace klaxon {

enum class Compression { kNone, kGzip, kZstd };

// ".gz", ".zst", "".
std::string_view CompressionSuffix(Compression compression);

// Reads `in` from where it stands to its end and writes to `out`; `name` is for
// messages. What `out` holds is not synced. REQUIRES: not kNone.
absl::Status CompressFile(int in, int out, Compression compression,
                          std::string_view name);

// Hands on what the file says, block by block; how it is compressed is learnt
// from its first bytes. `name` is for messages.
absl::Status ReadDecompressed(int in, std::string_view name,
                              absl::FunctionRef<void(std::string_view)> block);

}  // namespace klaxon
