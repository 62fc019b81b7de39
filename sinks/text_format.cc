#include "sinks/text_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "sinks/terminal_text.h"

namespace klaxon {
namespace {

constexpr int kColumnsMin = 60;
constexpr int kColumnsMax = 160;
constexpr size_t kTextColumnsMax = 100;  // Longer lines are hard to read.
constexpr size_t kIndent = 2;
constexpr size_t kLabelColumns = 9;  // Of "  who    " and its like.
constexpr size_t kVerbColumnsMax = 16;
// Of a single value. The detectors cap theirs in bytes; escapes make four
// columns of one.
constexpr size_t kValueColumnsMax = 320;

std::string Safe(std::string_view text) {
  std::string safe;
  AppendTerminalSafe(text, &safe);
  return safe;
}

enum class Style { kPlain, kBold, kDim, kGood, kBad, kCommand };

std::string_view CodeOf(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "1";
    case Style::kDim:
      return "2";
    case Style::kGood:
      return "32";
    case Style::kBad:
      return "31";
    case Style::kCommand:
      return "36";
  }
  return "";
}

std::string_view BadgeCodeOf(Severity severity) {
  switch (severity) {
    case Severity::kCritical:
      return "1;97;41";
    case Severity::kHigh:
      return "1;30;48;5;208";  // Orange.
    case Severity::kMedium:
      return "1;30;43";
    case Severity::kLow:
      return "1;30;46";
    case Severity::kInfo:
      return "1;30;47";
  }
  return "";
}

std::string_view BadgeOf(Severity severity) {
  switch (severity) {
    case Severity::kCritical:
      return "CRITICAL";
    case Severity::kHigh:
      return "HIGH";
    case Severity::kMedium:
      return "MEDIUM";
    case Severity::kLow:
      return "LOW";
    case Severity::kInfo:
      return "INFO";
  }
  return "";
}

// A run of text that is not broken, already safe.
struct Word {
  std::string text;
  Style style = Style::kPlain;
  bool begins_item = false;  // Set off from the word before by a dot.
};
using Words = std::vector<Word>;

std::string WholeSeconds(EventTime time) {
  std::string text = FormatTime(time).substr(0, 19);
  text[10] = ' ';
  return text;
}

// "54 s", "90 min", "36 h", "12 days": rounded down.
std::string RoundSpan(Nanos span) {
  if (span < 2 * kMinute) return fmt::format("{} s", span / kSecond);
  if (span < 2 * kHour) return fmt::format("{} min", span / kMinute);
  if (span < 2 * kDay) return fmt::format("{} h", span / kHour);
  return fmt::format("{} days", span / kDay);
}

// One line of evidence, safe and in columns.
struct EvidenceRow {
  std::string time;
  std::string code;
  Style code_style = Style::kPlain;
  std::string verb;
  std::string uri;
  std::string tail;
};

class AlertPrinter {
 public:
  AlertPrinter(const Alert& alert, const TextFormatOptions& options,
               std::string* out)
      : alert_(alert),
        options_(options),
        columns_(static_cast<size_t>(
            std::clamp(options.columns, kColumnsMin, kColumnsMax))),
        out_(out) {}

  void Print() {
    PrintHeading();
    if (!alert_.summary.empty()) {
      Words words;
      AddText(alert_.summary, Style::kPlain, &words);
      out_->append(kIndent, ' ');
      PrintWords(words, kIndent);
      out_->push_back('\n');
    }
    PrintFacts();
    PrintEvidence();
    PrintRemediation();
    PrintFooter();
    out_->push_back('\n');
  }

 private:
  std::string_view Dot() const { return options_.unicode ? " · " : " | "; }
  std::string_view Dash() const { return options_.unicode ? " – " : " - "; }
  std::string_view Ellipsis() const { return options_.unicode ? "…" : "~"; }
  std::string_view Bullet() const { return options_.unicode ? "• " : "* "; }

  void Put(std::string_view safe, Style style) {
    PutCoded(safe, CodeOf(style));
  }
  void PutCoded(std::string_view safe, std::string_view code) {
    if (!options_.colour || code.empty() || safe.empty()) {
      out_->append(safe);
      return;
    }
    fmt::format_to(std::back_inserter(*out_), "\x1b[{}m{}\x1b[0m", code, safe);
  }
  void PutPadded(std::string_view safe, size_t columns, Style style) {
    Put(safe, style);
    const size_t width = DisplayWidth(safe);
    if (width < columns) out_->append(columns - width, ' ');
  }

  // `text`, safe, and cut to `columns` with an ellipsis.
  std::string Cut(std::string_view text, size_t columns) const;
  // Appends the words of `text`, the first of which begins an item.
  void AddText(std::string_view text, Style style, Words* words) const;
  // Appends one item: a field's name, for people, and its value.
  void AddField(const std::string& name, std::string_view value,
                Words* words) const;
  // Prints words from column `indent` on, where the line stands, breaking
  // lines as the width demands; ends the last one.
  void PrintWords(const Words& words, size_t indent);
  void PrintFact(std::string_view label, const Words& words);

  void PrintHeading();
  void PrintFacts();
  Words Who() const;
  Words From() const;
  Words What() const;
  Words When() const;
  Words Why() const;
  void PrintEvidence();
  EvidenceRow RowOf(const EventSample& sample) const;
  void PrintRemediation();
  void PrintFooter();

  const Alert& alert_;
  const TextFormatOptions& options_;
  const size_t columns_;
  std::string* out_;
};

std::string AlertPrinter::Cut(std::string_view text, size_t columns) const {
  std::string safe = Safe(text);
  if (DisplayWidth(safe) <= columns) return safe;
  size_t width = 1;  // The ellipsis.
  size_t at = 0;
  while (at < safe.size()) {
    const Utf8Character c = DecodeUtf8(std::string_view(safe).substr(at));
    width += DisplayWidthOf(c.code_point);
    if (width > columns) break;
    at += c.bytes;
  }
  safe.resize(at);
  return safe.append(Ellipsis());
}

void AlertPrinter::AddText(std::string_view text, Style style,
                           Words* words) const {
  const std::string safe = Cut(text, 4 * kValueColumnsMax);
  bool begins_item = true;
  for (size_t at = 0; at < safe.size();) {
    const size_t end = std::min(safe.find(' ', at), safe.size());
    if (end > at) {
      words->push_back({safe.substr(at, end - at), style, begins_item});
      begins_item = false;
    }
    at = end + 1;
  }
}

void AlertPrinter::AddField(const std::string& name, std::string_view value,
                            Words* words) const {
  std::string label = name;
  std::replace(label.begin(), label.end(), '_', ' ');
  const size_t label_at = words->size();
  AddText(label, Style::kDim, words);
  const size_t value_at = words->size();
  AddText(value, Style::kPlain, words);
  // One item, whether or not the name has anything to show.
  if (value_at > label_at && value_at < words->size()) {
    (*words)[value_at].begins_item = false;
  }
}

// Columns of the item that begins at words[at], up to the next item.
size_t ItemColumns(const Words& words, size_t at) {
  size_t columns = DisplayWidth(words[at].text);
  while (++at < words.size() && !words[at].begins_item) {
    columns += 1 + DisplayWidth(words[at].text);
  }
  return columns;
}

void AlertPrinter::PrintWords(const Words& words, size_t indent) {
  const size_t line_columns = std::min(columns_, kTextColumnsMax);
  size_t column = indent;
  std::string run;  // Of one style, on one line, not yet put.
  Style style = Style::kPlain;
  auto flush = [&] {
    Put(run, style);
    run.clear();
  };
  for (size_t i = 0; i < words.size(); ++i) {
    const Word& word = words[i];
    const bool dotted = word.begins_item && i > 0;
    const size_t gap = i == 0 ? 0 : dotted ? 3 : 1;
    // An item is kept on one line where one line can hold it.
    size_t kept = DisplayWidth(word.text);
    if (dotted) {
      const size_t item = ItemColumns(words, i);
      if (indent + item <= line_columns) kept = item;
    }
    if (i > 0 && column + gap + kept > line_columns) {
      flush();
      out_->push_back('\n');
      out_->append(indent, ' ');
      column = indent;
    } else {
      if (dotted || word.style != style) flush();
      if (dotted) {
        Put(Dot(), Style::kDim);
      } else {
        // Bare, so that no style is on where nothing is to see.
        (run.empty() ? *out_ : run).append(gap, ' ');
      }
      column += gap;
    }
    style = word.style;
    run += word.text;
    column += DisplayWidth(word.text);
  }
  flush();
  out_->push_back('\n');
}

void AlertPrinter::PrintFact(std::string_view label, const Words& words) {
  if (words.empty()) return;
  out_->append(kIndent, ' ');
  PutPadded(label, kLabelColumns - kIndent, Style::kDim);
  PrintWords(words, kLabelColumns);
}

void AlertPrinter::PrintHeading() {
  const std::string_view badge = BadgeOf(alert_.severity);
  size_t indent = badge.size() + 1;
  if (options_.colour) {
    PutCoded(fmt::format(" {} ", badge), BadgeCodeOf(alert_.severity));
    indent += 2;
  } else {
    out_->append(badge);
  }
  out_->push_back(' ');
  Words title;
  AddText(alert_.title, Style::kBold, &title);
  PrintWords(title, indent);

  Words origin;
  AddText(alert_.rule.empty() ? alert_.detector
                              : alert_.detector + "/" + alert_.rule,
          Style::kDim, &origin);
  if (!alert_.cluster.empty()) {
    AddText("cluster " + alert_.cluster, Style::kDim, &origin);
  }
  AddText(alert_.status == AlertStatus::kFiring ? "firing" : "resolved",
          Style::kDim, &origin);
  if (alert_.confidence != Confidence::kHigh) {
    AddText(fmt::format("{} confidence", ConfidenceName(alert_.confidence)),
            Style::kDim, &origin);
  }
  out_->append(kIndent, ' ');
  PrintWords(origin, kIndent);
  out_->push_back('\n');
}

Words AlertPrinter::Who() const {
  Words words;
  AddText(alert_.user, Style::kBold, &words);
  AddText(alert_.credential_id, Style::kPlain, &words);
  return words;
}

Words AlertPrinter::From() const {
  Words words;
  AddText(alert_.client, Style::kBold, &words);
  if (alert_.claimed_ips.empty()) return words;
  std::string claimed = "claims to come from";
  for (size_t i = 0; i < alert_.claimed_ips.size(); ++i) {
    claimed.append(i == 0 ? " " : ", ").append(alert_.claimed_ips[i]);
  }
  AddText(claimed, Style::kPlain, &words);
  return words;
}

// The key's other fields; client and user stand in lines of their own.
Words AlertPrinter::What() const {
  Words words;
  for (const auto& [name, value] : alert_.key) {
    if (value.empty() || value == alert_.client || value == alert_.user ||
        value == alert_.credential_id) {
      continue;
    }
    AddField(name, value, &words);
  }
  return words;
}

Words AlertPrinter::When() const {
  Words words;
  const std::string first = WholeSeconds(alert_.first_seen);
  std::string last = WholeSeconds(alert_.last_seen);
  std::string range = first;
  if (last != first) {
    if (last.starts_with(first.substr(0, 11))) last.erase(0, 11);
    range.append(Dash()).append(last);
  }
  AddText(range + " UTC", Style::kPlain, &words);
  std::string count =
      alert_.count == 1 ? "once" : fmt::format("{} times", alert_.count);
  if (last != first) {
    count +=
        fmt::format(" in {}", RoundSpan(alert_.last_seen - alert_.first_seen));
  }
  AddText(count, Style::kPlain, &words);
  return words;
}

Words AlertPrinter::Why() const {
  Words words;
  for (const auto& [name, value] : alert_.explain) {
    std::string text;
    if (const auto* string = std::get_if<std::string>(&value)) {
      text = *string;
    } else if (const auto* number = std::get_if<int64_t>(&value)) {
      text = std::to_string(*number);
    } else if (const auto* list =
                   std::get_if<std::vector<std::string>>(&value)) {
      for (const std::string& element : *list) {
        if (!text.empty()) text.append(", ");
        text.append(element);
      }
    }
    if (text.empty()) continue;
    AddField(name, text, &words);
  }
  return words;
}

void AlertPrinter::PrintFacts() {
  PrintFact("who", Who());
  PrintFact("from", From());
  PrintFact("what", What());
  PrintFact("when", When());
  PrintFact("why", Why());
}

EvidenceRow AlertPrinter::RowOf(const EventSample& sample) const {
  EvidenceRow row;
  const std::string time = FormatTime(sample.time);
  const bool same_day = DayOf(sample.time) == DayOf(alert_.first_seen);
  row.time = same_day ? time.substr(11, 12)
                      : time.substr(5, 5) + " " + time.substr(11, 8);
  row.code = sample.code == 0 ? "-" : std::to_string(sample.code);
  if (sample.code >= 400) row.code_style = Style::kBad;
  if (sample.code > 0 && sample.code < 400) row.code_style = Style::kGood;
  row.verb = Cut(sample.verb, kVerbColumnsMax);
  row.uri = Cut(sample.uri, kValueColumnsMax);
  std::vector<std::string> tail;
  if (!sample.user.empty() && sample.user != alert_.user) {
    tail.push_back("as " + sample.user);
  }
  if (!sample.source_ips.empty() && sample.source_ips.back() != alert_.client) {
    tail.push_back("from " + sample.source_ips.back());
  }
  if (!sample.user_agent.empty()) tail.push_back(sample.user_agent);
  for (const std::string& part : tail) {
    if (!row.tail.empty()) row.tail.append(", ");
    row.tail.append(Safe(part));
  }
  return row;
}

void AlertPrinter::PrintEvidence() {
  std::vector<EvidenceRow> rows;
  size_t time_columns = 0;
  size_t verb_columns = 0;
  size_t uri_columns = 0;
  size_t tail_columns = 0;
  for (const EventSample& sample : alert_.evidence) {
    if (!sample.has_value()) continue;
    rows.push_back(RowOf(sample));
    const EvidenceRow& row = rows.back();
    time_columns = std::max(time_columns, row.time.size());
    verb_columns = std::max(verb_columns, DisplayWidth(row.verb));
    uri_columns = std::max(uri_columns, DisplayWidth(row.uri));
    tail_columns = std::max(tail_columns, DisplayWidth(row.tail));
  }
  if (rows.empty()) return;
  // Two spaces between columns; a third of the rest at least is for the URI.
  const size_t fixed = kLabelColumns + time_columns + verb_columns + 3 + 3 * 2;
  const size_t rest = columns_ > fixed + 24 ? columns_ - fixed : 24;
  tail_columns = std::min(
      tail_columns, std::max(rest / 3, rest - std::min(rest, uri_columns + 2)));
  uri_columns =
      std::min(uri_columns, tail_columns == 0 ? rest : rest - tail_columns - 2);
  for (size_t i = 0; i < rows.size(); ++i) {
    const EvidenceRow& row = rows[i];
    out_->append(kIndent, ' ');
    PutPadded(i == 0 ? "events" : "", kLabelColumns - kIndent, Style::kDim);
    PutPadded(row.time, time_columns + 2, Style::kPlain);
    PutPadded(row.code, 5, row.code_style);
    PutPadded(row.verb, verb_columns + 2, Style::kPlain);
    const std::string uri = Cut(row.uri, uri_columns);
    if (row.tail.empty()) {
      Put(uri, Style::kPlain);
    } else {
      PutPadded(uri, uri_columns + 2, Style::kPlain);
      Put(Cut(row.tail, tail_columns), Style::kDim);
    }
    out_->push_back('\n');
  }
}

bool IsCommand(std::string_view text) {
  for (std::string_view program :
       {"kubectl ", "klaxon ", "openssl ", "oc ", "kubeadm ", "curl "}) {
    if (text.starts_with(program)) return true;
  }
  return false;
}

void AlertPrinter::PrintRemediation() {
  if (alert_.remediation.empty()) return;
  out_->push_back('\n');
  out_->append(kIndent, ' ');
  Put("do now", Style::kBold);
  out_->push_back('\n');
  for (const std::string& step : alert_.remediation) {
    out_->append(2 * kIndent, ' ');
    if (IsCommand(step)) {
      Put("$ ", Style::kDim);
      Put(Safe(step), Style::kCommand);
      out_->push_back('\n');
    } else {
      Put(Bullet(), Style::kDim);
      Words words;
      AddText(step, Style::kPlain, &words);
      PrintWords(words, 2 * kIndent + 2);
    }
  }
}

void AlertPrinter::PrintFooter() {
  Words words;
  AddText("id " + alert_.id, Style::kDim, &words);
  for (const std::string& reference : alert_.owasp) {
    AddText("OWASP " + reference, Style::kDim, &words);
  }
  for (const std::string& reference : alert_.mitre) {
    AddText("MITRE " + reference, Style::kDim, &words);
  }
  for (const EventSample& sample : alert_.evidence) {
    if (sample.audit_id.empty()) continue;
    AddText("audit id " + sample.audit_id, Style::kDim, &words);
    break;
  }
  out_->push_back('\n');
  out_->append(kIndent, ' ');
  PrintWords(words, kIndent);
}

}  // namespace

void AppendText(const Alert& alert, const TextFormatOptions& options,
                std::string* out) {
  AlertPrinter(alert, options, out).Print();
}

}  // namespace klaxon
