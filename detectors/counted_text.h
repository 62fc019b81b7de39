// A text that does not change and that several hold: one pointer each, one
// piece of memory for all. One thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

namespace klaxon {

class CountedText {
 public:
  CountedText() = default;
  explicit CountedText(std::string_view text);
  CountedText(const CountedText& other) : held_(other.held_) {
    if (held_ != nullptr) ++held_->holders;
  }
  CountedText(CountedText&& other) noexcept
      : held_(std::exchange(other.held_, nullptr)) {}
  CountedText& operator=(const CountedText& other) {
    if (this == &other) return *this;
    if (other.held_ != nullptr) ++other.held_->holders;
    LetGo();
    held_ = other.held_;
    return *this;
  }
  CountedText& operator=(CountedText&& other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~CountedText() { LetGo(); }

  std::string_view view() const {
    if (held_ == nullptr) return {};
    return {reinterpret_cast<const char*>(held_ + 1), held_->size};
  }

 private:
  // The text lies behind it.
  struct Head {
    uint32_t holders;
    uint32_t size;
  };
  void LetGo();

  Head* held_ = nullptr;
};

}  // namespace klaxon
