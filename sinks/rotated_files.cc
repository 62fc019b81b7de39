#include "sinks/rotated_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

namespace klaxon {
namespace {

constexpr std::string_view kHalfMade = ".tmp";
// Six digits and no more, lest a date ("alerts.ndjson.20260102") be taken for
// one of ours.
constexpr uint64_t kNumberMax = 999'999;
constexpr int64_t kNumberDigits = 6;

absl::Status Error(const std::string& path, std::string_view what) {
  return absl::UnavailableError(
      fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// "000007.gz" → 7, gzip.
std::optional<RotatedFile> ParseSuffix(std::string_view suffix) {
  RotatedFile file;
  const char* end = suffix.data() + suffix.size();
  auto [rest, error] = std::from_chars(suffix.data(), end, file.number);
  if (error != std::errc() || rest - suffix.data() != kNumberDigits) {
    return std::nullopt;
  }
  suffix.remove_prefix(static_cast<size_t>(rest - suffix.data()));
  for (Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    if (suffix != CompressionSuffix(compression)) continue;
    file.compression = compression;
    return file;
  }
  return std::nullopt;
}

}  // namespace

RotatedFiles::RotatedFiles(std::string path) : path_(std::move(path)) {
  const size_t slash = path_.rfind('/');
  directory_ = slash == std::string::npos
                   ? "."
                   : path_.substr(0, std::max<size_t>(slash, 1));
  name_ = path_.substr(slash == std::string::npos ? 0 : slash + 1);
}

// Whole paths of what begins as PATH does.
absl::StatusOr<std::vector<std::string>> RotatedFiles::Siblings() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(
      opendir(directory_.c_str()), closedir);
  if (directory == nullptr) {
    return Error(path_, "its directory cannot be listed");
  }
  std::vector<std::string> paths;
  errno = 0;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name(entry->d_name);
    if (name.size() > name_.size() && name.starts_with(name_)) {
      paths.push_back(path_ + std::string(name.substr(name_.size())));
    }
    errno = 0;
  }
  if (errno != 0) return Error(path_, "its directory cannot be listed");
  return paths;
}

absl::StatusOr<std::vector<RotatedFile>> RotatedFiles::List() const {
  absl::StatusOr<std::vector<std::string>> paths = Siblings();
  if (!paths.ok()) return paths.status();
  std::vector<RotatedFile> files;
  for (std::string& path : *paths) {
    const std::string_view suffix = std::string_view(path).substr(path_.size());
    if (suffix[0] != '.') continue;
    if (auto file = ParseSuffix(suffix.substr(1))) {
      file->path = std::move(path);
      files.push_back(*std::move(file));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const RotatedFile& a, const RotatedFile& b) {
              return std::tuple(a.number, b.compression, a.path) <
                     std::tuple(b.number, a.compression, b.path);
            });
  return files;
}

absl::StatusOr<std::vector<std::string>> RotatedFiles::ListRenamed() const {
  absl::StatusOr<std::vector<std::string>> paths = Siblings();
  if (!paths.ok()) return paths.status();
  struct Renamed {
    int64_t modified_ns;
    std::string path;
  };
  std::vector<Renamed> files;
  for (std::string& path : *paths) {
    const std::string_view suffix = std::string_view(path).substr(path_.size());
    if (suffix[0] != '.' && suffix[0] != '-') continue;
    if (suffix.ends_with(kHalfMade) || ParseSuffix(suffix.substr(1))) continue;
    struct stat status{};
    if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    files.push_back({int64_t{status.st_mtim.tv_sec} * 1'000'000'000 +
                         status.st_mtim.tv_nsec,
                     std::move(path)});
  }
  std::sort(files.begin(), files.end(), [](const Renamed& a, const Renamed& b) {
    return std::tie(b.modified_ns, a.path) < std::tie(a.modified_ns, b.path);
  });
  std::vector<std::string> result;
  result.reserve(files.size());
  for (Renamed& file : files) result.push_back(std::move(file.path));
  return result;
}

absl::Status RotatedFiles::SyncDirectory() const {
  const Descriptor directory(
      open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) {
    return Error(path_, "its directory cannot be opened");
  }
  if (fsync(directory.get()) == 0) return absl::OkStatus();
  return Error(path_, "its directory cannot be synced");
}

absl::Status RotatedFiles::Remove(const std::string& path) const {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return Error(path, "cannot be removed");
}

absl::Status RotatedFiles::Repair() const {
  absl::StatusOr<std::vector<std::string>> paths = Siblings();
  if (!paths.ok()) return paths.status();
  for (const std::string& path : *paths) {
    std::string_view suffix = std::string_view(path).substr(path_.size());
    if (suffix[0] != '.' || !suffix.ends_with(kHalfMade)) continue;
    suffix = suffix.substr(1, suffix.size() - 1 - kHalfMade.size());
    if (!ParseSuffix(suffix)) continue;
    absl::Status status = Remove(path);
    if (!status.ok()) return status;
  }
  absl::StatusOr<std::vector<RotatedFile>> files = List();
  if (!files.ok()) return files.status();
  for (size_t i = 1; i < files->size(); ++i) {
    const RotatedFile& file = (*files)[i];
    if (file.compression != Compression::kNone ||
        file.number != (*files)[i - 1].number) {
      continue;
    }
    // The compressed one bears its name only since it is whole and synced.
    absl::Status status = Remove(file.path);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status RotatedFiles::MoveAway() const {
  absl::StatusOr<std::vector<RotatedFile>> files = List();
  if (!files.ok()) return files.status();
  const uint64_t number = files->empty() ? 1 : files->back().number + 1;
  if (number > kNumberMax) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: cannot be rotated once more: number {:06} is taken; move the old "
        "files away",
        path_, kNumberMax));
  }
  const std::string to = fmt::format("{}.{:06}", path_, number);
  if (rename(path_.c_str(), to.c_str()) != 0) {
    return Error(path_, "cannot be renamed");
  }
  // Before a new file takes the name: the old one's entry must not be what a
  // power failure takes back.
  return SyncDirectory();
}

absl::Status RotatedFiles::Compress(const RotatedFile& file,
                                    Compression compression) const {
  const std::string whole =
      file.path + std::string(CompressionSuffix(compression));
  const std::string half = whole + std::string(kHalfMade);
  const Descriptor in(open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) return Error(file.path, "cannot be opened");
  const Descriptor out(
      open(half.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (out.get() < 0) return Error(half, "cannot be created");
  absl::Status status = CompressFile(in.get(), out.get(), compression, half);
  if (status.ok() && fsync(out.get()) != 0) {
    status = Error(half, "cannot be synced");
  }
  if (status.ok() && rename(half.c_str(), whole.c_str()) != 0) {
    status = Error(half, "cannot be renamed");
  }
  if (!status.ok()) {
    unlink(half.c_str());
    return status;
  }
  status = SyncDirectory();
  return status.ok() ? Remove(file.path) : status;
}

absl::Status RotatedFiles::Tidy(Compression compression, uint64_t keep) const {
  // What an earlier call could not complete.
  absl::Status status = Repair();
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<RotatedFile>> files = List();
  if (!files.ok()) return files.status();
  while (files->size() > keep) {
    status = Remove(files->front().path);
    if (!status.ok()) return status;
    files->erase(files->begin());
  }
  if (compression == Compression::kNone) return absl::OkStatus();
  for (const RotatedFile& file : *files) {
    if (file.compression != Compression::kNone) continue;
    status = Compress(file, compression);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace klaxon
