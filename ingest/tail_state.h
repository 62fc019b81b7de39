// Where a followed log stands: what its resume token says. docs/TAIL.md.
//
// Values. A token is less than 1 KiB.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ingest/content_hash.h"
#include "ingest/log_family.h"

namespace klaxon {

// Bytes of a file's content by which it is known again: its first ones, and
// the last ones before the position.
inline constexpr size_t kMarkBytes = 4096;

struct ContentMark {
  uint64_t bytes = 0;  // At most kMarkBytes.
  ContentHash hash = {};
  bool operator==(const ContentMark&) const = default;
};

ContentMark MarkOf(std::string_view bytes);
// The first 8 bytes.
uint64_t ShortHash(const ContentHash& hash);

struct LogPosition {
  std::string name;  // Of the file, without its directory, when last seen.
  FileId id;
  uint64_t offset = 0;  // In its decompressed bytes.
  ContentMark head;     // Of the bytes before `offset`, the first,
  ContentMark window;   // and the last.
  bool operator==(const LogPosition&) const = default;
};

// A file that was read to its end.
struct FinishedLog {
  uint64_t bytes = 0;
  uint64_t window = 0;  // Of the last kMarkBytes: 8 bytes of the hash.
  uint64_t inode = 0;
  bool operator==(const FinishedLog&) const = default;
};

struct TailState {
  static constexpr size_t kFinishedMax = 8;

  // Nothing: no file was there yet.
  std::optional<LogPosition> at;
  // What is as old as this was finished before `at`, or is not wanted. Where
  // rotation numbers its files (kNumbered) their names say nothing, and
  // `finished` tells. Empty files are not among them, which look alike, nor
  // those that are gone.
  LogName::Kind floor_kind = LogName::Kind::kNumbered;
  std::string floor_order;
  std::vector<FinishedLog> finished;  // The newest last.
  // Rotated by copying: what is written between copy and truncation is lost.
  bool copied = false;
  bool operator==(const TailState&) const = default;

  void Finish(const LogName& name, const FinishedLog& log);
  // By its name alone.
  bool BelowFloor(const LogName& name) const;
};

std::string EncodeTailState(const TailState& state);
absl::StatusOr<TailState> DecodeTailState(std::string_view token);

}  // namespace klaxon
