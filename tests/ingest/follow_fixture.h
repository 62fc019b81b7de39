// What the tests of followed files stand on: a reader that remembers what it
// was handed and what was committed, dies and comes back, and a model of what
// must have come out.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/file_follower.h"
#include "ingest/file_follower_impl.h"
#include "ingest/log_files.h"
#include "tests/ingest/ingest_fixture.h"
#include "tests/testing/log_rotator.h"

namespace klaxon {

// The real files, as a file system shows them that keeps no times of birth; and
// with failures on demand.
class TestFiles : public LogFiles {
 public:
  bool births = true;
  std::map<std::string, int> open_errors;  // By path; errno.
  int read_error = 0;                      // errno, of every read
  uint64_t bad_inode = 0;                  // of this file; 0: of all.

  int list_error = 0;  // errno, of every listing

  // What happens while a directory is listed.
  std::function<void(std::vector<std::string>*)> on_list;

  int Open(const std::string& path) override {
    const auto error = open_errors.find(path);
    if (error != open_errors.end()) return -error->second;
    return LogFiles::Open(path);
  }
  int Stat(const std::string& path, FileStat* stat) override {
    const int result = LogFiles::Stat(path, stat);
    if (!births) stat->id.birth_ns = 0;
    return result;
  }
  int StatOpen(int fd, FileStat* stat) override {
    const int result = LogFiles::StatOpen(fd, stat);
    if (!births) stat->id.birth_ns = 0;
    return result;
  }
  int List(const std::string& directory,
           std::vector<std::string>* names) override {
    if (list_error != 0) return -list_error;
    const int result = LogFiles::List(directory, names);
    if (on_list != nullptr) on_list(names);
    return result;
  }
  ssize_t Read(int fd, const iovec* pieces, int count,
               uint64_t offset) override {
    if (read_error != 0) {
      FileStat stat;
      LogFiles::StatOpen(fd, &stat);
      if (bad_inode == 0 || bad_inode == stat.id.inode) return -read_error;
    }
    return LogFiles::Read(fd, pieces, count, offset);
  }
};

// Reads a source of one lane (more: each in turn), commits when told, and can
// be killed and started again from what was committed.
class Tailer {
 public:
  explicit Tailer(FollowOptions options, TestFiles* files = nullptr)
      : options_(std::move(options)),
        files_(files != nullptr ? files : &own_files_) {
    options_.clock = [this] { return now_; };
    Start();
  }

  // What has come out: bytes, and between them gaps.
  struct Output {
    std::string bytes;
    std::vector<std::pair<size_t, Gap>> gaps;  // At which byte of `bytes`.
    std::string resume;
    std::string lane;
  };

  void Start() {
    source_ = MakeFileFollowerOver(options_, files_, false);
    std::vector<LaneResume> resume;
    for (const auto& [lane, output] : committed_) {
      if (!output.resume.empty()) resume.push_back({lane, output.resume, {}});
    }
    const absl::Status status = source_->Open(resume);
    EXPECT_TRUE(status.ok()) << status;
  }
  void Commit() { committed_ = outputs_; }
  // As kill -9: what was not committed never happened.
  void Restart() {
    source_.reset();
    outputs_ = committed_;
    Start();
  }
  // One Read. False: nothing came.
  bool Step() {
    now_ += absl::Milliseconds(100);
    last_ = source_->Read(absl::ZeroDuration(), {}, batch_);
    if (!last_.ok()) {
      const bool nothing = last_.code() == absl::StatusCode::kUnavailable ||
                           last_.code() == absl::StatusCode::kOutOfRange;
      EXPECT_TRUE(nothing) << last_;
      return false;
    }
    ++batches_;
    Output& output = outputs_[batch_.lane];
    EXPECT_LT(batch_.resume.size(), 1024u);
    EXPECT_FALSE(batch_.resume.empty());
    for (const Gap& gap : batch_.gaps) {
      EXPECT_FALSE(gap.message.empty());
      EXPECT_FALSE(gap.input.empty());
      EXPECT_LE(gap.begin, gap.end);
      output.gaps.emplace_back(output.bytes.size(), gap);
    }
    const Batch& bytes = batch_.batch;
    for (size_t i = 0; i < BatchBuffer::kPadding; ++i) {
      EXPECT_EQ(bytes.bytes.data()[bytes.bytes.size() + i], '\0');
    }
    output.bytes += bytes.bytes.view();
    output.resume = batch_.resume;
    output.lane = batch_.lane;
    return true;
  }
  // Reads on until nothing comes.
  void Drain() {
    while (Step()) {
    }
    // A listing may have been overtaken; a status was said.
    while (Step()) {
    }
  }

  Output& only() {
    EXPECT_LE(outputs_.size(), 1u);
    if (outputs_.empty()) return nothing_;
    return outputs_.begin()->second;
  }
  std::map<std::string, Output>& outputs() { return outputs_; }
  std::string bytes() { return only().bytes; }
  std::vector<std::string> reasons() {
    std::vector<std::string> all;
    for (const auto& [at, gap] : only().gaps) all.push_back(gap.reason);
    return all;
  }
  LiveSource& source() { return *source_; }
  const LiveBatch& batch() const { return batch_; }
  const absl::Status& last() const { return last_; }
  int batches() const { return batches_; }
  FollowOptions& options() { return options_; }

 private:
  TestFiles own_files_;
  FollowOptions options_;
  TestFiles* const files_;
  absl::Time now_ = absl::UnixEpoch();
  std::unique_ptr<LiveSource> source_;
  LiveBatch batch_;
  absl::Status last_;
  Output nothing_;
  std::map<std::string, Output> outputs_;
  std::map<std::string, Output> committed_;
  int batches_ = 0;
};

inline FollowOptions Follow(std::string path) {
  FollowOptions options;
  options.paths = {std::move(path)};
  return options;
}

// Lines as a log has them: no two alike.
class LineMaker {
 public:
  explicit LineMaker(uint32_t seed) : random_(seed) {}
  std::string Next(size_t pad_max = 200) {
    const std::string pad(random_() % (pad_max + 1), 'x');
    return fmt::format("{{\"n\":{},\"p\":\"{}\"}}\n", ++count_, pad);
  }
  std::string Some(int count, size_t pad_max = 200) {
    std::string lines;
    for (int i = 0; i < count; ++i) lines += Next(pad_max);
    return lines;
  }

 private:
  std::minstd_rand random_;
  int count_ = 0;
};

// A log in a directory of its own.
class FollowTest : public ::testing::Test {
 protected:
  LogRotator::Options Rotation(bool gzip = false) {
    LogRotator::Options options;
    options.path = path_;
    if (gzip) options.gzip = Gzip;
    return options;
  }
  void Append(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::app) << bytes;
  }

  TempDirectory directory_;
  const std::string path_ = directory_.Path("audit.log");
  LineMaker lines_{1};
};

}  // namespace klaxon
