#include "ingest/kafka_topics.h"

#include <fmt/format.h>

#include <algorithm>

namespace klaxon {

absl::Status KafkaTopics::Compile(const std::vector<std::string>& topics) {
  if (topics.empty()) {
    return absl::InvalidArgumentError(
        "topic: none is named; give a name, or a regular expression that "
        "begins with '^'");
  }
  for (const std::string& topic : topics) {
    if (!topic.starts_with('^')) {
      names_.push_back(topic);
      continue;
    }
    try {
      patterns_.emplace_back(topic, std::regex::ECMAScript);
    } catch (const std::regex_error& error) {
      return absl::InvalidArgumentError(fmt::format(
          "topic '{}': {}; an ECMAScript regular expression is needed, as "
          "^audit-.*$",
          topic, error.what()));
    }
  }
  return absl::OkStatus();
}

bool KafkaTopics::Match(const std::string& topic) const {
  if (std::find(names_.begin(), names_.end(), topic) != names_.end()) {
    return true;
  }
  if (topic.starts_with("__")) return false;
  // A topic's name has at most 249 characters, so no expression recurses far.
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const std::regex& pattern) {
                       return std::regex_search(topic, pattern);
                     });
}

}  // namespace klaxon
