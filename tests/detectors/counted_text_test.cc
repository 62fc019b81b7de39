#include "detectors/counted_text.h"

#include <gtest/gtest.h>

#include <utility>

namespace klaxon {
namespace {

TEST(CountedText, LivesAsLongAsItsLastHolder) {
  CountedText a;
  EXPECT_EQ(a.view(), "");
  {
    const CountedText b("a text");
    a = b;
    EXPECT_EQ(a.view().data(), b.view().data());
  }
  EXPECT_EQ(a.view(), "a text");
  const CountedText c = std::move(a);
  a = CountedText("");
  EXPECT_EQ(c.view(), "a text");
  EXPECT_EQ(a.view(), "");
  CountedText d = c;
  d = *&d;
  EXPECT_EQ(d.view(), "a text");
}

}  // namespace
}  // namespace klaxon
