#include "ingest/file_follower.h"

#include <fmt/format.h>
#include <fnmatch.h>
#include <glob.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "ingest/cluster_path.h"
#include "ingest/file_follower_impl.h"
#include "ingest/file_lane.h"
#include "ingest/inotify_hint.h"
#include "ingest/log_name.h"

namespace klaxon {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Under a steady stream a batch is worth so long a wait.
constexpr int kGatherMs = 5;

bool IsGlob(const std::string& path) {
  return path.find_first_of("*?[") != std::string::npos;
}

// The live file of the family that `path` belongs to.
std::string LivePath(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(0, name) + ParseLogName(path.substr(name)).family;
}

std::vector<std::string> ExpandGlob(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t found = {};
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      paths.emplace_back(found.gl_pathv[i]);
    }
  }
  globfree(&found);
  return paths;
}

int LeftMs(SteadyClock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      deadline - SteadyClock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

class FileFollower : public LiveSource {
 public:
  FileFollower(FollowOptions options, LogFiles* files, bool use_inotify);

  absl::Status Open(std::span<const LaneResume> resume_from) override;
  absl::Status Read(absl::Duration timeout, std::span<const std::string> held,
                    LiveBatch& batch) override;
  absl::Status Commit(std::string_view, std::string_view) override {
    return absl::OkStatus();  // The tokens say it all.
  }
  std::vector<LaneState> Lanes() const override;
  void Interrupt() noexcept override { interrupter_.Interrupt(); }

 private:
  void FindLogs(LogStart from);
  absl::Status AddLane(const std::string& path, LogStart from);
  bool Wanted(const std::string& path) const;
  FileLane::Result Pass(bool look, std::span<const std::string> held,
                        LiveBatch& batch);
  bool AllEnded() const { return ended_.size() == lanes_.size(); }
  std::string TakeStatus();
  std::string NotRead() const;
  bool Wait(SteadyClock::time_point deadline);
  void SetCluster(LiveBatch& batch);

  // Constant after construction.
  const FollowOptions options_;
  LogFiles* const files_;
  const bool use_inotify_;
  Interrupter interrupter_;

  // Of whoever calls Read.
  ClusterPath cluster_path_;
  std::map<std::string, std::string, std::less<>> tokens_;  // Not taken up yet.
  std::vector<std::unique_ptr<FileLane>> lanes_;
  std::set<std::string> paths_;  // Of lanes, and that lead to the same.
  std::set<const FileLane*> ended_;
  size_t next_lane_ = 0;
  InotifyHint hint_;
  absl::Status failure_;
  std::vector<std::string> statuses_;
};

FileFollower::FileFollower(FollowOptions options, LogFiles* files,
                           bool use_inotify)
    : options_(std::move(options)), files_(files), use_inotify_(use_inotify) {}

absl::Status FileFollower::Open(std::span<const LaneResume> resume_from) {
  if (options_.paths.empty()) {
    return absl::InvalidArgumentError("no file to follow: name one");
  }
  absl::Status status = cluster_path_.Compile(options_.cluster_path_regex);
  if (!status.ok()) return status;
  constexpr std::string_view kPrefix = "file:";
  for (const LaneResume& lane : resume_from) {
    if (!lane.lane.starts_with(kPrefix)) continue;
    tokens_[lane.lane] = lane.resume;
  }
  // Also those whose files are gone: they are missed.
  for (const auto& [name, token] : tokens_) {
    const std::string path = name.substr(kPrefix.size());
    if (!Wanted(path)) continue;
    status = AddLane(path, LogStart::kBegin);
    if (!status.ok()) return status;
  }
  LogStart from = LogStart::kBegin;
  if (options_.from == FollowOptions::From::kEnd) from = LogStart::kEnd;
  if (options_.from == FollowOptions::From::kTime) from = LogStart::kTime;
  FindLogs(from);
  return failure_;
}

// Whether a path of the configuration means this log.
bool FileFollower::Wanted(const std::string& path) const {
  return std::any_of(
      options_.paths.begin(), options_.paths.end(),
      [&](const std::string& wanted) {
        return wanted == path ||
               (IsGlob(wanted) &&
                fnmatch(wanted.c_str(), path.c_str(), FNM_PATHNAME) == 0);
      });
}

void FileFollower::FindLogs(LogStart from) {
  std::set<std::string> found;
  for (const std::string& path : options_.paths) {
    FileStat stat;
    if (!IsGlob(path) || files_->Stat(path, &stat) == 0) {
      found.insert(path);
      continue;
    }
    for (const std::string& match : ExpandGlob(path)) {
      if (!paths_.contains(match)) found.insert(LivePath(match));
    }
  }
  for (const std::string& path : found) {
    if (paths_.contains(path)) continue;
    const absl::Status status = AddLane(path, from);
    if (!status.ok() && failure_.ok()) failure_ = status;
  }
}

absl::Status FileFollower::AddLane(const std::string& path, LogStart from) {
  if (!paths_.insert(path).second) return absl::OkStatus();
  auto lane =
      std::make_unique<FileLane>(&options_, files_, &interrupter_, path);
  std::error_code error;
  const auto real = std::filesystem::weakly_canonical(path, error);
  FileStat stat;
  const bool exists = files_->Stat(path, &stat) == 0;
  for (const auto& other : lanes_) {
    // Two ways to one log are one lane.
    const auto theirs = std::filesystem::weakly_canonical(other->path(), error);
    if (!real.empty() && theirs == real) return absl::OkStatus();
    if (exists && stat.links > 1 && other->Owns(stat.id)) {
      lane->Shadow(stat.id);
    }
  }
  lane->Begin(from);
  const auto token = tokens_.find(lane->name());
  if (token != tokens_.end()) {
    const absl::Status status = lane->Resume(token->second);
    if (!status.ok()) return status;
  }
  if (use_inotify_) hint_.Watch(lane->directory());
  lanes_.push_back(std::move(lane));
  return absl::OkStatus();
}

// Each lane once, from the next one on.
FileLane::Result FileFollower::Pass(bool look,
                                    std::span<const std::string> held,
                                    LiveBatch& batch) {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    const size_t index = (next_lane_ + i) % lanes_.size();
    FileLane& lane = *lanes_[index];
    if (std::find(held.begin(), held.end(), lane.name()) != held.end()) {
      continue;
    }
    const FileLane::Result result = lane.Step(look, batch);
    std::string status = lane.TakeStatus();
    if (!status.empty()) statuses_.push_back(std::move(status));
    if (result == FileLane::Result::kEnd) {
      ended_.insert(&lane);
    } else {
      ended_.erase(&lane);
    }
    if (result == FileLane::Result::kBatch ||
        result == FileLane::Result::kInterrupted) {
      next_lane_ = index + 1;
      return result;
    }
  }
  return FileLane::Result::kIdle;
}

absl::Status FileFollower::Read(absl::Duration timeout,
                                std::span<const std::string> held,
                                LiveBatch& batch) {
  const SteadyClock::time_point begin = SteadyClock::now();
  const auto deadline =
      timeout >= absl::Hours(24)
          ? SteadyClock::time_point::max()
          : begin + std::chrono::duration_cast<SteadyClock::duration>(
                        absl::ToChronoNanoseconds(
                            std::max(timeout, absl::ZeroDuration())));
  bool look = false;
  for (;;) {
    if (interrupter_.interrupted()) return absl::CancelledError("interrupted");
    if (look) FindLogs(LogStart::kBegin);
    if (!failure_.ok()) return failure_;
    switch (Pass(look, held, batch)) {
      case FileLane::Result::kBatch:
        SetCluster(batch);
        return absl::OkStatus();
      case FileLane::Result::kInterrupted:
        return absl::CancelledError("interrupted");
      default:
        break;
    }
    if (!look) {
      look = true;
      continue;
    }
    if (options_.until_end && AllEnded()) {
      return absl::OutOfRangeError(NotRead());
    }
    std::string status = TakeStatus();
    if (!status.empty()) return absl::UnavailableError(status);
    if (!Wait(deadline)) return absl::UnavailableError("");
  }
}

std::string FileFollower::TakeStatus() {
  return fmt::format("{}", fmt::join(std::exchange(statuses_, {}), "; "));
}

// At the end: what stands in the way of reading. Of several candidates for a
// log those that are not there are none.
std::string FileFollower::NotRead() const {
  std::vector<std::string> reasons;
  std::vector<std::string> missing;
  for (const auto& lane : lanes_) {
    if (lane->blocked() == 0) continue;
    (lane->blocked() == ENOENT ? missing : reasons).push_back(lane->status());
  }
  if (missing.size() == lanes_.size()) reasons = std::move(missing);
  if (lanes_.empty()) {
    reasons.push_back(fmt::format("{}: no file of that name",
                                  fmt::join(options_.paths, ", ")));
  }
  return fmt::format("{}", fmt::join(reasons, "; "));
}

// Until there may be something. False: the deadline has come.
bool FileFollower::Wait(SteadyClock::time_point deadline) {
  if (SteadyClock::now() >= deadline) return false;
  if (use_inotify_) {
    for (const auto& lane : lanes_) hint_.Watch(lane->directory());
  }
  const auto poll_at =
      SteadyClock::now() +
      std::chrono::nanoseconds(absl::ToInt64Nanoseconds(options_.poll));
  pollfd waits[2] = {{interrupter_.wake_fd(), POLLIN, 0},
                     {use_inotify_ ? hint_.fd() : -1, POLLIN, 0}};
  const int timeout_ms = std::min(LeftMs(poll_at), LeftMs(deadline));
  if (poll(waits, 2, timeout_ms) > 0 && waits[1].revents != 0) {
    poll(waits, 1, std::min(kGatherMs, LeftMs(deadline)));
    hint_.Take();
  }
  return true;
}

void FileFollower::SetCluster(LiveBatch& batch) {
  std::string error;
  batch.cluster = cluster_path_.ClusterOf(batch.input, &error);
  if (!error.empty()) statuses_.push_back(std::move(error));
  batch.digest.clear();
}

std::vector<LaneState> FileFollower::Lanes() const {
  std::vector<LaneState> states;
  states.reserve(lanes_.size());
  for (const auto& lane : lanes_) states.push_back(lane->State());
  return states;
}

}  // namespace

std::unique_ptr<LiveSource> MakeFileFollowerOver(FollowOptions options,
                                                 LogFiles* files,
                                                 bool use_inotify) {
  return std::make_unique<FileFollower>(std::move(options), files, use_inotify);
}

std::unique_ptr<LiveSource> MakeFileFollower(FollowOptions options) {
  static LogFiles files;
  return MakeFileFollowerOver(std::move(options), &files, true);
}

std::vector<std::string> FollowedLogs(const std::string& path) {
  std::vector<std::string> found;
  std::error_code error;
  if (!IsGlob(path) || std::filesystem::exists(path, error)) {
    found.push_back(path);
  } else {
    found = ExpandGlob(path);
    for (std::string& match : found) match = LivePath(match);
  }
  for (std::string& log : found) {
    const auto real = std::filesystem::weakly_canonical(log, error);
    if (!real.empty()) log = LivePath(real.string());
  }
  return found;
}

std::vector<std::string> UsualAuditLogPaths() {
  return {
      "/var/log/kubernetes/audit/audit.log",  // Kubernetes' own example.
      "/var/log/kubernetes/audit.log",
      "/var/log/apiserver/audit.log",  // The CIS benchmark's example.
      "/var/lib/rancher/k3s/server/logs/audit.log",
      "/var/lib/rancher/rke2/server/logs/audit.log",
      "/var/log/kube-audit/audit-log.json",  // RKE 1.
      "/var/log/kube-apiserver/audit.log",   // OpenShift.
      "/var/log/audit/kube/*.log",           // Talos.
      "/var/snap/microk8s/common/var/log/*audit.log",
      "/var/log/kube-apiserver-audit.log",  // kops' example.
  };
}

}  // namespace klaxon
