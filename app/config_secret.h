// Values of the configuration that may be secrets, and free mappings of texts.
// As the readers of config_values.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "app/config_keys.h"
#include "app/secret.h"

namespace klaxon {

// {file: PATH} or {env: NAME}: never the secret itself, which would stand in a
// file that people show each other.
// Reads the name, and not what is there.
bool ReadSecretName(const ConfigNode& node, const ConfigTarget& target,
                    Secret* secret);
// {name: value, …}; a value is a text or a secret.
void ReadPairs(const ConfigNode& node, const ConfigTarget& target,
               std::vector<std::pair<std::string, ConfigText>>* pairs);
// A text, or a list of them.
void ReadTextOrTexts(const ConfigNode& node, ConfigProblems* problems,
                     std::vector<std::string>* values);

}  // namespace klaxon
