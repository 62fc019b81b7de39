// The journal and the snapshots of the daemon: what makes a crash leave no
// trace (docs/ARCHITECTURE.md). klaxon.db in the state directory, a SQLite
// database that a person can open; pipeline/journal_format.h says how it
// looks inside.
//
// Protocol. Open; ReadSnapshot; ReadRecords from where the snapshot needs
// them; then Append. Once Append returned OK its records are on the disk, all
// of them, whatever happens next; if it returned an error, none are, or the
// store is dead (below) and what is there is found out by opening it again.
//
// A snapshot is written in slices between appends: BeginSnapshot, then
// PutSnapshotPart with Appends in between, then CommitSnapshot. The one before
// stays valid until the commit, and a crash in between leaves it valid.
//
// Errors:
//   ResourceExhausted   No room: the disk, the quota, or disk_bytes_max.
//                       Nothing was changed; the same call may be made again.
//   InvalidArgument,
//   FailedPrecondition  The call was wrong; nothing was changed. From Open:
//                       the file is of a version that this program cannot read.
//   OutOfRange          ReadRecords: from before first_seq.
//   Unavailable         Open: another process has the directory.
//   anything else       The store is dead: after a failed write or sync nobody
//                       knows what the disk holds. status() and every further
//                       call say the same; the process must exit and recover.
//                       DataLoss means that damage was found.
//
// One thread at a time. The directory is locked until the object is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pipeline/database.h"
#include "pipeline/journal_format.h"
#include "pipeline/row_codec.h"
#include "pipeline/state_dir.h"

namespace klaxon {

class Journal {
 public:
  struct Options {
    std::string dir;  // Made with mode 0700 if missing; its parent must exist.
    // klaxon.db and its rollback journal are held below this. What is deleted
    // is used again but never given back to the file system.
    uint64_t disk_bytes_max = uint64_t{4} << 30;
    int zstd_level = 1;
    // Parts that wait for an Append to carry them; beyond it PutSnapshotPart
    // commits by itself. A commit of 1 MiB takes some 2 ms: who must not stall
    // puts less than that between two Appends.
    size_t snapshot_buffer_bytes_max = 1 << 20;
    std::string vfs;  // See Database::Options.
  };
  // Creates the store or opens it, and reads all of it once: OK means that
  // whatever will be read is whole.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const Options& options);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // OK, or why the store is dead.
  const absl::Status& status() const { return status_; }

  // One transaction, synced; the records get the next numbers, from 1 on. The
  // snapshot parts that wait go with it; if there is no room for both, the
  // snapshot is given up (PutSnapshotPart and CommitSnapshot then say so).
  // Without records: commits what waits, and deletes some of what may go.
  absl::Status Append(std::span<const std::string> records);

  // The oldest record that can still be read, last_seq() + 1 if none can.
  uint64_t first_seq() const { return head_.journal_first; }
  uint64_t last_seq() const { return head_.journal_last; }
  // Of the records after the snapshot, as stored (compressed).
  uint64_t bytes_since_snapshot() const { return bytes_since_snapshot_; }

  // REQUIRES: seq <= last_seq(). A snapshot under way is given up.
  absl::Status BeginSnapshot(uint64_t seq);
  // Parts come back from ReadSnapshot in the order of these calls. A name may
  // come more than once. By convention "GROUP/rest": `klaxon state show` adds
  // up the sizes of a group.
  absl::Status PutSnapshotPart(std::string_view name, std::string_view bytes);
  // The same in two steps: what compresses it may be a process forked off.
  std::string EncodePart(std::string_view bytes) {
    return codec_.Encode(bytes);
  }
  absl::Status PutSnapshotRow(std::string_view name, std::string row);
  // Makes it the snapshot; there must be a part. Records before
  // `keep_from_seq` cannot be read any more, and are deleted a few per commit,
  // as are the parts of the snapshot before.
  // REQUIRES: keep_from_seq <= seq of BeginSnapshot + 1.
  absl::Status CommitSnapshot(uint64_t keep_from_seq);
  // The same with the next Append, which then is one commit and not a second
  // one. If that finds no room, the snapshot is given up.
  absl::Status CommitSnapshotWithNext(uint64_t keep_from_seq);
  void AbortSnapshot();
  // From BeginSnapshot until it is committed or given up.
  bool writing_snapshot() const { return writing_.has_value(); }
  // Not OK: the last one that was begun was given up for want of room.
  const absl::Status& snapshot_given_up() const { return given_up_; }

  bool has_snapshot() const { return head_.has_snapshot(); }
  // REQUIRES: has_snapshot().
  uint64_t snapshot_seq() const { return head_.snapshot_seq; }

  // Streaming: one row is in memory at a time; the views die with the call.
  // Stops at the first error of `fn` and returns it.
  absl::Status ReadSnapshot(
      const std::function<absl::Status(std::string_view name,
                                       std::string_view bytes)>& fn);
  absl::Status ReadRecords(
      uint64_t from_seq,
      const std::function<absl::Status(uint64_t seq, std::string_view record)>&
          fn);

  struct Usage {
    uint64_t file_bytes = 0;  // klaxon.db; never shrinks.
    uint64_t free_bytes = 0;  // Of these, for what comes next.
    uint64_t bytes_max = 0;   // What file_bytes may grow to.
  };
  absl::StatusOr<Usage> usage();

 private:
  struct Part {
    std::string name;
    std::string row;
  };
  // The snapshot under way.
  struct Writing {
    uint64_t seq = 0;
    uint64_t first_id = 0;
    uint64_t next_id = 0;
    uint32_t crc = 0;
    uint64_t bytes_after = 0;  // Of the records after `seq`, as stored.
    std::optional<uint64_t> commit_with_next;  // keep_from_seq
  };
  // How much garbage may still go.
  struct Room {
    size_t rows = 0;
    size_t bytes = 0;
  };
  // What one transaction does.
  struct Change {
    std::span<const std::string> rows;        // Records, encoded.
    bool parts = false;                       // Those that wait, too.
    std::optional<uint64_t> commit_snapshot;  // keep_from_seq
    // Of garbage; at least one row goes if neither is 0.
    size_t delete_bytes_max = 0;
    size_t delete_rows_max = 0;
  };

  Journal(const Options& options, StateDir dir, Database database);

  absl::Status Load();
  absl::Status PrepareStatements();
  absl::Status CommitChange(const Change& change);
  absl::Status CommitMakingRoom(const Change& change);
  absl::Status RunTransaction(const Change& change, JournalHead* head,
                              Writing* writing);
  absl::Status CheckWriting() const;
  absl::Status CheckCommit(uint64_t keep_from) const;
  absl::Status InsertRecords(const Change& change, JournalHead* head);
  absl::Status InsertParts(Writing* writing);
  absl::Status MoveHeadToSnapshot(const Writing& writing, uint64_t keep_from,
                                  JournalHead* head);
  absl::Status DeleteGarbage(const Change& change);
  absl::StatusOr<bool> DeleteRows(Query& select, Query& remove, int64_t above,
                                  int64_t below, Room* left);
  absl::Status RollBack(absl::Status cause);
  absl::Status NoRoom(const absl::Status& cause);
  bool MakeRoom(bool give_up_snapshot);
  absl::Status Die(absl::Status status);

  const Options options_;
  StateDir dir_;  // Outlives the database: the lock goes last.
  Database database_;
  RowCodec codec_;
  absl::Status status_;

  std::optional<Query> insert_record_;
  std::optional<Query> insert_part_;
  std::optional<Query> update_head_;
  std::optional<Query> select_records_;
  std::optional<Query> delete_records_;
  std::optional<Query> select_parts_;
  std::optional<Query> delete_parts_;

  JournalHead head_;  // As committed.
  uint64_t bytes_since_snapshot_ = 0;
  std::optional<Writing> writing_;
  absl::Status given_up_;      // Not OK: there was no room for a snapshot.
  std::vector<Part> waiting_;  // Parts of writing_ not yet in the file.
  size_t waiting_bytes_ = 0;
  uint64_t next_part_id_ = 1;  // Above every id in the file.
  bool garbage_ = true;        // There may be some.
};

}  // namespace klaxon
