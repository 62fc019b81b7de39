// A YAML document as a plain tree in which every value knows its place, so
// that an error can point at it, and in which `--set` can replace values.
//
// Values; not shared between threads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace klaxon {

// Where a value was written.
struct ConfigPlace {
  std::string origin;  // File as the user named it, or "--set key.path".
  int line = 0;        // 1-based; 0: the origin has no lines.
  int column = 0;      // 1-based.
  std::string ToString() const;  // "klaxon.yaml:3:5", "--set key.path".
};

enum class ProblemLevel { kNote, kWarning, kError };

struct ConfigProblem {
  ProblemLevel level = ProblemLevel::kError;
  ConfigPlace place;
  std::string message;  // "what is wrong; what would be right".
};

class ConfigProblems {
 public:
  void Error(const ConfigPlace& place, std::string message);
  void Warning(const ConfigPlace& place, std::string message);
  void Note(const ConfigPlace& place, std::string message);
  bool has_errors() const;
  // In the order in which a reader of the file meets them.
  std::vector<ConfigProblem> Sorted() const;

 private:
  std::vector<ConfigProblem> problems_;
};

struct ConfigEntry;

struct ConfigNode {
  enum class Kind { kNull, kScalar, kList, kMapping };
  Kind kind = Kind::kNull;
  ConfigPlace place;
  std::string path;      // "detectors.unauthorized-burst.window"; root: "".
  std::string base_dir;  // What relative file names in it start from.
  std::string text;      // kScalar.
  bool quoted = false;   // kScalar: quoted or a block, so surely a text.
  std::vector<ConfigNode> items;     // kList.
  std::vector<ConfigEntry> entries;  // kMapping, in the order of the file.

  const ConfigEntry* Find(std::string_view key) const;
  ConfigEntry* Find(std::string_view key);
};

struct ConfigEntry {
  std::string key;
  ConfigPlace place;  // Of the key.
  ConfigNode value;
};

// Parses `text`; `origin` and `base_dir` go into every node. Syntax errors,
// duplicate keys, keys that are no text, several documents and texts of more
// than 100 000 values (alias bombs) are reported. An empty text is kNull.
ConfigNode ParseConfigTree(std::string_view text, std::string_view origin,
                           std::string_view base_dir, ConfigProblems* problems);

// Applies "key.path=value" to `root`. The value is YAML; a segment of the path
// that holds dots is put in double quotes; a number picks an item of a list.
// Mappings on the way are made where they are missing.
void ApplySetting(std::string_view setting, ConfigNode* root,
                  ConfigProblems* problems);

// Replaces the value of a top-level key by a text, as `origin` says.
void ReplaceText(std::string_view key, std::string_view text,
                 std::string_view origin, ConfigNode* root);

}  // namespace klaxon
