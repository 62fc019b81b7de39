#include "app/config_secret.h"

#include <filesystem>

#include "app/config_values.h"
#include "fmt/format.h"

namespace klaxon {

bool ReadSecretName(const ConfigNode& node, const ConfigTarget& target,
                    Secret* secret) {
  const ConfigEntry* entry =
      node.kind == ConfigNode::Kind::kMapping && node.entries.size() == 1
          ? &node.entries[0]
          : nullptr;
  if (entry == nullptr || (entry->key != "file" && entry->key != "env")) {
    target.problems->Error(node.place,
                           fmt::format("{} is a secret; write {{file: PATH}} "
                                       "or {{env: NAME}}",
                                       node.path));
    return false;
  }
  if (!ReadText(entry->value, target.problems, &secret->name)) return false;
  secret->key = node.path;
  secret->place = entry->value.place;
  secret->from = Secret::From::kEnvironment;
  if (entry->key == "file") {
    secret->from = Secret::From::kFile;
    std::filesystem::path path(secret->name);
    if (path.is_relative()) path = entry->value.base_dir / path;
    secret->name = path.string();
  }
  target.config->secrets.push_back(*secret);
  return true;
}

void ReadPairs(const ConfigNode& node, const ConfigTarget& target,
               std::vector<std::pair<std::string, ConfigText>>* pairs) {
  pairs->clear();
  if (node.kind == ConfigNode::Kind::kNull) return;
  if (node.kind != ConfigNode::Kind::kMapping) {
    target.problems->Error(
        node.place, fmt::format("{} must be a mapping; write e.g. {{name: "
                                "value}}",
                                node.path));
    return;
  }
  for (const ConfigEntry& entry : node.entries) {
    ConfigText value;
    const bool read = entry.value.kind == ConfigNode::Kind::kMapping
                          ? ReadSecretName(entry.value, target, &value.secret)
                          : ReadText(entry.value, target.problems, &value.text);
    if (read) pairs->emplace_back(entry.key, std::move(value));
  }
}

void ReadTextOrTexts(const ConfigNode& node, ConfigProblems* problems,
                     std::vector<std::string>* values) {
  if (node.kind == ConfigNode::Kind::kList) {
    ReadTexts(node, problems, values);
    return;
  }
  std::string text;
  if (ReadText(node, problems, &text) && !text.empty()) *values = {text};
}

}  // namespace klaxon
