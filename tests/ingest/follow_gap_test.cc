// Where bytes are lost, or may be: told, once, with their place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ingest/follow_fixture.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FollowGap : public FollowTest {
 protected:
  // Six rotations of a log with two backups; gives the lines that are left.
  std::string RotateAway(LogRotator* rotator) {
    std::string kept;
    for (int i = 0; i < 6; ++i) {
      rotator->Rotate();
      const std::string lines = lines_.Some(5);
      rotator->Write(lines);
      rotator->Prune();
      if (i >= 3) kept += lines;
    }
    return kept;
  }
};

TEST_F(FollowGap, WhatWasDeletedUnreadIsAGap) {
  LogRotator::Options options = Rotation();
  options.backups_max = 2;
  LogRotator rotator(options);
  const std::string first = lines_.Some(5);
  rotator.Write(first);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  const std::string kept = RotateAway(&rotator);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + kept);
  EXPECT_THAT(tailer.reasons(), ElementsAre("vanished"));
  EXPECT_EQ(tailer.only().gaps[0].first, first.size());
}

TEST_F(FollowGap, DeletedWhileDownIsAGapFromWhereItStood) {
  LogRotator::Options options = Rotation();
  options.backups_max = 2;
  LogRotator rotator(options);
  const std::string first = lines_.Some(5);
  rotator.Write(first);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  tailer.Commit();
  rotator.Write(lines_.Some(2));
  const std::string kept = RotateAway(&rotator);
  tailer.Restart();
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + kept);
  ASSERT_THAT(tailer.reasons(), ElementsAre("vanished"));
  EXPECT_EQ(tailer.only().gaps[0].second.begin, first.size());
  // Told once, however often we die behind it.
  tailer.Commit();
  tailer.Restart();
  tailer.Drain();
  EXPECT_THAT(tailer.reasons(), ElementsAre("vanished"));
}

TEST_F(FollowGap, AGapIsToldOnceThoughNothingBehindItWasCommitted) {
  Append(lines_.Some(5));
  Tailer tailer(Follow(path_));
  tailer.Drain();
  tailer.Commit();
  std::filesystem::remove(path_);
  const std::string next = lines_.Some(2);
  Append(next);
  tailer.Restart();
  ASSERT_TRUE(tailer.Step());  // The gap alone.
  EXPECT_THAT(tailer.reasons(), ElementsAre("vanished"));
  EXPECT_EQ(tailer.batch().batch.bytes.size(), 0u);
  tailer.Commit();
  tailer.Restart();
  tailer.Drain();
  EXPECT_THAT(tailer.reasons(), ElementsAre("vanished"));
  EXPECT_THAT(tailer.bytes(), ::testing::EndsWith(next));
}

TEST_F(FollowGap, DeletedAndMadeAnewIsReportedAndNothingIsLost) {
  std::string all = lines_.Some(5);
  Append(all);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  const std::string last = lines_.Some(5);
  Append(last);
  std::filesystem::remove(path_);
  const std::string next = lines_.Some(5);
  Append(next);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), all + last + next);
  EXPECT_THAT(tailer.reasons(), ElementsAre("vanished"));
}

TEST_F(FollowGap, AFileThatIsGoneHoldsNobodyBack) {
  Append("x\n");
  Tailer tailer(Follow(path_));
  tailer.Drain();
  tailer.Commit();
  std::filesystem::remove(path_);
  for (const bool restart : {false, true}) {
    if (restart) tailer.Restart();
    tailer.Drain();
    EXPECT_TRUE(tailer.source().Lanes()[0].caught_up);
    EXPECT_EQ(tailer.source().Lanes()[0].lag_bytes, 0u);
    EXPECT_THAT(tailer.reasons(), IsEmpty());
  }
  Append("y\n");
  tailer.Drain();
  EXPECT_THAT(tailer.reasons(), ElementsAre("vanished"));
  EXPECT_EQ(tailer.bytes(), "x\ny\n");
}

TEST_F(FollowGap, ReplacedByAnotherFileOfEqualSize) {
  const std::string first = lines_.Some(5, 0);
  Append(first);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  std::string other = first;
  std::replace(other.begin(), other.end(), 'n', 'm');
  // In place,
  std::ofstream(path_, std::ios::binary | std::ios::trunc) << other;
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + other);
  EXPECT_THAT(tailer.reasons(), ElementsAre("replaced"));
  // and by a rename.
  directory_.Write("new", first);
  std::filesystem::rename(directory_.Path("new"), path_);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + other + first);
  EXPECT_THAT(tailer.reasons(), ElementsAre("replaced", "vanished"));
}

TEST_F(FollowGap, TruncatedIsReportedAndReadFromItsBeginning) {
  const std::string first = lines_.Some(5);
  Append(first);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart);
    const std::string before = tailer.bytes();
    const size_t gaps = tailer.reasons().size();
    std::filesystem::resize_file(path_, 0);
    const std::string next = lines_.Some(2);
    Append(next);
    if (restart) {
      tailer.Commit();
      tailer.Restart();
    }
    tailer.Drain();
    EXPECT_EQ(tailer.bytes(), before + next);
    ASSERT_EQ(tailer.reasons().size(), gaps + 1);
    EXPECT_EQ(tailer.reasons().back(), "truncated");
    EXPECT_EQ(tailer.only().gaps.back().second.end, Gap::kUnknown);
  }
}

TEST_F(FollowGap, TruncatedUnderAWriterThatKeepsItsOffset) {
  // lumberjack does not open a new file to append.
  LogRotator rotator(Rotation());
  rotator.Rotate();
  const std::string first = lines_.Some(50);
  rotator.Write(first);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  std::filesystem::resize_file(path_, 0);
  const std::string next = lines_.Some(3);
  rotator.Write(next);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + next);
  EXPECT_THAT(tailer.reasons(), ElementsAre("replaced"));
  tailer.Commit();
  tailer.Restart();
  const std::string more = lines_.Some(3);
  rotator.Write(more);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + next + more);
}

TEST_F(FollowGap, TheCopyOfATruncatedFileIsReadToItsEnd) {
  for (const bool restart : {false, true}) {
    for (const bool gzip : {false, true}) {
      SCOPED_TRACE(restart);
      SCOPED_TRACE(gzip);
      std::filesystem::remove(path_);
      std::filesystem::remove(path_ + ".1");
      std::filesystem::remove(path_ + ".1.gz");
      const std::string first = lines_.Some(5);
      Append(first);
      Tailer tailer(Follow(path_));
      tailer.Drain();
      tailer.Commit();
      const std::string unread = lines_.Some(5);
      Append(unread);
      if (gzip) {
        directory_.Write("audit.log.1.gz", Gzip(first + unread));
      } else {
        std::filesystem::copy_file(path_, path_ + ".1");
      }
      Append(lines_.Next());  // Between copy and cut.
      std::filesystem::resize_file(path_, 0);
      if (restart) tailer.Restart();
      tailer.Drain();
      const std::string next = lines_.Some(5);
      Append(next);
      tailer.Drain();
      EXPECT_EQ(tailer.bytes(), first + unread + next);
      ASSERT_THAT(tailer.reasons(), ElementsAre("copied"));
      EXPECT_EQ(tailer.only().gaps[0].second.begin, (first + unread).size());
    }
  }
}

TEST_F(FollowGap, HalfALineIsFinishedFromTheCopy) {
  const std::string line = lines_.Next();
  const std::string first = lines_.Next();
  Append(first + line.substr(0, 8));
  Tailer tailer(Follow(path_));
  tailer.Drain();
  Append(line.substr(8));
  std::filesystem::copy_file(path_, path_ + ".1");
  std::filesystem::resize_file(path_, 0);
  const std::string next = lines_.Next();
  Append(next);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + line + next);
}

TEST_F(FollowGap, HalfALineOfATruncatedFileIsHandedOn) {
  const std::string first = lines_.Next();
  Append(first + "{\"half");
  Tailer tailer(Follow(path_));
  tailer.Drain();
  std::filesystem::resize_file(path_, 0);
  tailer.Drain();
  ASSERT_THAT(tailer.reasons(), ElementsAre("truncated"));
  EXPECT_EQ(tailer.bytes(), first + "{\"half");
  EXPECT_EQ(tailer.only().gaps[0].second.begin, first.size() + 6);
}

TEST_F(FollowGap, HalfAnArchiveAloneIsReadAsFarAsItGoes) {
  LogRotator rotator(Rotation(true));
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += fmt::format("{{\"n\":{},\"r\":{}}}\n", i, i * 2654435761u);
  }
  rotator.Write(text);
  rotator.Rotate();
  const std::string next = lines_.Some(3);
  rotator.Write(next);
  const std::string backup = rotator.Uncompressed()[0];
  rotator.Compress(backup, 50, 100, false);
  std::filesystem::remove(backup);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  ASSERT_THAT(tailer.reasons(), ElementsAre("damaged"));
  const size_t at = tailer.only().gaps[0].first;
  EXPECT_GT(at, text.size() / 4);
  EXPECT_EQ(tailer.bytes(), text.substr(0, at) + next);
  EXPECT_EQ(tailer.only().gaps[0].second.begin, at);
}

TEST_F(FollowGap, HalfAnArchiveThatEndsBeforeWhereWeStood) {
  LogRotator rotator(Rotation(true));
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += fmt::format("{{\"n\":{},\"r\":{}}}\n", i, i * 2654435761u);
  }
  rotator.Write(text);
  Tailer tailer(Follow(path_));
  tailer.Drain();
  tailer.Commit();
  rotator.Write(lines_.Some(3));
  rotator.Rotate();
  const std::string next = lines_.Some(3);
  rotator.Write(next);
  const std::string backup = rotator.Uncompressed()[0];
  rotator.Compress(backup, 50, 100, false);
  std::filesystem::remove(backup);
  tailer.Restart();
  tailer.Drain();
  ASSERT_THAT(tailer.reasons(), ElementsAre("damaged"));
  EXPECT_EQ(tailer.bytes(), text + next);
  EXPECT_EQ(tailer.only().gaps[0].second.begin, text.size());
}

TEST_F(FollowGap, NotReadableIsSaidOnceAndTriedAgain) {
  Append("x\n");
  TestFiles files;
  files.open_errors[path_] = EACCES;
  Tailer tailer(Follow(path_), &files);
  tailer.Step();
  std::string said;
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(tailer.Step());
    const std::string message(tailer.last().message());
    if (message.find("permission denied") != message.npos) said += message;
  }
  EXPECT_THAT(said, HasSubstr(path_));
  EXPECT_EQ(said.find("permission"), said.rfind("permission"));
  EXPECT_FALSE(tailer.source().Lanes()[0].caught_up);
  EXPECT_EQ(tailer.source().Lanes()[0].lag_bytes, 2u);
  files.open_errors.clear();
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "x\n");
  EXPECT_TRUE(tailer.source().Lanes()[0].caught_up);
}

TEST_F(FollowGap, AnUnreadableRotatedFileIsAGapWithItsExtent) {
  directory_.Write("audit.log.1", "1234567\n");
  Append("live\n");
  TestFiles files;
  files.open_errors[path_ + ".1"] = EACCES;
  Tailer tailer(Follow(path_), &files);
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), "live\n");
  ASSERT_THAT(tailer.reasons(), ElementsAre("unreadable"));
  EXPECT_EQ(tailer.only().gaps[0].second.begin, 0u);
  EXPECT_EQ(tailer.only().gaps[0].second.end, 8u);
}

TEST_F(FollowGap, ABadDiskIsWaitedForUntilThereIsASuccessor) {
  const std::string first = lines_.Some(5);
  LogRotator rotator(Rotation());
  rotator.Write(first);
  TestFiles files;
  Tailer tailer(Follow(path_), &files);
  tailer.Drain();
  const std::string bad = lines_.Some(5);
  rotator.Write(bad);
  files.read_error = EIO;
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first);
  files.read_error = 0;
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + bad);
  const std::string worse = lines_.Some(5);
  rotator.Write(worse);
  files.read_error = EIO;
  FileStat stat;
  files.Stat(path_, &stat);
  files.bad_inode = stat.id.inode;
  rotator.Rotate();
  const std::string next = lines_.Next();
  rotator.Write(next);
  tailer.Drain();
  ASSERT_THAT(tailer.reasons(), ElementsAre("unreadable"));
  EXPECT_EQ(tailer.only().gaps[0].second.begin, (first + bad).size());
  EXPECT_EQ(tailer.only().gaps[0].second.end, (first + bad + worse).size());
  files.read_error = 0;
  tailer.Drain();
  EXPECT_EQ(tailer.bytes(), first + bad + next);
}

}  // namespace
}  // namespace klaxon
