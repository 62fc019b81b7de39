#include "ingest/input_list.h"

#include <dirent.h>
#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "ingest/file_stream.h"
#include "ingest/log_name.h"

namespace klaxon {
namespace {

using Inode = std::pair<dev_t, ino_t>;

struct Found {
  InputFile file;
  Inode inode;
  bool through_link;
  std::string directory;
  std::string name;
  LogName log_name;

  auto ReadingOrder() const {
    return std::tie(directory, log_name, name, through_link, file.path);
  }
};

std::string Join(const std::string& directory, std::string_view name) {
  return directory.ends_with('/') ? fmt::format("{}{}", directory, name)
                                  : fmt::format("{}/{}", directory, name);
}

std::string_view KindName(mode_t mode) {
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

class Expansion {
 public:
  void Add(const std::string& path);
  // Once, after the last Add.
  InputList Finish();

 private:
  struct Directory {
    std::string path;
    bool through_link;
  };

  void AddNamed(const std::string& path, const struct stat& status);
  void AddGlob(const std::string& pattern, int error);
  void AddFile(const std::string& path, const struct stat& status,
               bool through_link);
  void Walk(const std::string& root);
  void WalkDirectories();
  void ListDirectory(const Directory& directory);
  void AddEntry(const std::string& path, bool through_link);
  void KeepOneName();
  void Group();
  void Problem(const std::string& path, std::string message, bool lost = true);

  InputList list_;
  std::vector<Found> found_;
  std::set<Inode> entered_;
  // Directories found through links: entered last, since a real path is the
  // better name.
  std::vector<Directory> links_;
  // Of the walk under way.
  std::vector<Directory> directories_;
  bool empty_ = true;
};

void Expansion::Add(const std::string& path) {
  if (path == "-") {
    list_.has_stdin = true;
    return;
  }
  struct stat status;
  if (stat(path.c_str(), &status) == 0) {
    AddNamed(path, status);
  } else if (path.find_first_of("*?[") != path.npos) {
    AddGlob(path, errno);
  } else {
    Problem(path, ExplainFileError(errno));
  }
}

void Expansion::AddNamed(const std::string& path, const struct stat& status) {
  if (S_ISDIR(status.st_mode)) {
    Walk(path);
  } else if (S_ISSOCK(status.st_mode) || S_ISBLK(status.st_mode)) {
    Problem(path, fmt::format("{}, not a log: name a file or a directory",
                              S_ISSOCK(status.st_mode) ? "a socket"
                                                       : "a block device"));
  } else {
    struct stat link;
    const bool through_link =
        lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode);
    AddFile(path, status, through_link);
  }
}

void Expansion::AddGlob(const std::string& pattern, int error) {
  glob_t matches = {};
  const int result = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &matches);
  if (result == 0) {
    std::vector<std::string> paths(matches.gl_pathv,
                                   matches.gl_pathv + matches.gl_pathc);
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) {
      struct stat status;
      if (stat(path.c_str(), &status) == 0) {
        AddNamed(path, status);
      } else {
        Problem(path, ExplainFileError(errno));
      }
    }
  } else if (result == GLOB_NOMATCH) {
    Problem(pattern, "no file matches this pattern: check it");
  } else {
    Problem(pattern, ExplainFileError(result == GLOB_NOSPACE ? ENOMEM : error));
  }
  globfree(&matches);
}

void Expansion::AddFile(const std::string& path, const struct stat& status,
                        bool through_link) {
  const size_t slash = path.rfind('/');
  Found found;
  found.file.path = path;
  found.file.regular = S_ISREG(status.st_mode);
  if (found.file.regular) {
    found.file.raw_bytes = static_cast<uint64_t>(status.st_size);
  }
  found.inode = {status.st_dev, status.st_ino};
  found.through_link = through_link;
  found.directory = slash == path.npos ? "" : path.substr(0, slash);
  found.name = slash == path.npos ? path : path.substr(slash + 1);
  found.log_name = ParseLogName(found.name);
  found_.push_back(std::move(found));
}

void Expansion::Walk(const std::string& root) {
  empty_ = true;
  directories_.push_back({root, false});
  WalkDirectories();
  if (empty_) {
    Problem(root,
            "a directory without any file in it: name one that holds audit "
            "logs");
  }
}

void Expansion::WalkDirectories() {
  while (!directories_.empty()) {
    const Directory directory = std::move(directories_.back());
    directories_.pop_back();
    ListDirectory(directory);
  }
}

void Expansion::ListDirectory(const Directory& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(
      opendir(directory.path.c_str()), closedir);
  struct stat status;
  if (stream == nullptr || fstat(dirfd(stream.get()), &status) != 0) {
    empty_ = false;  // Who knows.
    Problem(directory.path, ExplainFileError(errno));
    return;
  }
  if (!entered_.insert({status.st_dev, status.st_ino}).second) {
    empty_ = false;  // What is in it was said under its other name.
    return;
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) Problem(directory.path, ExplainFileError(errno));
  // Backwards, as `directories_` is worked off from its end.
  std::sort(names.rbegin(), names.rend());
  for (const std::string& name : names) {
    AddEntry(Join(directory.path, name), directory.through_link);
  }
}

void Expansion::AddEntry(const std::string& path, bool through_link) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) {
    Problem(path, ExplainFileError(errno));
    return;
  }
  const bool is_link = S_ISLNK(status.st_mode);
  if (is_link && stat(path.c_str(), &status) != 0) {
    empty_ = false;
    Problem(path, errno == ENOENT
                      ? "a symbolic link to a file that does not exist"
                      : ExplainFileError(errno));
    return;
  }
  through_link |= is_link;
  if (S_ISREG(status.st_mode)) {
    empty_ = false;
    AddFile(path, status, through_link);
  } else if (S_ISDIR(status.st_mode)) {
    if (is_link) empty_ = false;
    (is_link ? links_ : directories_).push_back({path, through_link});
  } else {
    Problem(path,
            fmt::format("{} in a directory: not read (name it to read it)",
                        KindName(status.st_mode)),
            /*lost=*/false);
  }
}

void Expansion::Problem(const std::string& path, std::string message,
                        bool lost) {
  list_.problems.push_back({path, 0, std::move(message), lost});
}

InputList Expansion::Finish() {
  while (!links_.empty()) {
    directories_.swap(links_);
    // Backwards, as they are worked off from the end.
    std::sort(
        directories_.begin(), directories_.end(),
        [](const Directory& a, const Directory& b) { return a.path > b.path; });
    WalkDirectories();
  }
  KeepOneName();
  Group();
  if (list_.has_stdin) list_.inputs.push_back({{{"-", 0, false}}});
  std::sort(list_.problems.begin(), list_.problems.end(),
            [](const InputProblem& a, const InputProblem& b) {
              return std::tie(a.path, a.message) < std::tie(b.path, b.message);
            });
  return std::move(list_);
}

void Expansion::KeepOneName() {
  // Of a file's names the best one: not through a link, then the first.
  std::sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
    return std::tie(a.inode, a.through_link, a.file.path) <
           std::tie(b.inode, b.through_link, b.file.path);
  });
  found_.erase(std::unique(found_.begin(), found_.end(),
                           [](const Found& a, const Found& b) {
                             return a.inode == b.inode;
                           }),
               found_.end());
}

void Expansion::Group() {
  std::sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
    return a.ReadingOrder() < b.ReadingOrder();
  });
  const Found* previous = nullptr;
  for (Found& found : found_) {
    const bool twin = previous != nullptr && found.file.regular &&
                      list_.inputs.back().files.back().regular &&
                      previous->directory == found.directory &&
                      previous->log_name.content == found.log_name.content;
    if (!twin) list_.inputs.emplace_back();
    list_.inputs.back().files.push_back(std::move(found.file));
    previous = &found;
  }
}

}  // namespace

InputList ExpandInputs(const std::vector<std::string>& paths) {
  const std::set<std::string> sorted(paths.begin(), paths.end());
  Expansion expansion;
  for (const std::string& path : sorted) expansion.Add(path);
  return expansion.Finish();
}

}  // namespace klaxon
