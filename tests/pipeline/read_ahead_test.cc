#include "pipeline/read_ahead.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

class ReadAheadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<Journal>> journal =
        Journal::Open({.dir = temporary_.Sub("state")});
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
  }
  void Append(const JournalRecord& record) {
    std::string bytes;
    EncodeTo(record, &bytes);
    AppendBytes(bytes);
  }
  void AppendBytes(const std::string& bytes) {
    ASSERT_TRUE(journal_->Append(std::vector<std::string>{bytes}).ok());
  }
  // Batches of many sizes, and others between them.
  void AppendMany(int count) {
    for (int i = 1; i <= count; ++i) {
      if (i % 5 == 0) {
        Append(LaneIdleRecord{fmt::format("lane{}", i), true});
        continue;
      }
      BatchRecord batch;
      batch.lane = fmt::format("lane{}", i);
      for (int n = 0; n < i * 7 % 20; ++n) {
        RefusalGroup& group = batch.observations.refusals.emplace_back();
        group.client = fmt::format("10.0.{}.{}", i, n);
        group.Add({i, static_cast<uint64_t>(n), 1, 2});
      }
      Append(batch);
    }
  }
  // What it gives from there on, as bytes.
  absl::Status Read(uint64_t from, std::vector<std::string>* got) {
    return ReadAhead(journal_.get(), from,
                     [&](uint64_t seq, JournalRecord&& record) {
                       EXPECT_EQ(seq, from + got->size());
                       EncodeTo(record, &got->emplace_back());
                       return absl::OkStatus();
                     });
  }
  std::vector<std::string> Plain(uint64_t from) {
    std::vector<std::string> want;
    EXPECT_TRUE(journal_
                    ->ReadRecords(from,
                                  [&](uint64_t, std::string_view bytes) {
                                    want.emplace_back(bytes);
                                    return absl::OkStatus();
                                  })
                    .ok());
    return want;
  }

  TemporaryDirectory temporary_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(ReadAheadTest, GivesEachRecordInOrder) {
  AppendMany(60);
  for (const uint64_t from : {1, 2, 31, 60, 61}) {
    std::vector<std::string> got;
    EXPECT_TRUE(Read(from, &got).ok());
    EXPECT_EQ(got, Plain(from)) << from;
  }
}

TEST_F(ReadAheadTest, StopsWhereItIsTold) {
  AppendMany(60);
  for (const uint64_t last : {1, 2, 5, 60}) {
    uint64_t applied = 0;
    const absl::Status status =
        ReadAhead(journal_.get(), 1, [&](uint64_t seq, JournalRecord&&) {
          ++applied;
          return seq == last ? absl::AbortedError("enough") : absl::OkStatus();
        });
    EXPECT_TRUE(absl::IsAborted(status)) << status;
    EXPECT_EQ(applied, last);
    EXPECT_TRUE(journal_->status().ok());
  }
}

TEST_F(ReadAheadTest, WhatComesBeforeAnUnreadableRecordIsApplied) {
  AppendMany(20);
  AppendBytes("no record");
  AppendMany(20);
  std::vector<std::string> got;
  const absl::Status status = Read(1, &got);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(got.size(), 20u);
  // The earlier of two.
  uint64_t applied = 0;
  EXPECT_TRUE(absl::IsAborted(
      ReadAhead(journal_.get(), 1, [&](uint64_t seq, JournalRecord&&) {
        ++applied;
        return seq == 20 ? absl::AbortedError("enough") : absl::OkStatus();
      })));
  EXPECT_EQ(applied, 20u);
}

}  // namespace
}  // namespace klaxon
