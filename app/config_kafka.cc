// Keys of Kafka's sources and sinks.
#include <algorithm>
#include <set>
#include <string>

#include "app/config_keys.h"
#include "app/config_secret.h"
#include "app/config_values.h"
#include "fmt/format.h"

namespace klaxon {
namespace {

constexpr size_t kNameBytesMax = 64;

template <auto kMember>
void ReadSourceText(const ConfigNode& node, const ConfigTarget& target) {
  ReadText(node, target.problems, &(target.source->*kMember));
}
template <auto kMember>
void ReadSinkText(const ConfigNode& node, const ConfigTarget& target) {
  ReadText(node, target.problems, &(target.sink->*kMember));
}

// It becomes part of lanes' names, between ':' and '/'.
void ReadSourceName(const ConfigNode& node, const ConfigTarget& target) {
  std::string name;
  if (!ReadText(node, target.problems, &name)) return;
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
  if (name.empty() || name.size() > kNameBytesMax || !plain) {
    target.problems->Error(
        node.place,
        fmt::format("{}: \"{}\" cannot be a name; write up to {} of "
                    "a-z A-Z 0-9 . _ -",
                    node.path, name, kNameBytesMax));
    return;
  }
  target.source->name = name;
}

void ReadKafkaStart(const ConfigNode& node, const ConfigTarget& target) {
  constexpr std::string_view kWords[] = {"begin", "end", "committed"};
  ReadStart(node, kWords, target);
}
void ReadTopics(const ConfigNode& node, const ConfigTarget& target) {
  ReadTextOrTexts(node, target.problems, &target.source->topics);
}
void ReadSourceProperties(const ConfigNode& node, const ConfigTarget& target) {
  ReadPairs(node, target, &target.source->properties);
}
void ReadSinkProperties(const ConfigNode& node, const ConfigTarget& target) {
  ReadPairs(node, target, &target.sink->properties);
}

}  // namespace

void CheckKafkaNames(const ConfigNode& node, const ConfigTarget& target) {
  std::set<std::string> names;
  const std::vector<SourceConfig>& sources = target.config->sources;
  for (size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].type != SourceConfig::Type::kKafka) continue;
    if (names.insert(sources[i].name).second) continue;
    // An item that could not be read is no source.
    target.problems->Error(
        node.items[std::min(i, node.items.size() - 1)].place,
        "several Kafka sources: give each a name of its own (name: eu-1), by "
        "which its topics are told from those of the others; do not change it "
        "later");
  }
}

std::span<const ConfigKey> KafkaSourceKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"name",
       "text",
       "",
       "tells its topics from those of other clusters; needed with several",
       ReadSourceName,
       {}},
      {"brokers",
       "text, required",
       "",
       "bootstrap servers, host:port,…",
       ReadSourceText<&SourceConfig::brokers>,
       {}},
      {"topic",
       "text or list, required",
       "",
       "names, or regular expressions that begin with ^",
       ReadTopics,
       {}},
      {"group",
       "text",
       "klaxon",
       "carries offsets for lag tools",
       ReadSourceText<&SourceConfig::group>,
       {}},
      {"start",
       "begin, end, committed or a time",
       "begin",
       "where the first start begins",
       ReadKafkaStart,
       {}},
      {"config",
       "mapping",
       "{}",
       "any librdkafka property; a secret as {file: …} or {env: …}",
       ReadSourceProperties,
       {}},
  };
  return kKeys;
}

std::span<const ConfigKey> KafkaSinkKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"brokers",
       "text, required",
       "",
       "bootstrap servers, host:port,…",
       ReadSinkText<&SinkConfig::brokers>,
       {}},
      {"topic",
       "text, required",
       "",
       "a record is one revision of an alert, its key the alert's id",
       ReadSinkText<&SinkConfig::topic>,
       {}},
      {"config",
       "mapping",
       "{}",
       "any librdkafka property; a secret as {file: …} or {env: …}",
       ReadSinkProperties,
       {}},
  };
  return kKeys;
}

}  // namespace klaxon
