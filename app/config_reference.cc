// `klaxon config`: the reference, generated from the tables that the reader
// itself uses, so that it cannot be wrong about them.
#include <iterator>
#include <string>

#include "app/config.h"
#include "app/config_keys.h"
#include "app/config_values.h"
#include "fmt/format.h"

namespace klaxon {
namespace {

// "  # duration. Help of it.\n  window: 60s\n"
void AppendKey(std::string_view indent, std::string_view type,
               std::string_view help, std::string_view name,
               std::string_view value, std::string* out) {
  fmt::format_to(std::back_inserter(*out), "{}# {}: {}\n{}{}: {}\n", indent,
                 type, help, indent, name, value);
}

void AppendSection(std::string_view indent, const ConfigKey& key,
                   std::string* out) {
  fmt::format_to(std::back_inserter(*out), "{}# {}\n{}{}:\n", indent, key.help,
                 indent, key.name);
  std::string deeper = std::string(indent) + "  ";
  for (const ConfigKey& child : key.keys) {
    if (child.keys.empty()) {
      AppendKey(deeper, child.type, child.help, child.name, child.preset, out);
    } else {
      AppendSection(deeper, child, out);
    }
  }
}

void AppendDetectors(const ConfigKey& key, std::string* out) {
  fmt::format_to(std::back_inserter(*out), "# {}\n{}:\n", key.help, key.name);
  for (const DetectorInfo* info : AllDetectors()) {
    fmt::format_to(std::back_inserter(*out), "  # {}\n  {}:\n", info->title,
                   info->name);
    DetectorOptions defaults(*info);
    AppendKey("    ", "true or false", "whether it runs at all", "enabled",
              defaults.enabled ? "true" : "false", out);
    for (const OptionInfo& option : info->options) {
      AppendKey("    ", OptionTypeWords(option), option.help, option.name,
                FormatOption(option, option.default_value), out);
    }
  }
}

// What a list item or an overlay may hold, as a comment: none is the default.
void AppendSinkExample(std::string* out) {
  auto append = [out](std::string_view indent, const ConfigKey& key,
                      std::string_view value) {
    fmt::format_to(std::back_inserter(*out), "#{}{}: {}  # {}: {}\n", indent,
                   key.name, value, key.type, key.help);
  };
  *out += "#  - stdout: {}\n#  - file:\n";
  for (const ConfigKey& key : FileSinkKeys()) {
    std::string_view example = key.preset;
    if (key.name == "path") example = "/var/log/klaxon/alerts.ndjson";
    if (key.name == "rotate") example = "100MiB";
    append("      ", key, example);
  }
  *out += "#    # beside the type of every sink:\n";
  for (const ConfigKey& key : SinkKeys()) {
    append("    ", key, key.name == "name" ? "archive" : key.preset);
  }
}

constexpr std::string_view kHeader =
    "# Klaxon {}: every key of the configuration with its type, meaning and\n"
    "# default. A file needs only the keys that differ.\n"
    "# Durations: 500ms 60s 10m 24h 30d. Sizes: B KiB MiB GiB TiB. Secrets,\n"
    "# where a later version takes one: {{file: PATH}} or {{env: NAME}}.\n"
    "# Check a file with `klaxon check -c FILE`; change one key for one run\n"
    "# with --set key.path=value.\n";
constexpr std::string_view kClustersExample =
    "#  edge-7:\n"
    "#    networks: {internal: [198.51.100.0/24]}\n"
    "#    public_paths: [/healthz]\n"
    "#    detectors: {unauthorized-burst: {threshold: 50}}\n";
constexpr std::string_view kSourcesExample =
    "#  - file: {path: /var/log/kubernetes/audit.log, from: begin}\n"
    "#  - kafka: {brokers: \"k1:9092\", topic: k8s-audit, group: klaxon}\n"
    "#  - webhook: {listen: \"0.0.0.0:9443\"}\n";

}  // namespace

std::string ConfigReference() {
  std::string out = fmt::format(kHeader, KLAXON_VERSION);
  for (const ConfigKey& key : RootKeys()) {
    out += '\n';
    if (key.name == "detectors") {
      AppendDetectors(key, &out);
    } else if (!key.keys.empty()) {
      AppendSection("", key, &out);
    } else if (key.name == "public_paths") {
      AppendKey("", key.type, key.help, key.name,
                FormatTexts(DefaultPublicPaths()), &out);
    } else {
      AppendKey("", key.type, key.help, key.name, key.preset, &out);
    }
    if (key.name == "clusters") out += kClustersExample;
    if (key.name == "sources") out += kSourcesExample;
    if (key.name == "sinks") AppendSinkExample(&out);
  }
  return out;
}

}  // namespace klaxon
