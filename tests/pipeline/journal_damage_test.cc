// Whatever happened to the files of a state directory: what is read is what was
// written, or nothing is read and the message says why. (One thing cannot be
// seen: an older copy of the whole directory, put back.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "pipeline/journal.h"
#include "tests/random_seed.h"
#include "tests/testing/fault_vfs.h"
#include "tests/testing/journal_script.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A closed state directory, in memory.
using Files = std::map<std::string, std::string>;

Files Load(const std::string& dir) {
  Files files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    std::ifstream in(entry.path(), std::ios::binary);
    files[entry.path().filename()].assign(std::istreambuf_iterator<char>(in),
                                          {});
  }
  return files;
}

void Store(const Files& files, const std::string& dir) {
  std::filesystem::remove_all(dir);
  std::filesystem::create_directory(dir);
  for (const auto& [name, bytes] : files) {
    std::ofstream(dir + "/" + name, std::ios::binary) << bytes;
  }
}

class JournalDamageTest : public ::testing::Test {
 protected:
  void RunScript(const std::vector<JournalStep>& script,
                 const std::string& vfs = "") {
    absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(
        {.dir = dir_, .snapshot_buffer_bytes_max = 5'000, .vfs = vfs});
    ASSERT_TRUE(journal.ok()) << journal.status();
    for (const JournalStep& step : script) {
      const bool done = Do(step, **journal).ok();
      if (!done) before_ = model_.content;
      model_.Do(step);
      if (!done) return;
    }
  }

  // A snapshot, records before and after it, rows to be deleted, free pages.
  void FillDirectory() {
    JournalStep append{.records = {}};
    for (uint64_t i = 0; i < 12; ++i) {
      append.records.push_back("record " + std::to_string(i) +
                               RandomBytes(random_, 9'000));
    }
    std::vector<JournalStep> script = {append};
    for (int round = 0; round < 2; ++round) {
      script.push_back({.what = JournalStep::kBegin, .seq = 8});
      for (const char* name : {"a/1", "a/2", "b/1"}) {
        script.push_back({.what = JournalStep::kPut,
                          .name = name,
                          .bytes = RandomBytes(random_, 20'000)});
      }
      script.push_back({.what = JournalStep::kCommit, .seq = 7});
    }
    script.push_back(append);
    RunScript(script);
  }

  absl::Status Sql(const std::string& sql) {
    absl::StatusOr<Database> database = Database::Open(dir_ + "/klaxon.db", {});
    if (!database.ok()) return database.status();
    return database->Exec(sql);
  }

  absl::Status OpenStatus() { return ReadJournalDir(dir_).status(); }

  // One of many kinds of damage somewhere in the files.
  void Damage(Files* files) {
    auto it = files->begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random_() % files->size()));
    if (random_() % 2 == 0) it = files->find("klaxon.db");
    std::string& bytes = it->second;
    if (bytes.empty()) return;
    const size_t at = random_() % bytes.size();
    const size_t page = at / kPage * kPage;
    const size_t page_bytes = std::min(kPage, bytes.size() - page);
    switch (random_() % 8) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes.resize(page);
        break;
      case 2:  // A page of zeros.
        bytes.replace(page, page_bytes, std::string(page_bytes, '\0'));
        break;
      case 3: {  // A write that went astray.
        const size_t from = random_() % bytes.size() / kPage * kPage;
        bytes.replace(page, page_bytes, bytes.substr(from, page_bytes));
        break;
      }
      case 4:  // A sector of noise.
        for (size_t i = at; i < std::min(bytes.size(), at + 512); ++i) {
          bytes[i] = static_cast<char>(random_());
        }
        break;
      default:
        FlipBit(&bytes, random_() % 3 == 0 ? random_() % 100 : at);
        break;
    }
    if (random_() % 40 == 0) files->erase(it);
  }

  void FlipBit(std::string* bytes, size_t at) {
    at = std::min(at, bytes->size() - 1);
    (*bytes)[at] = static_cast<char>(static_cast<uint8_t>((*bytes)[at]) ^
                                     (1u << random_() % 8));
  }

  // Opens the damaged directory. True: refused. Else its content is one of
  // `allowed`, and stays so while the journal goes on.
  bool RefusedOrOneOf(const std::vector<JournalContent>& allowed) {
    absl::StatusOr<JournalContent> content = ReadJournalDir(dir_);
    if (!content.ok()) return true;
    EXPECT_THAT(allowed, ::testing::Contains(*content));
    JournalContent longer = *content;
    {
      absl::StatusOr<std::unique_ptr<Journal>> journal =
          Journal::Open({.dir = dir_});
      EXPECT_TRUE(journal.ok()) << journal.status();
      if (!journal.ok()) return false;
      for (int i = 0; i < 4; ++i) {
        std::string record = RandomBytes(random_, 30'000);
        if (!(*journal)->Append(std::vector{record}).ok()) return true;
        longer.records.push_back(std::move(record));
      }
    }
    content = ReadJournalDir(dir_);
    if (!content.ok()) return true;
    EXPECT_EQ(*content, longer);
    return false;
  }

  // Nothing by which to see that something is missing.
  static bool NothingLeft(const Files& files) {
    const auto rollback = files.find("klaxon.db-journal");
    return !files.contains("klaxon.db") &&
           (rollback == files.end() || rollback->second.empty());
  }

  static constexpr size_t kPage = kJournalPageBytes;
  TemporaryDirectory temporary_{/*in_memory=*/true};
  const std::string dir_ = temporary_.Sub("state");
  std::mt19937_64 random_{RandomSeed()};
  JournalModel model_;
  JournalContent before_;  // Before the step that failed.
};

TEST_F(JournalDamageTest, ADamagedDirectoryIsRefusedOrHarmless) {
  FillDirectory();
  const Files whole = Load(dir_);
  int refused = 0;
  for (int round = 0; round < 1000; ++round) {
    Files files = whole;
    Damage(&files);
    if (NothingLeft(files)) continue;
    Store(files, dir_);
    if (RefusedOrOneOf({model_.content})) ++refused;
    ASSERT_FALSE(HasFailure()) << "round " << round << " seed " << RandomSeed();
  }
  // The lock file and garbage rows are harmless, the rest is not.
  EXPECT_GE(refused, 300);
  EXPECT_LE(refused, 900);
}

// The same with a commit under way when the power failed: SQLite's rollback
// journal is needed, and its own checksums see only a part of it.
TEST_F(JournalDamageTest, ADamagedRollbackJournalIsRefusedOrHarmless) {
  FaultDisk disk;
  Files whole;
  int refused = 0;
  int hot = 0;
  for (int round = 0; round < 1000; ++round) {
    if (round % 10 == 0) {
      std::filesystem::remove_all(dir_);
      disk.Forget();
      model_ = JournalModel();
      disk.FailAt(static_cast<int64_t>(60 + random_() % 150), FaultDisk::kDead);
      RunScript(RandomScript(random_, 60, 12'000), "fault");
      disk.LoseUnsynced(random_);
      disk.Heal();
      whole = Load(dir_);
    }
    const std::string& rollback = whole["klaxon.db-journal"];
    if (!rollback.empty() && rollback[0] != 0) ++hot;
    Files files = whole;
    Damage(&files);
    if (NothingLeft(files)) continue;
    Store(files, dir_);
    if (RefusedOrOneOf({before_, model_.content})) ++refused;
    ASSERT_FALSE(HasFailure()) << "round " << round << " seed " << RandomSeed();
  }
  EXPECT_GE(hot, 100);
  EXPECT_GE(refused, 200);
}

// ---------------------------------------------------------------- by hand

struct TamperCase {
  const char* what;
  const char* sql;
  const char* said;
};
constexpr TamperCase kTamperCases[] = {
    {"a record changed", "UPDATE journal SET record = x'00' WHERE seq = 10",
     "journal row 10"},
    {"a CRC changed", "UPDATE journal SET crc = crc + 1 WHERE seq = 24",
     "journal row 24"},
    {"the newest lost", "DELETE FROM journal WHERE seq = 24",
     "journal row 24 is missing"},
    {"the newest ones lost", "DELETE FROM journal WHERE seq > 12",
     "journal row 13 is missing"},
    {"all lost", "DELETE FROM journal", "journal row 7 is missing"},
    {"one in the middle lost", "DELETE FROM journal WHERE seq = 15",
     "journal row 15 is missing"},
    {"the oldest kept one lost", "DELETE FROM journal WHERE seq = 7",
     "journal row 7 is missing"},
    {"two swapped",
     "UPDATE journal SET seq = -1 WHERE seq = 10;"
     "UPDATE journal SET seq = 10 WHERE seq = 11;"
     "UPDATE journal SET seq = 11 WHERE seq = -1",
     "journal row 10"},
    {"one said twice",
     "INSERT INTO journal SELECT 25, crc, record FROM journal WHERE seq = 24",
     "journal row 25"},
    {"one lost and the rest moved up",
     "DELETE FROM journal WHERE seq = 10;"
     "UPDATE journal SET seq = seq - 1 WHERE seq > 10",
     "journal row 10"},
    {"a part changed", "UPDATE snapshot SET bytes = x'0001' WHERE part = 'a/2'",
     "snapshot row"},
    {"a part renamed", "UPDATE snapshot SET part = 'a/9' WHERE part = 'a/2'",
     "snapshot row"},
    {"a part lost",
     "DELETE FROM snapshot WHERE id = (SELECT max(id) FROM snapshot)",
     "snapshot row"},
    {"the head put back a row",
     "UPDATE meta SET journal_last = 23, journal_crc ="
     "(SELECT crc FROM journal WHERE seq = 23)",
     "meta row 1"},
    {"a copy of the head changed",
     "UPDATE meta SET snapshot_seq = 7 WHERE copy = 2", "meta row 2"},
    {"a copy of the head lost", "DELETE FROM meta WHERE copy = 1",
     "meta row 1"},
    {"a trigger",
     "CREATE TRIGGER t AFTER INSERT ON journal BEGIN "
     "DELETE FROM journal WHERE seq < 3; END",
     "its tables"},
    {"an index", "CREATE INDEX i ON journal(crc)", "its tables"},
    {"a table gone", "DROP TABLE snapshot", "its tables"},
    {"no meta", "DROP TABLE meta", "no such table"},
    {"another application's", "PRAGMA application_id = 1", "not a database"},
    {"two versions at once", "UPDATE meta SET format = copy", "version"},
};

TEST_F(JournalDamageTest, RowsThatWereTamperedWithAreFound) {
  FillDirectory();
  const Files whole = Load(dir_);
  for (const TamperCase& damaged : kTamperCases) {
    SCOPED_TRACE(damaged.what);
    Store(whole, dir_);
    const absl::Status sql = Sql(damaged.sql);
    ASSERT_TRUE(sql.ok()) << sql;
    const absl::Status status = OpenStatus();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(damaged.said), HasSubstr("klaxon.db"),
                      HasSubstr("move the directory away")));
  }
  Store(whole, dir_);
  EXPECT_TRUE(OpenStatus().ok());
}

// The journal of a life that went another way from row 20 on, put over ours.
TEST_F(JournalDamageTest, RowsOfAnotherLifeDoNotFit) {
  FillDirectory();
  const Files fork = Load(dir_);
  const JournalStep append{.records = {"ours 1", "ours 2"}};
  RunScript({append});
  const Files ours = Load(dir_);
  Store(fork, dir_);
  RunScript({{.records = {"theirs 1", "theirs 2"}}});
  std::filesystem::rename(dir_ + "/klaxon.db", temporary_.Sub("other.db"));
  Store(ours, dir_);
  ASSERT_TRUE(Sql("ATTACH '" + temporary_.Sub("other.db") +
                  "' AS other; REPLACE INTO journal "
                  "SELECT * FROM other.journal WHERE seq = 25")
                  .ok());
  EXPECT_TRUE(absl::IsDataLoss(OpenStatus()));
}

// Whoever reworks the CRCs too gets his way, but not with bytes that are no
// row: they are found when they are read.
TEST_F(JournalDamageTest, ARowOfRightChecksumAndWrongContentIsRefused) {
  RunScript({{.records = {"only one"}}});
  const std::string row = "\x07what is that";
  const uint32_t crc = JournalRowCrc(kJournalChain, 1, row);
  {
    absl::StatusOr<Database> database = Database::Open(dir_ + "/klaxon.db", {});
    ASSERT_TRUE(database.ok());
    absl::StatusOr<Query> update =
        database->Prepare("UPDATE journal SET crc = ?, record = ?");
    ASSERT_TRUE(update.ok());
    update->BindInt(1, crc);
    update->BindBlob(2, row);
    ASSERT_TRUE(update->Run().ok());
    absl::StatusOr<Query> head = PrepareJournalHead(*database);
    ASSERT_TRUE(head.ok());
    ASSERT_TRUE(
        WriteJournalHead(*head, {.journal_last = 1, .journal_crc = crc}).ok());
  }
  absl::StatusOr<std::unique_ptr<Journal>> journal =
      Journal::Open({.dir = dir_});
  ASSERT_TRUE(journal.ok()) << journal.status();
  const absl::Status status = ReadAll(**journal).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("record 1"));
  EXPECT_EQ((*journal)->Append(std::vector<std::string>{"x"}), status);
}

TEST_F(JournalDamageTest, AnEmptyOrMissingDatabaseIsNoFirstStart) {
  RunScript({{.records = {"a"}}});
  std::filesystem::resize_file(dir_ + "/klaxon.db", 0);
  EXPECT_TRUE(absl::IsDataLoss(OpenStatus())) << OpenStatus();
  std::filesystem::remove(dir_ + "/klaxon.db");
  EXPECT_TRUE(absl::IsDataLoss(OpenStatus())) << OpenStatus();
  std::filesystem::remove(dir_ + "/klaxon.db-journal");
  EXPECT_TRUE(OpenStatus().ok()) << OpenStatus();
}

// It would let the next commit overwrite a live row: found before that, not
// after.
TEST_F(JournalDamageTest, AFreeListThatNamesAUsedPageIsRefused) {
  FillDirectory();
  Files files = Load(dir_);
  std::string& bytes = files["klaxon.db"];
  // Header: first trunk page at 32. Trunk: next trunk, count, leaf pages.
  const auto number = [&bytes](size_t at) {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4; ++i) {
      value = value << 8 | static_cast<uint8_t>(bytes[i]);
    }
    return value;
  };
  ASSERT_GT(number(32), 1u);
  const size_t trunk = (number(32) - 1) * kPage;
  ASSERT_GT(number(trunk + 4), 0u);
  bytes.replace(trunk + 8, 4, std::string("\0\0\0\x04", 4));
  Store(files, dir_);
  EXPECT_TRUE(absl::IsDataLoss(OpenStatus())) << OpenStatus();
}

TEST_F(JournalDamageTest, WhatIsNoDatabaseIsRefused) {
  Store({{"klaxon.db", std::string(20'000, 'x')}}, dir_);
  EXPECT_TRUE(absl::IsDataLoss(OpenStatus())) << OpenStatus();
  std::filesystem::remove_all(dir_);
  std::filesystem::create_directories(dir_ + "/klaxon.db");
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenStatus())) << OpenStatus();
}

// So that nobody believes otherwise.
TEST_F(JournalDamageTest, AnOlderCopyOfTheWholeDirectoryCannotBeSeen) {
  FillDirectory();
  const Files older = Load(dir_);
  const JournalContent then = model_.content;
  RunScript({{.records = {"newer"}}});
  Store(older, dir_);
  absl::StatusOr<JournalContent> content = ReadJournalDir(dir_);
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(*content, then);
}

}  // namespace
}  // namespace klaxon
