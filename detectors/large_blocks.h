// Memory for what grows to many megabytes and is looked at here and there: of
// huge pages where the system has them, so that it costs few page faults, few
// misses of the TLB, and little to fork. Small pieces come from the heap.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace klaxon {

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
    if (bytes < kLarge) {
      return static_cast<T*>(
          ::operator new(bytes, std::align_val_t(alignof(T))));
    }
    const size_t whole = Rounded(bytes);
    void* const memory = ::operator new(whole, std::align_val_t(kHugePage));
    madvise(memory, whole, MADV_HUGEPAGE);  // Refused: as well without.
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) {
    const bool large = count * sizeof(T) >= kLarge;
    ::operator delete(memory, std::align_val_t(large ? kHugePage : alignof(T)));
  }
  bool operator==(const LargeBlocks&) const = default;

 private:
  static constexpr size_t kHugePage = 2 << 20;
  static constexpr size_t kLarge = kHugePage;
  static size_t Rounded(size_t bytes) {
    return (bytes + kHugePage - 1) / kHugePage * kHugePage;
  }
};

}  // namespace klaxon
