#include "detectors/large_blocks.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace klaxon {
namespace {

constexpr size_t kBytes = 4 * kHugePageBytes;
constexpr std::chrono::hours kLong(1);

// Of the memory at `begin`, as the kernel has it; it may have joined it with
// its neighbours.
size_t HugeKib(const void* begin) {
  const auto wanted = reinterpret_cast<uintptr_t>(begin);
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t from = 0;
    uintptr_t to = 0;
    char dash = 0;
    std::istringstream range(line);
    if (range >> std::hex >> from >> dash >> to && dash == '-') {
      here = from <= wanted && wanted < to;
    } else if (here && line.starts_with("AnonHugePages:")) {
      std::istringstream value(line.substr(line.find(':') + 1));
      size_t kib = 0;
      value >> kib;
      return kib;
    }
  }
  return 0;
}

class Block {
 public:
  Block() : memory_(static_cast<char*>(MapLargeBlock(kBytes))) {}
  ~Block() { UnmapLargeBlock(memory_, kBytes); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // A byte in each small page.
  void Write(char byte) {
    for (size_t at = 0; at < kBytes; at += 4096) memory_[at] = byte;
  }
  bool Holds(char byte) const {
    for (size_t at = 0; at < kBytes; at += 4096) {
      if (memory_[at] != byte) return false;
    }
    return true;
  }
  char* memory() const { return memory_; }

 private:
  char* const memory_;
};

void WriteWhileAChildLives(Block* block) {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  block->Write('b');
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST(LargeBlocks, AreZeroAndBeginWithAHugePage) {
  for (int i = 0; i < 20; ++i) {
    Block block;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.memory()) % kHugePageBytes, 0u);
    EXPECT_TRUE(block.Holds('\0'));
    block.Write('a');
  }
}

TEST(LargeBlocks, AreHugeAgainAfterAFork) {
  Block block;
  block.Write('a');
  const size_t before = HugeKib(block.memory());
  if (before == 0) GTEST_SKIP() << "the system has no huge page for us";
  constexpr int kCollapse = 25;  // MADV_COLLAPSE
  if (madvise(block.memory(), kHugePageBytes, kCollapse) != 0) {
    GTEST_SKIP() << "the kernel makes no huge pages of small ones";
  }
  WriteWhileAChildLives(&block);
  ASSERT_LT(HugeKib(block.memory()), before);
  // The kernel may refuse once: a page is busy, or not yet where it looks.
  for (int i = 0; i < 1000 && HugeKib(block.memory()) < before; ++i) {
    EXPECT_EQ(MendLargeBlocks(nullptr, kLong), nullptr);
  }
  EXPECT_GE(HugeKib(block.memory()), before);
  EXPECT_TRUE(block.Holds('b'));
}

TEST(LargeBlocks, AreMendedPieceByPieceEachOnce) {
  const Block some[3];
  std::vector<const void*> stops;
  const void* from = nullptr;
  do {
    from = MendLargeBlocks(from, std::chrono::seconds(0));
    if (!stops.empty() && from != nullptr) EXPECT_GT(from, stops.back());
    stops.push_back(from);
    ASSERT_LE(stops.size(), 100u);
  } while (from != nullptr);
  // The first call finds out where the first piece is.
  EXPECT_EQ(stops.size(), 3 * kBytes / kHugePageBytes + 1);
}

TEST(LargeBlocks, MayGoWhileTheyAreBeingMended) {
  const void* from = nullptr;
  {
    Block block;
    from = MendLargeBlocks(nullptr, std::chrono::seconds(0));
    from = MendLargeBlocks(from, std::chrono::seconds(0));
    ASSERT_NE(from, nullptr);
  }
  EXPECT_EQ(MendLargeBlocks(from, kLong), nullptr);
}

TEST(LargeBlocks, AVectorOfThemKeepsWhatItHolds) {
  std::vector<uint64_t, LargeBlocks<uint64_t>> numbers;
  for (uint64_t i = 0; i < 1'000'000; ++i) numbers.insert(numbers.end(), i);
  for (uint64_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], i);
  numbers.resize(10);
  numbers.shrink_to_fit();
  EXPECT_EQ(numbers.back(), 9u);
}

}  // namespace
}  // namespace klaxon
