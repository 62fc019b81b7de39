// Which files the arguments of a scan mean, and in which order they are read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingest/source.h"

namespace klaxon {

struct InputFile {
  std::string path;        // "-": stdin.
  uint64_t raw_bytes = 0;  // Its size; 0 for what has none.
  bool regular = true;     // Else a pipe or device: read once, and waited for.
};

// Files whose names say that they hold the same, as X.log and X.log.gz.
struct InputTwins {
  std::vector<InputFile> files;  // What is not compressed comes first.
};

struct InputList {
  // In reading order: by directory, by rotation family, by time; stdin last.
  std::vector<InputTwins> inputs;
  std::vector<InputProblem> problems;  // By path.
  bool has_stdin = false;
};

// Expands files, directories (recursively; symbolic links are followed, each
// directory is entered once), globs, and "-". A file is listed once, however
// many names it has. The order of `paths` does not matter. Opens nothing.
InputList ExpandInputs(const std::vector<std::string>& paths);

}  // namespace klaxon
