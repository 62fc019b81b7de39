// Which topics are meant: names, and regular expressions ('^…').
//
// Constant after Compile; one thread.
#pragma once

#include <regex>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace klaxon {

class KafkaTopics {
 public:
  // InvalidArgument: an expression that is none, or nothing at all.
  absl::Status Compile(const std::vector<std::string>& topics);
  // Whether all topics have to be looked at.
  bool has_patterns() const { return !patterns_.empty(); }
  const std::vector<std::string>& names() const { return names_; }
  bool Match(const std::string& topic) const;

 private:
  std::vector<std::string> names_;
  std::vector<std::regex> patterns_;
};

}  // namespace klaxon
