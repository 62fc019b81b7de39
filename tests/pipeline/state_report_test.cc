#include "pipeline/state_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "event/wire.h"
#include "pipeline/database.h"
#include "pipeline/journal.h"
#include "tests/random_seed.h"
#include "tests/testing/fault_vfs.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr EventTime kStart = 1'767'323'045 * kSecond;  // 2026-01-02T03:04:05Z

std::string Bytes(const JournalRecord& record) {
  std::string bytes;
  EncodeTo(record, &bytes);
  return bytes;
}

BatchRecord BatchOf(const std::string& lane, EventTime newest,
                    const std::string& resume) {
  BatchRecord batch;
  batch.lane = lane;
  batch.newest = newest;
  batch.resume = resume;
  return batch;
}

class StateReportTest : public ::testing::Test {
 protected:
  std::unique_ptr<Journal> Open(const std::string& vfs = "") {
    absl::StatusOr<std::unique_ptr<Journal>> journal =
        Journal::Open({.dir = dir_, .vfs = vfs});
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }

  // Five records, a snapshot after the third, the first deleted.
  void Fill() {
    auto journal = Open();
    const std::vector<std::string> records = {
        Bytes(RunStartedRecord{"1.0", "id", 1}),
        Bytes(BatchOf("file:/a", kStart, "one")),
        Bytes(BatchOf("file:/a\x1b[31m", kStart + kSecond, "")),
        Bytes(BatchOf("file:/a", kStart + 2 * kSecond, "four")),
        Bytes(LaneIdleRecord{"file:/a", true})};
    ASSERT_TRUE(journal->Append(records).ok());
    ASSERT_TRUE(journal->BeginSnapshot(3).ok());
    ASSERT_TRUE(
        journal->PutSnapshotPart("judge/burst/0", std::string(5000, 'x')).ok());
    ASSERT_TRUE(
        journal->PutSnapshotPart("judge/burst/1", std::string(2000, 'x')).ok());
    ASSERT_TRUE(journal->PutSnapshotPart("episodes", "e").ok());
    if (lanes_in_snapshot_) {
      LaneStates lanes;
      lanes.Apply(BatchOf("kafka:t/0", kStart, "offset"));
      std::string bytes;
      WireWriter writer(&bytes);
      lanes.Save(&writer);
      ASSERT_TRUE(journal->PutSnapshotPart(kLanesPart, bytes).ok());
    }
    ASSERT_TRUE(journal->CommitSnapshot(2).ok());
  }

  StateReport Inspect() {
    absl::StatusOr<StateReport> report = InspectState(dir_);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.value_or(StateReport());
  }

  TemporaryDirectory temporary_{/*in_memory=*/true};
  const std::string dir_ = temporary_.Sub("state");
  bool lanes_in_snapshot_ = false;
};

TEST_F(StateReportTest, CountsWhatIsThere) {
  Fill();
  const StateReport report = Inspect();
  EXPECT_TRUE(report.damage.ok()) << report.damage;
  EXPECT_EQ(report.format, kJournalFormat);
  EXPECT_EQ(report.journal.rows, 4u);
  EXPECT_EQ(report.first_seq, 2u);
  EXPECT_EQ(report.last_seq, 5u);
  EXPECT_EQ(report.oldest_event, kStart);
  EXPECT_EQ(report.newest_event, kStart + 2 * kSecond);
  EXPECT_EQ(report.records_by_kind,
            (std::map<std::string, uint64_t>{{"batch", 3}, {"lane_idle", 1}}));
  EXPECT_TRUE(report.has_snapshot);
  EXPECT_EQ(report.snapshot_seq, 3u);
  EXPECT_EQ(report.snapshot.rows, 3u);
  ASSERT_TRUE(report.snapshot_groups.contains("judge/burst"));
  EXPECT_EQ(report.snapshot_groups.at("judge/burst").rows, 2u);
  EXPECT_EQ(report.snapshot_groups.at("judge/burst").content_bytes, 7000u);
  EXPECT_LT(report.snapshot_groups.at("judge/burst").stored_bytes, 200u);
  EXPECT_EQ(report.snapshot_groups.at("episodes").rows, 1u);
  ASSERT_EQ(report.lanes.lanes().size(), 2u);
  const LaneStates::Lane& lane = report.lanes.lanes().at("file:/a");
  EXPECT_EQ(lane.resume, "four");
  EXPECT_EQ(lane.newest, kStart + 2 * kSecond);
  EXPECT_TRUE(lane.idle);
  EXPECT_EQ(report.garbage_rows, 1u);
  EXPECT_EQ(report.file_bytes, std::filesystem::file_size(dir_ + "/klaxon.db"));
}

TEST_F(StateReportTest, LanesOfTheSnapshotAndOfTheRecordsAfterItAreAllThere) {
  lanes_in_snapshot_ = true;
  Fill();
  const auto lanes = Inspect().lanes.lanes();
  ASSERT_EQ(lanes.size(), 2u);  // The third record lies before the snapshot.
  EXPECT_EQ(lanes.at("kafka:t/0").resume, "offset");
  EXPECT_EQ(lanes.at("file:/a").batches, 1u);
}

TEST_F(StateReportTest, TextIsSafeForATerminal) {
  Fill();
  const std::string text = StateReportText(Inspect());
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(
      text,
      AllOf(HasSubstr("state format 3"), HasSubstr("4 records"),
            HasSubstr("numbers 2 to 5; event time 2026-01-02T03:04:05"),
            HasSubstr("after record 3: 3 parts"), HasSubstr("judge/burst"),
            HasSubstr("file:/a: newest event 2026-01-02T03:04:07.000000Z, "
                      "resume token of 4 bytes, idle")));
  EXPECT_THAT(StateVerdictText(Inspect()), HasSubstr("ok: "));
}

TEST_F(StateReportTest, JsonHasItAll) {
  Fill();
  StateReport report = Inspect();
  report.dir = "/d";
  report.file_bytes = 1;
  report.free_bytes = 2;
  report.journal = {4, 5, 6};
  report.snapshot = {7, 8, 9};
  report.snapshot_groups = {{"g", {1, 2, 3}}};
  EXPECT_EQ(
      StateReportJson(report),
      R"({"schema":"klaxon.state/v1","dir":"/d","format":3,"file_bytes":1,)"
      R"("free_bytes":2,"garbage_rows":1,"rolled_back":false,)"
      R"("journal":{"rows":4,"stored_bytes":5,"content_bytes":6,)"
      R"("first_seq":2,"last_seq":5,)"
      R"("oldest_event":"2026-01-02T03:04:05.000000Z",)"
      R"("newest_event":"2026-01-02T03:04:07.000000Z",)"
      R"("kinds":{"batch":3,"lane_idle":1}},)"
      R"("snapshot":{"seq":3,"rows":7,"stored_bytes":8,"content_bytes":9,)"
      R"("groups":{"g":{"rows":1,"stored_bytes":2,"content_bytes":3}}},)"
      R"("lanes":[{"lane":"file:/a",)"
      R"("newest_event":"2026-01-02T03:04:07.000000Z","resume_bytes":4,)"
      R"("batches":2,"idle":true,"hold":false},)"
      R"({"lane":"file:/a\u001b[31m",)"
      R"("newest_event":"2026-01-02T03:04:06.000000Z","resume_bytes":0,)"
      R"("batches":1,"idle":false,"hold":false}],"whole":true})");
}

TEST_F(StateReportTest, SaysWhoHasTheDirectory) {
  auto journal = Open();
  const absl::Status status = InspectState(dir_).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("pid "));
}

TEST_F(StateReportTest, MakesNothingWhereNothingIs) {
  EXPECT_TRUE(absl::IsNotFound(InspectState(dir_).status()));
  EXPECT_FALSE(std::filesystem::exists(dir_));
  std::filesystem::create_directory(dir_);
  EXPECT_TRUE(absl::IsNotFound(InspectState(dir_).status()));
  EXPECT_TRUE(std::filesystem::is_empty(dir_));
}

TEST_F(StateReportTest, ChangesNothing) {
  Fill();
  auto bytes = [this] {
    std::ifstream in(dir_ + "/klaxon.db", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string before = bytes();
  Inspect();
  EXPECT_EQ(bytes(), before);
}

TEST_F(StateReportTest, TellsTheFirstDamageAndWhatToDo) {
  Fill();
  {
    auto database = Database::Open(dir_ + "/klaxon.db", {});
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(
        database->Exec("UPDATE journal SET record = x'01' WHERE seq = 4").ok());
  }
  const StateReport report = Inspect();
  EXPECT_TRUE(absl::IsDataLoss(report.damage)) << report.damage;
  EXPECT_EQ(report.journal.rows, 2u);
  EXPECT_THAT(StateVerdictText(report),
              AllOf(HasSubstr("not usable"), HasSubstr("journal row 4"),
                    HasSubstr("move the directory away")));
  EXPECT_THAT(StateReportText(report), HasSubstr("journal row 4"));
  EXPECT_THAT(StateReportJson(report),
              AllOf(HasSubstr(R"("whole":false,"damage":")"),
                    HasSubstr("journal row 4")));
}

TEST_F(StateReportTest, ARecordThatSaysNothingIsDamage) {
  {
    auto journal = Open();
    ASSERT_TRUE(journal->Append(std::vector<std::string>{"\x01\x01xx"}).ok());
  }
  EXPECT_THAT(StateVerdictText(Inspect()),
              AllOf(HasSubstr("journal record 1"), HasSubstr("batch")));
}

TEST_F(StateReportTest, AnEmptyOrMissingFileIsDamage) {
  Fill();
  std::filesystem::resize_file(dir_ + "/klaxon.db", 0);
  EXPECT_TRUE(absl::IsDataLoss(Inspect().damage));
  std::filesystem::remove(dir_ + "/klaxon.db");
  EXPECT_TRUE(absl::IsDataLoss(Inspect().damage));
}

// Some of the crash points leave a commit that has to be undone first.
TEST_F(StateReportTest, ReadsWhatACrashLeft) {
  FaultDisk disk;
  int rolled_back = 0;
  for (int64_t n = 1; n < 12; ++n) {
    std::filesystem::remove_all(dir_);
    disk.Forget();
    auto journal = Open("fault");
    ASSERT_TRUE(journal->Append(std::vector{Bytes(EndOfInputRecord{})}).ok());
    disk.FailAt(n, FaultDisk::kDead);
    const bool done = journal->Append(std::vector{std::string(9000, 'x')}).ok();
    journal.reset();
    disk.Heal();
    EXPECT_FALSE(done && disk.fired());
    const StateReport report = Inspect();
    if (report.rolled_back) ++rolled_back;
    EXPECT_GE(report.last_seq, 1u);
    EXPECT_EQ(report.damage.ok(), report.last_seq == 1);  // 'x' is no record.
  }
  EXPECT_GE(rolled_back, 2);
}

// ------------------------------------------------------------------- lanes

TEST(LaneStates, KnowsDigestsForTenMinutes) {
  LaneStates lanes;
  BatchRecord batch = BatchOf("w", kStart, "r1");
  for (int minute = 0; minute < 14; ++minute) {
    batch.digest = std::string(kDigestBytes, static_cast<char>('a' + minute));
    batch.ingested_ns = minute * kMinute;
    lanes.Apply(batch);
  }
  EXPECT_EQ(lanes.ResumeFrom(13 * kMinute)[0].digests.size(), 11u);
  EXPECT_EQ(lanes.ResumeFrom(22 * kMinute)[0].digests.size(), 2u);
  EXPECT_EQ(lanes.ResumeFrom(22 * kMinute)[0].digests[0][0], 'm');
  EXPECT_EQ(lanes.ResumeFrom(60 * kMinute)[0].digests.size(), 0u);
  EXPECT_EQ(lanes.ResumeFrom(0)[0].resume, "r1");
}

TEST(LaneStates, FollowsIdleAndHold) {
  LaneStates lanes;
  lanes.Apply(BatchOf("a", kStart, "r"));
  lanes.Apply(BatchOf("a", kStart - kSecond, "s"));
  lanes.Apply(JournalRecord(LaneIdleRecord{"a", true}));
  lanes.Apply(JournalRecord(LaneHoldRecord{"a", true, 5, 6}));
  lanes.Apply(JournalRecord(EndOfInputRecord{}));
  const LaneStates::Lane held = lanes.lanes().at("a");
  EXPECT_EQ(held.resume, "s");
  EXPECT_EQ(held.newest, kStart);
  EXPECT_TRUE(held.idle);
  EXPECT_TRUE(held.hold);
  EXPECT_EQ(held.hold_at, 5);
  EXPECT_EQ(held.hold_since_ns, 6);
  lanes.Apply(JournalRecord(BatchOf("a", kNoTime, "t")));
  lanes.Apply(JournalRecord(LaneHoldRecord{"a", false, 0, 9}));
  EXPECT_FALSE(lanes.lanes().at("a").idle);
  EXPECT_FALSE(lanes.lanes().at("a").hold);
  EXPECT_EQ(lanes.lanes().size(), 1u);
}

TEST(LaneStates, SavedAndLoadedItIsTheSameAndMutatedItDoesNotCrash) {
  std::mt19937_64 random(RandomSeed());
  LaneStates lanes;
  for (const char* name : {"a", "b", "c"}) {
    BatchRecord batch = BatchOf(name, kStart, name);
    batch.digest = std::string(kDigestBytes, name[0]);
    lanes.Apply(batch);
  }
  lanes.Apply(JournalRecord(LaneHoldRecord{"b", true, 1, 2}));
  auto save = [](const LaneStates& from) {
    std::string bytes;
    WireWriter writer(&bytes);
    from.Save(&writer);
    return bytes;
  };
  const std::string bytes = save(lanes);
  for (int i = 0; i < 3000; ++i) {
    std::string mutated = bytes;
    if (i > 0) mutated[random() % bytes.size()] = static_cast<char>(random());
    LaneStates back;
    WireReader reader(mutated);
    const bool loaded = back.Load(&reader) && reader.done();
    EXPECT_TRUE(loaded || i > 0);
    EXPECT_TRUE(!loaded || save(back) == mutated);
  }
}

}  // namespace
}  // namespace klaxon
