// Which cluster a log belongs to, told by its path.
#pragma once

#include <optional>
#include <regex>
#include <string>

#include "absl/status/status.h"

namespace klaxon {

// Not thread-safe.
class ClusterPath {
 public:
  // First capture group is the cluster: "clusters/([^/]+)/". Empty: none.
  absl::Status Compile(const std::string& pattern);
  // Empty: the default cluster. Sets `error` where the pattern is too complex
  // for this path.
  std::string ClusterOf(const std::string& path, std::string* error) const;

 private:
  std::optional<std::regex> regex_;
};

}  // namespace klaxon
