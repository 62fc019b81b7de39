// Writes a log and rotates it to the letter as lumberjack does, which is what
// kube-apiserver stands on: before a write that would exceed the limit the file
// is closed, renamed to NAME-2006-01-02T15-04-05.000.EXT and made anew;
// afterwards the oldest backups beyond the limit are deleted and the others
// compressed, each into its final name while the original still stands. Every
// step can be taken alone, so that a test stops it where it likes.
//
// The clock is the test's: a millisecond passes with each rotation.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace klaxon {

class LogRotator {
 public:
  struct Options {
    std::string path;  // ".../audit.log"
    uint64_t bytes_max = ~uint64_t{0};
    size_t backups_max = 0;  // 0: all are kept.
    // With it backups are compressed.
    std::function<std::string(const std::string&)> gzip;
  };

  explicit LogRotator(Options options) : options_(std::move(options)) {
    const std::filesystem::path path(options_.path);
    directory_ = path.parent_path().string();
    prefix_ = path.stem().string() + "-";
    extension_ = path.extension().string();
    Open(O_APPEND);
  }
  ~LogRotator() { Close(); }
  LogRotator(const LogRotator&) = delete;
  LogRotator& operator=(const LogRotator&) = delete;

  // One write(2), rotating before it where it would not fit.
  void Write(std::string_view bytes) {
    if (bytes_ + bytes.size() > options_.bytes_max) Rotate();
    WriteOnly(bytes);
  }
  // Never rotates: as a part of a larger write.
  void WriteOnly(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t wrote = write(fd_, bytes.data(), bytes.size());
      if (wrote <= 0) return;
      bytes_ += wrote;
      bytes.remove_prefix(wrote);
    }
  }
  void Rotate() {
    Close();
    rename(options_.path.c_str(), NextBackupPath().c_str());
    Open(O_TRUNC);
  }
  // A process that dies and comes back.
  void Reopen() {
    Close();
    Open(O_APPEND);
  }
  void TurnBackClock(int64_t ms) { now_ms_ -= ms; }

  // Backups that are not compressed, the oldest first.
  std::vector<std::string> Uncompressed() const { return Backups(extension_); }
  std::vector<std::string> Compressed() const {
    return Backups(extension_ + ".gz");
  }
  // Writes that share of the compressed form of `backup` beside it, and stops;
  // with all of it written, also removes the original where `remove` is set.
  void Compress(const std::string& backup, size_t part, size_t parts,
                bool remove) const {
    std::ifstream in(backup, std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(in)),
                              std::istreambuf_iterator<char>());
    const std::string packed = options_.gzip(content);
    const int fd = open((backup + ".gz").c_str(),
                        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const size_t bytes = packed.size() * part / parts;
    for (size_t at = 0; at < bytes;) {
      const ssize_t wrote = write(fd, packed.data() + at, bytes - at);
      if (wrote <= 0) break;
      at += wrote;
    }
    close(fd);
    if (remove && part == parts) unlink(backup.c_str());
  }
  // What lumberjack's mill does after each rotation.
  void Mill() {
    Prune();
    if (options_.gzip == nullptr) return;
    for (const std::string& backup : Uncompressed()) {
      Compress(backup, 1, 1, true);
    }
  }
  // Deletes backups beyond the limit, .log and .log.gz of one name as one.
  size_t Prune() {
    if (options_.backups_max == 0) return 0;
    std::vector<std::string> names = Uncompressed();
    for (std::string name : Compressed()) {
      name.resize(name.size() - 3);
      names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    size_t pruned = 0;
    while (names.size() - pruned > options_.backups_max) {
      unlink(names[pruned].c_str());
      unlink((names[pruned] + ".gz").c_str());
      ++pruned;
    }
    return pruned;
  }

 private:
  void Open(int flags) {
    fd_ = open(options_.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags,
               0600);
    struct stat status = {};
    fstat(fd_, &status);
    bytes_ = status.st_size;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  // 2026-01-02T03-04-05.678 of now_ms_, within one day.
  std::string NextBackupPath() {
    const int64_t ms = ++now_ms_;
    return fmt::format("{}/{}2026-01-02T{:02}-{:02}-{:02}.{:03}{}", directory_,
                       prefix_, ms / 3'600'000, ms / 60'000 % 60,
                       ms / 1000 % 60, ms % 1000, extension_);
  }
  std::vector<std::string> Backups(const std::string& suffix) const {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(prefix_) && name.ends_with(suffix)) {
        paths.push_back(entry.path().string());
      }
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  const Options options_;
  std::string directory_;
  std::string prefix_;
  std::string extension_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
  int64_t now_ms_ = 10'000'000;
};

}  // namespace klaxon
