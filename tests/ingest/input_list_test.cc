#include "ingest/input_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/ingest/ingest_fixture.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Paths(const InputList& list) {
  std::vector<std::string> paths;
  for (const InputTwins& twins : list.inputs) {
    for (const InputFile& file : twins.files) paths.push_back(file.path);
  }
  return paths;
}

class InputListTest : public ::testing::Test {
 protected:
  std::string At(const std::string& name) const {
    return directory_.Path(name);
  }
  std::string Touch(const std::string& name) const {
    return directory_.Write(name, name);
  }
  void Link(const std::string& target, const std::string& name) const {
    std::filesystem::create_symlink(target, At(name));
  }

  TempDirectory directory_;
};

TEST_F(InputListTest, DirectoriesAreReadByFamilyAndTime) {
  for (const char* name :
       {"a/audit.log", "a/audit-2026-01-02T03-04-05.678.log.gz",
        "a/audit-2026-01-02T03-04-05.677.log", "a/b/audit.log.1",
        "a/b/audit.log.2.gz", "a/b/audit.log", "a/aaa.log", "z.log"}) {
    Touch(name);
  }
  const InputList list = ExpandInputs({directory_.path()});
  EXPECT_THAT(list.problems, IsEmpty());
  EXPECT_THAT(Paths(list),
              ElementsAre(At("z.log"), At("a/aaa.log"),
                          At("a/audit-2026-01-02T03-04-05.677.log"),
                          At("a/audit-2026-01-02T03-04-05.678.log.gz"),
                          At("a/audit.log"), At("a/b/audit.log.2.gz"),
                          At("a/b/audit.log.1"), At("a/b/audit.log")));
}

TEST_F(InputListTest, OrderOfArgumentsDoesNotMatter) {
  for (const char* name : {"a/1.log", "a/2.log.gz", "a/2.log", "b/c/3.log"}) {
    Touch(name);
  }
  Link(At("b"), "a/link");
  std::filesystem::create_hard_link(At("a/1.log"), At("b/1.log"));
  std::vector<std::string> arguments = {At("a"),      At("b"),   At("a/1.log"),
                                        At("a/*.gz"), At("b/c"), At("b/1.log"),
                                        At("no"),     "-",       At("a")};
  const InputList want = ExpandInputs(arguments);
  const uint32_t seed = static_cast<uint32_t>(RandomSeed());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    std::shuffle(arguments.begin(), arguments.end(), random);
    const InputList list = ExpandInputs(arguments);
    EXPECT_EQ(Paths(list), Paths(want));
    ASSERT_EQ(list.problems.size(), 1u);
  }
  EXPECT_THAT(Paths(want), ElementsAre(At("a/1.log"), At("a/2.log"),
                                       At("a/2.log.gz"), At("b/c/3.log"), "-"));
}

TEST_F(InputListTest, TwinsAreFoundByName) {
  for (const char* name :
       {"x.log.zst", "x.log", "x.log.gz", "y.log.gz", "x.log.1"}) {
    Touch(name);
  }
  const InputList list = ExpandInputs({directory_.path()});
  ASSERT_EQ(list.inputs.size(), 3u);
  EXPECT_EQ(list.inputs[1].files.size(), 3u);
  EXPECT_EQ(list.inputs[1].files[0].path, At("x.log"));
}

TEST_F(InputListTest, FileOfManyNamesIsListedOnce) {
  Touch("real/a.log");
  Link(At("real/a.log"), "a-link.log");
  std::filesystem::create_hard_link(At("real/a.log"), At("hard.log"));
  EXPECT_THAT(Paths(ExpandInputs({directory_.path(), At("a-link.log"),
                                  At("real/../real/a.log")})),
              ElementsAre(At("hard.log")));
}

TEST_F(InputListTest, SymbolicLinksAreFollowedButNotInCircles) {
  Touch("a/x.log");
  Link("..", "a/up");
  Link("self", "self");
  Touch("elsewhere/deep/y.log");
  std::filesystem::create_directory(At("root"));
  Link(At("elsewhere"), "root/link");
  Link(At("a"), "root/link2");
  const InputList list = ExpandInputs({At("a"), At("root")});
  EXPECT_THAT(Paths(list),
              ElementsAre(At("a/x.log"), At("a/up/elsewhere/deep/y.log")));
  ASSERT_EQ(list.problems.size(), 1u);  // "self"
  EXPECT_THAT(list.problems[0].message, HasSubstr("loop of symbolic links"));
}

TEST_F(InputListTest, WhatIsNoFileInADirectoryIsSaid) {
  Touch("a.log");
  ASSERT_EQ(mkfifo(At("fifo").c_str(), 0600), 0);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {AF_UNIX, {}};
  At("socket").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  Link(At("nowhere"), "dangling.log");
  const InputList list = ExpandInputs({directory_.path()});
  EXPECT_THAT(Paths(list), ElementsAre(At("a.log")));
  ASSERT_EQ(list.problems.size(), 3u);
  EXPECT_EQ(list.problems[0].path, At("dangling.log"));
  EXPECT_TRUE(list.problems[0].lost);
  EXPECT_EQ(list.problems[1].path, At("fifo"));
  EXPECT_FALSE(list.problems[1].lost);
  EXPECT_EQ(list.problems[2].path, At("socket"));
  EXPECT_FALSE(list.problems[2].lost);
  // Named ones: a FIFO is read, a socket cannot be.
  const InputList named = ExpandInputs({At("fifo"), At("socket")});
  EXPECT_THAT(Paths(named), ElementsAre(At("fifo")));
  ASSERT_EQ(named.problems.size(), 1u);
  EXPECT_TRUE(named.problems[0].lost);
  close(fd);
}

TEST_F(InputListTest, MissingAndEmptyAreProblems) {
  std::filesystem::create_directories(At("empty/er"));
  const InputList list =
      ExpandInputs({At("no.log"), At("empty"), At("*.nothing"), ""});
  EXPECT_THAT(list.inputs, IsEmpty());
  ASSERT_EQ(list.problems.size(), 4u);
  EXPECT_THAT(list.problems[0].message, HasSubstr("no such file"));
  EXPECT_THAT(list.problems[1].message, HasSubstr("no file matches"));
  EXPECT_THAT(list.problems[2].message, HasSubstr("without any file"));
  for (const InputProblem& problem : list.problems) EXPECT_TRUE(problem.lost);
}

TEST_F(InputListTest, GlobsMatchAndLiteralNamesWin) {
  for (const char* name : {"a1.log", "a2.log", "a[12].log", "b.log"}) {
    Touch(name);
  }
  EXPECT_THAT(Paths(ExpandInputs({At("a*.log")})),
              ElementsAre(At("a1.log"), At("a2.log"), At("a[12].log")));
  EXPECT_THAT(Paths(ExpandInputs({At("a[12].log")})),
              ElementsAre(At("a[12].log")));
  EXPECT_THAT(Paths(ExpandInputs({At("?.log")})), ElementsAre(At("b.log")));
}

TEST_F(InputListTest, UnreadableDirectoryIsAProblemAndTheRestGoesOn) {
  Touch("open/a.log");
  Touch("shut/b.log");
  ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(At("shut").c_str(), 0), 0);
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(seteuid(65534), 0);  // Nobody: root may read all.
  }
  const InputList list = ExpandInputs({directory_.path()});
  if (root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  ASSERT_EQ(chmod(At("shut").c_str(), 0755), 0);
  EXPECT_THAT(Paths(list), ElementsAre(At("open/a.log")));
  ASSERT_EQ(list.problems.size(), 1u);
  EXPECT_EQ(list.problems[0].path, At("shut"));
  EXPECT_THAT(list.problems[0].message, HasSubstr("permission denied"));
}

}  // namespace
}  // namespace klaxon
