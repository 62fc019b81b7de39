#include "app/config_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "app/spelling.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace klaxon {
namespace {

constexpr std::string_view kSeverities[] = {"info", "low", "medium", "high",
                                            "critical"};

// What stands at a node, for "…, not X".
std::string Describe(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return "nothing";
    case ConfigNode::Kind::kScalar:
      return fmt::format("\"{}\"", node.text);
    case ConfigNode::Kind::kList:
      return "a list";
    case ConfigNode::Kind::kMapping:
      return "a mapping";
  }
  return "";
}

bool Wrong(const ConfigNode& node, ConfigProblems* problems,
           std::string_view want, std::string_view example) {
  problems->Error(node.place,
                  fmt::format("{} must be {}, not {}; write e.g. {}", node.path,
                              want, Describe(node), example));
  return false;
}

bool IsScalar(const ConfigNode& node) {
  return node.kind == ConfigNode::Kind::kScalar;
}

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ReadNumber(const ConfigNode& node, std::string_view text, int64_t min,
                int64_t max, std::string_view unit, ConfigProblems* problems,
                int64_t* value) {
  int64_t number = 0;
  std::string example =
      fmt::format("{}{}", std::clamp<int64_t>(10, min, max), unit);
  if (!ParseNumber(text, &number)) {
    return Wrong(node, problems,
                 unit.empty() ? "a whole number" : "a whole number of percent",
                 example);
  }
  if (node.quoted && unit.empty()) {
    problems->Error(node.place,
                    fmt::format("{} must be a number, not a quoted text; write "
                                "{} without quotes",
                                node.path, number));
    return false;
  }
  if (number < min || number > max) {
    problems->Error(
        node.place,
        max == INT64_MAX
            ? fmt::format("{} is {}{}, which is too small; write at least {}{}",
                          node.path, number, unit, min, unit)
            : fmt::format("{} is {}{}, which is out of range; write {}{} to "
                          "{}{}",
                          node.path, number, unit, min, unit, max, unit));
    return false;
  }
  *value = number;
  return true;
}

// Why `text` is no CIDR, and what was probably meant.
std::string CidrRemedy(std::string_view text) {
  size_t slash = text.find('/');
  std::string_view address_text = text.substr(0, slash);
  bool plain = address_text.find_first_not_of("0123456789abcdefABCDEF.:") ==
               std::string_view::npos;
  std::optional<IpAddress> address =
      plain ? IpAddress::Parse(address_text) : std::nullopt;
  if (!address) {
    return fmt::format(
        "\"{}\" is no CIDR: \"{}\" is no address; write e.g. "
        "10.0.0.0/8 or fd00::/8",
        text, address_text);
  }
  int bits_max = address->is_v4() ? 32 : 128;
  int bits = -1;
  if (slash == std::string_view::npos ||
      !ParseNumber(text.substr(slash + 1), &bits) || bits < 0 ||
      bits > bits_max) {
    return fmt::format(
        "\"{}\" is no CIDR: the prefix length must be 0 to {}; "
        "write e.g. {}/{}",
        text, bits_max, address->ToString(), bits_max);
  }
  std::array<uint8_t, 16> bytes = address->bytes();
  int keep = bits + (128 - bits_max);
  for (int bit = keep; bit < 128; ++bit) {
    bytes[bit / 8] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
  }
  return fmt::format(
      "\"{}\" has bits set behind its prefix; write {}/{} for "
      "the network or {}/{} for the address",
      text, IpAddress::FromBytes(bytes).ToString(), bits, address->ToString(),
      bits_max);
}

bool ReadCidr(const ConfigNode& node, ConfigProblems* problems, Cidr* value) {
  if (!IsScalar(node)) return Wrong(node, problems, "a CIDR", "10.0.0.0/8");
  std::optional<Cidr> cidr = Cidr::Parse(node.text);
  if (!cidr) {
    problems->Error(node.place,
                    fmt::format("{}: {}", node.path, CidrRemedy(node.text)));
    return false;
  }
  *value = *cidr;
  return true;
}

bool IsEmptyList(const ConfigNode& node) {
  return node.kind == ConfigNode::Kind::kNull ||
         (node.kind == ConfigNode::Kind::kList && node.items.empty());
}

bool ReadAllowAccount(const ConfigNode& node, ConfigProblems* problems,
                      std::string* value) {
  std::string text;
  if (!ReadText(node, problems, &text)) return false;
  size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size() ||
      text.find('/', slash + 1) != std::string::npos) {
    return Wrong(node, problems, "namespace/name (either may be *)",
                 "ci/deployer");
  }
  *value = text;
  return true;
}

bool ReadAllowUntil(const ConfigNode& node, ConfigProblems* problems,
                    EventTime* value) {
  std::optional<EventTime> until =
      IsScalar(node) ? ParseTimeOrDate(node.text, true) : std::nullopt;
  if (!until) {
    return Wrong(node, problems, "a date or an RFC 3339 time", "2026-12-31");
  }
  *value = *until;
  return true;
}

bool ReadAllowEntry(const ConfigNode& node, ConfigProblems* problems,
                    AllowEntry* value) {
  constexpr std::string_view kExample =
      "{account: ci/deployer, cidr: 203.0.113.0/24, until: 2026-12-31}";
  constexpr std::string_view kNames[] = {"account", "cidr", "until"};
  if (node.kind != ConfigNode::Kind::kMapping) {
    return Wrong(node, problems, "a mapping", kExample);
  }
  bool ok = true;
  for (const ConfigEntry& entry : node.entries) {
    if (entry.key == "account") {
      ok &= ReadAllowAccount(entry.value, problems, &value->account);
    } else if (entry.key == "cidr") {
      ok &= ReadCidr(entry.value, problems, &value->cidr);
    } else if (entry.key == "until") {
      ok &= ReadAllowUntil(entry.value, problems, &value->until);
    } else {
      problems->Error(entry.place,
                      fmt::format("{}: unknown key \"{}\"{}", node.path,
                                  entry.key, SuggestName(entry.key, kNames)));
      ok = false;
    }
  }
  for (std::string_view name : kNames) {
    if (node.Find(name) != nullptr) continue;
    problems->Error(node.place,
                    fmt::format("{}: an entry without \"{}\"; write e.g. {}",
                                node.path, name, kExample));
    ok = false;
  }
  return ok;
}

// Whether YAML would read `text`, unquoted in a flow list, as this very text.
bool IsPlainText(std::string_view text) {
  if (text.empty()) return false;
  constexpr std::string_view kWords[] = {"true", "false", "null", "~",
                                         "yes",  "no",    "on",   "off"};
  if (std::find(std::begin(kWords), std::end(kWords), text) !=
      std::end(kWords)) {
    return false;
  }
  auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '_' ||
           c == '-' || c == ':';
  };
  return std::all_of(text.begin(), text.end(), plain) && text.front() != '-' &&
         text.front() != ':' && text.back() != ':';
}

std::string QuoteText(std::string_view text) {
  if (IsPlainText(text)) return std::string(text);
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string RangeWords(int64_t max, std::string_view from,
                       std::string_view to) {
  if (max == INT64_MAX) return fmt::format(", at least {}", from);
  return fmt::format(", {} to {}", from, to);
}

template <typename Item, typename Format>
std::string FormatList(const std::vector<Item>& items, Format format) {
  std::string list = "[";
  for (const Item& item : items) {
    if (list.size() > 1) list += ", ";
    list += format(item);
  }
  return list + "]";
}

}  // namespace

bool ReadText(const ConfigNode& node, ConfigProblems* problems,
              std::string* value) {
  if (!IsScalar(node)) return Wrong(node, problems, "a text", "\"name\"");
  *value = node.text;
  return true;
}

bool ReadBool(const ConfigNode& node, ConfigProblems* problems, bool* value) {
  if (!IsScalar(node) || node.quoted ||
      (node.text != "true" && node.text != "false")) {
    problems->Error(node.place,
                    fmt::format("{} must be true or false, not {}; write true "
                                "or false without quotes",
                                node.path, Describe(node)));
    return false;
  }
  *value = node.text == "true";
  return true;
}

bool ReadCount(const ConfigNode& node, int64_t min, int64_t max,
               ConfigProblems* problems, int64_t* value) {
  std::string_view text = IsScalar(node) ? node.text : std::string_view();
  return ReadNumber(node, text, min, max, "", problems, value);
}

bool ReadPercent(const ConfigNode& node, int64_t min, int64_t max,
                 ConfigProblems* problems, int64_t* value) {
  std::string_view text = IsScalar(node) ? node.text : std::string_view();
  if (text.ends_with('%')) text.remove_suffix(1);
  return ReadNumber(node, text, min, std::min<int64_t>(max, 1000), "%",
                    problems, value);
}

bool ReadDuration(const ConfigNode& node, Nanos min, Nanos max,
                  ConfigProblems* problems, Nanos* value) {
  constexpr std::string_view kUnits = "units: us ms s m h d";
  int64_t number = 0;
  std::optional<Nanos> parsed =
      IsScalar(node) ? ParseDuration(node.text) : std::nullopt;
  if (!parsed && IsScalar(node) && ParseNumber(node.text, &number)) {
    problems->Error(node.place,
                    fmt::format("{} is \"{}\" without a unit; write e.g. {}s "
                                "({})",
                                node.path, node.text, number, kUnits));
    return false;
  }
  if (!parsed) {
    return Wrong(node, problems, "a duration", fmt::format("60s ({})", kUnits));
  }
  if (*parsed < min) {
    problems->Error(node.place,
                    fmt::format("{} is {}, which is too short; write at least "
                                "{}",
                                node.path, node.text, FormatDuration(min)));
    return false;
  }
  if (*parsed > max) {
    problems->Error(node.place,
                    fmt::format("{} is {}, which is too long; write at most {}",
                                node.path, node.text, FormatDuration(max)));
    return false;
  }
  *value = *parsed;
  return true;
}

bool ReadSize(const ConfigNode& node, uint64_t min, uint64_t max,
              ConfigProblems* problems, uint64_t* value) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (!IsScalar(node)) return Wrong(node, problems, "a size", "512MiB");
  size_t digits = node.text.find_first_not_of("0123456789");
  uint64_t number = 0;
  if (!ParseNumber(std::string_view(node.text).substr(0, digits), &number)) {
    return Wrong(node, problems, "a size", "512MiB (units: B KiB MiB GiB TiB)");
  }
  std::string_view unit = digits == std::string::npos
                              ? std::string_view()
                              : std::string_view(node.text).substr(digits);
  const auto* found = std::find(std::begin(kUnits), std::end(kUnits), unit);
  if (found == std::end(kUnits)) {
    char prefix = unit.empty() ? 'M' : unit.front();
    std::string_view meant = "MiB";
    for (std::string_view candidate : kUnits) {
      if (candidate.front() == (prefix & ~0x20)) meant = candidate;
    }
    problems->Error(
        node.place,
        fmt::format("{} is \"{}\" {}; write e.g. {}{} (units: {})", node.path,
                    node.text,
                    unit.empty() ? "without a unit" : "with an unknown unit",
                    number, meant, fmt::join(kUnits, " ")));
    return false;
  }
  int shift = 10 * static_cast<int>(found - kUnits);
  bool overflow = number > (UINT64_MAX >> shift);
  uint64_t bytes = overflow ? UINT64_MAX : number << shift;
  if (bytes < min || bytes > max) {
    problems->Error(
        node.place,
        fmt::format("{} is {}, which is out of range; write {} to "
                    "{}",
                    node.path, node.text, FormatSize(min), FormatSize(max)));
    return false;
  }
  *value = bytes;
  return true;
}

bool ReadChoice(const ConfigNode& node,
                std::span<const std::string_view> choices,
                ConfigProblems* problems, std::string* value) {
  if (IsScalar(node) &&
      std::find(choices.begin(), choices.end(), node.text) != choices.end()) {
    *value = node.text;
    return true;
  }
  problems->Error(node.place,
                  fmt::format("{} must be one of {}, not {}{}", node.path,
                              fmt::join(choices, " "), Describe(node),
                              IsScalar(node) ? SuggestName(node.text, choices)
                                             : "; write one of them"));
  return false;
}

bool ReadSeverity(const ConfigNode& node, ConfigProblems* problems,
                  Severity* value) {
  std::string name;
  return ReadChoice(node, kSeverities, problems, &name) &&
         ParseSeverity(name, value);
}

bool ReadListenAddress(const ConfigNode& node, ConfigProblems* problems,
                       std::string* value) {
  constexpr std::string_view kExample = "\"127.0.0.1:9440\"";
  if (!IsScalar(node)) {
    return Wrong(node, problems, "address:port", kExample);
  }
  size_t colon = node.text.rfind(':');
  int port = -1;
  if (colon == std::string::npos ||
      !ParseNumber(std::string_view(node.text).substr(colon + 1), &port) ||
      port < 0 || port > 65535) {
    return Wrong(node, problems, "address:port", kExample);
  }
  *value = node.text;
  return true;
}

bool ReadTexts(const ConfigNode& node, ConfigProblems* problems,
               std::vector<std::string>* value) {
  std::vector<std::string> texts;
  if (!IsEmptyList(node) && node.kind != ConfigNode::Kind::kList) {
    return Wrong(
        node, problems, "a list of texts",
        IsScalar(node) ? fmt::format("[{}]", QuoteText(node.text)) : "[a, b]");
  }
  bool ok = true;
  for (const ConfigNode& item : node.items) {
    texts.emplace_back();
    ok &= ReadText(item, problems, &texts.back());
  }
  if (ok) *value = std::move(texts);
  return ok;
}

bool ReadCidrs(const ConfigNode& node, ConfigProblems* problems,
               std::vector<Cidr>* value) {
  std::vector<Cidr> cidrs;
  if (!IsEmptyList(node) && node.kind != ConfigNode::Kind::kList) {
    return Wrong(node, problems, "a list of CIDRs", "[10.0.0.0/8]");
  }
  bool ok = true;
  for (const ConfigNode& item : node.items) {
    cidrs.emplace_back();
    ok &= ReadCidr(item, problems, &cidrs.back());
  }
  if (ok) *value = std::move(cidrs);
  return ok;
}

bool ReadAllowList(const ConfigNode& node, ConfigProblems* problems,
                   std::vector<AllowEntry>* value) {
  std::vector<AllowEntry> entries;
  if (!IsEmptyList(node) && node.kind != ConfigNode::Kind::kList) {
    return Wrong(node, problems, "a list of exceptions",
                 "[{account: ci/deployer, cidr: 203.0.113.0/24, "
                 "until: 2026-12-31}]");
  }
  bool ok = true;
  for (const ConfigNode& item : node.items) {
    entries.emplace_back();
    ok &= ReadAllowEntry(item, problems, &entries.back());
  }
  if (ok) *value = std::move(entries);
  return ok;
}

int64_t LeastDuration(const OptionInfo& info) {
  bool is_window = info.name == "window" || info.name == "quiet" ||
                   info.name.ends_with("_window") ||
                   info.name.ends_with("_quiet");
  return is_window ? std::max<int64_t>(info.min, kMinute) : info.min;
}

bool ReadOption(const ConfigNode& node, const OptionInfo& info,
                ConfigProblems* problems, OptionValue* value) {
  int64_t number = 0;
  bool flag = false;
  std::vector<std::string> texts;
  std::vector<Cidr> cidrs;
  std::vector<AllowEntry> entries;
  auto set = [value](bool ok, auto result) {
    if (ok) *value = std::move(result);
    return ok;
  };
  switch (info.type) {
    case OptionType::kBool: {
      bool ok = ReadBool(node, problems, &flag);
      return set(ok, flag);
    }
    case OptionType::kCount: {
      bool ok = ReadCount(node, info.min, info.max, problems, &number);
      return set(ok, number);
    }
    case OptionType::kPercent: {
      bool ok = ReadPercent(node, info.min, info.max, problems, &number);
      return set(ok, number);
    }
    case OptionType::kDuration: {
      bool ok =
          ReadDuration(node, LeastDuration(info), info.max, problems, &number);
      return set(ok, Duration{number});
    }
    case OptionType::kTextList:
    case OptionType::kGlobList: {
      bool ok = ReadTexts(node, problems, &texts);
      return set(ok, std::move(texts));
    }
    case OptionType::kCidrList: {
      bool ok = ReadCidrs(node, problems, &cidrs);
      return set(ok, std::move(cidrs));
    }
    case OptionType::kAllowList: {
      bool ok = ReadAllowList(node, problems, &entries);
      return set(ok, std::move(entries));
    }
  }
  return false;
}

std::optional<EventTime> ParseTimeOrDate(std::string_view text, bool day_end) {
  constexpr size_t kDateBytes = 10;  // "2026-01-02"
  if (text.size() != kDateBytes) return ParseTime(text);
  std::optional<EventTime> start = ParseTime(std::string(text) + "T00:00:00Z");
  if (!start || !day_end) return start;
  return *start + kDay;
}

std::string FormatSize(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::string FormatTexts(std::span<const std::string> texts) {
  return FormatList(std::vector<std::string>(texts.begin(), texts.end()),
                    [](const std::string& text) { return QuoteText(text); });
}

std::string FormatOption(const OptionInfo& info, const OptionValue& value) {
  switch (info.type) {
    case OptionType::kBool:
      return std::get<bool>(value) ? "true" : "false";
    case OptionType::kCount:
      return fmt::format("{}", std::get<int64_t>(value));
    case OptionType::kPercent:
      return fmt::format("{}%", std::get<int64_t>(value));
    case OptionType::kDuration:
      return FormatDuration(std::get<Duration>(value).nanos);
    case OptionType::kTextList:
    case OptionType::kGlobList:
      return FormatTexts(std::get<std::vector<std::string>>(value));
    case OptionType::kCidrList:
      return FormatList(std::get<std::vector<Cidr>>(value),
                        [](const Cidr& cidr) { return cidr.ToString(); });
    case OptionType::kAllowList:
      return FormatList(
          std::get<std::vector<AllowEntry>>(value), [](const AllowEntry& e) {
            return fmt::format("{{account: {}, cidr: {}, until: {}}}",
                               QuoteText(e.account), e.cidr.ToString(),
                               FormatTime(e.until));
          });
  }
  return "";
}

std::string OptionTypeWords(const OptionInfo& info) {
  switch (info.type) {
    case OptionType::kBool:
      return "true or false";
    case OptionType::kCount:
      return "whole number" + RangeWords(info.max, fmt::format("{}", info.min),
                                         fmt::format("{}", info.max));
    case OptionType::kPercent:
      return "percent" + RangeWords(info.max, fmt::format("{}%", info.min),
                                    fmt::format("{}%", info.max));
    case OptionType::kDuration:
      return "duration" + RangeWords(info.max,
                                     FormatDuration(LeastDuration(info)),
                                     FormatDuration(info.max));
    case OptionType::kTextList:
      return "list of texts";
    case OptionType::kGlobList:
      return "list of files or globs";
    case OptionType::kCidrList:
      return "list of CIDRs";
    case OptionType::kAllowList:
      return "list of {account, cidr, until}";
  }
  return "";
}

std::string ExampleOption(const OptionInfo& info) {
  std::string value = FormatOption(info, info.default_value);
  if (value != "[]") return value;
  switch (info.type) {
    case OptionType::kTextList:
      return "[name]";
    case OptionType::kGlobList:
      return "[/etc/kubernetes/*.conf]";
    case OptionType::kCidrList:
      return "[203.0.113.0/24]";
    case OptionType::kAllowList:
      return "[{account: ci/deployer, cidr: 203.0.113.0/24, until: "
             "2026-12-31}]";
    default:
      return value;
  }
}

}  // namespace klaxon
