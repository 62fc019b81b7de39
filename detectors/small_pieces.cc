#include "detectors/small_pieces.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#include "detectors/large_blocks.h"

namespace klaxon {
namespace {

constexpr size_t kStep = alignof(std::max_align_t);
constexpr size_t kSizes = 64;
constexpr size_t kLargest = kSizes * kStep;
constexpr size_t kFirstBlockBytes = 4096;
constexpr size_t kBlockBytesMax = 8 << 20;

// What blocks are made of.
struct alignas(kStep) Unit {
  char bytes[kStep];
};

// All pieces of one size.
class Pieces {
 public:
  explicit Pieces(size_t bytes) : bytes_(bytes) {}

  void* Take() {
    if (free_ != nullptr) {
      Free* const piece = free_;
      free_ = piece->next;
      return piece;
    }
    if (left_ < bytes_) AddBlock();
    char* const piece = next_;
    next_ += bytes_;
    left_ -= bytes_;
    return piece;
  }
  void Give(void* piece) { free_ = new (piece) Free{free_}; }

 private:
  struct Free {
    Free* next;
  };
  void AddBlock() {
    // An eighth more, so that little is ever unused.
    const size_t units = LargeBlocks<Unit>::WithoutRest(
        std::clamp(all_ / 8, kFirstBlockBytes, kBlockBytesMax) / sizeof(Unit));
    blocks_.push_back(LargeBlocks<Unit>().allocate(units));
    // The rest of the last one is smaller than a piece.
    next_ = blocks_.back()->bytes;
    left_ = units * sizeof(Unit);
    all_ += left_;
  }

  const size_t bytes_;
  Free* free_ = nullptr;
  char* next_ = nullptr;  // Of the last block, not yet taken.
  size_t left_ = 0;
  size_t all_ = 0;  // Bytes of all blocks.
  // Kept in view of whoever looks for leaks.
  std::vector<Unit*> blocks_;
};

struct AllPieces {
  std::mutex mutex;
  std::vector<Pieces> by_size;
};

AllPieces& All() {
  // Never destroyed: others' destructors give pieces back.
  static AllPieces& all = *[] {
    auto* const made = new AllPieces;
    for (size_t i = 1; i <= kSizes; ++i) made->by_size.emplace_back(i * kStep);
    return made;
  }();
  return all;
}

Pieces& Of(AllPieces& all, size_t bytes) {
  return all.by_size[(std::max<size_t>(bytes, 1) - 1) / kStep];
}

}  // namespace

void* TakePiece(size_t bytes) {
  if (bytes > kLargest) return ::operator new(bytes);
  AllPieces& all = All();
  const std::lock_guard lock(all.mutex);
  return Of(all, bytes).Take();
}

void GivePiece(void* piece, size_t bytes) {
  if (bytes > kLargest) return ::operator delete(piece);
  AllPieces& all = All();
  const std::lock_guard lock(all.mutex);
  Of(all, bytes).Give(piece);
}

}  // namespace klaxon
