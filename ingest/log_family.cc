#include "ingest/log_family.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <map>
#include <tuple>
#include <utility>

#include "event/time.h"

namespace klaxon {
namespace {

constexpr int kSnapshotsMax = 16;

bool SameFiles(const std::vector<LogMember>& a,
               const std::vector<LogMember>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const LogMember& x, const LogMember& y) {
                      return x.path == y.path && x.stat.id == y.stat.id;
                    });
}

bool Older(const LogMember& a, const LogMember& b) {
  return std::tie(a.live, a.name.kind, a.name.order, a.path) <
         std::tie(b.live, b.name.kind, b.name.order, b.path);
}

// Which of some members are the same file, or hold the same by their names.
class TwinIndex {
 public:
  static constexpr size_t kNone = ~size_t{0};

  // The first of those that were added.
  size_t Find(const LogMember& member) const {
    size_t found = kNone;
    const auto id = ids_.find(IdOf(member));
    if (id != ids_.end()) found = id->second;
    const auto name = names_.find(member.name.content);
    if (name != names_.end()) found = std::min(found, name->second);
    return found;
  }
  void Add(const LogMember& member, size_t index) {
    ids_.emplace(IdOf(member), index);
    if (HasTwinName(member)) names_.emplace(member.name.content, index);
  }
  void Remove(const LogMember& member, size_t index) {
    const auto id = ids_.find(IdOf(member));
    if (id != ids_.end() && id->second == index) ids_.erase(id);
    const auto name = names_.find(member.name.content);
    if (name != names_.end() && name->second == index) names_.erase(name);
  }

 private:
  using Id = std::tuple<uint64_t, uint64_t, int64_t>;
  static Id IdOf(const LogMember& member) {
    const FileId& id = member.stat.id;
    return {id.inode, id.device, id.birth_ns};
  }
  static bool HasTwinName(const LogMember& member) {
    return member.name.kind != LogName::Kind::kCurrent;
  }

  std::map<Id, size_t> ids_;
  std::map<std::string, size_t, std::less<>> names_;
};

// Keeps one of those that hold the same.
void DropTwinNames(std::vector<LogMember>* members) {
  std::vector<LogMember> kept;
  TwinIndex index;
  for (LogMember& member : *members) {
    const size_t twin = index.Find(member);
    if (twin == TwinIndex::kNone) {
      index.Add(member, kept.size());
      kept.push_back(std::move(member));
    } else if (member.live || (kept[twin].compressed && !member.compressed)) {
      // Half a .gz stands beside the .log that it is being made of.
      index.Remove(kept[twin], twin);
      index.Add(member, twin);
      kept[twin] = std::move(member);
    }
  }
  *members = std::move(kept);
  std::sort(members->begin(), members->end(), Older);
}

}  // namespace

int64_t RotationTime(const LogMember& member) {
  if (member.name.kind == LogName::Kind::kTimed) {
    // 2026-01-02T03-04-05.000
    std::string text = member.name.order + "Z";
    if (text.size() > 16) text[13] = text[16] = ':';
    if (const auto time = ParseTime(text)) return *time;
  }
  return member.stat.modified_ns;
}

LogFamily::LogFamily(LogFiles* files, std::string path)
    : files_(files), path_(std::move(path)) {
  const std::filesystem::path parts(path_);
  directory_ = parts.parent_path().string();
  if (directory_.empty()) directory_ = ".";
  live_name_ = parts.filename().string();
}

// Where the path is a link, its target is what is rotated.
void LogFamily::Resolve() {
  std::error_code error;
  if (!std::filesystem::is_symlink(path_, error)) return;
  const auto target = std::filesystem::canonical(path_, error);
  if (error) return;
  directory_ = target.parent_path().string();
  live_name_ = target.filename().string();
}

int LogFamily::StatLive(FileStat* live) { return files_->Stat(path_, live); }

std::vector<LogMember> LogFamily::Snapshot() {
  Resolve();
  std::vector<std::string> names;
  std::vector<LogMember> members;
  list_error_ = std::max(-files_->List(directory_, &names), 0);
  if (list_error_ != 0) return members;
  for (const std::string& name : names) {
    LogMember member;
    member.live = name == live_name_;
    member.name = ParseLogName(name);
    if (!member.live && (member.name.family != live_name_ ||
                         member.name.kind == LogName::Kind::kCurrent)) {
      continue;
    }
    if (member.live) member.name.kind = LogName::Kind::kCurrent;
    member.compressed = !member.live && member.name.content != name;
    member.path = directory_ + "/" + name;
    if (files_->Stat(member.path, &member.stat) == 0) {
      members.push_back(std::move(member));
    }
  }
  std::sort(members.begin(), members.end(), Older);
  return members;
}

// A listing that is overtaken by a rotation may miss a file altogether. Two
// alike, with no other live file between, were not overtaken.
bool LogFamily::List(std::vector<LogMember>* members) {
  *members = Snapshot();
  for (int i = 0; i < kSnapshotsMax; ++i) {
    std::vector<LogMember> again = Snapshot();
    if (SameFiles(*members, again)) {
      DropTwinNames(members);
      return true;
    }
    *members = std::move(again);
  }
  return false;
}

std::string LogFamily::FindAnywhere(const FileId& id) {
  std::vector<std::string> names;
  if (files_->List(directory_, &names) < 0) return "";
  for (const std::string& name : names) {
    const std::string path = directory_ + "/" + name;
    FileStat stat;
    if (files_->Stat(path, &stat) == 0 && stat.id == id) return path;
  }
  return "";
}

}  // namespace klaxon
