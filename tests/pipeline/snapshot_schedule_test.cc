#include "pipeline/snapshot_schedule.h"

#include <gtest/gtest.h>

namespace klaxon {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint64_t kBytes = 64 << 20;

class SnapshotScheduleTest : public ::testing::Test {
 protected:
  bool DueAfter(SnapshotSchedule::Clock::duration passed, uint64_t bytes = 0) {
    now_ += passed;
    return schedule_.Due(now_, bytes);
  }
  void Take(SnapshotSchedule::Clock::duration took) {
    schedule_.Begun(now_);
    now_ += took;
    schedule_.Taken(took);
  }

  SnapshotSchedule::Clock::time_point now_{};
  SnapshotSchedule schedule_{
      {.interval = minutes(10), .journal_bytes = kBytes, .replay = seconds(2)},
      now_};
};

TEST_F(SnapshotScheduleTest, IsDueAfterItsInterval) {
  EXPECT_FALSE(DueAfter(minutes(10) - milliseconds(1)));
  EXPECT_TRUE(DueAfter(milliseconds(1)));
  Take(seconds(1));
  EXPECT_FALSE(DueAfter(minutes(9)));
  EXPECT_TRUE(DueAfter(minutes(1)));
}

TEST_F(SnapshotScheduleTest, IsDueAfterSoMuchJournal) {
  EXPECT_FALSE(DueAfter(seconds(1), kBytes - 1));
  EXPECT_TRUE(DueAfter(seconds(0), kBytes));
}

TEST_F(SnapshotScheduleTest, IsDueWhereAReplayWouldTakeTooLong) {
  schedule_.Judged(seconds(2) - milliseconds(1));
  EXPECT_FALSE(DueAfter(seconds(5)));
  schedule_.Judged(milliseconds(1));
  EXPECT_TRUE(DueAfter(seconds(0)));
  Take(milliseconds(10));
  EXPECT_FALSE(DueAfter(seconds(5)));
}

// What is judged while it is written is not in it.
TEST_F(SnapshotScheduleTest, CountsWhatWasJudgedSinceItBegan) {
  schedule_.Judged(seconds(3));
  schedule_.Begun(now_);
  schedule_.Judged(seconds(2));
  schedule_.Taken(milliseconds(10));
  EXPECT_TRUE(DueAfter(seconds(5)));
}

TEST_F(SnapshotScheduleTest, OneThatWasGivenUpHoldsNothing) {
  schedule_.Judged(seconds(3));
  schedule_.Begun(now_);
  schedule_.GivenUp();
  EXPECT_FALSE(DueAfter(milliseconds(1999)));
  EXPECT_TRUE(DueAfter(milliseconds(1)));
  schedule_.Begun(now_);
  schedule_.Judged(seconds(1));
  schedule_.Taken(milliseconds(10));
  EXPECT_FALSE(DueAfter(seconds(5)));  // All but that second.
}

// A child that dies each time, as for want of memory, is not forked each
// second.
TEST_F(SnapshotScheduleTest, IsTriedLessAndLessOftenWhereNoneSucceeds) {
  schedule_.Judged(seconds(3));
  for (seconds wait(2); wait < minutes(9); wait *= 2) {
    schedule_.Begun(now_);
    schedule_.GivenUp();
    EXPECT_FALSE(DueAfter(wait - milliseconds(1), kBytes));
    EXPECT_TRUE(DueAfter(milliseconds(1), kBytes));
  }
  for (int i = 0; i < 100; ++i) schedule_.GivenUp();
  schedule_.Begun(now_);
  EXPECT_FALSE(DueAfter(minutes(10) - milliseconds(1), kBytes));
  EXPECT_TRUE(DueAfter(milliseconds(1), kBytes));
  Take(milliseconds(10));
  EXPECT_TRUE(DueAfter(milliseconds(0), kBytes));
}

TEST_F(SnapshotScheduleTest, AFloodSpendsAQuarterOfTheTimeOnItAtMost) {
  Take(seconds(5));
  schedule_.Judged(seconds(20));
  EXPECT_FALSE(DueAfter(seconds(15) - milliseconds(1)));
  EXPECT_TRUE(DueAfter(milliseconds(1)));
  // The other rules do not wait.
  Take(minutes(9));
  EXPECT_TRUE(DueAfter(seconds(0), kBytes));
}

}  // namespace
}  // namespace klaxon
