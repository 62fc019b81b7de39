// Which alerts a file holds already: learnt from its lines, so that nothing is
// written twice.
//
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace klaxon {

struct AlertRevision {
  std::string id;
  uint64_t revision = 0;
};

// How every line of ours begins (see AppendJson); the id follows at once.
inline constexpr std::string_view kAlertLineHead =
    R"({"schema":"klaxon.alert/v1","id":")";

// What a line, of which at least the first 256 bytes are given, is an alert of.
std::optional<AlertRevision> ParseAlertLine(std::string_view line);

// The revisions written of each of the alerts written last. Two generations:
// when the younger is full it becomes the older, whose alerts are forgotten.
class WrittenAlerts {
 public:
  // At least so many alerts are remembered, at most twice as many.
  explicit WrittenAlerts(size_t generation_max)
      : generation_max_(generation_max) {}

  // Exact for the newest revision and the 64 before it; what is older is taken
  // for written.
  bool Contains(const AlertRevision& alert) const;
  void Add(const AlertRevision& alert);
  size_t size() const { return younger_.size() + older_.size(); }

 private:
  struct Revisions {
    uint64_t newest = 0;
    uint64_t before = 0;  // Bit n: newest - 1 - n was written.
    bool Contains(uint64_t revision) const;
    void Add(uint64_t revision);
  };
  using Map = absl::flat_hash_map<std::string, Revisions>;
  const size_t generation_max_;
  Map younger_;
  Map older_;
};

// Finds the alerts in the lines of a file that is read block by block. Memory:
// the head of one line.
class AlertLineScanner {
 public:
  // Begins at `offset` of the file; `whole_line`: a line begins there.
  AlertLineScanner(WrittenAlerts* written, uint64_t offset, bool whole_line)
      : written_(written),
        offset_(offset),
        line_begin_(offset),
        whole_line_(whole_line) {}

  void Feed(std::string_view block);

  // Begin of the line that has no end yet; offset(): there is none.
  uint64_t line_begin() const { return line_begin_; }
  uint64_t offset() const { return offset_; }
  // Its first bytes; empty where its beginning was not seen.
  std::string_view head() const {
    return whole_line_ ? std::string_view(head_) : std::string_view();
  }
  // Begin of the first line that holds a NUL, which no line of ours does: a
  // power failure left it. Nothing from there on was taken for written.
  std::optional<uint64_t> damaged_at() const { return damaged_at_; }

 private:
  void EndLine();

  WrittenAlerts* const written_;
  uint64_t offset_;
  uint64_t line_begin_;
  bool whole_line_;
  std::string head_;
  std::optional<uint64_t> damaged_at_;
};

}  // namespace klaxon
