#include "pipeline/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "pipeline/crc32c.h"
#include "tests/random_seed.h"
#include "tests/testing/journal_script.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

class JournalTest : public ::testing::Test {
 protected:
  std::unique_ptr<Journal> Open() { return Open({.dir = dir_}); }
  // What is said to a journal that claims to be of that format.
  std::string RefusalOfFormat(int format) {
    Append(*Open(), {"1"});
    const std::string sql =
        "UPDATE meta SET format = " + std::to_string(format);
    EXPECT_TRUE(Database::Open(dir_ + "/klaxon.db", {})->Exec(sql).ok());
    const absl::Status status = Journal::Open({.dir = dir_}).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    return Text(status);
  }
  static std::unique_ptr<Journal> Open(const Journal::Options& options) {
    absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(options);
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  static void Append(Journal& journal, std::vector<std::string> records) {
    const absl::Status status = journal.Append(records);
    ASSERT_TRUE(status.ok()) << status;
  }
  static void Snapshot(Journal& journal, uint64_t seq, uint64_t keep_from,
                       const std::string& bytes) {
    ASSERT_TRUE(journal.BeginSnapshot(seq).ok());
    ASSERT_TRUE(journal.PutSnapshotPart("all/0", bytes).ok());
    const absl::Status status = journal.CommitSnapshot(keep_from);
    ASSERT_TRUE(status.ok()) << status;
  }
  static JournalContent ContentOf(Journal& journal) {
    absl::StatusOr<JournalContent> content = ReadAll(journal);
    EXPECT_TRUE(content.ok()) << content.status();
    return content.value_or(JournalContent());
  }

  TemporaryDirectory temporary_;
  const std::string dir_ = temporary_.Sub("state");
};

std::string Noise(size_t bytes, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return noise;
}

TEST(Crc32c, IsTheOneOfIscsi) {
  EXPECT_EQ(Crc32c(0, "123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(Crc32c(0, "1234"), "56789"), 0xE3069283u);
}

TEST_F(JournalTest, RecordsAreThereAfterReopening) {
  {
    auto journal = Open();
    EXPECT_EQ(journal->last_seq(), 0u);
    EXPECT_EQ(journal->first_seq(), 1u);
    Append(*journal, {"one", "", std::string(100'000, 'x')});
    Append(*journal, {Noise(300'000)});
    EXPECT_EQ(journal->last_seq(), 4u);
  }
  auto journal = Open();
  EXPECT_EQ(journal->last_seq(), 4u);
  EXPECT_EQ(ContentOf(*journal).records,
            (std::vector<std::string>{"one", "", std::string(100'000, 'x'),
                                      Noise(300'000)}));
}

TEST_F(JournalTest, CompressesWhatGetsSmaller) {
  auto journal = Open();
  Append(*journal, {std::string(100'000, 'x')});
  EXPECT_LT(journal->bytes_since_snapshot(), 1'000u);
  Append(*journal, {Noise(100'000)});
  EXPECT_GT(journal->bytes_since_snapshot(), 100'000u);
  EXPECT_LT(journal->bytes_since_snapshot(), 101'000u);
}

TEST_F(JournalTest, ReadsFromAnywhereAndStopsWhenTold) {
  auto journal = Open();
  Append(*journal, {"a", "b", "c", "d"});
  std::string seen;
  auto collect = [&](uint64_t seq, std::string_view record) {
    seen += record;
    return seq == 3 ? absl::CancelledError("enough") : absl::OkStatus();
  };
  EXPECT_TRUE(absl::IsCancelled(journal->ReadRecords(2, collect)));
  EXPECT_EQ(seen, "bc");
  EXPECT_TRUE(journal->status().ok());
  seen.clear();
  EXPECT_TRUE(journal->ReadRecords(5, collect).ok());
  EXPECT_TRUE(journal->ReadRecords(4, collect).ok());
  EXPECT_EQ(seen, "d");
}

TEST_F(JournalTest, SnapshotIsWrittenBetweenAppendsAndCountsOnlyAtItsCommit) {
  auto journal = Open({.dir = dir_, .snapshot_buffer_bytes_max = 1000});
  Append(*journal, {"1", "2", "3"});
  Snapshot(*journal, 2, 2, "old");
  EXPECT_EQ(journal->bytes_since_snapshot(), 2u);  // "3" and its codec byte.
  ASSERT_TRUE(journal->BeginSnapshot(3).ok());
  std::vector<std::pair<std::string, std::string>> parts;
  for (uint64_t i = 0; i < 20; ++i) {
    parts.emplace_back("p/" + std::to_string(i), Noise(i * 100, i));
    ASSERT_TRUE(
        journal->PutSnapshotPart(parts.back().first, parts.back().second).ok());
    if (i % 3 == 0) Append(*journal, {"later"});
  }
  const JournalContent before = ContentOf(*journal);
  EXPECT_EQ(before.snapshot_seq, 2u);
  EXPECT_EQ(before.parts.size(), 1u);
  ASSERT_TRUE(journal->CommitSnapshot(3).ok());
  EXPECT_EQ(journal->bytes_since_snapshot(), 7 * 6u);
  journal.reset();
  journal = Open();
  const JournalContent after = ContentOf(*journal);
  EXPECT_EQ(after.snapshot_seq, 3u);
  EXPECT_EQ(after.parts, parts);
  EXPECT_EQ(after.first_seq, 3u);
  EXPECT_EQ(after.records.size(), 8u);
  EXPECT_EQ(journal->bytes_since_snapshot(), 7 * 6u);
}

TEST_F(JournalTest, ASnapshotCanBeCommittedWithTheNextRecords) {
  auto journal = Open();
  Append(*journal, {"1", "2"});
  ASSERT_TRUE(journal->BeginSnapshot(2).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(journal->CommitSnapshotWithNext(2)));
  ASSERT_TRUE(journal->PutSnapshotPart("a", "state").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(journal->CommitSnapshotWithNext(4)));
  ASSERT_TRUE(journal->CommitSnapshotWithNext(3).ok());
  EXPECT_FALSE(journal->has_snapshot());
  EXPECT_TRUE(journal->writing_snapshot());
  Append(*journal, {"3"});
  EXPECT_FALSE(journal->writing_snapshot());
  EXPECT_TRUE(journal->snapshot_given_up().ok());
  EXPECT_EQ(journal->bytes_since_snapshot(), 2u);
  journal.reset();
  const JournalContent content = ContentOf(*Open());
  EXPECT_EQ(content.snapshot_seq, 2u);
  EXPECT_EQ(content.first_seq, 3u);
  EXPECT_EQ(content.records, std::vector<std::string>{"3"});
}

TEST_F(JournalTest, AnAppendOfNothingCommitsTheSnapshotThatWaitsForIt) {
  auto journal = Open({.dir = dir_, .snapshot_buffer_bytes_max = 0});
  ASSERT_TRUE(journal->BeginSnapshot(0).ok());
  ASSERT_TRUE(journal->PutSnapshotPart("a", "state").ok());
  Append(*journal, {});
  ASSERT_TRUE(journal->CommitSnapshotWithNext(1).ok());
  Append(*journal, {});
  EXPECT_TRUE(journal->has_snapshot());
}

TEST_F(JournalTest, AnUnfinishedSnapshotIsForgotten) {
  auto journal = Open({.dir = dir_, .snapshot_buffer_bytes_max = 0});
  Append(*journal, {"1"});
  ASSERT_TRUE(journal->BeginSnapshot(1).ok());
  ASSERT_TRUE(journal->PutSnapshotPart("a", Noise(100'000)).ok());
  journal.reset();
  journal = Open();
  EXPECT_FALSE(journal->has_snapshot());
  Snapshot(*journal, 1, 1, "new");
  EXPECT_EQ(ContentOf(*journal).parts.size(), 1u);
}

TEST_F(JournalTest, WrongCallsChangeNothing) {
  auto journal = Open();
  Append(*journal, {"1", "2"});
  EXPECT_TRUE(absl::IsFailedPrecondition(journal->PutSnapshotPart("a", "")));
  EXPECT_TRUE(absl::IsFailedPrecondition(journal->CommitSnapshot(1)));
  EXPECT_TRUE(absl::IsFailedPrecondition(journal->BeginSnapshot(3)));
  ASSERT_TRUE(journal->BeginSnapshot(1).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(journal->CommitSnapshot(1)));
  ASSERT_TRUE(journal->PutSnapshotPart("a", "").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(journal->CommitSnapshot(3)));
  ASSERT_TRUE(journal->CommitSnapshot(2).ok());
  EXPECT_TRUE(absl::IsOutOfRange(journal->ReadRecords(
      1, [](uint64_t, std::string_view) { return absl::OkStatus(); })));
  EXPECT_EQ(ContentOf(*journal).records, std::vector<std::string>{"2"});
}

TEST_F(JournalTest, ASecondDaemonIsRefusedAndToldWhoHasTheDirectory) {
  auto journal = Open();
  absl::StatusOr<std::unique_ptr<Journal>> second =
      Journal::Open({.dir = dir_});
  EXPECT_TRUE(absl::IsUnavailable(second.status()));
  EXPECT_THAT(Text(second.status()),
              HasSubstr("pid " + std::to_string(getpid())));
  journal.reset();
  EXPECT_NE(Open(), nullptr);
}

TEST_F(JournalTest, ModesDoNotDependOnTheUmask) {
  const mode_t umask_before = umask(0);
  auto journal = Open();
  Append(*journal, {"1"});
  umask(umask_before);
  auto mode = [](const std::string& path) {
    struct stat info{};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  };
  EXPECT_EQ(mode(dir_), 0700u);
  EXPECT_EQ(mode(dir_ + "/klaxon.db"), 0600u);
  EXPECT_EQ(mode(dir_ + "/klaxon.db-journal"), 0600u);
  EXPECT_EQ(mode(dir_ + "/klaxon.lock"), 0600u);
  journal.reset();
  chmod((dir_ + "/klaxon.db").c_str(), 0644);
  journal = Open();
  EXPECT_EQ(mode(dir_ + "/klaxon.db"), 0600u);
}

TEST_F(JournalTest, AMistypedPathDoesNotBecomeATree) {
  absl::StatusOr<std::unique_ptr<Journal>> journal =
      Journal::Open({.dir = temporary_.Sub("no/such")});
  EXPECT_TRUE(absl::IsNotFound(journal.status())) << journal.status();
  EXPECT_FALSE(std::filesystem::exists(temporary_.Sub("no")));
}

// ------------------------------------------------------------------- space

TEST_F(JournalTest, DeletedRowsMakeRoomForNewOnes) {
  auto journal = Open();
  uint64_t after_warm_up = 0;
  for (uint64_t round = 0; round < 40; ++round) {
    for (uint64_t i = 0; i < 20; ++i) {
      Append(*journal, {Noise(20'000, i), Noise(500, i)});
    }
    const uint64_t last = journal->last_seq();
    Snapshot(*journal, last, last - 5, Noise(200'000, round));
    if (round == 10) after_warm_up = journal->usage()->file_bytes;
  }
  EXPECT_LE(journal->usage()->file_bytes, after_warm_up);
  for (int i = 0; i < 200; ++i) Append(*journal, {});  // Deletes all it may.
  EXPECT_GT(journal->usage()->free_bytes,
            journal->usage()->file_bytes - 500'000);
}

TEST_F(JournalTest, ManySmallRecordsAreDeletedAsFastAsTheyCome) {
  auto journal = Open();
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 5; ++i) {
      Append(*journal, std::vector<std::string>(200, "a small record"));
    }
    Snapshot(*journal, journal->last_seq(), journal->last_seq() + 1, "s");
  }
  EXPECT_LT(journal->usage()->file_bytes, 400'000u);
}

TEST_F(JournalTest, StopsAtItsBudgetAndGoesOnWhenThereIsRoom) {
  auto journal = Open({.dir = dir_, .disk_bytes_max = 8 << 20});
  absl::Status status;
  int records = 0;
  for (; status.ok() && records < 1000; ++records) {
    status = journal->Append(std::vector{Noise(100'000)});
  }
  --records;
  ASSERT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(Text(status), AllOf(HasSubstr("no room"), HasSubstr("4.0 MiB")));
  EXPECT_GT(records, 30);
  EXPECT_LE(std::filesystem::file_size(dir_ + "/klaxon.db"), 4u << 20);
  EXPECT_TRUE(journal->status().ok());
  EXPECT_EQ(ContentOf(*journal).records.size(), static_cast<size_t>(records));
  EXPECT_FALSE(journal->Append(std::vector{Noise(100'000)}).ok());
  Snapshot(*journal, journal->last_seq(), journal->last_seq(), "small");
  // No commit has deleted anything yet: this one must make its own room.
  Append(*journal, {Noise(1'000'000)});
  journal.reset();
  EXPECT_EQ(ContentOf(*Open()).records.size(), 2u);
}

TEST_F(JournalTest, WhatComesInGoesBeforeASnapshot) {
  auto journal = Open({.dir = dir_,
                       .disk_bytes_max = 8 << 20,
                       .snapshot_buffer_bytes_max = 100'000});
  Append(*journal, {"1"});
  ASSERT_TRUE(journal->BeginSnapshot(1).ok());
  for (uint64_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(journal->PutSnapshotPart("p", Noise(100'000, i)).ok());
  }
  for (uint64_t i = 0; i < 30; ++i) Append(*journal, {Noise(100'000, i)});
  EXPECT_TRUE(absl::IsResourceExhausted(journal->PutSnapshotPart("p", "x")));
  EXPECT_TRUE(absl::IsResourceExhausted(journal->CommitSnapshot(1)));
  EXPECT_FALSE(journal->has_snapshot());
  Snapshot(*journal, 31, 32, "it fits");
  EXPECT_EQ(journal->snapshot_seq(), 31u);
}

TEST_F(JournalTest, ASnapshotThatWaitsToBeCommittedGivesWayToo) {
  auto journal = Open({.dir = dir_,
                       .disk_bytes_max = 8 << 20,
                       .snapshot_buffer_bytes_max = 100'000});
  Append(*journal, {"1"});
  ASSERT_TRUE(journal->BeginSnapshot(1).ok());
  for (uint64_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(journal->PutSnapshotPart("p", Noise(100'000, i)).ok());
  }
  ASSERT_TRUE(journal->CommitSnapshotWithNext(1).ok());
  Append(*journal, {Noise(2'000'000)});
  EXPECT_FALSE(journal->has_snapshot());
  EXPECT_FALSE(journal->writing_snapshot());
  EXPECT_TRUE(absl::IsResourceExhausted(journal->snapshot_given_up()));
  journal.reset();
  EXPECT_EQ(ContentOf(*Open()).records.size(), 2u);
}

TEST_F(JournalTest, ASnapshotThatIsTooLargeLeavesTheOldOneValid) {
  auto journal = Open({.dir = dir_, .disk_bytes_max = 8 << 20});
  Append(*journal, {"1", "2"});
  Snapshot(*journal, 1, 1, "old");
  ASSERT_TRUE(journal->BeginSnapshot(2).ok());
  absl::Status status;
  for (uint64_t i = 0; i < 100 && status.ok(); ++i) {
    status = journal->PutSnapshotPart("p", Noise(100'000, i));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  journal->AbortSnapshot();
  Append(*journal, {"3"});
  journal.reset();
  EXPECT_EQ(ContentOf(*Open()).parts[0].second, "old");
}

TEST_F(JournalTest, ABudgetTooSmallForAnythingIsAnError) {
  EXPECT_TRUE(absl::IsInvalidArgument(
      Journal::Open({.dir = dir_, .disk_bytes_max = 1000}).status()));
}

// ---------------------------------------------------------------- versions

absl::Status ToVersion2(Database& database) {
  return database.Exec("CREATE TABLE more(x); UPDATE meta SET format = 2");
}
absl::Status ToVersion3(Database& database) {
  return database.Exec("UPDATE meta SET format = 3");
}
absl::Status Fails(Database& database) {
  absl::Status status = ToVersion3(database);
  return status.ok() ? absl::InternalError("half-way") : status;
}

TEST_F(JournalTest, ANewerFormatIsRefusedAndSaysWhatToDo) {
  EXPECT_THAT(RefusalOfFormat(7),
              AllOf(HasSubstr("state format 7"), HasSubstr("newer")));
}

// Its records would be read wrong: formats 1 and 2 were never released.
TEST_F(JournalTest, AFormatThatNothingMigratesIsRefusedAndSaysWhatToDo) {
  EXPECT_THAT(RefusalOfFormat(2),
              AllOf(HasSubstr(dir_), HasSubstr("state format 2"),
                    HasSubstr("move the directory away")));
}

TEST_F(JournalTest, MigratesStepByStepOrNotAtAll) {
  Append(*Open(), {"1"});
  auto database = Database::Open(dir_ + "/klaxon.db", {});
  ASSERT_TRUE(database.ok());
  ASSERT_TRUE(database->Exec("UPDATE meta SET format = 1").ok());
  const JournalMigration broken[] = {{1, &ToVersion2}, {2, &Fails}};
  EXPECT_TRUE(absl::IsInternal(MigrateJournal(*database, 3, broken)));
  EXPECT_EQ(*ReadJournalFormat(*database), 1);
  EXPECT_FALSE(database->Prepare("SELECT * FROM more").ok());
  const JournalMigration gap[] = {{2, &ToVersion3}};
  EXPECT_TRUE(absl::IsFailedPrecondition(MigrateJournal(*database, 3, gap)));
  const JournalMigration whole[] = {{1, &ToVersion2}, {2, &ToVersion3}};
  EXPECT_TRUE(MigrateJournal(*database, 2, whole).ok());  // Not further.
  EXPECT_EQ(*ReadJournalFormat(*database), 2);
  EXPECT_TRUE(MigrateJournal(*database, 3, whole).ok());
  EXPECT_EQ(*ReadJournalFormat(*database), 3);
  EXPECT_TRUE(database->Prepare("SELECT * FROM more").ok());
}

// ------------------------------------------------------------------- model

TEST_F(JournalTest, DoesWhatAListWouldDoOverAnyNumberOfRestarts) {
  std::mt19937_64 random(RandomSeed());
  SCOPED_TRACE(RandomSeed());
  for (int round = 0; round < 15; ++round) {
    std::filesystem::remove_all(dir_);
    const Journal::Options options{
        .dir = dir_, .snapshot_buffer_bytes_max = random() % 20'000};
    auto journal = Open(options);
    JournalModel model;
    for (const JournalStep& step : RandomScript(random, 120, 12'000)) {
      const absl::Status status = Do(step, *journal);
      ASSERT_TRUE(status.ok()) << status;
      model.Do(step);
      const bool nothing_under_way =
          step.what == JournalStep::kCommit || step.what == JournalStep::kAbort;
      if (nothing_under_way && random() % 2 == 0) {
        const uint64_t bytes = journal->bytes_since_snapshot();
        journal.reset();
        journal = Open(options);
        EXPECT_EQ(journal->bytes_since_snapshot(), bytes);
      }
      if (random() % 10 != 0) continue;
      ASSERT_EQ(ContentOf(*journal), model.content);
    }
    journal.reset();
    ASSERT_EQ(ContentOf(*Open()), model.content) << "round " << round;
  }
}

}  // namespace
}  // namespace klaxon
