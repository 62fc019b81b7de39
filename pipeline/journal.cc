#include "pipeline/journal.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "pipeline/journal_file.h"

namespace klaxon {
namespace {

// Deleted in the shadow of each commit, if there is garbage: so much, or
// twice what the commit brings, so that deleting outpaces what comes. Freeing
// reads the pages of a row but writes only the freelist.
constexpr size_t kDeleteBytes = 1 << 20;
constexpr size_t kDeleteRows = 16;
// At once, where a commit has no room.
constexpr size_t kMakeRoomBytes = 16 << 20;
constexpr size_t kMakeRoomRows = 1024;
// No journal of ours gets there; a damaged number does.
constexpr int64_t kNumberMax = std::numeric_limits<int64_t>::max() / 2;

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

}  // namespace

// ------------------------------------------------------------------- open

Journal::Journal(const Options& options, StateDir dir, Database database)
    : options_(options),
      dir_(std::move(dir)),
      database_(std::move(database)),
      codec_(options.zstd_level) {}

Journal::~Journal() = default;

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const Options& options) {
  absl::StatusOr<StateDir> dir =
      StateDir::Open(options.dir, StateDir::Use::kOwn);
  if (!dir.ok()) return dir.status();
  absl::StatusOr<Database> database =
      OpenJournalFile(*dir, options.vfs, options.disk_bytes_max);
  if (!database.ok()) return WithAdvice(database.status());
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<Journal> journal(
      new Journal(options, *std::move(dir), *std::move(database)));
  absl::Status status = journal->Load();
  if (!status.ok()) return WithAdvice(status);
  return journal;
}

absl::Status Journal::Load() {
  absl::StatusOr<JournalHead> head = ReadJournalHead(database_);
  if (!head.ok()) return head.status();
  head_ = *head;
  absl::Status status = WalkJournal(database_, head_, head_.journal_first,
                                    [this](uint64_t seq, std::string_view row) {
                                      if (seq > head_.snapshot_seq) {
                                        bytes_since_snapshot_ += row.size();
                                      }
                                      return absl::OkStatus();
                                    });
  if (!status.ok()) return status;
  status = WalkSnapshot(
      database_, head_,
      [](std::string_view, std::string_view) { return absl::OkStatus(); });
  if (!status.ok()) return status;
  absl::StatusOr<int64_t> newest_id =
      database_.Int("SELECT coalesce(max(id), 0) FROM snapshot");
  if (!newest_id.ok()) return newest_id.status();
  if (*newest_id < 0 || *newest_id > kNumberMax) {
    return JournalDamage(database_.path(), "a snapshot row has no number");
  }
  next_part_id_ = static_cast<uint64_t>(*newest_id) + 1;
  status = PrepareStatements();
  if (!status.ok()) return status;
  // After a failed sync of the last run the kernel may show us a commit that
  // is not on the disk. One more commit, synced, makes it true; and whether
  // the directory can be written to is better known now.
  return CommitChange({});
}

absl::Status Journal::PrepareStatements() {
  const std::pair<std::optional<Query>*, std::string_view> all[] = {
      {&insert_record_,
       "INSERT INTO journal(seq, crc, record) VALUES(?, ?, ?)"},
      {&insert_part_,
       "INSERT INTO snapshot(id, part, crc, bytes) VALUES(?, ?, ?, ?)"},
      {&select_records_,
       "SELECT seq, length(record) FROM journal WHERE seq > ? AND seq < ? "
       "ORDER BY seq"},
      {&delete_records_, "DELETE FROM journal WHERE seq > ? AND seq <= ?"},
      {&select_parts_,
       "SELECT id, length(bytes) FROM snapshot WHERE id > ? AND id < ? "
       "ORDER BY id"},
      {&delete_parts_, "DELETE FROM snapshot WHERE id > ? AND id <= ?"},
  };
  for (const auto& [query, sql] : all) {
    absl::StatusOr<Query> prepared = database_.Prepare(sql);
    if (!prepared.ok()) return prepared.status();
    *query = *std::move(prepared);
  }
  absl::StatusOr<Query> update = PrepareJournalHead(database_);
  if (!update.ok()) return update.status();
  update_head_ = *std::move(update);
  return absl::OkStatus();
}

// ----------------------------------------------------------------- append

absl::Status Journal::Append(std::span<const std::string> records) {
  if (!status_.ok()) return status_;
  std::vector<std::string> rows;
  rows.reserve(records.size());
  size_t bytes = 0;
  for (const std::string& record : records) {
    if (record.size() > kRowBytesMax) {
      return absl::InvalidArgumentError(
          fmt::format("a journal record of {} bytes, at most {} are possible",
                      record.size(), kRowBytesMax));
    }
    rows.push_back(codec_.Encode(record));
    bytes += rows.back().size();
  }
  for (;;) {
    const std::optional<uint64_t> commit_snapshot =
        writing_.has_value() ? writing_->commit_with_next : std::nullopt;
    if (rows.empty() && waiting_.empty() && !garbage_ &&
        !commit_snapshot.has_value()) {
      return absl::OkStatus();
    }
    absl::Status status = CommitChange(
        {.rows = rows,
         .parts = true,
         .commit_snapshot = commit_snapshot,
         .delete_bytes_max = std::max(kDeleteBytes, 2 * bytes),
         .delete_rows_max = std::max(kDeleteRows, 2 * rows.size())});
    if (!absl::IsResourceExhausted(status)) return status;
    // What comes in goes before what only saves time later.
    if (!MakeRoom(/*give_up_snapshot=*/true)) return status;
  }
}

absl::Status Journal::CommitChange(const Change& change) {
  JournalHead head = head_;
  Writing writing = writing_.value_or(Writing());
  const bool garbage = garbage_;
  absl::Status status = RunTransaction(change, &head, &writing);
  if (!status.ok()) {
    garbage_ = garbage;  // What was deleted is there again.
    return RollBack(status);
  }
  head_ = head;
  for (const std::string& row : change.rows) {
    bytes_since_snapshot_ += row.size();
  }
  if (writing_.has_value()) {
    for (const std::string& row : change.rows) {
      writing.bytes_after += row.size();
    }
    writing_ = writing;
    next_part_id_ = writing.next_id;
  }
  if (change.parts) {
    waiting_.clear();
    waiting_bytes_ = 0;
  }
  if (change.commit_snapshot.has_value()) {
    bytes_since_snapshot_ = writing.bytes_after;
    writing_.reset();
    garbage_ = true;
  }
  return absl::OkStatus();
}

absl::Status Journal::RunTransaction(const Change& change, JournalHead* head,
                                     Writing* writing) {
  absl::Status status = database_.Exec("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  status = InsertRecords(change, head);
  if (status.ok() && change.parts) status = InsertParts(writing);
  if (status.ok() && change.commit_snapshot.has_value()) {
    status = MoveHeadToSnapshot(*writing, *change.commit_snapshot, head);
  }
  // After the inserts, which so use pages that earlier commits have freed:
  // those of this one would have to be journalled first.
  if (status.ok() && change.delete_bytes_max > 0) {
    status = DeleteGarbage(change);
  }
  if (status.ok()) status = WriteJournalHead(*update_head_, *head);
  if (status.ok()) status = database_.Exec("COMMIT");
  return status;
}

absl::Status Journal::InsertRecords(const Change& change, JournalHead* head) {
  for (const std::string& row : change.rows) {
    head->journal_last += 1;
    head->journal_crc =
        JournalRowCrc(head->journal_crc, head->journal_last, row);
    insert_record_->BindInt(1, static_cast<int64_t>(head->journal_last));
    insert_record_->BindInt(2, head->journal_crc);
    insert_record_->BindBlob(3, row);
    absl::Status status = insert_record_->Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Journal::InsertParts(Writing* writing) {
  for (const Part& part : waiting_) {
    const uint64_t id = writing->next_id++;
    writing->crc = SnapshotRowCrc(writing->crc, id, part.name, part.row);
    insert_part_->BindInt(1, static_cast<int64_t>(id));
    insert_part_->BindText(2, part.name);
    insert_part_->BindInt(3, writing->crc);
    insert_part_->BindBlob(4, part.row);
    absl::Status status = insert_part_->Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// ---------------------------------------------------------------- garbage

absl::Status Journal::DeleteGarbage(const Change& change) {
  if (!garbage_) return absl::OkStatus();
  Room left{change.delete_rows_max, change.delete_bytes_max};
  // Of `head_`, as committed: what this very transaction makes garbage must
  // stay until it is committed.
  const auto snapshot_first = static_cast<int64_t>(head_.snapshot_first);
  const auto snapshot_last = static_cast<int64_t>(head_.snapshot_last);
  const int64_t writing_first =
      writing_.has_value() ? static_cast<int64_t>(writing_->first_id) : kMost;
  absl::StatusOr<bool> more =
      DeleteRows(*select_records_, *delete_records_, kLeast,
                 static_cast<int64_t>(head_.journal_first), &left);
  if (more.ok() && !*more && head_.has_snapshot()) {
    more = DeleteRows(*select_parts_, *delete_parts_, kLeast, snapshot_first,
                      &left);
  }
  if (more.ok() && !*more) {  // Of one that was given up.
    more = DeleteRows(*select_parts_, *delete_parts_, snapshot_last,
                      writing_first, &left);
  }
  if (!more.ok()) return more.status();
  if (!*more) garbage_ = false;
  return absl::OkStatus();
}

// Deletes rows numbered in (above, below), the lowest first, as far as there
// is room. True: some are left.
absl::StatusOr<bool> Journal::DeleteRows(Query& select, Query& remove,
                                         int64_t above, int64_t below,
                                         Room* left) {
  select.BindInt(1, above);
  select.BindInt(2, below);
  std::optional<int64_t> up_to;
  bool more = false;
  for (;;) {
    absl::StatusOr<bool> on_row = select.Step();
    if (!on_row.ok()) return on_row.status();
    if (!*on_row) break;
    if (left->rows == 0 || left->bytes == 0) {
      more = true;
      select.Reset();
      break;
    }
    up_to = select.Int(0);
    left->rows -= 1;
    left->bytes -= std::min(left->bytes, static_cast<size_t>(select.Int(1)));
  }
  if (!up_to.has_value()) return more;
  remove.BindInt(1, above);
  remove.BindInt(2, *up_to);
  absl::Status status = remove.Run();
  if (!status.ok()) return status;
  return more;
}

// ----------------------------------------------------------------- errors

absl::Status Journal::Die(absl::Status status) {
  // Whoever hears of a want of room waits and tries again: here for ever.
  if (absl::IsResourceExhausted(status)) {
    status = absl::InternalError(
        fmt::format("{}: a commit found no room, and none was left to undo it. "
                    "Make room and start again",
                    std::string(status.message())));
  }
  status_ = WithAdvice(std::move(status));
  return status_;
}

absl::Status Journal::RollBack(absl::Status cause) {
  if (!absl::IsResourceExhausted(cause)) return Die(std::move(cause));
  if (database_.in_transaction()) {
    absl::Status status = database_.Exec("ROLLBACK");
    if (!status.ok()) return Die(std::move(status));
  }
  // Reading makes SQLite play its rollback journal back where the commit had
  // begun to write; only then is it known that nothing was changed.
  absl::StatusOr<JournalHead> head = ReadJournalHead(database_);
  if (!head.ok()) return Die(head.status());
  if (*head != head_) {
    return Die(absl::InternalError(
        database_.path() + ": a commit without room was not rolled back"));
  }
  return NoRoom(cause);
}

absl::Status Journal::NoRoom(const absl::Status& cause) {
  constexpr double kMebi = 1 << 20;
  absl::StatusOr<Usage> now = usage();
  if (!now.ok()) return Die(now.status());
  struct statvfs disk{};
  double disk_free = 0;
  if (statvfs(dir_.path().c_str(), &disk) == 0) {
    disk_free = static_cast<double>(disk.f_bavail) *
                static_cast<double>(disk.f_frsize) / kMebi;
  }
  return absl::ResourceExhaustedError(fmt::format(
      "{}: no room to write the state down: it holds {:.1f} MiB, {:.1f} of "
      "them free, of the {:.1f} MiB that it may; {:.1f} MiB are free on the "
      "disk ({})",
      database_.path(), static_cast<double>(now->file_bytes) / kMebi,
      static_cast<double>(now->free_bytes) / kMebi,
      static_cast<double>(now->bytes_max) / kMebi, disk_free,
      std::string(cause.message())));
}

// True: something may have been freed, try again. False after a finite number
// of calls: each deletes garbage until there is none, then a snapshot goes.
bool Journal::MakeRoom(bool give_up_snapshot) {
  if (!garbage_) {
    if (!give_up_snapshot || !writing_.has_value()) return false;
    AbortSnapshot();
    given_up_ = absl::ResourceExhaustedError(
        database_.path() + ": no room for a snapshot beside the journal");
  }
  return CommitChange({.delete_bytes_max = kMakeRoomBytes,
                       .delete_rows_max = kMakeRoomRows})
      .ok();
}

// --------------------------------------------------------------- snapshot

absl::Status Journal::BeginSnapshot(uint64_t seq) {
  if (!status_.ok()) return status_;
  if (seq > last_seq() || seq + 1 < first_seq()) {
    return absl::FailedPreconditionError(fmt::format(
        "a snapshot after record {}, of a journal that holds {} to {}", seq,
        first_seq(), last_seq()));
  }
  absl::StatusOr<Query> after = database_.Prepare(
      "SELECT coalesce(sum(length(record)), 0) FROM journal WHERE seq > ?");
  if (!after.ok()) return Die(after.status());
  after->BindInt(1, static_cast<int64_t>(seq));
  absl::StatusOr<bool> row = after->Step();
  if (!row.ok()) return Die(row.status());
  AbortSnapshot();
  Writing writing;
  writing.seq = seq;
  writing.first_id = writing.next_id = next_part_id_;
  writing.crc = SnapshotChain(seq);
  writing.bytes_after = static_cast<uint64_t>(after->Int(0));
  writing_ = writing;
  return absl::OkStatus();
}

absl::Status Journal::CheckWriting() const {
  if (!status_.ok()) return status_;
  if (writing_.has_value()) return absl::OkStatus();
  if (!given_up_.ok()) return given_up_;
  return absl::FailedPreconditionError("no snapshot was begun");
}

absl::Status Journal::PutSnapshotPart(std::string_view name,
                                      std::string_view bytes) {
  absl::Status status = CheckWriting();
  if (!status.ok()) return status;
  if (bytes.size() > kRowBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("a snapshot part of {} bytes, at most {} are possible",
                    bytes.size(), kRowBytesMax));
  }
  return PutSnapshotRow(name, codec_.Encode(bytes));
}

absl::Status Journal::PutSnapshotRow(std::string_view name, std::string row) {
  absl::Status status = CheckWriting();
  if (!status.ok()) return status;
  waiting_.push_back({std::string(name), std::move(row)});
  waiting_bytes_ += name.size() + waiting_.back().row.size();
  if (waiting_bytes_ <= options_.snapshot_buffer_bytes_max) {
    return absl::OkStatus();
  }
  status = CommitMakingRoom({.parts = true,
                             .delete_bytes_max = kDeleteBytes,
                             .delete_rows_max = kDeleteRows});
  if (absl::IsResourceExhausted(status)) {
    // As if it had not been called.
    waiting_bytes_ -= name.size() + waiting_.back().row.size();
    waiting_.pop_back();
  }
  return status;
}

absl::Status Journal::CheckCommit(uint64_t keep_from) const {
  absl::Status status = CheckWriting();
  if (!status.ok()) return status;
  if (keep_from > writing_->seq + 1) {
    return absl::FailedPreconditionError(
        fmt::format("a snapshot after record {} cannot do without record {}",
                    writing_->seq, keep_from - 1));
  }
  if (waiting_.empty() && writing_->next_id == writing_->first_id) {
    return absl::FailedPreconditionError("a snapshot without a part");
  }
  return absl::OkStatus();
}

absl::Status Journal::CommitSnapshotWithNext(uint64_t keep_from_seq) {
  absl::Status status = CheckCommit(keep_from_seq);
  if (status.ok()) writing_->commit_with_next = keep_from_seq;
  return status;
}

absl::Status Journal::CommitSnapshot(uint64_t keep_from_seq) {
  absl::Status status = CheckCommit(keep_from_seq);
  if (!status.ok()) return status;
  return CommitMakingRoom({.parts = true,
                           .commit_snapshot = keep_from_seq,
                           .delete_bytes_max = kDeleteBytes,
                           .delete_rows_max = kDeleteRows});
}

absl::Status Journal::CommitMakingRoom(const Change& change) {
  for (;;) {
    absl::Status status = CommitChange(change);
    if (!absl::IsResourceExhausted(status)) return status;
    if (!MakeRoom(/*give_up_snapshot=*/false)) return status;
  }
}

absl::Status Journal::MoveHeadToSnapshot(const Writing& writing,
                                         uint64_t keep_from,
                                         JournalHead* head) {
  head->snapshot_seq = writing.seq;
  head->snapshot_first = writing.first_id;
  head->snapshot_last = writing.next_id - 1;
  head->snapshot_crc = writing.crc;
  if (keep_from <= head->journal_first) return absl::OkStatus();
  absl::StatusOr<int64_t> crc = database_.Int(
      fmt::format("SELECT crc FROM journal WHERE seq = {}", keep_from - 1));
  if (!crc.ok()) return crc.status();
  head->journal_first = keep_from;
  head->journal_base = static_cast<uint32_t>(*crc);
  return absl::OkStatus();
}

void Journal::AbortSnapshot() {
  given_up_ = absl::OkStatus();
  if (!writing_.has_value()) return;
  writing_.reset();
  waiting_.clear();
  waiting_bytes_ = 0;
  garbage_ = true;
}

// ---------------------------------------------------------------- reading

absl::Status Journal::ReadSnapshot(
    const std::function<absl::Status(std::string_view name,
                                     std::string_view bytes)>& fn) {
  if (!status_.ok()) return status_;
  absl::Status stopped;
  absl::Status status = WalkSnapshot(
      database_, head_, [&](std::string_view part, std::string_view row) {
        absl::StatusOr<std::string_view> bytes = codec_.Decode(row);
        if (!bytes.ok()) {
          return JournalDamage(
              database_.path(),
              fmt::format("snapshot part {}: {}", part,
                          std::string(bytes.status().message())));
        }
        stopped = fn(part, *bytes);
        return stopped;
      });
  if (!stopped.ok() || status.ok()) return stopped;
  return Die(std::move(status));
}

absl::Status Journal::ReadRecords(
    uint64_t from_seq,
    const std::function<absl::Status(uint64_t seq, std::string_view record)>&
        fn) {
  if (!status_.ok()) return status_;
  if (from_seq < first_seq()) {
    return absl::OutOfRangeError(
        fmt::format("{}: record {} is wanted, the oldest kept is {}",
                    database_.path(), from_seq, first_seq()));
  }
  if (from_seq > last_seq()) return absl::OkStatus();
  absl::Status stopped;
  absl::Status status = WalkJournal(
      database_, head_, from_seq, [&](uint64_t seq, std::string_view row) {
        absl::StatusOr<std::string_view> record = codec_.Decode(row);
        if (!record.ok()) {
          return JournalDamage(
              database_.path(),
              fmt::format("journal record {}: {}", seq,
                          std::string(record.status().message())));
        }
        stopped = fn(seq, *record);
        return stopped;
      });
  if (!stopped.ok() || status.ok()) return stopped;
  return Die(std::move(status));
}

absl::StatusOr<Journal::Usage> Journal::usage() {
  uint64_t numbers[4] = {};
  constexpr std::string_view kPragmas[] = {
      "PRAGMA page_size", "PRAGMA page_count", "PRAGMA freelist_count",
      "PRAGMA max_page_count"};
  for (size_t i = 0; i < std::size(kPragmas); ++i) {
    absl::StatusOr<int64_t> number = database_.Int(kPragmas[i]);
    if (!number.ok()) return number.status();
    numbers[i] = static_cast<uint64_t>(*number);
  }
  return Usage{.file_bytes = numbers[0] * numbers[1],
               .free_bytes = numbers[0] * numbers[2],
               .bytes_max = numbers[0] * numbers[3]};
}

}  // namespace klaxon
