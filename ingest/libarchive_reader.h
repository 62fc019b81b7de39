// libarchive over a ByteStream: the compressions that have no codec of their
// own (bzip2, xz, lzip, lz4, compress), and tar.
//
// Not thread-safe: a reader belongs to one input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingest/byte_stream.h"

struct archive;
struct archive_entry;

namespace klaxon {

// One libarchive handle. A pipe under it is waited for without a deadline:
// libarchive cannot be left in the middle of a call and entered again.
class LibarchiveHandle {
 public:
  enum class Format : uint8_t { kFilters, kTar };
  enum class Header : uint8_t { kEntry, kEnd, kInterrupted };

  // `in` and `context` outlive the handle.
  LibarchiveHandle(Format format, ByteStream* in, StreamContext* context);
  ~LibarchiveHandle();
  LibarchiveHandle(const LibarchiveHandle&) = delete;
  LibarchiveHandle& operator=(const LibarchiveHandle&) = delete;

  // Moves on to the next entry. kEnd: also behind a problem, then reported.
  Header NextHeader();
  // Of the entry: its bytes, holes as zeros.
  StreamRead ReadData(char* out, size_t capacity);
  // REQUIRES: NextHeader said kEntry.
  archive_entry* entry() const { return entry_; }
  // Bytes of input that no filter took, so far.
  uint64_t unused_bytes() const;
  // Nothing more can be read: a problem was reported, here or further down.
  bool failed() const { return failed_; }

 private:
  static ptrdiff_t ReadCallback(archive* handle, void* self,
                                const void** block);
  StreamRead CopyBlock(char* out, size_t capacity);
  void Fail();
  const char* FilterName() const;
  bool filtered() const;

  const Format format_;
  ByteStream* const in_;
  StreamContext* const context_;
  archive* handle_;
  archive_entry* entry_ = nullptr;
  std::vector<char> buffer_;
  uint64_t fed_bytes_ = 0;
  bool opened_ = false;
  bool interrupted_ = false;
  bool failed_ = false;
  const uint64_t lost_before_;  // context_->lost_count at construction.
  // The block of the entry being handed on; it lies `gap_` zeros further on.
  const char* block_ = nullptr;
  size_t block_bytes_ = 0;
  uint64_t gap_ = 0;
  int64_t entry_offset_ = 0;
};

// What is compressed with one of libarchive's filters.
class FilterStream : public ByteStream {
 public:
  // `in` and `context` outlive the stream.
  FilterStream(ByteStream* in, StreamContext* context);
  StreamRead Read(char* out, size_t capacity) override;

 private:
  StreamState CountLeftOver();

  ByteStream* const in_;
  StreamContext* const context_;
  LibarchiveHandle handle_;
  bool opened_ = false;
  bool inflated_ = false;  // Left over bytes are being counted.
  bool ended_ = false;
  uint64_t left_over_bytes_ = 0;
};

// The regular files of a tar, in its order. As a ByteStream: the member that
// NextMember found last.
class TarReader : public ByteStream {
 public:
  TarReader(ByteStream* in, StreamContext* context);
  // kData: `*name` is the next member's. kEnd, kInterrupted otherwise.
  StreamState NextMember(std::string* name);
  StreamRead Read(char* out, size_t capacity) override;

 private:
  StreamContext* const context_;
  LibarchiveHandle handle_;
  uint64_t members_ = 0;
  bool ended_ = false;
};

}  // namespace klaxon
