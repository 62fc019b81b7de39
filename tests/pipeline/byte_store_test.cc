#include "pipeline/byte_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

TEST(ByteStore, HoldsEachPieceWhereItIs) {
  std::mt19937_64 random(RandomSeed());
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", RandomSeed()));
  ByteStore store;
  struct Piece {
    ByteStore::Place place;
    std::string bytes;
    size_t room;
  };
  std::vector<Piece> pieces;
  const auto make = [&] {
    const size_t size =
        random() % 100 == 0 ? random() % (8 << 20) : random() % 400;
    return std::string(size, static_cast<char>(random()));
  };
  for (int i = 0; i < 5000; ++i) {
    if (pieces.empty() || random() % 3 != 0) {
      const std::string bytes = make();
      pieces.push_back({store.Add(bytes), bytes, bytes.size()});
      continue;
    }
    Piece& piece = pieces[random() % pieces.size()];
    const std::string bytes = make();
    const bool fits = bytes.size() <= piece.room;
    ASSERT_EQ(store.Replace(piece.place, bytes), fits);
    if (fits) piece.bytes = bytes;
  }
  for (const Piece& piece : pieces) {
    store.Prefetch(piece.place);
    ASSERT_EQ(store[piece.place], piece.bytes);
  }
}

}  // namespace
}  // namespace klaxon
