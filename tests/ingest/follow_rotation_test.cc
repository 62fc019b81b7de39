// Rotation that loses nothing: each byte once, in order, and no gap.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/ingest/follow_fixture.h"

namespace klaxon {
namespace {

using ::testing::IsEmpty;

using FollowRotation = FollowTest;

TEST_F(FollowRotation,
       HalfALineOfARotatedFileIsHandedOnWhenASuccessorHasBytes) {
  const std::string lines = lines_.Some(3);
  LogRotator rotator(Rotation());
  rotator.Write(lines + "{\"ha");
  Tailer tailer(Follow(path_));
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), lines);
  rotator.Rotate();
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), lines);
  const std::string more = lines_.Some(3);
  rotator.Write(more);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), lines + "{\"ha" + more);
}

TEST_F(FollowRotation, ReadsTheOldFileToItsEndAfterItsSuccessorAppeared) {
  const std::string first = lines_.Some(3);
  Append(first);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  const std::string rotated = directory_.Path("audit.log.1");
  std::filesystem::rename(path_, rotated);
  Append("");
  tailer.Drain();
  // The writer was not told yet.
  const std::string late = lines_.Some(2);
  std::ofstream(rotated, std::ios::app) << late;
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + late);
  const std::string later = lines_.Some(2);
  std::ofstream(rotated, std::ios::app) << later;
  const std::string next = lines_.Some(2);
  Append(next);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + late + later + next);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FollowRotation, ManyRotationsBetweenTwoPolls) {
  LogRotator rotator(Rotation(true));
  std::string all = lines_.Some(5);
  rotator.Write(all);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  for (int i = 0; i < 200; ++i) {
    rotator.Rotate();
    const std::string lines = lines_.Some(5);
    rotator.Write(lines);
    all += lines;
    if (i % 3 == 0) rotator.Mill();
  }
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), all);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

// Listing thousands of files for each of them took far longer than reading
// them, and a reader that was stopped for a while never caught up.
TEST_F(FollowRotation, FilesThatWaitAreNotLookedForOneByOne) {
  LogRotator rotator(Rotation());
  std::string all = lines_.Some(5);
  rotator.Write(all);
  TestFiles files;
  int listed = 0;
  files.on_list = [&](std::vector<std::string>*) { ++listed; };
  Tailer tailer(Follow(path_), &files);
  tailer.Drain();
  for (int i = 0; i < 300; ++i) {
    rotator.Rotate();
    const std::string lines = lines_.Some(5);
    rotator.Write(lines);
    all += lines;
  }
  listed = 0;
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), all);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
  EXPECT_LE(listed, 10);
}

// An empty file looks like any other: which of two it is, those before it tell.
TEST_F(FollowRotation, AnEmptyFileIsNotTakenForAnOlderOne) {
  const auto numbered = [&](int number) {
    return fmt::format("{}.{}", path_, number);
  };
  int rotated = 0;
  const auto rotate = [&] {
    for (int i = rotated; i > 0; --i) {
      std::filesystem::rename(numbered(i), numbered(i + 1));
    }
    std::filesystem::rename(path_, numbered(1));
    ++rotated;
    Append("");
  };
  Tailer tailer(Follow(path_));
  std::string all = lines_.Some(3);
  Append(all);
  rotate();  // Leaves an empty log, which is rotated as it is.
  rotate();
  std::string more = lines_.Some(3);
  Append(more);
  all += more;
  tailer.Drain();
  rotate();
  tailer.Drain();
  rotate();
  more = lines_.Some(3);
  Append(more);
  all += more;
  for (int i = 1; i <= rotated; ++i) {
    std::ifstream in(numbered(i), std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(in)),
                              std::istreambuf_iterator<char>());
    std::ofstream(numbered(i) + ".gz", std::ios::binary) << Gzip(content);
    std::filesystem::remove(numbered(i));
  }
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), all);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FollowRotation, FilesThatWaitAreReadThoughTheyAreDeleted) {
  LogRotator::Options options = Rotation();
  options.backups_max = 1;
  LogRotator rotator(options);
  FollowOptions follow = Follow(path_);
  follow.batch_bytes = 100;
  std::string all = lines_.Some(50);
  rotator.Write(all);
  Tailer tailer(follow);
  for (int i = 0; i < 3; ++i) tailer.Step();
  for (int i = 0; i < 5; ++i) {
    rotator.Rotate();
    const std::string lines = lines_.Some(50);
    rotator.Write(lines);
    all += lines;
    for (int step = 0; step < 8; ++step) tailer.Step();
    rotator.Prune();
  }
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), all);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FollowRotation, TheRestOfAFileThatWasCompressedMeanwhile) {
  LogRotator rotator(Rotation(true));
  std::string all = lines_.Some(50);
  rotator.Write(all);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  tailer.Commit();
  for (int i = 0; i < 4; ++i) {
    const std::string lines = lines_.Some(50);
    rotator.Write(lines);
    all += lines;
    rotator.Rotate();
    rotator.Mill();
  }
  tailer.Restart();
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), all);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FollowRotation, CompressorStoppedAtAHundredPoints) {
  for (int births = 0; births < 2; ++births) {
    for (size_t point = 0; point <= 100; ++point) {
      SCOPED_TRACE(point);
      TempDirectory directory;
      LogRotator::Options options;
      options.path = directory.Path("audit.log");
      options.gzip = Gzip;
      LogRotator rotator(options);
      TestFiles files;
      files.births = births == 1;
      const std::string first = lines_.Some(30);
      rotator.Write(first);
      Tailer tailer(Follow(options.path), &files);
      if (point % 2 == 0) tailer.Drain();
      tailer.Commit();
      const std::string rest = lines_.Some(30);
      rotator.Write(rest);
      rotator.Rotate();
      const std::string next = lines_.Some(30);
      rotator.Write(next);
      rotator.Compress(rotator.Uncompressed()[0], point, 100, false);
      tailer.Restart();
      tailer.Drain();
      EXPECT_EQ(tailer.bytes(), first + rest + next);
      EXPECT_THAT(tailer.reasons(), IsEmpty());
      // It is started again, and succeeds.
      tailer.Commit();
      rotator.Mill();
      const std::string more = lines_.Some(3);
      rotator.Write(more);
      tailer.Restart();
      tailer.Drain();
      EXPECT_EQ(tailer.bytes(), first + rest + next + more);
      EXPECT_THAT(tailer.reasons(), IsEmpty());
    }
  }
}

TEST_F(FollowRotation, DownDuringManyRotationsOfFilesThatBeginAlike) {
  std::string head;
  for (int i = 0; i < 200; ++i) head += fmt::format("{{\"same\":{}}}\n", i);
  size_t inodes_used_again = 0;
  for (int rotations = 1; rotations <= 20; ++rotations) {
    for (int variant = 0; variant < 8; ++variant) {
      SCOPED_TRACE(rotations);
      SCOPED_TRACE(variant);
      TempDirectory directory;
      LogRotator::Options options;
      options.path = directory.Path("audit.log");
      if (variant & 1) options.gzip = Gzip;
      LogRotator rotator(options);
      TestFiles files;
      files.births = (variant & 2) != 0;
      std::string all = head;
      rotator.Write(head);
      FollowOptions follow = Follow(options.path);
      follow.batch_bytes = 512;
      Tailer tailer(follow, &files);
      // Within what all files begin with, or behind it.
      if (variant & 4) {
        tailer.Drain();
      } else {
        for (int i = 0; i < 3; ++i) tailer.Step();
      }
      tailer.Commit();
      FileStat stood;
      files.Stat(options.path, &stood);
      for (int i = 0; i < rotations; ++i) {
        rotator.Rotate();
        rotator.Mill();
        const std::string bytes = head + lines_.Some(3);
        rotator.Write(bytes);
        all += bytes;
      }
      FileStat stands;
      files.Stat(options.path, &stands);
      if (stood.id.inode == stands.id.inode) ++inodes_used_again;
      tailer.Restart();
      tailer.Drain();
      ASSERT_TRUE(tailer.bytes() == all);
      for (const std::string& reason : tailer.reasons()) {
        // Compressed, in the middle of what is everywhere the same, and the
        // oldest: it cannot be known that none was before it.
        ASSERT_EQ(reason, "ambiguous");
        ASSERT_TRUE((variant & 1) != 0);
      }
    }
  }
  RecordProperty("inodes_used_again", static_cast<int>(inodes_used_again));
}

TEST_F(FollowRotation, RotationStorm) {
  for (const bool gzip : {false, true}) {
    SCOPED_TRACE(gzip);
    TempDirectory directory;
    LogRotator::Options options;
    options.path = directory.Path("audit.log");
    if (gzip) options.gzip = Gzip;
    std::string all;
    std::atomic<bool> done = false;
    std::atomic<int> rotated = 0;
    FollowOptions follow = Follow(options.path);
    follow.poll = absl::Milliseconds(1);
    auto source = MakeFileFollower(follow);
    LogRotator rotator(options);
    ASSERT_TRUE(source->Open({}).ok());
    std::thread writer([&] {
      for (int i = 0; i < 400; ++i) {
        const std::string lines = lines_.Some(20);
        rotator.Write(lines);
        all += lines;
        rotator.Rotate();
        if (i % 4 == 3) rotator.Mill();
        ++rotated;
        rotated.notify_all();
      }
      const std::string last = lines_.Next();
      rotator.Write(last);
      all += last;
      done = true;
      ++rotated;
      rotated.notify_all();
    });
    std::minstd_rand random(7);
    LiveBatch batch;
    std::string got;
    size_t gaps = 0;
    for (bool last = false;;) {
      const absl::Status status =
          source->Read(absl::Milliseconds(2), {}, batch);
      if (status.ok()) {
        got += batch.batch.bytes.view();
        gaps += batch.gaps.size();
        // Stopped for a while, many rotations long.
        if (random() % 50 == 0) {
          const int until = rotated + 10;
          for (int now = rotated; now < until && !done; now = rotated) {
            rotated.wait(now);
          }
        }
        continue;
      }
      if (last) break;
      last = done;
    }
    writer.join();
    while (source->Read(absl::ZeroDuration(), {}, batch).ok()) {
      got += batch.batch.bytes.view();
    }
    EXPECT_EQ(got.size(), all.size());
    EXPECT_TRUE(got == all);
    EXPECT_EQ(gaps, 0u);
  }
}

TEST_F(FollowRotation, ALinkIsFollowedToWhereItLeads) {
  std::filesystem::create_directory(directory_.Path("real"));
  LogRotator::Options rotation;
  rotation.path = directory_.Path("real/0.log");
  LogRotator rotator(rotation);
  std::string all = lines_.Some(3);
  rotator.Write(all);
  std::filesystem::create_symlink(rotation.path, path_);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  tailer.Commit();
  for (int i = 0; i < 3; ++i) {
    rotator.Rotate();
    const std::string lines = lines_.Some(3);
    rotator.Write(lines);
    all += lines;
  }
  tailer.Restart();
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), all);
  // It is bent to another file.
  directory_.Write("real/1.log", "other\n");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(directory_.Path("real/1.log"), path_);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), all + "other\n");
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

TEST_F(FollowRotation, RenamedToAnyName) {
  const std::string first = lines_.Some(5);
  Append(first);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  tailer.Commit();
  const std::string rest = lines_.Some(5);
  Append(rest);
  std::filesystem::rename(path_, directory_.Path("before-the-weekend"));
  const std::string next = lines_.Some(5);
  Append(next);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + rest + next);
  EXPECT_THAT(tailer.reasons(), IsEmpty());
}

}  // namespace
}  // namespace klaxon
