// Memory for what grows to many megabytes and is looked at here and there: of
// huge pages where the system has them, so that it costs few page faults, few
// misses of the TLB, and little to fork. Small pieces come from the heap. Large
// ones do not: what the heap had in use before is of small pages already, and
// what it gets back it keeps, for each fork to copy its page tables.
#pragma once

#include <chrono>
#include <cstddef>
#include <new>

namespace klaxon {

inline constexpr size_t kHugePageBytes = 2 << 20;

// Zeros, whole huge pages; `bytes` is a multiple of them. Throws bad_alloc. Any
// thread.
void* MapLargeBlock(size_t bytes);
void UnmapLargeBlock(void* memory, size_t bytes);

// A huge page that is written to while a forked child has it too becomes small
// ones, and stays so: the next fork costs more. Makes those of all blocks huge
// again that lie at `from` or behind it, for so long, or one that takes longer
// (it copies 2 MiB: some 0.2 ms). Returns where to go on; null: at the end. A
// kernel that cannot (before 6.1) does nothing. Any thread.
const void* MendLargeBlocks(const void* from,
                            std::chrono::steady_clock::duration time);

template <typename T>
class LargeBlocks {
 public:
  using value_type = T;

  LargeBlocks() = default;
  template <typename U>
  LargeBlocks(const LargeBlocks<U>&) {}  // NOLINT: as allocators are.

  // At least `count`: as many as get the memory that these need anyway.
  static size_t WithoutRest(size_t count) {
    const size_t bytes = count * sizeof(T);
    return bytes < kLarge ? count : Rounded(bytes) / sizeof(T);
  }

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    return static_cast<T*>(
        bytes < kLarge ? ::operator new(bytes, std::align_val_t(alignof(T)))
                       : MapLargeBlock(Rounded(bytes)));
  }
  void deallocate(T* memory, size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kLarge) {
      ::operator delete(memory, std::align_val_t(alignof(T)));
    } else {
      UnmapLargeBlock(memory, Rounded(bytes));
    }
  }
  bool operator==(const LargeBlocks&) const = default;

 private:
  static constexpr size_t kLarge = kHugePageBytes;
  static size_t Rounded(size_t bytes) {
    return (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  }
};

}  // namespace klaxon
