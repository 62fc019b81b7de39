// What is read, from where, and how it is handed on.
#include "ingest/file_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "tests/ingest/follow_fixture.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KLAXON_SANITIZED 1
#endif
#endif

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using FileFollower = FollowTest;

TEST_F(FileFollower, ReadsWhatIsThereAndWhatIsAppended) {
  const std::string first = lines_.Some(10);
  Append(first);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first);
  const std::string more = lines_.Some(3);
  Append(more);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + more);
  EXPECT_EQ(tailer.only().lane, "file:" + path_);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FileFollower, WaitsForTheRestOfALine) {
  const std::string line = lines_.Next();
  Append(line.substr(0, 7));
  Tailer tailer(Follow(path_));
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "");
  Append(line.substr(7));
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), line);
}

TEST_F(FileFollower, HalfALineStaysHalfOverAMillionPolls) {
  const std::string line = lines_.Next();
  Append(line + line.substr(0, 9));
  Tailer tailer(Follow(path_));
  tailer.Drain();
  const int batches = tailer.batches();
  LiveBatch batch;
  for (int i = 0; i < 1'000'000; ++i) {
    const absl::Status status =
        tailer.source().Read(absl::ZeroDuration(), {}, batch);
    ASSERT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
  Append(line.substr(9));
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), line + line);
  EXPECT_EQ(tailer.batches(), batches + 1);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FileFollower, StartsAtTheEndBehindTheLastWholeLine) {
  Append(lines_.Some(5) + "{\"half");
  directory_.Write("audit.log.1", lines_.Some(3));
  FollowOptions options = Follow(path_);
  options.from = FollowOptions::From::kEnd;
  Tailer tailer(options);
  ASSERT_TRUE(tailer.Step());  // A token, before anything comes.
  EXPECT_EQ(tailer.batch().batch.bytes.size(), 0u);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "");
  tailer.Commit();
  // What comes while we are down is not skipped again.
  Append("\"}\n");
  std::filesystem::rename(path_ + ".1", path_ + ".2");
  std::filesystem::rename(path_, path_ + ".1");
  const std::string next = lines_.Some(2);
  Append(next);
  tailer.Restart();
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "{\"half\"}\n" + next);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FileFollower, StartsAtTheEndOfNothing) {
  directory_.Write("audit.log.1.gz", Gzip(lines_.Some(3)));
  FollowOptions options = Follow(path_);
  options.from = FollowOptions::From::kEnd;
  Tailer tailer(options);
  tailer.Drain();
  tailer.Commit();
  std::filesystem::rename(path_ + ".1.gz", path_ + ".2.gz");
  const std::string first = lines_.Some(2);
  directory_.Write("audit.log.1", first);
  const std::string next = lines_.Some(2);
  Append(next);
  tailer.Restart();
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + next);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FileFollower, StartsAtATimeByTheNamesOfRotatedFiles) {
  directory_.Write("audit-2026-01-02T03-00-00.000.log", "old\n");
  directory_.Write("audit-2026-01-02T04-00-00.000.log.gz", Gzip("exact\n"));
  directory_.Write("audit-2026-01-02T04-00-00.001.log", "after\n");
  Append("live\n");
  FollowOptions options = Follow(path_);
  options.from = FollowOptions::From::kTime;
  options.from_time = *ParseTime("2026-01-02T04:00:00Z");
  Tailer tailer(options);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "after\nlive\n");
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FileFollower, FilesAppearLater) {
  Tailer tailer(Follow(path_));
  ASSERT_TRUE(tailer.Step());  // "Nothing yet" is a position too.
  EXPECT_FALSE(tailer.Step());
  EXPECT_THAT(std::string(tailer.last().message()), HasSubstr("not there yet"));
  EXPECT_FALSE(tailer.Step());
  EXPECT_THAT(std::string(tailer.last().message()),
              ::testing::Not(HasSubstr("not there")));
  ASSERT_EQ(tailer.source().Lanes().size(), 1u);
  EXPECT_TRUE(tailer.source().Lanes()[0].caught_up);
  Append("x\n");
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "x\n");
}

TEST_F(FileFollower, GlobsMakeALaneOfEachFamily) {
  directory_.Write("a/audit.log", "a2\n");
  directory_.Write("a/audit-2026-01-02T03-00-00.000.log", "a1\n");
  FollowOptions options = Follow(directory_.Path("*/*.log"));
  Tailer tailer(options);
  tailer.Drain();
  directory_.Write("b/audit.log", "b1\n");
  directory_.Write("a/other.log", "o1\n");
  tailer.Drain();
  auto& outputs = tailer.outputs();
  EXPECT_EQ(outputs.size(), 3u);
  EXPECT_EQ(outputs["file:" + directory_.Path("a/audit.log")].bytes,
            "a1\na2\n");
  EXPECT_EQ(outputs["file:" + directory_.Path("b/audit.log")].bytes, "b1\n");
  EXPECT_EQ(outputs["file:" + directory_.Path("a/other.log")].bytes, "o1\n");
  // Both are known again, though one is gone.
  tailer.Commit();
  std::filesystem::remove_all(directory_.Path("b"));
  directory_.Write("a/other.log", "o1\no2\n");
  tailer.Restart();
  tailer.Drain();
  EXPECT_EQ(tailer.source().Lanes().size(), 3u);
  EXPECT_EQ(outputs["file:" + directory_.Path("a/audit.log")].bytes,
            "a1\na2\n");
}

TEST_F(FileFollower, TwoWaysToOneLogAreOneLane) {
  Append("x\n");
  std::filesystem::create_symlink(path_, directory_.Path("link.log"));
  std::filesystem::create_hard_link(path_, directory_.Path("hard.log"));
  FollowOptions options = Follow(path_);
  options.paths.push_back(directory_.Path("link.log"));
  options.paths.push_back(directory_.Path("hard.log"));
  Tailer tailer(options);
  tailer.Drain();
  std::filesystem::rename(path_, path_ + ".1");
  Append("y\n");
  tailer.Drain();
  const auto all = [&] {
    std::string bytes;
    for (auto& [lane, output] : tailer.outputs()) bytes += output.bytes;
    return bytes;
  };
  EXPECT_EQ(all(), "x\ny\n");
  tailer.Commit();
  tailer.Restart();
  tailer.Drain();
  EXPECT_EQ(all(), "x\ny\n");
}

TEST_F(FileFollower, UntilTheEnd) {
  LogRotator rotator(Rotation(true));
  std::string all = lines_.Some(20);
  rotator.Write(all);
  rotator.Rotate();
  rotator.Mill();
  rotator.Write("{\"half");
  FollowOptions options = Follow(path_);
  options.until_end = true;
  options.paths.push_back(directory_.Path("missing.log"));
  Tailer tailer(options);
  tailer.Drain();
  EXPECT_EQ(tailer.last().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(tailer.outputs()["file:" + path_].bytes, all + "{\"half");
  EXPECT_EQ(std::string(tailer.last().message()), "");
}

TEST_F(FileFollower, TheEndSaysWhatCouldNotBeRead) {
  TestFiles files;
  FollowOptions options = Follow(directory_.Path("missing.log"));
  options.until_end = true;
  Tailer missing(options, &files);
  missing.Drain();
  EXPECT_EQ(missing.last().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(missing.last().message()), HasSubstr("not there"));

  options.paths = {directory_.Path("none-*.log")};
  Tailer nothing(options, &files);
  nothing.Drain();
  EXPECT_THAT(std::string(nothing.last().message()), HasSubstr("none-*.log"));

  Append("x\n");
  files.list_error = EACCES;
  options.paths = {path_, directory_.Path("missing.log")};
  Tailer closed(options, &files);
  closed.Drain();
  EXPECT_THAT(std::string(closed.last().message()),
              HasSubstr("permission denied"));
}

TEST_F(FileFollower, WhatTakesThePlaceOfAFolderIsRead) {
  std::filesystem::create_directory(path_);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  EXPECT_FALSE(tailer.source().Lanes()[0].caught_up);
  std::filesystem::remove(path_);
  Append("x\n");
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "x\n");
  EXPECT_TRUE(tailer.source().Lanes()[0].caught_up);
}

TEST_F(FileFollower, DamagedTokensAreRefused) {
  Append("x\n");
  Tailer tailer(Follow(path_));
  tailer.Drain();
  const std::string token = tailer.only().resume;
  const auto open = [&](const std::string& resume) {
    TestFiles files;
    auto source = MakeFileFollowerOver(Follow(path_), &files, false);
    const LaneResume lane = {"file:" + path_, resume, {}};
    return source->Open({&lane, 1});
  };
  EXPECT_TRUE(open(token).ok());
  EXPECT_THAT(std::string(open("").message()), HasSubstr("not one of"));
  EXPECT_THAT(std::string(open("KT\x02" + token.substr(3)).message()),
              HasSubstr("format 2"));
  for (size_t bytes = 3; bytes < token.size(); ++bytes) {
    EXPECT_EQ(open(token.substr(0, bytes)).code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_FALSE(open(token + "x").ok());
}

TEST_F(FileFollower, HeldLanesAreLeftAlone) {
  directory_.Write("a.log", "a\n");
  directory_.Write("b.log", "b\n");
  FollowOptions options = Follow(directory_.Path("*.log"));
  TestFiles files;
  auto source = MakeFileFollowerOver(options, &files, false);
  ASSERT_TRUE(source->Open({}).ok());
  const std::string held = "file:" + directory_.Path("a.log");
  LiveBatch batch;
  std::string got;
  while (source->Read(absl::ZeroDuration(), {&held, 1}, batch).ok()) {
    EXPECT_NE(batch.lane, held);
    got += batch.batch.bytes.view();
  }
  EXPECT_EQ(got, "b\n");
  while (source->Read(absl::ZeroDuration(), {}, batch).ok()) {
    got += batch.batch.bytes.view();
  }
  EXPECT_EQ(got, "b\na\n");
}

TEST_F(FileFollower, LagCountsAllThatIsUnread) {
  LogRotator rotator(Rotation());
  rotator.Write(lines_.Some(100));
  rotator.Rotate();
  rotator.Write(lines_.Some(100));
  FollowOptions options = Follow(path_);
  options.batch_bytes = 512;
  Tailer tailer(options);
  tailer.Step();
  uint64_t lag = ~uint64_t{0};
  while (tailer.Step()) {
    EXPECT_LE(tailer.source().Lanes()[0].lag_bytes, lag);
    lag = tailer.source().Lanes()[0].lag_bytes;
  }
  EXPECT_EQ(lag, 0u);
  EXPECT_TRUE(tailer.source().Lanes()[0].caught_up);
  rotator.Write("12345");
  tailer.Drain();
  EXPECT_EQ(tailer.source().Lanes()[0].lag_bytes, 0u);
}

TEST_F(FileFollower, InterruptWakesAtOnce) {
  Append("x\n");
  auto source = MakeFileFollower(Follow(path_));
  ASSERT_TRUE(source->Open({}).ok());
  LiveBatch batch;
  while (source->Read(absl::ZeroDuration(), {}, batch).ok()) {
  }
  std::thread waker([&] { source->Interrupt(); });
  absl::Status status;
  do {
    status = source->Read(absl::InfiniteDuration(), {}, batch);
  } while (status.code() == absl::StatusCode::kUnavailable);
  waker.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST_F(FileFollower, InotifyWakesBeforeThePoll) {
  Append("x\n");
  FollowOptions options = Follow(path_);
  options.poll = absl::Hours(1);
  auto source = MakeFileFollower(options);
  ASSERT_TRUE(source->Open({}).ok());
  LiveBatch batch;
  while (source->Read(absl::ZeroDuration(), {}, batch).ok()) {
  }
  std::thread writer([&] {
    WaitUntilAsleep(getpid());  // The main thread, in Read.
    Append("y\n");
  });
  const absl::Status status = source->Read(absl::Minutes(30), {}, batch);
  writer.join();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(batch.batch.bytes.view().substr(0, 2), "y\n");
}

TEST_F(FileFollower, ALongLineCostsTheCapAndNoMore) {
  constexpr int64_t kLineBytes = 1 << 30;
  FollowOptions options = Follow(path_);
  Append("a\n{\"");
  std::filesystem::resize_file(path_, kLineBytes);  // Takes no room.
  Append("\nb\n");
  Tailer tailer(options);
  tailer.Step();
  rusage before = {};
  rusage after = {};
  getrusage(RUSAGE_SELF, &before);
  std::vector<BatchFraming> framings;
  while (tailer.Step()) framings.push_back(tailer.batch().batch.framing);
  getrusage(RUSAGE_SELF, &after);
  EXPECT_THAT(framings,
              ElementsAre(BatchFraming::kLines, BatchFraming::kOversize,
                          BatchFraming::kLines));
  const std::string got = tailer.bytes();
  EXPECT_EQ(got.size(), 2u + 2 * options.oversize_keep_bytes + 2);
#if !defined(__SANITIZE_ADDRESS__) && !defined(KLAXON_SANITIZED)
  const size_t grown = (after.ru_maxrss - before.ru_maxrss) * 1024;
  // Pages are counted in batches on each CPU: a few hundred KiB either way.
  EXPECT_LT(grown, options.line_bytes_max + (3 << 20));
#endif
  tailer.Commit();
  tailer.Restart();
  Append("c\n");
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), got + "c\n");
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FileFollower, ChunksOfOneLineStayTogether) {
  const std::string head =
      "2026-01-02T03:04:05.000000001Z stdout P {\"kind\":\n";
  const std::string rest = "2026-01-02T03:04:05.000000001Z stdout F \"x\"}\n";
  Append(head);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "");
  Append(rest);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), head + rest);
}

TEST_F(FileFollower, TheClusterComesFromThePath) {
  directory_.Write("clusters/edge/audit.log", "x\n");
  FollowOptions options = Follow(directory_.Path("clusters/*/audit.log"));
  options.cluster_path_regex = "clusters/([^/]+)/";
  Tailer tailer(options);
  tailer.Drain();
  EXPECT_EQ(tailer.batch().cluster, "edge");
}

}  // namespace
}  // namespace klaxon
