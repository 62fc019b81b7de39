// Archived logs: files, directories, globs, stdin; plain, .gz, .zst, .bz2,
// .xz, .tar and tarred-and-compressed, each told by its content.
//
// Order. Arguments are expanded (directories recursively) and read in an order
// that does not depend on the order of the arguments; a rotation family
// (audit-2026-01-02T03-04-05.678.log[.gz] …, then audit.log) is read in time
// order; X.log beside X.log.gz of equal content is read once; one file given
// twice (by path, link or inode) is read once. None of this may change the
// alerts (law 2); it makes memory small and messages reproducible.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ingest/source.h"

namespace klaxon {

struct ArchiveOptions {
  // Files, directories, globs ("logs/*.gz"), or "-" for stdin.
  std::vector<std::string> paths;
  // Aim of a batch, in bytes; a batch holds whole lines and is as long as its
  // longest line demands.
  size_t batch_bytes = 256 << 10;
  // Longest line kept whole, in bytes. Of a longer one the first and the last
  // `oversize_keep_bytes` are handed on (BatchFraming::kOversize).
  size_t line_bytes_max = 16 << 20;
  size_t oversize_keep_bytes = 64 << 10;
  // What is behind the first batch of a plain file of events, a line each, if
  // it is so many bytes, is handed on as one part (Batch::part), to be read by
  // whoever gets it and split among those who have nothing else to do; 0:
  // never.
  uint64_t part_bytes_min = 0;
  // First capture group is the cluster: "clusters/([^/]+)/". Empty: none.
  std::string cluster_path_regex;
};

class ArchiveSource : public Source {
 public:
  // Known after Open; indexed by Position::input; grows while tars are read
  // (each member is an input), so take a copy of what is needed.
  virtual InputInfo input(uint32_t index) const = 0;
  // Problems since the last call, in reading order. Same thread as Read.
  virtual std::vector<InputProblem> TakeProblems() = 0;
  // For the progress bar: compressed bytes read so far, and their total
  // (0: unknown, as for stdin). Any thread.
  virtual uint64_t raw_bytes_read() const = 0;
  virtual uint64_t raw_bytes_total() const = 0;
};

std::unique_ptr<ArchiveSource> MakeArchiveSource(ArchiveOptions options);

}  // namespace klaxon
