// What klaxon.db looks like: schema, head, checksums, versions. Shared by the
// journal, which writes it, and by `klaxon state`, which only looks.
//
//   meta      two copies of the head (below), each with a CRC of its own
//   journal   seq 1, 2, 3, … ; crc; record (pipeline/row_codec.h)
//   snapshot  id; part (its name); crc; bytes
//
// The CRC of a row is CRC-32C over its number, its lengths and its bytes,
// begun with the CRC of the row before: a changed, lost, doubled or reordered
// row does not fit, and the head knows how many there are and how the last
// one ends. What lies outside of the head's ranges is garbage that waits to
// be deleted. What cannot be found out: that somebody put back an older copy
// of the whole file.
//
// Versions. `format` is a column of `meta` in every version, for ever. A file
// of a newer one is refused; one of an older is brought up by the steps of
// JournalMigrations in one transaction.
//
// One thread, that of the Database. Damage is DataLoss.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pipeline/database.h"

namespace klaxon {

inline constexpr int64_t kJournalFormat = 3;
inline constexpr int64_t kJournalPageBytes = 8192;

// What begins the chains: not 0, lest a file of zeros be one.
inline constexpr uint32_t kJournalChain = 0x6b6c7801;
uint32_t SnapshotChain(uint64_t seq);

struct JournalHead {
  // Rows [journal_first, journal_last] are the journal; none: first = last+1.
  uint64_t journal_first = 1;
  uint32_t journal_base = kJournalChain;  // CRC of the row before the first.
  uint64_t journal_last = 0;
  uint32_t journal_crc = kJournalChain;  // Of the last.
  // Rows [snapshot_first, snapshot_last] are the snapshot, which holds the
  // state after record snapshot_seq; none: both 0.
  uint64_t snapshot_seq = 0;
  uint64_t snapshot_first = 0;
  uint64_t snapshot_last = 0;
  uint32_t snapshot_crc = 0;

  bool has_snapshot() const { return snapshot_first != 0; }
  bool operator==(const JournalHead&) const = default;
};

uint32_t JournalRowCrc(uint32_t before, uint64_t seq, std::string_view row);
uint32_t SnapshotRowCrc(uint32_t before, uint64_t id, std::string_view part,
                        std::string_view row);

// Makes the tables and the head of an empty journal in an empty database.
absl::Status CreateJournalFormat(Database& database);

// The version of the file; DataLoss if it is not even that.
absl::StatusOr<int64_t> ReadJournalFormat(Database& database);
// FailedPrecondition unless `format` is ours: a newer one, or one so old that
// no migration is left for it.
absl::Status CheckJournalFormat(const std::string& path, int64_t format);

// A step from version `from` to from + 1, within a transaction. It leaves
// `meta` as the new version wants it.
struct JournalMigration {
  int64_t from = 0;
  absl::Status (*step)(Database& database) = nullptr;
};
std::span<const JournalMigration> JournalMigrations();
// All steps up to `to`, or none: one transaction.
absl::Status MigrateJournal(Database& database, int64_t to,
                            std::span<const JournalMigration> steps);

// Structure: SQLite's own check of every page, and the schema word by word (a
// trigger would change what we write).
absl::Status CheckJournalStructure(Database& database);

absl::StatusOr<JournalHead> ReadJournalHead(Database& database);
// The statement that writes both copies, to be kept and handed to
// WriteJournalHead within a transaction.
absl::StatusOr<Query> PrepareJournalHead(Database& database);
absl::Status WriteJournalHead(Query& update, const JournalHead& head);

// Calls `fn` with every row from `from` on, in order, its CRC checked before
// and the end of the chain after. Stops at the first error, fn's too.
// REQUIRES: head.journal_first <= from <= head.journal_last + 1.
absl::Status WalkJournal(
    Database& database, const JournalHead& head, uint64_t from,
    const std::function<absl::Status(uint64_t seq, std::string_view row)>& fn);
absl::Status WalkSnapshot(
    Database& database, const JournalHead& head,
    const std::function<absl::Status(std::string_view part,
                                     std::string_view row)>& fn);

// DataLoss: "PATH: the state is damaged: WHAT".
absl::Status JournalDamage(const std::string& path, std::string_view what);
// `status`; if it is DataLoss, with what to do about it. For the edge of the
// component, where a person will read it.
absl::Status WithAdvice(absl::Status status);

}  // namespace klaxon
