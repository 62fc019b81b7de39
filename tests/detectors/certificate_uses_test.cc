#include "detectors/certificate_uses.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace klaxon {
namespace {

std::vector<std::string> Names(const CertificateUses::Order& order) {
  std::vector<std::string> names;
  names.reserve(order.entries.size());
  for (const auto& entry : order.entries) names.push_back(entry.credential);
  return names;
}

using Texts = std::vector<std::string>;

TEST(CertificateUses, InOrderOfFirstUse) {
  CertificateUses uses(100);
  EventTime first = 0;
  uses.Add("dana", "b", 20, 20, &first);
  uses.Add("dana", "a", 30, 30, &first);
  uses.Add("erin", "x", 30, 30, &first);
  EXPECT_EQ(Names(uses.Add("dana", "b", 40, 40, &first)), Texts({"b", "a"}));
  EXPECT_EQ(first, 20);
  // A late observation.
  EXPECT_EQ(Names(uses.Add("dana", "a", 10, 40, &first)), Texts({"a", "b"}));
  EXPECT_EQ(first, 10);
}

// What is kept, and that something is not, outlives a restart.
TEST(CertificateUses, IsBoundedAndSaved) {
  CertificateUses uses(5);
  EventTime first = 0;
  for (int i = 0; i < 9; ++i) {
    uses.Add("dana", fmt::format("c{}", i), i, i, &first);
  }
  EXPECT_EQ(uses.uses()->keys(), 5u);
  std::string bytes;
  WireWriter writer(&bytes);
  uses.uses()->Save(&writer);
  uses.orders()->Save(&writer);
  CertificateUses loaded(5);
  WireReader reader(bytes);
  ASSERT_TRUE(loaded.uses()->Load(&reader));
  ASSERT_TRUE(loaded.orders()->Load(&reader));
  for (CertificateUses* each : {&uses, &loaded}) {
    const CertificateUses::Order& order =
        each->Add("dana", "c8", 20, 20, &first);
    EXPECT_EQ(Names(order), Texts({"c4", "c5", "c6", "c7", "c8"}));
    EXPECT_EQ(first, 8);
    EXPECT_FALSE(order.complete);
  }
}

TEST(CertificateUses, OfOneUserOnlySoMany) {
  CertificateUses uses(1'000'000);
  EventTime first = 0;
  constexpr size_t kMost = CertificateUses::kUserMax;
  for (size_t i = 0; i < 3 * kMost; ++i) {
    // The first one stays in use.
    uses.Add("dana", "c0", 0, static_cast<EventTime>(i), &first);
    uses.Add("dana", fmt::format("c{}", i), static_cast<EventTime>(i),
             static_cast<EventTime>(i), &first);
  }
  const auto& order = uses.Add("dana", "c0", 0, 3 * kMost, &first);
  EXPECT_EQ(order.entries.size(), kMost);
  EXPECT_FALSE(order.complete);
  EXPECT_EQ(uses.uses()->keys(), kMost);
}

}  // namespace
}  // namespace klaxon
