// What the tests of ingest/ stand on: a directory of their own, compressors,
// a stream and a file access that misbehave on demand, and a reader that
// checks every promise of source.h while it collects.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "ingest/archive_source.h"
#include "ingest/archive_source_impl.h"
#include "ingest/batch_framer.h"
#include "ingest/byte_stream.h"
#include "ingest/file_access.h"

namespace klaxon {

class TempDirectory {
 public:
  TempDirectory() {
    std::string name = ::testing::TempDir() + "/klaxon-ingest-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TempDirectory() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, std::string_view bytes) const {
    const std::string path = Path(name);
    std::filesystem::create_directories(
        std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

 private:
  std::string path_;
};

// ------------------------------------------------------------- compressors

using AddFilter = int (*)(archive*);

inline la_ssize_t AppendToString(archive*, void* out, const void* bytes,
                                 size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

inline std::string WriteArchive(
    AddFilter format, AddFilter filter,
    const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out;
  archive* handle = archive_write_new();
  format(handle);
  if (filter != nullptr) filter(handle);
  archive_write_set_bytes_in_last_block(handle, 1);
  archive_write_open(handle, &out, nullptr, AppendToString, nullptr);
  for (const auto& [name, bytes] : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry,
                               name.ends_with('/') ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<int64_t>(bytes.size()));
    archive_write_header(handle, entry);
    archive_write_data(handle, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  archive_write_free(handle);
  return out;
}

inline std::string Compress(AddFilter filter, const std::string& bytes) {
  return WriteArchive(archive_write_set_format_raw, filter, {{"x", bytes}});
}
inline std::string Gzip(const std::string& bytes) {
  return Compress(archive_write_add_filter_gzip, bytes);
}
inline std::string Zstd(const std::string& bytes) {
  return Compress(archive_write_add_filter_zstd, bytes);
}
inline std::string Tar(
    const std::vector<std::pair<std::string, std::string>>& members) {
  return WriteArchive(archive_write_set_format_pax_restricted, nullptr,
                      members);
}

// Lines as a log has them, `count` of them, each different.
inline std::string SomeLines(int count, const std::string& tag = "line") {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines += "{\"" + tag + "\":" + std::to_string(i) + "}\n";
  }
  return lines;
}

// ---------------------------------------------------------------- streams

// A string, in pieces of random size, with pauses where `pauses` is set.
class PiecesStream : public ByteStream {
 public:
  PiecesStream(std::string_view bytes, size_t piece_max, uint32_t seed,
               bool pauses = false)
      : bytes_(bytes), piece_max_(piece_max), random_(seed), pauses_(pauses) {}

  StreamRead Read(char* out, size_t capacity) override {
    EXPECT_GT(capacity, 0u);
    if (bytes_.empty()) return {0, StreamState::kEnd};
    if (pauses_ && random_() % 3 == 0) return {0, StreamState::kBlocked};
    const size_t bytes =
        std::min({capacity, bytes_.size(), size_t{1} + random_() % piece_max_});
    std::copy_n(bytes_.data(), bytes, out);
    bytes_.remove_prefix(bytes);
    return {bytes, StreamState::kData};
  }

 private:
  std::string_view bytes_;
  size_t piece_max_;
  std::minstd_rand random_;
  bool pauses_;
};

// All that a stream gives, read in pieces of `capacity`.
inline std::string Drain(ByteStream& stream, size_t capacity = 1 << 16) {
  std::string all;
  std::string buffer(capacity, '\0');
  for (;;) {
    const StreamRead read = stream.Read(buffer.data(), capacity);
    EXPECT_EQ(read.bytes > 0, read.state == StreamState::kData);
    if (read.state == StreamState::kEnd) return all;
    all.append(buffer.data(), read.bytes);
  }
}

// The real files, but a path may fail to open, to read on at some byte, or
// read by a few bytes at a time and be interrupted by signals.
class FaultyFiles : public FileAccess {
 public:
  struct Fault {
    int open_error = 0;
    int64_t read_error_at = -1;  // Byte of the file; then read_error.
    int read_error = EIO;
    size_t piece_max = 0;  // 0: as asked for.
    bool signals = false;  // Every other read is EINTR.
  };
  std::map<std::string, Fault> faults;
  int opens = 0;
  int open_now = 0;
  int open_most = 0;
  uint64_t most_behind = 0;  // End of what was asked for at an offset.

  int Open(const std::string& path) override {
    ++opens;
    const auto it = faults.find(path);
    if (it != faults.end() && it->second.open_error != 0) {
      return -it->second.open_error;
    }
    const int fd = SystemFiles().Open(path);
    if (fd >= 0) {
      open_most = std::max(open_most, ++open_now);
      if (it != faults.end()) open_[fd] = {it->second, 0, false};
    }
    return fd;
  }
  int Stat(int fd, struct stat* status) override {
    return SystemFiles().Stat(fd, status);
  }
  ssize_t Read(int fd, char* out, size_t bytes) override {
    const auto it = open_.find(fd);
    if (it == open_.end()) return SystemFiles().Read(fd, out, bytes);
    auto& [fault, position, interrupted] = it->second;
    if (fault.signals && !std::exchange(interrupted, !interrupted)) {
      return -EINTR;
    }
    if (fault.piece_max > 0) bytes = std::min(bytes, fault.piece_max);
    if (fault.read_error_at >= 0) {
      const int64_t left = fault.read_error_at - position;
      if (left <= 0) return -fault.read_error;
      bytes = std::min<size_t>(bytes, left);
    }
    const ssize_t got = SystemFiles().Read(fd, out, bytes);
    if (got > 0) position += got;
    return got;
  }
  ssize_t ReadAt(int fd, char* out, size_t bytes, uint64_t offset) override {
    most_behind = std::max(most_behind, offset + bytes);
    const auto it = open_.find(fd);
    if (it == open_.end()) {
      return SystemFiles().ReadAt(fd, out, bytes, offset);
    }
    auto& [fault, position, interrupted] = it->second;
    if (fault.signals && !std::exchange(interrupted, !interrupted)) {
      return -EINTR;
    }
    if (fault.piece_max > 0) bytes = std::min(bytes, fault.piece_max);
    if (fault.read_error_at >= 0) {
      const int64_t left = fault.read_error_at - static_cast<int64_t>(offset);
      if (left <= 0) return -fault.read_error;
      bytes = std::min<size_t>(bytes, left);
    }
    return SystemFiles().ReadAt(fd, out, bytes, offset);
  }
  void Close(int fd) override {
    --open_now;
    open_.erase(fd);
    SystemFiles().Close(fd);
  }

 private:
  struct OpenFile {
    Fault fault;
    int64_t position;
    bool interrupted;
  };
  std::map<int, OpenFile> open_;
};

// Returns when the thread waits for something: what wakes it may come now.
inline void WaitUntilAsleep(pid_t thread) {
  const std::string path =
      "/proc/self/task/" + std::to_string(thread) + "/stat";
  for (std::string line; line.find(") S ") == std::string::npos;) {
    std::this_thread::yield();
    std::ifstream in(path);
    std::getline(in, line);
  }
}

// ------------------------------------------------------------ whole sources

struct ReadInput {
  std::string path;
  std::string cluster;
  std::string bytes;  // Of its batches, one behind the other.
  uint64_t input_bytes = 0;
  std::vector<BatchFraming> framings;
};

struct ReadResult {
  absl::Status open;
  absl::Status end;
  std::vector<ReadInput> inputs;
  std::vector<InputProblem> problems;
  size_t parts = 0;
  uint64_t raw_bytes_read = 0;
  uint64_t raw_bytes_total = 0;

  std::string AllBytes() const {
    std::string all;
    for (const ReadInput& input : inputs) all += input.bytes;
    return all;
  }
  std::vector<std::string> Paths() const {
    std::vector<std::string> paths;
    for (const ReadInput& input : inputs) paths.push_back(input.path);
    return paths;
  }
};

inline void TakeBatch(const Batch& batch, ReadInput* input) {
  EXPECT_EQ(batch.begin.offset, input->input_bytes);
  input->bytes += batch.bytes.view();
  input->input_bytes += batch.input_bytes;
  input->framings.push_back(batch.framing);
  for (size_t i = 0; i < BatchBuffer::kPadding; ++i) {
    EXPECT_EQ(batch.bytes.data()[batch.bytes.size() + i], '\0');
  }
}

// Before a batch is read of a part `split()` may want it to be split.
inline void TakePart(BatchReader& part, const std::function<bool()>& split,
                     ReadInput* input, ReadResult* result) {
  ++result->parts;
  std::vector<std::unique_ptr<BatchReader>> behind;  // The last comes first.
  Batch batch;
  do {
    if (!split()) continue;
    const uint64_t left = part.bytes_left();
    auto half = part.Split(/*bytes_min=*/2);
    if (half == nullptr) continue;
    EXPECT_LT(part.bytes_left(), left);
    EXPECT_LE(part.bytes_left() + half->bytes_left(), left);
    behind.push_back(std::move(half));
  } while (part.Read(batch).ok() && (TakeBatch(batch, input), true));
  for (InputProblem& problem : part.TakeProblems()) {
    result->problems.push_back(std::move(problem));
  }
  for (; !behind.empty(); behind.pop_back()) {
    TakePart(*behind.back(), split, input, result);
  }
}

// Parts are split where `split()` says so.
inline ReadResult ReadSource(
    ArchiveSource& source,
    const std::function<bool()>& split = [] { return false; }) {
  ReadResult result;
  result.open = source.Open({});
  uint64_t sequence = 0;
  Batch batch;
  bool inside = false;
  while (result.open.ok()) {
    result.end = source.Read(absl::InfiniteDuration(), batch);
    for (InputProblem& problem : source.TakeProblems()) {
      result.problems.push_back(std::move(problem));
    }
    if (!result.end.ok()) break;
    EXPECT_EQ(batch.sequence, sequence++);
    EXPECT_EQ(batch.first_of_input, !inside);
    if (batch.first_of_input) {
      EXPECT_EQ(batch.begin.input, result.inputs.size());
      const InputInfo info = source.input(batch.begin.input);
      result.inputs.push_back({info.path, info.cluster, "", 0, {}});
    }
    ReadInput& input = result.inputs.back();
    inside = !batch.last_of_input;
    if (batch.part == nullptr) {
      TakeBatch(batch, &input);
    } else {
      TakePart(*std::exchange(batch.part, nullptr), split, &input, &result);
    }
  }
  EXPECT_FALSE(inside);
  for (InputProblem& problem : source.TakeProblems()) {
    result.problems.push_back(std::move(problem));
  }
  result.raw_bytes_read = source.raw_bytes_read();
  result.raw_bytes_total = source.raw_bytes_total();
  return result;
}

inline ReadResult ReadPaths(std::vector<std::string> paths,
                            FileAccess* files = &SystemFiles()) {
  ArchiveOptions options;
  options.paths = std::move(paths);
  return ReadSource(*MakeArchiveSourceOver(std::move(options), files));
}

inline size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

}  // namespace klaxon
