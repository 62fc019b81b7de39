// Every key of the configuration that is not a detector's option: one table a
// mapping, which feeds both the reader and `klaxon config`.
//
// Static and immutable.
#pragma once

#include <span>
#include <string_view>

#include "app/config.h"
#include "app/config_tree.h"

namespace klaxon {

// What a key's `read` works on.
struct ConfigTarget {
  Config* config;
  ClusterConfig* cluster;  // The base, or an overlay of `clusters:`.
  SinkConfig* sink;        // Within `sinks:`.
  ConfigProblems* problems;
  SourceConfig* source = nullptr;  // Within `sources:`.
};

using ConfigRead = void (*)(const ConfigNode& node, const ConfigTarget& target);

struct ConfigKey {
  std::string_view name;
  std::string_view type;    // In words, with the unit.
  std::string_view preset;  // The default, as YAML on one line.
  std::string_view help;    // One line.
  ConfigRead read;
  std::span<const ConfigKey> keys;  // Of a mapping; else empty.
};

std::span<const ConfigKey> RootKeys();
// Within `clusters: {NAME: …}`.
std::span<const ConfigKey> OverlayKeys();
// Of every sink, beside its type.
std::span<const ConfigKey> SinkKeys();
std::span<const ConfigKey> FileSinkKeys();
std::span<const ConfigKey> KafkaSinkKeys();
std::span<const ConfigKey> WebhookSinkKeys();
// Of every type of source.
std::span<const ConfigKey> FileSourceKeys();
std::span<const ConfigKey> KafkaSourceKeys();
std::span<const ConfigKey> WebhookSourceKeys();
std::span<const ConfigKey> StateKeys();
std::span<const ConfigKey> HttpKeys();

// Reads the keys of the mapping `node` in the order of the table, whatever
// theirs; reports unknown ones. `context` names the mapping in messages.
void ReadMapping(const ConfigNode& node, std::span<const ConfigKey> keys,
                 const ConfigTarget& target);

// The sections with rules of their own.
void ReadState(const ConfigNode& node, const ConfigTarget& target);
void ReadHttp(const ConfigNode& node, const ConfigTarget& target);
void ReadKeysMax(const ConfigNode& node, const ConfigTarget& target);
void ReadClusterSelection(const ConfigNode& node, const ConfigTarget& target);
void ReadDetectors(const ConfigNode& node, const ConfigTarget& target);
void ReadOverlays(const ConfigNode& node, const ConfigTarget& target);
void ReadSinks(const ConfigNode& node, const ConfigTarget& target);
void ReadSources(const ConfigNode& node, const ConfigTarget& target);
// Of a source: one of `words`, or a time.
void ReadStart(const ConfigNode& node, std::span<const std::string_view> words,
               const ConfigTarget& target);
// Kafka sources must be told apart by their names. `node`: the list of sources.
void CheckKafkaNames(const ConfigNode& node, const ConfigTarget& target);

}  // namespace klaxon
