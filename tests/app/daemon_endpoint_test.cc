#include "app/daemon_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace klaxon {
namespace {

using ::testing::HasSubstr;

// Well, and all read.
DaemonStatus Ready() {
  DaemonStatus status;
  status.at = absl::Now();
  status.opened = true;
  for (const char* name : {"file:/a", "kafka:t/0"}) {
    LaneMetrics& lane = status.metrics.lanes.emplace_back();
    lane.lane = name;
    lane.newest_event = 1'800'000'000 * kSecond;
  }
  return status;
}

TEST(WhyNotReady, ADaemonThatHasReadAllIsReadyHoweverOldItIs) {
  EXPECT_EQ(WhyNotReady(Ready(), kMinute), "");
}

TEST(WhyNotReady, EachLaneIsLookedAtByItself) {
  DaemonStatus status = Ready();
  status.metrics.lanes[1].behind = true;
  status.metrics.lanes[1].lag_seconds = 60;
  EXPECT_EQ(WhyNotReady(status, kMinute), "");
  status.metrics.lanes[1].lag_seconds = 61;
  EXPECT_EQ(WhyNotReady(status, kMinute), "kafka:t/0 is 61 s behind\n");
  EXPECT_EQ(WhyNotReady(status, 2 * kMinute), "");
}

TEST(WhyNotReady, WhatWasNeverReadIsNoLagOfNothing) {
  DaemonStatus status = Ready();
  status.metrics.lanes[0].newest_event = kNoTime;
  EXPECT_EQ(WhyNotReady(status, kMinute), "");  // An empty log.
  status.metrics.lanes[0].behind = true;
  EXPECT_EQ(WhyNotReady(status, kMinute), "file:/a: nothing was read yet\n");
}

TEST(WhyNotReady, EveryReasonIsSaid) {
  DaemonStatus status = Ready();
  status.at = absl::Now() - absl::Hours(1);
  status.opened = false;
  status.paused = true;
  status.blocked = true;
  const std::string why = WhyNotReady(status, kMinute);
  for (const char* part : {"go round", "open", "journal", "required sink"}) {
    EXPECT_THAT(why, HasSubstr(part));
  }
}

}  // namespace
}  // namespace klaxon
