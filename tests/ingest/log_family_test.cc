#include "ingest/log_family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/tail_state.h"
#include "tests/ingest/follow_fixture.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Names(const std::vector<LogMember>& members) {
  std::vector<std::string> names;
  for (const LogMember& member : members) {
    names.push_back(std::filesystem::path(member.path).filename().string());
  }
  return names;
}

TEST(LogFamily, OldestFirstAndTheLiveFileLast) {
  TempDirectory directory;
  for (const char* name :
       {"audit.log", "audit.log.1", "audit.log.10.gz", "audit.log.2",
        "audit-2026-01-02T03-04-05.000.log",
        "audit-2026-01-02T03-04-05.001.log.gz", "audit.log-20251231",
        "audit.log.gz", "other.log", "other.log.1"}) {
    directory.Write(name, name);
  }
  TestFiles files;
  LogFamily family(&files, directory.Path("audit.log"));
  std::vector<LogMember> members;
  ASSERT_TRUE(family.List(&members));
  EXPECT_THAT(
      Names(members),
      ElementsAre("audit.log.10.gz", "audit.log.2", "audit.log.1",
                  "audit.log-20251231", "audit-2026-01-02T03-04-05.000.log",
                  "audit-2026-01-02T03-04-05.001.log.gz", "audit.log"));
  EXPECT_TRUE(members.back().live);
  EXPECT_TRUE(members[0].compressed);
  EXPECT_EQ(RotationTime(members[4]), *ParseTime("2026-01-02T03:04:05Z"));
}

TEST(LogFamily, TwinsAndHardLinksAreOne) {
  TempDirectory directory;
  directory.Write("audit.log.1", "x");
  directory.Write("audit.log.1.gz", "half");
  directory.Write("audit.log.2.gz", "whole");
  directory.Write("audit.log", "y");
  std::filesystem::create_hard_link(directory.Path("audit.log"),
                                    directory.Path("audit.log.3"));
  TestFiles files;
  LogFamily family(&files, directory.Path("audit.log"));
  std::vector<LogMember> members;
  ASSERT_TRUE(family.List(&members));
  EXPECT_THAT(Names(members),
              ElementsAre("audit.log.2.gz", "audit.log.1", "audit.log"));
}

TEST(LogFamily, AListingThatIsOvertakenIsNotBelieved) {
  TempDirectory directory;
  directory.Write("audit.log", "x");
  TestFiles files;
  LogFamily family(&files, directory.Path("audit.log"));
  int rotations = 0;
  int rotate_times = 3;
  files.on_list = [&](std::vector<std::string>* names) {
    if (rotations >= rotate_times) return;
    // Names that were read before, of files that stand there no more.
    std::filesystem::rename(
        directory.Path("audit.log"),
        directory.Path(
            fmt::format("audit-2026-01-02T03-04-05.00{}.log", rotations++)));
    directory.Write("audit.log", "y");
    std::erase_if(*names, [](const std::string& name) {
      return name != "audit.log" && name != "." && name != "..";
    });
  };
  std::vector<LogMember> members;
  ASSERT_TRUE(family.List(&members));
  EXPECT_EQ(members.size(), 4u);
  // For ever: told, rather than guessed.
  rotate_times = 1000;
  EXPECT_FALSE(family.List(&members));
}

TEST(TailState, TokensAreSmallAndComeBackAsTheyWere) {
  std::minstd_rand random(static_cast<uint32_t>(RandomSeed()));
  for (int round = 0; round < 1000; ++round) {
    TailState state;
    const auto hash = [&] {
      return MarkOf(std::string(random() % 4097, static_cast<char>(random())));
    };
    if (random() % 4 != 0) {
      LogPosition at;
      at.name = std::string(random() % 256, 'n');
      at.id = {random(), random() * uint64_t{random()},
               static_cast<int64_t>(random() * uint64_t{random()})};
      at.offset = 4096 + random() * uint64_t{random()};
      at.head = hash();
      at.window = hash();
      state.at = at;
    }
    for (uint32_t i = random() % 12; i > 0; --i) {
      LogName name = ParseLogName("audit.log." + std::to_string(i));
      if (random() % 2 == 0) {
        name =
            ParseLogName(fmt::format("audit-2026-01-02T03-04-05.{:03}.log", i));
      }
      state.Finish(name, {uint64_t{random()} * random(),
                          uint64_t{random()} * random(), random()});
    }
    state.copied = random() % 2 == 0;
    const std::string token = EncodeTailState(state);
    EXPECT_LT(token.size(), 1024u);
    const absl::StatusOr<TailState> back = DecodeTailState(token);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(*back == state);
    // Whatever stands in it: refused, or a state, but never a crash.
    std::string damaged = token;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    if (DecodeTailState(damaged).ok()) continue;
  }
}

TEST(TailState, TheFloorOnlyRises) {
  TailState state;
  state.Finish(ParseLogName("audit-2026-01-02T03-04-05.009.log"), {});
  state.Finish(ParseLogName("audit-2026-01-02T03-04-05.001.log"), {});
  EXPECT_TRUE(
      state.BelowFloor(ParseLogName("audit-2026-01-02T03-04-05.009.log.gz")));
  EXPECT_FALSE(
      state.BelowFloor(ParseLogName("audit-2026-01-02T03-04-05.010.log")));
  EXPECT_TRUE(state.BelowFloor(ParseLogName("audit.log.1")));
  EXPECT_FALSE(state.BelowFloor(ParseLogName("audit.log")));
}

}  // namespace
}  // namespace klaxon
