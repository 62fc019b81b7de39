#include "ingest/cluster_path.h"

#include <fmt/format.h>

namespace klaxon {
namespace {

// std::regex recurses with the length of what it matches.
constexpr size_t kRegexBytesMax = 4096;

}  // namespace

absl::Status ClusterPath::Compile(const std::string& pattern) {
  if (pattern.empty()) return absl::OkStatus();
  try {
    regex_.emplace(pattern, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& error) {
    return absl::InvalidArgumentError(
        fmt::format("cluster.path_regex '{}': {}; an ECMAScript regular "
                    "expression is needed, as clusters/([^/]+)/",
                    pattern, error.what()));
  }
  if (regex_->mark_count() == 0) {
    return absl::InvalidArgumentError(
        fmt::format("cluster.path_regex '{}': has no group; put what names "
                    "the cluster in parentheses, as clusters/([^/]+)/",
                    pattern));
  }
  return absl::OkStatus();
}

std::string ClusterPath::ClusterOf(const std::string& path,
                                   std::string* error) const {
  if (!regex_.has_value()) return "";
  const std::string bounded = path.substr(0, kRegexBytesMax);
  try {
    std::smatch match;
    if (std::regex_search(bounded, match, *regex_)) return match[1].str();
  } catch (const std::regex_error& failure) {
    *error = fmt::format(
        "cluster.path_regex is too complex for this path ({}): "
        "the default cluster is used. Simplify it",
        failure.what());
  }
  return "";
}

}  // namespace klaxon
