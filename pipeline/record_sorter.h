// Sorts more records than memory holds: sorted runs in one unlinked temporary
// file, merged at the end, at most `kFanIn` at a time. Keys are compared as
// bytes. What was read of the file is given back to the disk.
//
// Protocol: Add any number of times, Finish once, Next until false. One
// thread. Errors (a full disk, an unwritable folder) come from Add and Finish
// as a Status; after one the sorter only repeats it.
//
// Memory: `memory_bytes`; once a run was written, merging takes as much again
// at most (or 4 KiB a run, and the longest record, if that is more).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace klaxon {

class RecordSorter {
 public:
  // Folds `payload` into `*into`; both have the same key. Called for records
  // of equal keys in no particular order: it must not matter.
  using Merge = std::function<void(std::string_view key, std::string* into,
                                   std::string_view payload)>;

  struct Options {
    // Then a run is written. More than kMemoryBytesMax is as much as that.
    size_t memory_bytes = 8 << 20;
    std::string dir;  // Empty: $TMPDIR, else /tmp.
  };
  RecordSorter(Options options, Merge merge);
  ~RecordSorter();

  absl::Status Add(std::string_view key, std::string_view payload);
  absl::Status Finish();
  // The next record, equal keys merged. False: no more, or status() tells.
  bool Next(std::string* key, std::string* payload);
  const absl::Status& status() const { return status_; }
  uint64_t runs_written() const { return runs_written_; }

  static constexpr size_t kFanIn = 64;
  static constexpr size_t kMemoryBytesMax = size_t{2} << 30;  // Entry::offset

 private:
  struct Entry {
    uint64_t chunk;   // Eight bytes of the key, while they are sorted by them.
    uint32_t offset;  // Into arena_: key, then payload.
    uint32_t key_bytes;
    uint32_t payload_bytes;
  };
  struct Run {
    uint64_t begin;
    uint64_t end;
  };
  class Cursor;
  class RunWriter;

  std::string_view KeyOf(const Entry& e) const {
    return std::string_view(arena_).substr(e.offset, e.key_bytes);
  }
  std::string_view PayloadOf(const Entry& e) const {
    return std::string_view(arena_).substr(e.offset + e.key_bytes,
                                           e.payload_bytes);
  }
  void SortEntries();
  // `at`: bytes of the keys that are equal in all.
  void SortFrom(size_t at, Entry* begin, Entry* end);
  absl::Status OpenFile();
  absl::Status WriteRun();
  // Makes one run of the first `count`.
  absl::Status MergeRuns(size_t count);
  // Next gives what is in the first `count` runs,
  void Open(size_t count);
  // and in memory.
  void OpenMemory();
  bool Fail(absl::Status status);

  Options options_;
  const Merge merge_;
  std::string arena_;
  std::vector<Entry> entries_;
  std::deque<Run> runs_;
  uint64_t runs_written_ = 0;  // Of what was added, not by merging.
  int fd_ = -1;
  uint64_t written_ = 0;
  absl::Status status_;
  std::vector<std::unique_ptr<Cursor>> heap_;
};

}  // namespace klaxon
