#include "pipeline/journal_format.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "event/wire.h"
#include "pipeline/crc32c.h"

namespace klaxon {
namespace {

// "Klxn" in the file's header: `file klaxon.db` shows it.
constexpr int64_t kApplicationId = 0x4b6c786e;

constexpr std::string_view kMetaTable =
    "CREATE TABLE meta(copy INTEGER PRIMARY KEY, format INTEGER NOT NULL, "
    "journal_first INTEGER NOT NULL, journal_base INTEGER NOT NULL, "
    "journal_last INTEGER NOT NULL, journal_crc INTEGER NOT NULL, "
    "snapshot_seq INTEGER NOT NULL, snapshot_first INTEGER NOT NULL, "
    "snapshot_last INTEGER NOT NULL, snapshot_crc INTEGER NOT NULL, "
    "crc INTEGER NOT NULL) STRICT";
// `crc` stands before the blob, so that it is read without its pages.
constexpr std::string_view kJournalTable =
    "CREATE TABLE journal(seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, "
    "record BLOB NOT NULL) STRICT";
constexpr std::string_view kSnapshotTable =
    "CREATE TABLE snapshot(id INTEGER PRIMARY KEY, part TEXT NOT NULL, "
    "crc INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT";

// In the order of their names, as sqlite_schema is asked for them.
constexpr std::array kTables = {kJournalTable, kMetaTable, kSnapshotTable};

uint32_t AddNumbers(uint32_t crc, std::span<const uint64_t> numbers) {
  std::string bytes;
  WireWriter writer(&bytes);
  for (uint64_t number : numbers) writer.Fixed64(number);
  return Crc32c(crc, bytes);
}

absl::Status DamagedRow(Database& database, std::string_view table,
                        uint64_t number, std::string_view how) {
  return JournalDamage(database.path(),
                       fmt::format("{} row {} {}", table, number, how));
}

}  // namespace

absl::Status JournalDamage(const std::string& path, std::string_view what) {
  return absl::DataLossError(
      fmt::format("{}: the state is damaged: {}", path, what));
}

absl::Status WithAdvice(absl::Status status) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(
      std::string(status.message()) +
      ". Put back a copy of the whole directory if there is one; else move the "
      "directory away (keep it: `klaxon state verify` says more) and start "
      "without state: sources then begin where the configuration says");
}

uint32_t SnapshotChain(uint64_t seq) {
  return AddNumbers(kJournalChain, std::array{seq});
}

uint32_t JournalRowCrc(uint32_t before, uint64_t seq, std::string_view row) {
  return Crc32c(AddNumbers(before, std::array{seq, uint64_t{row.size()}}), row);
}

uint32_t SnapshotRowCrc(uint32_t before, uint64_t id, std::string_view part,
                        std::string_view row) {
  const uint32_t crc = AddNumbers(
      before, std::array{id, uint64_t{part.size()}, uint64_t{row.size()}});
  return Crc32c(Crc32c(crc, part), row);
}

// ------------------------------------------------------------------- head

absl::Status WriteJournalHead(Query& update, const JournalHead& head) {
  const std::array<uint64_t, 9> numbers = {
      kJournalFormat,      head.journal_first, head.journal_base,
      head.journal_last,   head.journal_crc,   head.snapshot_seq,
      head.snapshot_first, head.snapshot_last, head.snapshot_crc};
  for (size_t i = 0; i < numbers.size(); ++i) {
    update.BindInt(static_cast<int>(i + 1), static_cast<int64_t>(numbers[i]));
  }
  update.BindInt(10, AddNumbers(0, numbers));
  for (int copy : {1, 2}) {
    update.BindInt(11, copy);
    absl::Status status = update.Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<Query> PrepareJournalHead(Database& database) {
  return database.Prepare(
      "REPLACE INTO meta(format, journal_first, journal_base, journal_last, "
      "journal_crc, snapshot_seq, snapshot_first, snapshot_last, snapshot_crc, "
      "crc, copy) VALUES(?,?,?,?,?,?,?,?,?,?,?)");
}

absl::StatusOr<JournalHead> ReadJournalHead(Database& database) {
  absl::StatusOr<Query> query = database.Prepare(
      "SELECT copy, format, journal_first, journal_base, journal_last, "
      "journal_crc, snapshot_seq, snapshot_first, snapshot_last, snapshot_crc, "
      "crc FROM meta ORDER BY copy");
  if (!query.ok()) return query.status();
  std::array<uint64_t, 9> numbers{};
  for (int copy : {1, 2}) {
    absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    if (!*row || query->Int(0) != copy) {
      return DamagedRow(database, "meta", copy, "is missing");
    }
    std::array<uint64_t, 9> read{};
    for (size_t i = 0; i < read.size(); ++i) {
      read[i] = static_cast<uint64_t>(query->Int(static_cast<int>(i + 1)));
    }
    if (query->Int(10) != AddNumbers(0, read) ||
        (copy == 2 && read != numbers)) {
      return DamagedRow(database, "meta", copy, "does not fit its checksum");
    }
    numbers = read;
  }
  absl::StatusOr<bool> row = query->Step();
  if (!row.ok()) return row.status();
  if (*row) return DamagedRow(database, "meta", 3, "is one too many");
  JournalHead head;
  head.journal_first = numbers[1];
  head.journal_base = static_cast<uint32_t>(numbers[2]);
  head.journal_last = numbers[3];
  head.journal_crc = static_cast<uint32_t>(numbers[4]);
  head.snapshot_seq = numbers[5];
  head.snapshot_first = numbers[6];
  head.snapshot_last = numbers[7];
  head.snapshot_crc = static_cast<uint32_t>(numbers[8]);
  return head;
}

// --------------------------------------------------------------- versions

absl::Status CreateJournalFormat(Database& database) {
  absl::Status status = database.Exec(
      fmt::format("PRAGMA page_size = {}; PRAGMA auto_vacuum = NONE; "
                  "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = EXTRA; "
                  "BEGIN; PRAGMA application_id = {}; {}; {}; {};",
                  kJournalPageBytes, kApplicationId, kMetaTable, kJournalTable,
                  kSnapshotTable));
  if (!status.ok()) return status;
  absl::StatusOr<Query> update = PrepareJournalHead(database);
  if (!update.ok()) return update.status();
  status = WriteJournalHead(*update, JournalHead());
  if (!status.ok()) return status;
  return database.Exec("COMMIT");
}

absl::StatusOr<int64_t> ReadJournalFormat(Database& database) {
  absl::StatusOr<int64_t> id = database.Int("PRAGMA application_id");
  if (!id.ok()) return id.status();
  if (*id != kApplicationId) {
    return JournalDamage(database.path(), "it is not a database of Klaxon's");
  }
  absl::StatusOr<int64_t> least = database.Int("SELECT min(format) FROM meta");
  if (!least.ok()) return least.status();
  absl::StatusOr<int64_t> most = database.Int("SELECT max(format) FROM meta");
  if (!most.ok()) return most.status();
  if (*least != *most || *least < 1) {
    return JournalDamage(database.path(),
                         "the two copies of its format version differ");
  }
  return *least;
}

absl::Status CheckJournalFormat(const std::string& path, int64_t format) {
  if (format == kJournalFormat) return absl::OkStatus();
  if (format > kJournalFormat) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: was written by a newer Klaxon (state format {}, this one knows up "
        "to {}). Run that version again, or move the directory away to start "
        "without state",
        path, format, kJournalFormat));
  }
  return absl::FailedPreconditionError(fmt::format(
      "{}: was written by an older Klaxon (state format {}, this one reads {}) "
      "and was not brought up to date yet: `klaxon run` does that at its "
      "start, "
      "or says why it cannot",
      path, format, kJournalFormat));
}

std::span<const JournalMigration> JournalMigrations() {
  return {};  // Version 3 is the first that is released.
}

namespace {

absl::Status RunMigrations(Database& database, int64_t to,
                           std::span<const JournalMigration> steps) {
  absl::StatusOr<int64_t> format = ReadJournalFormat(database);
  if (!format.ok()) return format.status();
  int64_t reached = *format;
  for (const JournalMigration& migration : steps) {
    if (migration.from != reached || reached >= to) continue;
    absl::Status status = migration.step(database);
    if (!status.ok()) return status;
    ++reached;
  }
  if (reached == to) return database.Exec("COMMIT");
  return absl::FailedPreconditionError(fmt::format(
      "{}: was written by a Klaxon too old to be read (state format {}). Run a "
      "version in between first, or move the directory away to start without "
      "state",
      database.path(), *format));
}

}  // namespace

absl::Status MigrateJournal(Database& database, int64_t to,
                            std::span<const JournalMigration> steps) {
  absl::Status status = database.Exec("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  status = RunMigrations(database, to, steps);
  if (!status.ok() && database.in_transaction()) {
    // Its outcome changes nothing: the first error is what counts, and what
    // was not committed is rolled back by whoever opens the file next.
    database.Exec("ROLLBACK").IgnoreError();
  }
  return status;
}

// -------------------------------------------------------------- the walks

absl::Status CheckJournalStructure(Database& database) {
  absl::StatusOr<Query> query =
      database.Prepare("SELECT sql FROM sqlite_schema ORDER BY name");
  if (!query.ok()) return query.status();
  for (size_t i = 0; i <= kTables.size(); ++i) {
    absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    if (*row != (i < kTables.size()) ||
        (*row && query->Blob(0) != kTables[i])) {
      return JournalDamage(database.path(), "its tables are not those we make");
    }
  }
  absl::StatusOr<std::string> check = database.Text("PRAGMA quick_check(1)");
  if (!check.ok()) return check.status();
  if (*check == "ok") return absl::OkStatus();
  return JournalDamage(database.path(), *check);
}

namespace {

// The CRC of the row before `from`, where the chain is taken up.
absl::StatusOr<uint32_t> ChainBefore(Database& database,
                                     const JournalHead& head, uint64_t from) {
  if (from == head.journal_first) return head.journal_base;
  absl::StatusOr<Query> query =
      database.Prepare("SELECT crc FROM journal WHERE seq = ?");
  if (!query.ok()) return query.status();
  query->BindInt(1, static_cast<int64_t>(from - 1));
  absl::StatusOr<bool> row = query->Step();
  if (!row.ok()) return row.status();
  if (!*row) return DamagedRow(database, "journal", from - 1, "is missing");
  return static_cast<uint32_t>(query->Int(0));
}

}  // namespace

absl::Status WalkJournal(
    Database& database, const JournalHead& head, uint64_t from,
    const std::function<absl::Status(uint64_t seq, std::string_view row)>& fn) {
  absl::StatusOr<uint32_t> chain = ChainBefore(database, head, from);
  if (!chain.ok()) return chain.status();
  absl::StatusOr<Query> query = database.Prepare(
      "SELECT seq, crc, record FROM journal WHERE seq >= ? ORDER BY seq");
  if (!query.ok()) return query.status();
  query->BindInt(1, static_cast<int64_t>(from));
  uint32_t crc = *chain;
  uint64_t expected = from;
  for (;; ++expected) {
    absl::StatusOr<bool> on_row = query->Step();
    if (!on_row.ok()) return on_row.status();
    if (!*on_row) break;
    const auto seq = static_cast<uint64_t>(query->Int(0));
    if (seq != expected) {
      return DamagedRow(database, "journal", expected, "is missing");
    }
    if (seq > head.journal_last) {
      return DamagedRow(database, "journal", seq, "is unknown to the head");
    }
    const std::string_view row = query->Blob(2);
    crc = JournalRowCrc(crc, seq, row);
    if (query->Int(1) != crc) {
      return DamagedRow(database, "journal", seq, "does not fit its checksum");
    }
    absl::Status status = fn(seq, row);
    if (!status.ok()) return status;
  }
  if (expected != head.journal_last + 1) {
    return DamagedRow(database, "journal", expected, "is missing");
  }
  if (crc != head.journal_crc) {
    return DamagedRow(database, "journal", expected - 1,
                      "is not the newest one that was written");
  }
  return absl::OkStatus();
}

absl::Status WalkSnapshot(
    Database& database, const JournalHead& head,
    const std::function<absl::Status(std::string_view part,
                                     std::string_view row)>& fn) {
  if (!head.has_snapshot()) return absl::OkStatus();
  absl::StatusOr<Query> query = database.Prepare(
      "SELECT id, crc, part, bytes FROM snapshot WHERE id BETWEEN ? AND ? "
      "ORDER BY id");
  if (!query.ok()) return query.status();
  query->BindInt(1, static_cast<int64_t>(head.snapshot_first));
  query->BindInt(2, static_cast<int64_t>(head.snapshot_last));
  uint32_t crc = SnapshotChain(head.snapshot_seq);
  for (uint64_t id = head.snapshot_first; id <= head.snapshot_last; ++id) {
    absl::StatusOr<bool> on_row = query->Step();
    if (!on_row.ok()) return on_row.status();
    if (!*on_row || static_cast<uint64_t>(query->Int(0)) != id) {
      return DamagedRow(database, "snapshot", id, "is missing");
    }
    const std::string_view part = query->Blob(2);
    const std::string_view row = query->Blob(3);
    crc = SnapshotRowCrc(crc, id, part, row);
    if (query->Int(1) != crc) {
      return DamagedRow(database, "snapshot", id, "does not fit its checksum");
    }
    absl::Status status = fn(part, row);
    if (!status.ok()) return status;
  }
  if (crc != head.snapshot_crc) {
    return DamagedRow(database, "snapshot", head.snapshot_last,
                      "is not the last one that was written");
  }
  return absl::OkStatus();
}

}  // namespace klaxon
