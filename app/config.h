// The configuration: YAML, `--set` and defaults → what the commands use.
//
// interface.md ("Configuration") is the promise; `klaxon config` prints every
// key. Immutable once loaded; any thread reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/config_tree.h"
#include "app/secret.h"
#include "ingest/archive_source.h"
#include "pipeline/engine_config.h"

namespace klaxon {

// Where a record's cluster is read from; at most one of the four is set.
// EngineConfig.default_cluster is what holds where it says nothing.
struct ClusterSelection {
  std::string path_regex;    // First group, searched in the input's path.
  std::string json_field;    // Top-level key of the event.
  std::string kafka_header;  // Kafka sources only: a scan has none.
  bool kafka_key = false;    // Likewise: the record's key is its name.
  bool operator==(const ClusterSelection&) const = default;
};

struct SinkConfig {
  enum class Type { kStdout, kFile, kKafka, kWebhook };
  Type type = Type::kStdout;
  std::string name;  // For messages; the type where none is given.
  Severity min_severity = Severity::kInfo;
  std::vector<std::string> detectors;  // Empty: all.
  std::vector<std::string> clusters;   // Empty: all.
  bool required = false;
  // kFile.
  std::string path;
  uint64_t rotate_bytes = 0;  // 0: never.
  int64_t keep = 10;
  std::string compress = "none";  // none, gzip, zstd: rotated files.
  // kWebhook.
  std::string url;
  std::vector<std::pair<std::string, ConfigText>> headers;
  Secret hmac;                // None: not signed.
  std::string template_text;  // Empty: generic.
  int64_t batch = 0;          // 0: one alert a request.
  Nanos timeout = 30 * kSecond;
  std::string ca;
  std::string cert;
  std::string key;
  std::string server_name;
  // kKafka.
  std::string brokers;
  std::string topic;
  std::vector<std::pair<std::string, ConfigText>> properties;
};

// Whose certificate may send to a webhook, and for which cluster.
struct ClientConfig {
  std::string common_name;
  std::string cluster;  // Empty: whatever the path says.
};

// What a daemon reads.
struct SourceConfig {
  enum class Type { kFile, kKafka, kWebhook };
  Type type = Type::kFile;
  // kFile.
  std::vector<std::string> paths;
  std::string from = "begin";     // begin, end, time; kKafka also committed.
  EventTime from_time = kNoTime;  // Of `time`.
  // kKafka.
  std::string name;  // Part of its lanes' names; may be empty.
  std::string brokers;
  std::vector<std::string> topics;
  std::string group = "klaxon";
  std::vector<std::pair<std::string, ConfigText>> properties;
  // kWebhook.
  std::string listen;
  std::string cert;
  std::string key;
  std::string client_ca;
  Secret bearer_token;
  bool insecure = false;
  std::vector<ClientConfig> clients;  // Empty: any that client_ca knows.
  Nanos resend_wait = 90 * kSecond;
};

// Of the daemon alone.
struct StateConfig {
  std::string dir;  // Empty: nothing is kept over a restart.
  Nanos commit_interval = kSecond / 20;
  Nanos snapshot_interval = 10 * kMinute;
  uint64_t snapshot_journal_bytes = 64 << 20;
  Nanos snapshot_replay = 2 * kSecond;
  uint64_t disk_bytes_max = uint64_t{4} << 30;
  bool operator==(const StateConfig&) const = default;
};

struct Config {
  EngineConfig engine;
  ClusterSelection cluster;
  // Empty unless `sinks:` says otherwise: alerts go to stdout alone.
  std::vector<SinkConfig> sinks;
  std::vector<SourceConfig> sources;
  // All that sources and sinks name, for a check.
  std::vector<Secret> secrets;
  StateConfig state;
  // Metrics and health of the daemon; empty: none.
  std::string http_listen;
  // Behind by more than this, the daemon is not ready.
  Nanos ready_lag = kMinute;
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
