#include "app/config_keys.h"

#include <algorithm>
#include <string>
#include <vector>

#include "app/config_values.h"
#include "app/spelling.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace klaxon {
namespace {

constexpr int64_t kKeysMin = 1'000;
constexpr int64_t kKeysMax = 100'000'000;
constexpr uint64_t kLineBytesMin = 4 << 10;
constexpr uint64_t kLineBytesMax = 1 << 30;
constexpr uint64_t kReorderBytesMin = 1 << 20;
constexpr uint64_t kReorderBytesMax = uint64_t{2} << 30;
constexpr int64_t kKeepMax = 10'000;

template <CidrSet Networks::* kMember>
void ReadNetwork(const ConfigNode& node, const ConfigTarget& target) {
  std::vector<Cidr> cidrs;
  if (ReadCidrs(node, target.problems, &cidrs)) {
    target.cluster->networks.*kMember = CidrSet(std::move(cidrs));
  }
}

void ReadPublicPaths(const ConfigNode& node, const ConfigTarget& target) {
  std::vector<std::string> paths;
  if (!ReadTexts(node, target.problems, &paths)) return;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].starts_with('/')) continue;
    target.problems->Error(node.items[i].place,
                           fmt::format("{}: \"{}\" is no path; write \"/{}\"",
                                       node.path, paths[i], paths[i]));
  }
  target.cluster->public_paths = std::move(paths);
}

}  // namespace

void ReadKeysMax(const ConfigNode& node, const ConfigTarget& target) {
  int64_t keys = 0;
  if (ReadCount(node, kKeysMin, kKeysMax, target.problems, &keys)) {
    target.config->engine.keys_max = static_cast<uint64_t>(keys);
  }
}

namespace {

void ReadLineMax(const ConfigNode& node, const ConfigTarget& target) {
  ReadSize(node, kLineBytesMin, kLineBytesMax, target.problems,
           &target.config->line_bytes_max);
}

void ReadReorderMemory(const ConfigNode& node, const ConfigTarget& target) {
  ReadSize(node, kReorderBytesMin, kReorderBytesMax, target.problems,
           &target.config->engine.reorder_memory_bytes);
}

void ReadSpillDir(const ConfigNode& node, const ConfigTarget& target) {
  ReadText(node, target.problems, &target.config->engine.spill_dir);
}

void ReadSinkName(const ConfigNode& node, const ConfigTarget& target) {
  ReadText(node, target.problems, &target.sink->name);
}
void ReadSinkSeverity(const ConfigNode& node, const ConfigTarget& target) {
  ReadSeverity(node, target.problems, &target.sink->min_severity);
}
void ReadSinkClusters(const ConfigNode& node, const ConfigTarget& target) {
  ReadTexts(node, target.problems, &target.sink->clusters);
}
void ReadSinkRequired(const ConfigNode& node, const ConfigTarget& target) {
  ReadBool(node, target.problems, &target.sink->required);
}
void ReadSinkDetectors(const ConfigNode& node, const ConfigTarget& target) {
  if (!ReadTexts(node, target.problems, &target.sink->detectors)) return;
  std::vector<std::string_view> known = LaterDetectors();
  for (const DetectorInfo* info : AllDetectors()) known.push_back(info->name);
  for (const ConfigNode& item : node.items) {
    if (std::find(known.begin(), known.end(), item.text) != known.end()) {
      continue;
    }
    target.problems->Error(
        item.place, fmt::format("{}: unknown detector \"{}\"{}", node.path,
                                item.text, SuggestName(item.text, known)));
  }
}
void ReadSinkFormat(const ConfigNode& node, const ConfigTarget& target) {
  constexpr std::string_view kFormats[] = {"native", "ocsf", "ecs"};
  std::string format;
  if (!ReadChoice(node, kFormats, target.problems, &format)) return;
  if (format == "native") return;
  target.problems->Error(
      node.place, fmt::format("{}: {} is not in this version yet; write native",
                              node.path, format));
}

void ReadFilePath(const ConfigNode& node, const ConfigTarget& target) {
  if (ReadText(node, target.problems, &target.sink->path) &&
      target.sink->path.empty()) {
    target.problems->Error(
        node.place,
        fmt::format("{} is empty; write the file's name", node.path));
  }
}
void ReadFileRotate(const ConfigNode& node, const ConfigTarget& target) {
  constexpr uint64_t kRotateMin = 64 << 10;
  ReadSize(node, kRotateMin, uint64_t{1} << 50, target.problems,
           &target.sink->rotate_bytes);
}
void ReadFileKeep(const ConfigNode& node, const ConfigTarget& target) {
  ReadCount(node, 1, kKeepMax, target.problems, &target.sink->keep);
}
void ReadFileCompress(const ConfigNode& node, const ConfigTarget& target) {
  constexpr std::string_view kChoices[] = {"none", "gzip", "zstd"};
  ReadChoice(node, kChoices, target.problems, &target.sink->compress);
}

template <const auto& kKeys>
void ReadSection(const ConfigNode& node, const ConfigTarget& target) {
  ReadMapping(node, kKeys, target);
}

constexpr ConfigKey kNetworksKeys[] = {
    {"internal",
     "list of CIDRs",
     "[10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7]",
     "addresses of the cluster and its people; replaces the default list",
     ReadNetwork<&Networks::internal>,
     {}},
    {"trusted_proxies",
     "list of CIDRs",
     "[]",
     "proxies in front of kube-apiserver whose X-Forwarded-For is believed",
     ReadNetwork<&Networks::trusted_proxies>,
     {}},
    {"admin",
     "list of CIDRs",
     "[]",
     "from where system:masters may come; empty: the same as internal",
     ReadNetwork<&Networks::admin>,
     {}},
};

constexpr ConfigKey kLimitsKeys[] = {
    {"line_max",
     "size, 4KiB to 1GiB",
     "16MiB",
     "longest line kept whole; of a longer one head and tail are judged",
     ReadLineMax,
     {}},
    {"reorder_memory",
     "size, 1MiB to 2GiB",
     "8MiB",
     "observations held in memory, four times as much of the minute that is "
     "judged; what is more goes to a temporary file",
     ReadReorderMemory,
     {}},
    {"spill_dir",
     "text",
     "\"\"",
     "directory of that temporary file; empty: $TMPDIR, else /tmp",
     ReadSpillDir,
     {}},
};

}  // namespace

std::span<const ConfigKey> RootKeys() {
  static const ConfigKey kKeys[] = {
      {"cluster",
       "text, or one of {path_regex: …} {json_field: …} {kafka_header: …} "
       "{kafka_key: true}, each with `default:`",
       "default",
       "name of the cluster the events are of",
       ReadClusterSelection,
       {}},
      {"networks", "mapping", "{}", "what the addresses in the events are",
       ReadSection<kNetworksKeys>, kNetworksKeys},
      {"public_paths",
       "list of paths",
       "",
       "paths open to everybody",
       ReadPublicPaths,
       {}},
      {"detectors",
       "mapping",
       "{}",
       "options of each detector",
       ReadDetectors,
       {}},
      {"clusters",
       "mapping of cluster name to {networks, public_paths, "
       "detectors}",
       "{}",
       "what differs in one cluster",
       ReadOverlays,
       {}},
      {"sources",
       "list",
       "[]",
       "daemon: what to read; a scan is given paths",
       ReadSources,
       {}},
      {"sinks",
       "list",
       "[]",
       "where alerts go; empty: to stdout",
       ReadSinks,
       {}},
      {"limits", "mapping", "{}", "what memory may be used for",
       ReadSection<kLimitsKeys>, kLimitsKeys},
      {"state", "mapping", "{}", "what is remembered", ReadState, StateKeys()},
      {"http", "mapping", "{}", "daemon: its own endpoint", ReadHttp,
       HttpKeys()},
  };
  return kKeys;
}

std::span<const ConfigKey> OverlayKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"networks", "mapping", "{}", "", ReadSection<kNetworksKeys>,
       kNetworksKeys},
      {"public_paths", "list of paths", "", "", ReadPublicPaths, {}},
      {"detectors", "mapping", "{}", "", ReadDetectors, {}},
  };
  return kKeys;
}

std::span<const ConfigKey> SinkKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"name",
       "text",
       "",
       "what messages call it; default: its type",
       ReadSinkName,
       {}},
      {"min_severity",
       "info low medium high critical",
       "info",
       "alerts below it are left out",
       ReadSinkSeverity,
       {}},
      {"detectors",
       "list of detectors",
       "[]",
       "only theirs; empty: all",
       ReadSinkDetectors,
       {}},
      {"clusters",
       "list of clusters",
       "[]",
       "only theirs; empty: all",
       ReadSinkClusters,
       {}},
      {"format", "native", "native", "form of an alert", ReadSinkFormat, {}},
      {"required",
       "true or false",
       "false",
       "daemon: sources wait for it (a scan always reports a failed sink)",
       ReadSinkRequired,
       {}},
  };
  return kKeys;
}

std::span<const ConfigKey> FileSinkKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"path",
       "text, required",
       "",
       "the file, one alert a line",
       ReadFilePath,
       {}},
      {"rotate",
       "size, 64KiB or more",
       "",
       "size at which it is rotated; "
       "default: never",
       ReadFileRotate,
       {}},
      {"keep",
       "whole number, 1 to 10000",
       "10",
       "rotated files kept",
       ReadFileKeep,
       {}},
      {"compress",
       "none, gzip or zstd",
       "none",
       "of rotated files",
       ReadFileCompress,
       {}},
  };
  return kKeys;
}

void ReadMapping(const ConfigNode& node, std::span<const ConfigKey> keys,
                 const ConfigTarget& target) {
  // `networks:` with everything below it commented out is an empty mapping.
  if (node.kind == ConfigNode::Kind::kNull) return;
  std::string name = node.path.empty() ? "the configuration" : node.path;
  std::vector<std::string_view> names;
  for (const ConfigKey& key : keys) names.push_back(key.name);
  if (node.kind != ConfigNode::Kind::kMapping) {
    target.problems->Error(
        node.place, fmt::format("{} must be a mapping; write \"key: value\" "
                                "lines with the keys {}",
                                name, fmt::join(names, ", ")));
    return;
  }
  for (const ConfigEntry& entry : node.entries) {
    if (std::find(names.begin(), names.end(), entry.key) != names.end()) {
      continue;
    }
    target.problems->Error(
        entry.place, fmt::format("{}unknown key \"{}\"{}",
                                 node.path.empty() ? "" : node.path + ": ",
                                 entry.key, SuggestName(entry.key, names)));
  }
  for (const ConfigKey& key : keys) {
    if (const ConfigEntry* entry = node.Find(key.name)) {
      key.read(entry->value, target);
    }
  }
}

}  // namespace klaxon
