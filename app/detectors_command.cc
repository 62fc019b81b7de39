// `klaxon detectors [NAME]`: what the detectors say of themselves.
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/config_values.h"
#include "app/spelling.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace klaxon {
namespace {

constexpr size_t kColumns = 78;

// `text` in lines of at most kColumns, each behind `indent` spaces.
void AppendWrapped(std::string_view text, size_t indent, std::string* out) {
  size_t column = 0;
  while (!text.empty()) {
    size_t space = text.find(' ');
    std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size()
                                                       : space + 1);
    if (word.empty()) continue;
    if (column != 0 && column + 1 + word.size() > kColumns) {
      *out += '\n';
      column = 0;
    }
    if (column == 0) {
      out->append(indent, ' ');
      column = indent;
    } else {
      *out += ' ';
      ++column;
    }
    *out += word;
    column += word.size();
  }
  *out += '\n';
}

void AppendSection(std::string_view title, std::string_view text,
                   std::string* out) {
  if (text.empty()) return;
  fmt::format_to(std::back_inserter(*out), "\n{}\n", title);
  AppendWrapped(text, 2, out);
}

void AppendOptions(const DetectorInfo& info, std::string* out) {
  *out += "\nOptions\n";
  fmt::format_to(std::back_inserter(*out),
                 "  enabled: true\n      true or false. Whether it runs at "
                 "all.\n");
  for (const OptionInfo& option : info.options) {
    fmt::format_to(std::back_inserter(*out), "  {}: {}\n", option.name,
                   FormatOption(option, option.default_value));
    AppendWrapped(fmt::format("{}. {}", OptionTypeWords(option), option.help),
                  6, out);
  }
}

void AppendExample(const DetectorInfo& info, std::string* out) {
  fmt::format_to(std::back_inserter(*out), "\nExample\n  detectors:\n    {}:\n",
                 info.name);
  if (info.options.empty()) *out += "      enabled: false\n";
  for (const OptionInfo& option : info.options) {
    fmt::format_to(std::back_inserter(*out), "      {}: {}\n", option.name,
                   ExampleOption(option));
  }
}

}  // namespace

std::string DetectorList() {
  size_t width = 0;
  for (const DetectorInfo* info : AllDetectors()) {
    width = std::max(width, info->name.size());
  }
  std::string out;
  for (const DetectorInfo* info : AllDetectors()) {
    fmt::format_to(std::back_inserter(out), "{:<{}}  {}\n", info->name, width,
                   info->title);
  }
  return out;
}

std::string DetectorPage(std::string_view name) {
  const DetectorInfo* info = FindDetector(name);
  if (info == nullptr) return "";
  std::string out = fmt::format("{}: {}\n", info->name, info->title);
  AppendSection("What it means", info->meaning, &out);
  out += "\nRules\n";
  for (const RuleInfo& rule : info->rules) {
    fmt::format_to(std::back_inserter(out), "  {} ({})\n", rule.name,
                   rule.severity);
    AppendWrapped(rule.meaning, 6, &out);
  }
  AppendOptions(*info, &out);
  AppendSection("Needs", info->needs, &out);
  AppendSection("False positives", info->false_positives, &out);
  if (!info->mitre.empty()) {
    AppendSection("MITRE ATT&CK",
                  fmt::format("{}", fmt::join(info->mitre, " ")), &out);
  }
  AppendExample(*info, &out);
  return out;
}

int RunDetectorsCommand(const std::string& name) {
  if (name.empty()) return PrintToStdout(DetectorList());
  std::string page = DetectorPage(name);
  if (!page.empty()) return PrintToStdout(page);
  std::vector<std::string_view> later = LaterDetectors();
  std::vector<std::string_view> names;
  for (const DetectorInfo* info : AllDetectors()) names.push_back(info->name);
  bool is_later = std::find(later.begin(), later.end(), name) != later.end();
  Console console(STDERR_FILENO, {});
  console.Log(LogLevel::kError,
              is_later
                  ? fmt::format("the detector {} is not in this version", name)
                  : fmt::format("unknown detector \"{}\"{}", name,
                                SuggestName(name, names)));
  return kExitUsage;
}

}  // namespace klaxon
