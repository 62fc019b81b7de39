#include "detectors/large_blocks.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace klaxon {
namespace {

#ifndef MADV_COLLAPSE  // Of Linux 6.1; Debian 12's C library is older.
constexpr int MADV_COLLAPSE = 25;  // NOLINT: as the kernel spells it.
#endif

// All blocks there are: where each begins, and its bytes.
struct Blocks {
  std::mutex mutex;
  std::map<char*, size_t, std::less<>> bytes;
};

Blocks& AllBlocks() {
  // Never destroyed: others' destructors give blocks back.
  static Blocks& blocks = *new Blocks;
  // A child is forked by one thread while another may be in here.
  [[maybe_unused]] static const int at_fork =
      pthread_atfork([] { blocks.mutex.lock(); }, [] { blocks.mutex.unlock(); },
                     [] { blocks.mutex.unlock(); });
  return blocks;
}

// MADV_COLLAPSE does not ask whether the administrator wants huge pages.
bool HugePagesAreOff() {
  std::ifstream setting("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(setting, line);
  return line.find("[never]") != std::string::npos;
}

size_t ToHugePage(const void* memory) {
  const size_t behind = reinterpret_cast<uintptr_t>(memory) % kHugePageBytes;
  return behind == 0 ? 0 : kHugePageBytes - behind;
}

}  // namespace

void* MapLargeBlock(size_t bytes) {
  // The system knows no alignment: more, and the rest is given back.
  void* const mapped =
      mmap(nullptr, bytes + kHugePageBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  const size_t before = ToHugePage(mapped);
  char* const begin = static_cast<char*>(mapped) + before;
  if (before > 0) munmap(mapped, before);
  munmap(begin + bytes, kHugePageBytes - before);
  madvise(begin, bytes, MADV_HUGEPAGE);  // Refused: as well without.
  Blocks& blocks = AllBlocks();
  const std::lock_guard lock(blocks.mutex);
  blocks.bytes.emplace(begin, bytes);
  return begin;
}

void UnmapLargeBlock(void* memory, size_t bytes) {
  Blocks& blocks = AllBlocks();
  {
    const std::lock_guard lock(blocks.mutex);
    blocks.bytes.erase(static_cast<char*>(memory));
  }
  munmap(memory, bytes);
}

const void* MendLargeBlocks(const void* from,
                            std::chrono::steady_clock::duration time) {
  static const bool off = HugePagesAreOff();
  if (off) return nullptr;
  const auto deadline = std::chrono::steady_clock::now() + time;
  Blocks& blocks = AllBlocks();
  const std::lock_guard lock(blocks.mutex);
  const char* next = static_cast<const char*>(from);
  auto block = blocks.bytes.upper_bound(next);
  if (block != blocks.bytes.begin()) --block;  // It may reach beyond `from`.
  for (; block != blocks.bytes.end(); ++block) {
    char* const end = block->first + block->second;
    char* page = block->first;
    if (next > page) page += std::min<size_t>(next - page, block->second);
    for (; page < end; page += kHugePageBytes) {
      if (page != from && std::chrono::steady_clock::now() >= deadline) {
        return page;
      }
      // Refused: it holds nothing yet, or there is no huge page to be had.
      madvise(page, kHugePageBytes, MADV_COLLAPSE);
    }
  }
  return nullptr;
}

}  // namespace klaxon
