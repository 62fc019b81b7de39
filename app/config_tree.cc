#include "app/config_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>
#include <utility>

#include "fmt/format.h"

namespace klaxon {
namespace {

// Nodes of one text, aliases expanded: far more than a configuration of ten
// thousand clusters needs, far less than an alias bomb makes.
constexpr size_t kNodesMax = 100'000;

size_t CountNodes(const ConfigNode& node) {
  size_t count = 1;
  for (const ConfigNode& item : node.items) count += CountNodes(item);
  for (const ConfigEntry& entry : node.entries) {
    count += 1 + CountNodes(entry.value);
  }
  return count;
}

// Receives the parser's events and builds the tree. `open_` holds the lists
// and mappings that have begun and not ended.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view origin, ConfigProblems* problems)
      : origin_(origin), problems_(problems) {}

  ConfigNode TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(MakeNode(mark, ConfigNode::Kind::kNull), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto it = anchors_.find(anchor);
    // An alias inside its own anchor's value is not known yet.
    if (it == anchors_.end()) {
      problems_->Error(Place(mark),
                       "this alias refers to a value that contains it; write "
                       "the value out");
      Add(MakeNode(mark, ConfigNode::Kind::kNull), 0);
      return;
    }
    nodes_ += CountNodes(it->second);
    if (TooMany(mark)) {
      Add(MakeNode(mark, ConfigNode::Kind::kNull), 0);
      return;
    }
    Add(it->second, 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    ConfigNode node = MakeNode(mark, ConfigNode::Kind::kScalar);
    node.text = value;
    node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    Add(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Begin(MakeNode(mark, ConfigNode::Kind::kList), anchor);
  }
  void OnSequenceEnd() override { End(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Begin(MakeNode(mark, ConfigNode::Kind::kMapping), anchor);
  }
  void OnMapEnd() override { End(); }

 private:
  struct Open {
    ConfigNode node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    bool bad_key = false;
    ConfigEntry entry;  // Its key, while the value is awaited.
  };

  ConfigPlace Place(const YAML::Mark& mark) const {
    return {origin_, mark.line + 1, mark.column + 1};
  }
  ConfigNode MakeNode(const YAML::Mark& mark, ConfigNode::Kind kind) {
    ConfigNode node;
    node.kind = kind;
    node.place = Place(mark);
    ++nodes_;
    return node;
  }
  bool TooMany(const YAML::Mark& mark) {
    if (nodes_ <= kNodesMax) return false;
    if (!too_many_) {
      problems_->Error(
          Place(mark),
          fmt::format("more than {} values, aliases expanded; use fewer",
                      kNodesMax));
    }
    too_many_ = true;
    return true;
  }

  void Begin(ConfigNode node, YAML::anchor_t anchor) {
    open_.push_back({std::move(node), anchor, false, false, {}});
  }
  void End() {
    Open done = std::move(open_.back());
    open_.pop_back();
    Add(std::move(done.node), done.anchor);
  }

  // Puts a finished node where it belongs.
  void Add(ConfigNode node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& open = open_.back();
    if (open.node.kind == ConfigNode::Kind::kList) {
      open.node.items.push_back(std::move(node));
    } else if (!open.has_key) {
      AddKey(node, &open);
    } else {
      open.has_key = false;
      if (open.bad_key) return;  // Reported already.
      open.entry.value = std::move(node);
      if (const ConfigEntry* first = open.node.Find(open.entry.key)) {
        problems_->Error(
            open.entry.place,
            fmt::format("duplicate key \"{}\", first given at {}; keep one",
                        open.entry.key, first->place.ToString()));
        return;
      }
      open.node.entries.push_back(std::move(open.entry));
    }
  }
  void AddKey(const ConfigNode& node, Open* open) {
    open->has_key = true;
    open->entry = ConfigEntry();
    open->entry.place = node.place;
    open->entry.key = node.text;
    bool merges = node.text == "<<" && !node.quoted;
    open->bad_key = merges || node.kind != ConfigNode::Kind::kScalar;
    if (merges) {
      problems_->Error(node.place,
                       "merge keys (<<) are not supported; write the keys out "
                       "or use an alias for the whole value");
    } else if (open->bad_key) {
      problems_->Error(node.place, "a key must be a text; write \"name: …\"");
    }
  }

  std::string origin_;
  ConfigProblems* problems_;
  ConfigNode root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, ConfigNode> anchors_;
  size_t nodes_ = 0;
  bool too_many_ = false;
};

void AssignPaths(std::string_view base_dir, ConfigNode* node) {
  node->base_dir = base_dir;
  for (ConfigNode& item : node->items) {
    item.path = node->path;
    AssignPaths(base_dir, &item);
  }
  for (ConfigEntry& entry : node->entries) {
    entry.value.path =
        node->path.empty() ? entry.key : node->path + "." + entry.key;
    AssignPaths(base_dir, &entry.value);
  }
}

// The values of one `--set` all stand at that flag.
void PlaceAll(const ConfigPlace& place, ConfigNode* node) {
  node->place = place;
  for (ConfigNode& item : node->items) PlaceAll(place, &item);
  for (ConfigEntry& entry : node->entries) {
    entry.place = place;
    PlaceAll(place, &entry.value);
  }
}

// Splits `a."b.c".d` at its dots. Empty: malformed.
std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> segments(1);
  bool in_quotes = false;
  for (char c : path) {
    if (c == '"') {
      in_quotes = !in_quotes;
    } else if (c == '.' && !in_quotes) {
      if (segments.back().empty()) return {};
      segments.emplace_back();
    } else {
      segments.back() += c;
    }
  }
  if (in_quotes || segments.back().empty()) return {};
  return segments;
}

// The '=' that ends the path: the first one outside quotes.
size_t FindEquals(std::string_view setting) {
  bool in_quotes = false;
  for (size_t i = 0; i < setting.size(); ++i) {
    if (setting[i] == '"') in_quotes = !in_quotes;
    if (setting[i] == '=' && !in_quotes) return i;
  }
  return std::string_view::npos;
}

// The child `segment` of `node`, made where it is missing; null: there is
// none and none can be made.
ConfigNode* Descend(const std::string& segment, const ConfigPlace& place,
                    ConfigNode* node) {
  if (node->kind == ConfigNode::Kind::kList) {
    size_t index = 0;
    auto [end, error] =
        std::from_chars(segment.data(), segment.data() + segment.size(), index);
    bool ok = error == std::errc() && end == segment.data() + segment.size() &&
              index < node->items.size();
    return ok ? &node->items[index] : nullptr;
  }
  if (node->kind == ConfigNode::Kind::kScalar) return nullptr;
  if (node->kind == ConfigNode::Kind::kNull) {
    node->kind = ConfigNode::Kind::kMapping;
    node->place = place;
  }
  if (ConfigEntry* entry = node->Find(segment)) return &entry->value;
  ConfigEntry entry{segment, place, {}};
  entry.value.place = place;
  entry.value.path = node->path.empty() ? segment : node->path + "." + segment;
  node->entries.push_back(std::move(entry));
  return &node->entries.back().value;
}

}  // namespace

std::string ConfigPlace::ToString() const {
  if (line == 0) return origin;
  return fmt::format("{}:{}:{}", origin, line, column);
}

void ConfigProblems::Error(const ConfigPlace& place, std::string message) {
  problems_.push_back({ProblemLevel::kError, place, std::move(message)});
}

void ConfigProblems::Warning(const ConfigPlace& place, std::string message) {
  problems_.push_back({ProblemLevel::kWarning, place, std::move(message)});
}

void ConfigProblems::Note(const ConfigPlace& place, std::string message) {
  problems_.push_back({ProblemLevel::kNote, place, std::move(message)});
}

bool ConfigProblems::has_errors() const {
  return std::any_of(problems_.begin(), problems_.end(),
                     [](const ConfigProblem& problem) {
                       return problem.level == ProblemLevel::kError;
                     });
}

std::vector<ConfigProblem> ConfigProblems::Sorted() const {
  std::vector<ConfigProblem> sorted = problems_;
  // Places without a line (the command line) come last, as they were given.
  auto rank = [](const ConfigPlace& place) {
    return std::make_tuple(place.line == 0, place.line, place.column);
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const ConfigProblem& a, const ConfigProblem& b) {
                     return rank(a.place) < rank(b.place);
                   });
  return sorted;
}

const ConfigEntry* ConfigNode::Find(std::string_view key) const {
  for (const ConfigEntry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

ConfigEntry* ConfigNode::Find(std::string_view key) {
  return const_cast<ConfigEntry*>(std::as_const(*this).Find(key));
}

ConfigNode ParseConfigTree(std::string_view text, std::string_view origin,
                           std::string_view base_dir,
                           ConfigProblems* problems) {
  TreeBuilder builder(origin, problems);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) {
      ConfigProblems ignored;
      TreeBuilder second(origin, &ignored);
      if (parser.HandleNextDocument(second)) {
        problems->Error(second.TakeRoot().place,
                        "a second YAML document begins here; a configuration "
                        "is one document, remove the \"---\"");
      }
    }
  } catch (const YAML::Exception& e) {
    ConfigPlace place{std::string(origin), 1, 1};
    if (!e.mark.is_null()) {
      place.line = e.mark.line + 1;
      place.column = e.mark.column + 1;
    }
    problems->Error(place, fmt::format("this is not YAML: {}; check the "
                                       "indentation, quotes and brackets here",
                                       e.msg));
    return {};
  }
  ConfigNode root = builder.TakeRoot();
  if (root.place.origin.empty()) root.place = {std::string(origin), 1, 1};
  AssignPaths(base_dir, &root);
  return root;
}

void ApplySetting(std::string_view setting, ConfigNode* root,
                  ConfigProblems* problems) {
  size_t equals = FindEquals(setting);
  std::string_view path = setting.substr(0, equals);
  ConfigPlace place{fmt::format("--set {}", path), 0, 0};
  std::vector<std::string> segments = SplitPath(path);
  if (equals == std::string_view::npos || segments.empty()) {
    problems->Error(place,
                    "this is no setting; write --set key.path=value, e.g. "
                    "--set detectors.unauthorized-burst.threshold=20");
    return;
  }
  ConfigNode* node = root;
  for (const std::string& segment : segments) {
    ConfigNode* parent = node;
    node = Descend(segment, place, node);
    if (node != nullptr) continue;
    problems->Error(
        place, fmt::format("\"{}\" is not below \"{}\", which is {}", segment,
                           parent->path,
                           parent->kind == ConfigNode::Kind::kList
                               ? fmt::format("a list of {}; pick an item by "
                                             "its number, 0 is the first",
                                             parent->items.size())
                               : "a single value; end the path there"));
    return;
  }
  std::string node_path = node->path;
  ConfigProblems parse_problems;
  ConfigNode value = ParseConfigTree(setting.substr(equals + 1), place.origin,
                                     ".", &parse_problems);
  for (const ConfigProblem& problem : parse_problems.Sorted()) {
    problems->Error(place, problem.message);
  }
  if (parse_problems.has_errors()) return;
  PlaceAll(place, &value);
  value.path = node_path;
  AssignPaths(".", &value);
  *node = std::move(value);
}

void ReplaceText(std::string_view key, std::string_view text,
                 std::string_view origin, ConfigNode* root) {
  ConfigPlace place{std::string(origin), 0, 0};
  ConfigNode* node = Descend(std::string(key), place, root);
  if (node == nullptr) return;  // The root is no mapping: reported elsewhere.
  *node = ConfigNode();
  node->kind = ConfigNode::Kind::kScalar;
  node->place = place;
  node->path = key;
  node->text = text;
  node->quoted = true;
}

}  // namespace klaxon
