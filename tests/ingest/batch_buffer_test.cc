#include <gtest/gtest.h>

#include <algorithm>

#include "ingest/source.h"

namespace klaxon {
namespace {

TEST(BatchBuffer, KeepsItsContentWhenItGrows) {
  BatchBuffer buffer;
  EXPECT_EQ(buffer.view(), "");
  buffer.Reserve(10);
  std::copy_n("0123456789", 10, buffer.data());
  buffer.set_size(10);
  buffer.Reserve(1000);
  EXPECT_EQ(buffer.view(), "0123456789");
  EXPECT_GE(buffer.capacity(), 1000u);
  buffer.Reserve(5);
  EXPECT_EQ(buffer.view(), "0123456789");
  EXPECT_GE(buffer.capacity(), 1000u);
}

}  // namespace
}  // namespace klaxon
