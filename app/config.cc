#include "app/config.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>

#include "app/config_keys.h"
#include "app/config_values.h"
#include "app/spelling.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace klaxon {
namespace {

constexpr uintmax_t kConfigBytesMax = 16 << 20;
constexpr std::string_view kInventory = "inventory";

// detections.md's detectors, in its order.
constexpr std::string_view kPlannedDetectors[] = {
    "anonymous-access",
    "anonymous-probing",
    "unauthorized-burst",
    "service-account-external",
    "old-certificate",
    "certificate-user",
    "certificate-issued",
    "token-moved",
    "token-provenance",
    "legacy-token",
    "stale-token",
    "token-secret-created",
    "default-service-account",
    "anonymous-grant",
    "forged-identity",
    "impersonation",
    "bootstrap-token",
    "403-burst",
    "exec-token-theft",
    "canary",
    "weak-human-authentication",
    "stream-integrity",
};

struct SinkType {
  std::string_view name;
  bool in_this_version;
};
constexpr SinkType kSinkTypes[] = {
    {"stdout", true},  {"file", true},          {"kafka", true},
    {"webhook", true}, {"alertmanager", false}, {"syslog", false},
    {"sqlite", false},
};

bool IsMappingOrNull(const ConfigNode& node) {
  return node.kind == ConfigNode::Kind::kMapping ||
         node.kind == ConfigNode::Kind::kNull;
}

void CheckPathRegex(const ConfigNode& node, ConfigProblems* problems) {
  constexpr std::string_view kExample = "\"clusters/([^/]+)/\"";
  try {
    std::regex regex(node.text);
    if (regex.mark_count() > 0) return;
    problems->Error(node.place,
                    fmt::format("{} \"{}\" has no group; put the cluster's "
                                "name in parentheses, e.g. {}",
                                node.path, node.text, kExample));
  } catch (const std::regex_error& e) {
    problems->Error(node.place,
                    fmt::format("{} \"{}\" is no regular expression ({}); "
                                "write e.g. {}",
                                node.path, node.text, e.what(), kExample));
  }
}

// The inventory, item by item so that a problem has the place of its glob.
void ReadInventory(const ConfigNode& node, const ConfigTarget& target) {
  std::map<std::string, CertificateInfo> distinct;
  for (const ConfigNode& item : node.items) {
    std::vector<std::string> found_problems;
    std::vector<CertificateInfo> found =
        LoadInventory({item.text}, item.base_dir, &found_problems);
    for (const std::string& problem : found_problems) {
      target.problems->Error(item.place,
                             fmt::format("{}: {}", node.path, problem));
    }
    for (CertificateInfo& certificate : found) {
      std::string id = certificate.credential_id;
      distinct.emplace(std::move(id), std::move(certificate));
    }
  }
  target.cluster->inventory.clear();
  for (auto& [id, certificate] : distinct) {
    target.cluster->inventory.push_back(std::move(certificate));
  }
}

void ReadDetectorOption(const DetectorInfo& info, const ConfigEntry& entry,
                        const ConfigNode& node, const ConfigTarget& target,
                        DetectorOptions* options) {
  if (entry.key == "enabled") {
    ReadBool(entry.value, target.problems, &options->enabled);
    return;
  }
  std::vector<std::string_view> names = {"enabled"};
  for (const OptionInfo& option : info.options) {
    if (option.name != entry.key) {
      names.push_back(option.name);
      continue;
    }
    OptionValue value;
    if (!ReadOption(entry.value, option, target.problems, &value)) return;
    options->Set(option.name, std::move(value));
    if (option.type == OptionType::kGlobList && option.name == kInventory) {
      ReadInventory(entry.value, target);
    }
    return;
  }
  target.problems->Error(entry.place,
                         fmt::format("{}: unknown option \"{}\"{}", node.path,
                                     entry.key, SuggestName(entry.key, names)));
}

void ReadDetector(const DetectorInfo& info, const ConfigEntry& detector,
                  const ConfigTarget& target) {
  const ConfigNode& node = detector.value;
  if (!IsMappingOrNull(node)) {
    target.problems->Error(
        node.place, fmt::format("{} must be a mapping of its options; write "
                                "e.g. {{enabled: false}}",
                                node.path));
    return;
  }
  DetectorOptions& options =
      target.cluster->detectors.try_emplace(std::string(info.name), info)
          .first->second;
  for (const ConfigEntry& entry : node.entries) {
    ReadDetectorOption(info, entry, node, target, &options);
  }
  if (info.contradiction == nullptr) return;
  std::string_view option;
  std::string contradiction = info.contradiction(options, &option);
  if (contradiction.empty()) return;
  const ConfigEntry* guilty = node.Find(option);
  target.problems->Error(
      guilty != nullptr ? guilty->value.place : detector.place,
      fmt::format("{}: {}", node.path, contradiction));
}

void ReadUnknownDetector(const ConfigEntry& entry, const ConfigNode& node,
                         const ConfigTarget& target) {
  std::vector<std::string_view> later = LaterDetectors();
  if (std::find(later.begin(), later.end(), entry.key) != later.end()) {
    target.problems->Warning(
        entry.place, fmt::format("{}: the detector {} is not in this version; "
                                 "its options are ignored",
                                 node.path, entry.key));
    return;
  }
  std::vector<std::string_view> names;
  for (const DetectorInfo* info : AllDetectors()) names.push_back(info->name);
  if (NearestName(entry.key, names).empty() &&
      !NearestName(entry.key, later).empty()) {
    names = later;
  }
  target.problems->Error(entry.place,
                         fmt::format("{}: unknown detector \"{}\"{}", node.path,
                                     entry.key, SuggestName(entry.key, names)));
}

// One sink's own mapping, below its type.
void ReadSinkType(const SinkType& type, const ConfigEntry& entry,
                  const ConfigTarget& target) {
  const ConfigNode& node = entry.value;
  target.sink->name = std::string(type.name);
  if (!type.in_this_version) {
    target.problems->Error(
        entry.place,
        fmt::format("the sink \"{}\" is not in this version yet; take it out "
                    "(for one run: --set 'sinks=[{{stdout: {{}}}}]')",
                    type.name));
    return;
  }
  if (type.name == "stdout") {
    target.sink->type = SinkConfig::Type::kStdout;
    ReadMapping(node, {}, target);
    return;
  }
  if (type.name == "kafka") {
    target.sink->type = SinkConfig::Type::kKafka;
    ReadMapping(node, KafkaSinkKeys(), target);
    if (target.sink->brokers.empty() || target.sink->topic.empty()) {
      target.problems->Error(entry.place,
                             "a kafka sink needs brokers and topic; write e.g. "
                             "kafka: {brokers: \"k1:9092\", topic: alerts}");
    }
    return;
  }
  if (type.name == "webhook") {
    target.sink->type = SinkConfig::Type::kWebhook;
    ReadMapping(node, WebhookSinkKeys(), target);
    if (target.sink->url.empty()) {
      target.problems->Error(entry.place,
                             "a webhook sink without a url; write e.g. "
                             "webhook: {url: \"https://siem/alerts\"}");
    }
    return;
  }
  target.sink->type = SinkConfig::Type::kFile;
  ReadMapping(node, FileSinkKeys(), target);
  if (IsMappingOrNull(node) && node.Find("path") == nullptr) {
    target.problems->Error(entry.place,
                           "a file sink without a path; write e.g. file: "
                           "{path: alerts.ndjson}");
  }
}

void ReadSink(const ConfigNode& node, const ConfigTarget& base) {
  std::vector<std::string_view> names;
  for (const SinkType& type : kSinkTypes) names.push_back(type.name);
  if (node.kind != ConfigNode::Kind::kMapping) {
    base.problems->Error(node.place,
                         fmt::format("a sink must be a mapping with its type "
                                     "as key; write e.g. stdout: {{}} (types: "
                                     "{})",
                                     fmt::join(names, ", ")));
    return;
  }
  SinkConfig sink;
  ConfigTarget target = base;
  target.sink = &sink;
  ConfigNode siblings = node;
  siblings.entries.clear();
  siblings.path = "sink";
  std::vector<const ConfigEntry*> types;
  for (const ConfigEntry& entry : node.entries) {
    bool is_type =
        std::find(names.begin(), names.end(), entry.key) != names.end();
    if (!is_type) {
      siblings.entries.push_back(entry);
    } else {
      types.push_back(&entry);
    }
  }
  if (types.size() != 1) {
    base.problems->Error(
        node.place,
        fmt::format("a sink with {}; write one list item for each sink (types: "
                    "{})",
                    types.empty() ? "no type that is known" : "several types",
                    fmt::join(names, ", ")));
  } else {
    for (const SinkType& type : kSinkTypes) {
      if (type.name == types[0]->key) ReadSinkType(type, *types[0], target);
    }
  }
  ReadMapping(siblings, SinkKeys(), target);
  base.config->sinks.push_back(std::move(sink));
}

// Two sinks that write one file would spoil each other's lines.
void CheckSinkPaths(const ConfigNode& node, const ConfigTarget& target) {
  std::map<std::string, size_t> seen;
  for (size_t i = 0; i < target.config->sinks.size(); ++i) {
    const SinkConfig& sink = target.config->sinks[i];
    std::string target_name =
        sink.type == SinkConfig::Type::kStdout
            ? "stdout"
            : std::filesystem::path(sink.path).lexically_normal().string();
    if (target_name.empty() || seen.emplace(target_name, i).second) continue;
    if (i >= node.items.size()) continue;
    target.problems->Error(
        node.items[i].place,
        fmt::format("two sinks write to {}; keep one of them", target_name));
  }
}

bool ReadFile(const std::string& path, std::string* text,
              ConfigProblems* problems) {
  ConfigPlace place{path, 0, 0};
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    problems->Error(place, "is a directory; name a YAML file");
    return false;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    problems->Error(place,
                    fmt::format("cannot be read ({}); check the path and its "
                                "permissions",
                                std::generic_category().message(errno)));
    return false;
  }
  text->resize(kConfigBytesMax + 1);
  file.read(text->data(), static_cast<std::streamsize>(text->size()));
  text->resize(static_cast<size_t>(file.gcount()));
  if (text->size() > kConfigBytesMax) {
    problems->Error(place, fmt::format("is larger than {}; this is hardly a "
                                       "configuration",
                                       FormatSize(kConfigBytesMax)));
    return false;
  }
  return true;
}

void ReadTree(const ConfigNode& root, Config* config,
              ConfigProblems* problems) {
  *config = Config();
  ConfigTarget target{config, &config->engine.base, nullptr, problems};
  ReadMapping(root, RootKeys(), target);
}

}  // namespace

std::vector<std::string_view> LaterDetectors() {
  std::vector<std::string_view> later;
  for (std::string_view name : kPlannedDetectors) {
    if (FindDetector(name) == nullptr) later.push_back(name);
  }
  return later;
}

void ReadClusterSelection(const ConfigNode& node, const ConfigTarget& target) {
  constexpr std::string_view kNames[] = {
      "path_regex", "json_field", "kafka_header", "kafka_key", "default"};
  if (node.kind == ConfigNode::Kind::kScalar) {
    target.config->engine.default_cluster = node.text;
    if (node.text.empty()) {
      target.problems->Error(node.place, "cluster is empty; write its name");
    }
    return;
  }
  if (node.kind != ConfigNode::Kind::kMapping) {
    target.problems->Error(node.place,
                           "cluster must be a name or {path_regex: …}, "
                           "{json_field: …}, {kafka_header: …} or {kafka_key: "
                           "true}; write e.g. "
                           "cluster: prod-eu-1");
    return;
  }
  ClusterSelection* selection = &target.config->cluster;
  const ConfigEntry* chosen = nullptr;
  for (const ConfigEntry& entry : node.entries) {
    std::string text;
    if (std::find(std::begin(kNames), std::end(kNames), entry.key) ==
        std::end(kNames)) {
      target.problems->Error(
          entry.place, fmt::format("cluster: unknown key \"{}\"{}", entry.key,
                                   SuggestName(entry.key, kNames)));
      continue;
    }
    if (!ReadText(entry.value, target.problems, &text)) continue;
    if (text.empty()) {
      target.problems->Error(
          entry.value.place,
          fmt::format("{} is empty; write a text", entry.value.path));
      continue;
    }
    if (entry.key == "default") {
      target.config->engine.default_cluster = text;
      continue;
    }
    if (chosen != nullptr) {
      target.problems->Error(entry.place,
                             fmt::format("cluster: both {} and {} are given; "
                                         "keep one",
                                         chosen->key, entry.key));
      continue;
    }
    chosen = &entry;
    if (entry.key == "path_regex") {
      CheckPathRegex(entry.value, target.problems);
      selection->path_regex = text;
    } else if (entry.key == "json_field") {
      selection->json_field = text;
    } else if (entry.key == "kafka_key") {
      ReadBool(entry.value, target.problems, &selection->kafka_key);
    } else {
      selection->kafka_header = text;
    }
  }
}

void ReadDetectors(const ConfigNode& node, const ConfigTarget& target) {
  if (!IsMappingOrNull(node)) {
    target.problems->Error(node.place,
                           fmt::format("{} must be a mapping; write e.g. "
                                       "unauthorized-burst: {{threshold: 10}}",
                                       node.path));
    return;
  }
  for (const ConfigEntry& entry : node.entries) {
    if (const DetectorInfo* info = FindDetector(entry.key)) {
      ReadDetector(*info, entry, target);
    } else {
      ReadUnknownDetector(entry, node, target);
    }
  }
}

void ReadOverlays(const ConfigNode& node, const ConfigTarget& target) {
  if (!IsMappingOrNull(node)) {
    target.problems->Error(node.place,
                           fmt::format("{} must be a mapping of cluster names; "
                                       "write e.g. edge-7: {{networks: "
                                       "{{internal: [10.0.0.0/8]}}}}",
                                       node.path));
    return;
  }
  for (const ConfigEntry& entry : node.entries) {
    // The base is complete: the table has `clusters` behind what it overlays.
    ClusterConfig overlay = target.config->engine.base;
    ConfigTarget overlay_target = target;
    overlay_target.cluster = &overlay;
    ReadMapping(entry.value, OverlayKeys(), overlay_target);
    target.config->engine.clusters.insert_or_assign(entry.key,
                                                    std::move(overlay));
  }
}

// The outbox knows a sink by its name, over restarts too.
void CheckSinkNames(const ConfigNode& node, const ConfigTarget& target) {
  std::set<std::string> names;
  for (size_t i = 0; i < target.config->sinks.size(); ++i) {
    const SinkConfig& sink = target.config->sinks[i];
    if (names.insert(sink.name).second) continue;
    target.problems->Error(
        node.items[i].place,
        fmt::format("two sinks are called {}; give each a name of its own "
                    "(name: …): by it is known what it is still owed",
                    sink.name));
  }
}

void ReadSinks(const ConfigNode& node, const ConfigTarget& target) {
  if (node.kind == ConfigNode::Kind::kNull) return;
  if (node.kind != ConfigNode::Kind::kList) {
    target.problems->Error(node.place,
                           "sinks must be a list; write e.g. \"- stdout: {}\"");
    return;
  }
  for (const ConfigNode& item : node.items) ReadSink(item, target);
  CheckSinkPaths(node, target);
  if (target.config->sinks.size() == node.items.size()) {
    CheckSinkNames(node, target);
  }
}

bool LoadConfigText(std::string_view text, std::string_view origin,
                    std::string_view base_dir, const ConfigRequest& request,
                    Config* config, ConfigProblems* problems) {
  ConfigNode root = ParseConfigTree(text, origin, base_dir, problems);
  for (const std::string& setting : request.settings) {
    ApplySetting(setting, &root, problems);
  }
  if (request.cluster) {
    ReplaceText("cluster", *request.cluster, "--cluster", &root);
  }
  ReadTree(root, config, problems);
  return !problems->has_errors();
}

bool LoadConfig(const ConfigRequest& request, Config* config,
                ConfigProblems* problems) {
  std::string text;
  std::filesystem::path base_dir;
  if (!request.path.empty()) {
    if (!ReadFile(request.path, &text, problems)) return false;
    base_dir = std::filesystem::path(request.path).parent_path();
  }
  if (base_dir.empty()) base_dir = ".";
  return LoadConfigText(text, request.path, base_dir.string(), request, config,
                        problems);
}

}  // namespace klaxon
