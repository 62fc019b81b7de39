// What bytes are, told by how they begin and never by a file's name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace klaxon {

enum class ContentKind : uint8_t {
  kUndecided,  // Too few bytes to tell.
  kPlain,      // A log, or junk: not compressed and no archive.
  kGzip,
  kZstd,
  kFiltered,  // bzip2, xz, lzip, lz4, compress: libarchive inflates it.
  kTar,
};

// So many bytes always suffice.
inline constexpr size_t kContentHeadBytes = 512;

// `at_end`: there are no more bytes than `head`; never kUndecided then. Text
// is recognised by its first bytes, so that a slow pipe is not waited for.
ContentKind RecognizeContent(std::string_view head, bool at_end);

// Whether bytes that nobody expected look like a log or something that may
// hold one, rather than like garbage.
bool LooksLikeData(std::string_view head);

}  // namespace klaxon
