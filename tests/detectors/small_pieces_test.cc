#include "detectors/small_pieces.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

struct Piece {
  unsigned char* memory;
  size_t bytes;
  unsigned char filled;
};

bool IsWhole(const Piece& piece) {
  for (size_t i = 0; i < piece.bytes; ++i) {
    if (piece.memory[i] != piece.filled) return false;
  }
  return true;
}

TEST(SmallPieces, NoneLiesOnAnother) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  std::vector<Piece> pieces;
  for (int i = 0; i < 100'000; ++i) {
    if (!pieces.empty() && random() % 5 < 2) {
      std::swap(pieces[random() % pieces.size()], pieces.back());
      const Piece piece = pieces.back();
      ASSERT_TRUE(IsWhole(piece));
      GivePiece(piece.memory, piece.bytes);
      pieces.pop_back();
      continue;
    }
    // Also those that are none of the small ones any more.
    const size_t bytes = random() % (i % 2 == 0 ? 80 : 1100);
    auto* const memory = static_cast<unsigned char*>(TakePiece(bytes));
    ASSERT_EQ(reinterpret_cast<uintptr_t>(memory) % alignof(std::max_align_t),
              0u);
    pieces.push_back({memory, bytes, static_cast<unsigned char>(i)});
    std::memset(memory, pieces.back().filled, bytes);
  }
  for (const Piece& piece : pieces) {
    ASSERT_TRUE(IsWhole(piece));
    GivePiece(piece.memory, piece.bytes);
  }
}

TEST(SmallPieces, WhatIsGivenBackIsUsedAgain) {
  void* const piece = TakePiece(100);
  GivePiece(piece, 100);
  void* const again = TakePiece(98);  // As large, rounded.
  EXPECT_EQ(again, piece);
  GivePiece(again, 98);
}

}  // namespace
}  // namespace klaxon
