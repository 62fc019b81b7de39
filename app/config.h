// The configuration: YAML, `--set` and defaults → what the commands use.
//
// interface.md ("Configuration") is the promise; `klaxon config` prints every
// key. Immutable once loaded; any thread reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_tree.h"
#include "ingest/archive_source.h"
#include "pipeline/engine_config.h"

namespace klaxon {

// Where a record's cluster is read from; at most one of the three is set.
// EngineConfig.default_cluster is what holds where it says nothing.
struct ClusterSelection {
  std::string path_regex;    // First group, searched in the input's path.
  std::string json_field;    // Top-level key of the event.
  std::string kafka_header;  // Kafka sources only: a scan has none.
  bool operator==(const ClusterSelection&) const = default;
};

struct SinkConfig {
  enum class Type { kStdout, kFile };
  Type type = Type::kStdout;
  std::string name;  // For messages; the type where none is given.
  std::string path;  // kFile.
  Severity min_severity = Severity::kInfo;
  std::vector<std::string> detectors;  // Empty: all.
  std::vector<std::string> clusters;   // Empty: all.
  bool required = false;
  bool operator==(const SinkConfig&) const = default;
};

struct Config {
  EngineConfig engine;
  ClusterSelection cluster;
  // Empty unless `sinks:` says otherwise: alerts go to stdout alone.
  std::vector<SinkConfig> sinks;
  // Longest line kept whole, in bytes.
  uint64_t line_bytes_max = ArchiveOptions().line_bytes_max;
};

struct ConfigRequest {
  std::string path;                    // Empty: no file.
  std::vector<std::string> settings;   // "key.path=value", in order.
  std::optional<std::string> cluster;  // --cluster.
};

// Reads and validates everything and lists every problem, not just the first.
// True: `*config` may be used (there may be warnings and notes).
bool LoadConfig(const ConfigRequest& request, Config* config,
                ConfigProblems* problems);

// The same with the text of a file at hand; `origin` names it, `base_dir` is
// where its relative globs start.
bool LoadConfigText(std::string_view text, std::string_view origin,
                    std::string_view base_dir, const ConfigRequest& request,
                    Config* config, ConfigProblems* problems);

// What `klaxon config` prints: every key with type, default and meaning; a
// valid configuration that says what no configuration says.
std::string ConfigReference();

// The detectors that detections.md names and this binary does not have.
std::vector<std::string_view> LaterDetectors();

}  // namespace klaxon
