#include "pipeline/record_sorter.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/merged_records.h"
#include "tests/random_seed.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

using Records = std::vector<std::pair<std::string, std::string>>;
using Model = std::map<std::string, std::string, std::less<>>;

// A payload is "NUMBER TEXT": numbers are added, of the texts the greatest is
// kept, so that what was merged twice or not at all shows.
std::string Payload(uint64_t number, std::string_view text) {
  return fmt::format("{} {}", number, text);
}

void AddUp(std::string_view, std::string* into, std::string_view payload) {
  const auto split = [](std::string_view bytes) {
    uint64_t number = 0;
    const size_t space = bytes.find(' ');
    std::from_chars(bytes.data(), bytes.data() + space, number);
    return std::pair(number, std::string(bytes.substr(space + 1)));
  };
  const auto a = split(*into);
  const auto b = split(payload);
  *into = Payload(a.first + b.first, std::max(a.second, b.second));
}

void AddTo(Model* model, const std::string& key, const std::string& payload) {
  auto [it, added] = model->emplace(key, payload);
  if (!added) AddUp(key, &it->second, payload);
}

template <typename Sorter>
Records Drain(Sorter* sorter) {
  Records records;
  std::string key;
  std::string payload;
  while (sorter->Next(&key, &payload)) records.emplace_back(key, payload);
  EXPECT_TRUE(sorter->status().ok()) << sorter->status();
  return records;
}

std::string RandomText(std::mt19937_64* random, size_t bytes_max) {
  std::string text((*random)() % (bytes_max + 1), '\0');
  for (char& c : text) c = static_cast<char>((*random)() % 3 * 127);
  return text;
}

// Keys of few different bytes, many equal ones, long common beginnings.
std::string RandomKey(std::mt19937_64* random) {
  std::string key((*random)() % 3 * 9, '\x80');
  return key + RandomText(random, 6);
}

TEST(RecordSorter, GivesEachKeyOnceInOrderWhateverTheMemory) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  const TemporaryDirectory dir;
  for (size_t memory_bytes : {size_t{1}, size_t{300}, size_t{5000},
                              size_t{40'000}, size_t{1} << 20}) {
    for (size_t count : {0, 1, 2, 100, 3000}) {
      RecordSorter sorter({memory_bytes, dir.path()}, AddUp);
      Model model;
      for (size_t i = 0; i < count; ++i) {
        const std::string key = RandomKey(&random);
        const std::string payload =
            Payload(random() % 1000, RandomText(&random, 40));
        ASSERT_TRUE(sorter.Add(key, payload).ok());
        AddTo(&model, key, payload);
      }
      ASSERT_TRUE(sorter.Finish().ok());
      EXPECT_EQ(Drain(&sorter), Records(model.begin(), model.end()))
          << memory_bytes << " bytes, " << count << " records";
    }
  }
}

// More runs than are merged at once: some are merged before.
TEST(RecordSorter, MergesMoreRunsThanItOpens) {
  const TemporaryDirectory dir;
  for (size_t records : {RecordSorter::kFanIn, RecordSorter::kFanIn + 1,
                         RecordSorter::kFanIn + 2, 3 * RecordSorter::kFanIn}) {
    RecordSorter sorter({/*memory_bytes=*/1, dir.path()}, AddUp);
    Model model;
    for (size_t i = 0; i < records; ++i) {
      const std::string key = fmt::format("{:03}", i * 7 % 150);
      const std::string payload = Payload(1, std::to_string(i));
      ASSERT_TRUE(sorter.Add(key, payload).ok());
      AddTo(&model, key, payload);
    }
    ASSERT_TRUE(sorter.Finish().ok());
    EXPECT_EQ(sorter.runs_written(), records - 1);
    EXPECT_EQ(Drain(&sorter), Records(model.begin(), model.end())) << records;
  }
}

TEST(RecordSorter, TakesRecordsLongerThanItsMemoryAndBuffers) {
  const TemporaryDirectory dir;
  RecordSorter sorter({/*memory_bytes=*/1000, dir.path()}, AddUp);
  Model model;
  for (int i = 9; i >= 0; --i) {
    const std::string key =
        std::to_string(i) + std::string(static_cast<size_t>(i) * 3000, 'k');
    const std::string payload =
        Payload(1, std::string(static_cast<size_t>(i) * 20'000, 'p'));
    ASSERT_TRUE(sorter.Add(key, payload).ok());
    AddTo(&model, key, payload);
  }
  ASSERT_TRUE(sorter.Finish().ok());
  EXPECT_EQ(Drain(&sorter), Records(model.begin(), model.end()));
}

TEST(RecordSorter, WritesNothingWhileAllFits) {
  RecordSorter sorter({/*memory_bytes=*/1 << 20, "/nowhere"}, AddUp);
  ASSERT_TRUE(sorter.Add("b", "2 x").ok());
  ASSERT_TRUE(sorter.Add("a", "1 x").ok());
  ASSERT_TRUE(sorter.Finish().ok());
  EXPECT_EQ(sorter.runs_written(), 0u);
  EXPECT_EQ(Drain(&sorter), (Records{{"a", "1 x"}, {"b", "2 x"}}));
}

TEST(RecordSorter, SaysWhereItCannotWrite) {
  RecordSorter sorter({/*memory_bytes=*/1, "/nowhere"}, AddUp);
  ASSERT_TRUE(sorter.Add("a", "1 x").ok());
  const absl::Status status = sorter.Add("b", "1 x");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(status.message().find("/nowhere"), absl::string_view::npos);
}

// It is not tried again and again: each time would take as long as a run.
TEST(RecordSorter, StaysFailed) {
  const TemporaryDirectory dir;
  const std::string later = dir.path() + "/later";
  RecordSorter sorter({/*memory_bytes=*/1, later}, AddUp);
  ASSERT_TRUE(sorter.Add("a", "1 x").ok());
  const absl::Status status = sorter.Add("b", "1 x");
  ASSERT_FALSE(status.ok());
  ASSERT_EQ(mkdir(later.c_str(), 0700), 0);
  EXPECT_EQ(sorter.Add("c", "1 x"), status);
  EXPECT_EQ(sorter.Finish(), status);
  std::string key;
  std::string payload;
  EXPECT_FALSE(sorter.Next(&key, &payload));
  EXPECT_EQ(sorter.status(), status);
}

// Calls `use` with a path that leads to each of this process's spill files,
// which have no name any more.
template <typename Use>
void ForEachSpillFile(Use use) {
  DIR* fds = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(fds)) {
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    char target[256];
    const ssize_t size = readlink(path.c_str(), target, sizeof(target));
    if (size <= 0) continue;
    const std::string_view name(target, static_cast<size_t>(size));
    if (name.find("klaxon-sort") != std::string_view::npos) use(path);
  }
  closedir(fds);
}

// On disk, of the only spill file.
int64_t SpilledBytes() {
  int64_t bytes = -1;
  ForEachSpillFile([&bytes](const std::string& path) {
    struct stat info;
    if (stat(path.c_str(), &info) == 0) bytes = int64_t{info.st_blocks} * 512;
  });
  return bytes;
}

// As a file system may that has lost what was written.
bool CutSpillFile() {
  bool cut = false;
  ForEachSpillFile([&cut](const std::string& path) {
    struct stat info;
    cut |= stat(path.c_str(), &info) == 0 &&
           truncate(path.c_str(), info.st_size / 2) == 0;
  });
  return cut;
}

bool CanPunchHoles(const std::string& dir) {
  const std::string path = dir + "/probe";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool can =
      fd >= 0 && write(fd, "0123456789", 10) == 10 &&
      fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10) == 0;
  if (fd >= 0) close(fd);
  return can;
}

TEST(RecordSorter, GivesTheDiskBackWhatWasRead) {
  constexpr int64_t kBytes = 4 << 20;
  const TemporaryDirectory dir;
  RecordSorter sorter({/*memory_bytes=*/1 << 20, dir.path()}, AddUp);
  for (int64_t i = 0; i < kBytes / 1024; ++i) {
    const std::string key = std::to_string(i * 7919 % 4096);
    ASSERT_TRUE(sorter.Add(key, Payload(1, std::string(1024, 'p'))).ok());
  }
  ASSERT_TRUE(sorter.Finish().ok());
  const int64_t before = SpilledBytes();
  ASSERT_GT(before, kBytes / 2);
  EXPECT_EQ(Drain(&sorter).size(), 4096u);
  if (!CanPunchHoles(dir.path())) GTEST_SKIP() << "no holes in this folder";
  EXPECT_LT(SpilledBytes(), kBytes / 8);
}

// Its offsets are of 32 bits, whatever it is told that it may take.
TEST(RecordSorter, TakesNoMoreMemoryThanItCanAddress) {
  const TemporaryDirectory dir;
  RecordSorter sorter({SIZE_MAX, dir.path()}, AddUp);
  ASSERT_TRUE(sorter.Add("key", Payload(1, "text")).ok());
  ASSERT_TRUE(sorter.Finish().ok());
  EXPECT_EQ(Drain(&sorter).size(), 1u);
}

// Sorters of several workers together are one that was given all of it.
TEST(MergedRecords, AreWhatOneSorterWouldGive) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  const TemporaryDirectory dir;
  for (size_t parts : {1, 2, 3, 8}) {
    for (size_t count : {0, 1, 2, 100, 3000}) {
      std::vector<std::unique_ptr<RecordSorter>> owned;
      std::vector<RecordSorter*> sorters;
      for (size_t i = 0; i < parts; ++i) {
        owned.push_back(std::make_unique<RecordSorter>(
            RecordSorter::Options{random() % 2 * 5000 + 300, dir.path()},
            AddUp));
        sorters.push_back(owned.back().get());
      }
      Model model;
      for (size_t i = 0; i < count; ++i) {
        const std::string key = RandomKey(&random);
        const std::string payload =
            Payload(random() % 1000, RandomText(&random, 40));
        ASSERT_TRUE(sorters[random() % parts]->Add(key, payload).ok());
        AddTo(&model, key, payload);
      }
      for (RecordSorter* sorter : sorters) ASSERT_TRUE(sorter->Finish().ok());
      MergedRecords merged(sorters, AddUp);
      EXPECT_EQ(Drain(&merged), Records(model.begin(), model.end()))
          << parts << " parts, " << count << " records";
    }
  }
}

// A part that cannot be read to its end may not look like one that was.
TEST(MergedRecords, FailsWhereOneOfThemFails) {
  const TemporaryDirectory dir;
  RecordSorter whole({/*memory_bytes=*/1 << 20, dir.path()}, AddUp);
  RecordSorter cut({/*memory_bytes=*/40'000, dir.path()}, AddUp);
  for (int i = 0; i < 1000; ++i) {
    const std::string key = fmt::format("{:04}", i);
    ASSERT_TRUE(whole.Add(key, Payload(1, "text")).ok());
    ASSERT_TRUE(cut.Add(key, Payload(1, std::string(100, 'x'))).ok());
  }
  ASSERT_TRUE(whole.Finish().ok());
  ASSERT_TRUE(cut.Finish().ok());
  ASSERT_TRUE(CutSpillFile());
  MergedRecords merged({&whole, &cut}, AddUp);
  std::string key;
  std::string payload;
  size_t records = 0;
  while (merged.Next(&key, &payload)) ++records;
  EXPECT_LT(records, 1000u);
  EXPECT_TRUE(absl::IsDataLoss(merged.status())) << merged.status();
}

}  // namespace
}  // namespace klaxon
