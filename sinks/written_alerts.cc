#include "sinks/written_alerts.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace klaxon {
namespace {

constexpr std::string_view kRevisionHead = R"(","revision":)";
constexpr size_t kHeadBytesMax = 256;
constexpr uint64_t kRevisionsBefore = 64;

}  // namespace

std::optional<AlertRevision> ParseAlertLine(std::string_view line) {
  if (!line.starts_with(kAlertLineHead)) return std::nullopt;
  line.remove_prefix(kAlertLineHead.size());
  const size_t quote = line.find('"');
  if (quote == std::string_view::npos) return std::nullopt;
  AlertRevision result{std::string(line.substr(0, quote)), 0};
  line.remove_prefix(quote);
  if (!line.starts_with(kRevisionHead)) return std::nullopt;
  line.remove_prefix(kRevisionHead.size());
  const char* end = line.data() + line.size();
  auto [rest, error] = std::from_chars(line.data(), end, result.revision);
  if (error != std::errc() || rest == end || *rest != ',') return std::nullopt;
  return result;
}

bool WrittenAlerts::Revisions::Contains(uint64_t revision) const {
  if (revision >= newest) return revision == newest && newest > 0;
  const uint64_t back = newest - 1 - revision;
  return back >= kRevisionsBefore || (before >> back & 1) != 0;
}

void WrittenAlerts::Revisions::Add(uint64_t revision) {
  if (revision > newest) {
    const uint64_t step = newest == 0 ? kRevisionsBefore : revision - newest;
    // The one that was newest becomes bit step - 1.
    before = step < kRevisionsBefore ? before << step : 0;
    if (newest > 0 && step <= kRevisionsBefore) {
      before |= uint64_t{1} << (step - 1);
    }
    newest = revision;
  } else if (revision < newest && newest - 1 - revision < kRevisionsBefore) {
    before |= uint64_t{1} << (newest - 1 - revision);
  }
}

bool WrittenAlerts::Contains(const AlertRevision& alert) const {
  for (const Map* map : {&younger_, &older_}) {
    auto it = map->find(alert.id);
    if (it != map->end() && it->second.Contains(alert.revision)) return true;
  }
  return false;
}

void WrittenAlerts::Add(const AlertRevision& alert) {
  if (younger_.size() >= generation_max_ && !younger_.contains(alert.id)) {
    older_ = std::move(younger_);
    younger_.clear();
  }
  auto [it, added] = younger_.try_emplace(alert.id);
  if (added) {
    // What was known of it goes on being known.
    auto old = older_.find(alert.id);
    if (old != older_.end()) it->second = old->second;
  }
  it->second.Add(alert.revision);
}

void AlertLineScanner::Feed(std::string_view block) {
  while (!block.empty()) {
    const size_t newline = block.find('\n');
    const std::string_view piece = block.substr(0, newline);
    head_.append(piece.substr(0, kHeadBytesMax - head_.size()));
    if (!damaged_at_ && whole_line_ &&
        piece.find('\0') != std::string_view::npos) {
      damaged_at_ = line_begin_;
    }
    offset_ += std::min(block.size(), piece.size() + 1);
    if (newline == std::string_view::npos) return;
    EndLine();
    block.remove_prefix(newline + 1);
  }
}

void AlertLineScanner::EndLine() {
  if (whole_line_ && !damaged_at_) {
    if (const auto alert = ParseAlertLine(head_)) written_->Add(*alert);
  }
  line_begin_ = offset_;
  head_.clear();
  whole_line_ = true;
}

}  // namespace klaxon
