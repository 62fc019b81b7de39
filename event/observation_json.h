// Reads NDJSON observations (docs/OBSERVATIONS.md). Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "event/observation.h"

namespace klaxon {

class ObservationParser {
 public:
  ObservationParser();
  ~ObservationParser();
  // Appends the observation of `line` to `*out`. False: it is none; `*error`
  // says what is wrong.
  bool Parse(std::string_view line, Observations* out, std::string* error);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace klaxon
