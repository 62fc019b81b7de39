// A list whose elements never move, in few and large pieces of memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "detectors/large_blocks.h"

namespace klaxon {

template <typename T>
class StableList {
 public:
  StableList() = default;
  StableList(StableList&& other) noexcept { swap(other); }
  StableList& operator=(StableList&& other) noexcept {
    StableList(std::move(other)).swap(*this);
    return *this;
  }
  ~StableList() {
    for (T* element : elements_) std::destroy_at(element);
    for (const Block& block : blocks_) {
      LargeBlocks<T>().deallocate(block.begin, block.count);
    }
  }

  T& operator[](size_t index) { return *elements_[index]; }
  const T& operator[](size_t index) const { return *elements_[index]; }
  size_t size() const { return elements_.size(); }
  T& emplace_back() {
    if (blocks_.empty() || used_ == blocks_.back().count) AddBlock();
    elements_.push_back(std::construct_at(blocks_.back().begin + used_));
    ++used_;
    return *elements_.back();
  }

 private:
  static constexpr size_t kBlockBytes = 8 << 20;
  struct Block {
    T* begin;
    size_t count;
  };

  void swap(StableList& other) noexcept {
    std::swap(elements_, other.elements_);
    std::swap(blocks_, other.blocks_);
    std::swap(used_, other.used_);
  }
  void AddBlock() {
    // An eighth more, so that little is ever unused.
    constexpr size_t kMost = std::max<size_t>(1, kBlockBytes / sizeof(T));
    const size_t count = LargeBlocks<T>::WithoutRest(
        std::clamp<size_t>(elements_.size() / 8, 1, kMost));
    blocks_.push_back({LargeBlocks<T>().allocate(count), count});
    used_ = 0;
  }

  std::vector<T*> elements_;
  std::vector<Block> blocks_;
  size_t used_ = 0;  // Of the last block.
};

}  // namespace klaxon
