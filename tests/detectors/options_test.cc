#include "detectors/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace klaxon {
namespace {

using ::testing::ElementsAre;

DetectorInfo Info() {
  DetectorInfo info;
  info.options = {
      {"strict", OptionType::kBool, true, "Help.", 0, 1},
      {"threshold", OptionType::kCount, int64_t{10}, "Help.", 1, 1000},
      {"window", OptionType::kDuration, Duration{60 * kSecond}, "Help."},
      {"names", OptionType::kTextList, std::vector<std::string>{"a"}, "Help."},
      {"nets", OptionType::kCidrList, std::vector<Cidr>{}, "Help."},
      {"allow", OptionType::kAllowList, std::vector<AllowEntry>{}, "Help."},
  };
  return info;
}

TEST(DetectorOptions, BeginWithTheDefaults) {
  const DetectorOptions options(Info());
  EXPECT_TRUE(options.enabled);
  EXPECT_TRUE(options.GetBool("strict"));
  EXPECT_EQ(options.GetCount("threshold"), 10);
  EXPECT_EQ(options.GetDuration("window"), 60 * kSecond);
  EXPECT_THAT(options.GetTexts("names"), ElementsAre("a"));
  EXPECT_TRUE(options.GetCidrs("nets").empty());
  EXPECT_TRUE(options.GetAllowList("allow").empty());
}

TEST(DetectorOptions, TakeNewValuesAndCompareByThem) {
  const DetectorOptions defaults(Info());
  DetectorOptions options(Info());
  EXPECT_EQ(options, defaults);
  options.Set("threshold", int64_t{20});
  EXPECT_EQ(options.GetCount("threshold"), 20);
  EXPECT_NE(options, defaults);
  options.Set("threshold", int64_t{10});
  EXPECT_EQ(options, defaults);
  options.Set("nets", std::vector<Cidr>{*Cidr::Parse("10.0.0.0/8")});
  options.Set("allow", std::vector<AllowEntry>{
                           {"ns/name", *Cidr::Parse("192.0.2.0/24"), kDay}});
  EXPECT_EQ(options.GetCidrs("nets")[0].ToString(), "10.0.0.0/8");
  EXPECT_EQ(options.GetAllowList("allow")[0].until, kDay);
  options = defaults;
  options.enabled = false;
  EXPECT_NE(options, defaults);
}

TEST(DetectorOptionsDeathTest, StopAtWhatDoesNotExist) {
  const DetectorOptions options(Info());
  EXPECT_DEATH(options.GetCount("treshold"), "treshold: does not exist");
  EXPECT_DEATH(options.GetBool("threshold"), "threshold: asked for as another");
}

}  // namespace
}  // namespace klaxon
