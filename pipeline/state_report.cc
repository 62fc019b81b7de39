#include "pipeline/state_report.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "event/json_writer.h"
#include "pipeline/database.h"
#include "pipeline/journal_format.h"
#include "pipeline/journal_record.h"
#include "pipeline/row_codec.h"
#include "pipeline/state_dir.h"
#include "sinks/terminal_text.h"

namespace klaxon {
namespace {

void Add(std::string_view row, std::string_view content, StoredBytes* to) {
  to->rows += 1;
  to->stored_bytes += row.size();
  to->content_bytes += content.size();
}

// ----------------------------------------------------------------- reading

class Inspector {
 public:
  Inspector(Database& database, StateReport* report)
      : database_(database), report_(report) {}

  absl::Status Run() {
    absl::StatusOr<int64_t> format = ReadJournalFormat(database_);
    if (!format.ok()) return format.status();
    report_->format = *format;
    absl::Status status = CheckJournalFormat(database_.path(), *format);
    if (status.ok()) status = CheckJournalStructure(database_);
    if (!status.ok()) return status;
    absl::StatusOr<JournalHead> head = ReadJournalHead(database_);
    if (!head.ok()) return head.status();
    head_ = *head;
    report_->first_seq = head_.journal_first;
    report_->last_seq = head_.journal_last;
    report_->has_snapshot = head_.has_snapshot();
    report_->snapshot_seq = head_.snapshot_seq;
    status = CountPages();
    if (status.ok()) status = ReadSnapshot();
    if (status.ok()) status = ReadJournal();
    return status;
  }

 private:
  absl::Status CountPages() {
    absl::StatusOr<int64_t> page = database_.Int("PRAGMA page_size");
    if (!page.ok()) return page.status();
    absl::StatusOr<int64_t> pages = database_.Int("PRAGMA freelist_count");
    if (!pages.ok()) return pages.status();
    report_->free_bytes = static_cast<uint64_t>(*page * *pages);
    absl::StatusOr<int64_t> garbage = database_.Int(fmt::format(
        "SELECT (SELECT count(*) FROM journal WHERE seq < {}) + "
        "(SELECT count(*) FROM snapshot WHERE id NOT BETWEEN {} AND {})",
        head_.journal_first, head_.snapshot_first, head_.snapshot_last));
    if (!garbage.ok()) return garbage.status();
    report_->garbage_rows = static_cast<uint64_t>(*garbage);
    return absl::OkStatus();
  }

  absl::Status ReadSnapshot() {
    return WalkSnapshot(
        database_, head_, [this](std::string_view part, std::string_view row) {
          absl::StatusOr<std::string_view> content = codec_.Decode(row);
          if (!content.ok()) {
            return JournalDamage(
                database_.path(),
                fmt::format("snapshot part {}: {}", part,
                            std::string(content.status().message())));
          }
          Add(row, *content, &report_->snapshot);
          const std::string_view group = part.substr(0, part.rfind('/'));
          Add(row, *content, &report_->snapshot_groups[std::string(group)]);
          return part == kLanesPart ? LoadLanes(*content) : absl::OkStatus();
        });
  }

  absl::Status LoadLanes(std::string_view bytes) {
    WireReader reader(bytes);
    if (!report_->lanes.Load(&reader) || !reader.done()) {
      return JournalDamage(database_.path(),
                           "the snapshot's part of the lanes is malformed");
    }
    lanes_known_up_to_ = head_.snapshot_seq;
    return absl::OkStatus();
  }

  absl::Status ReadJournal() {
    return WalkJournal(
        database_, head_, head_.journal_first,
        [this](uint64_t seq, std::string_view row) {
          absl::StatusOr<std::string_view> content = codec_.Decode(row);
          absl::StatusOr<JournalRecord> record =
              content.ok() ? DecodeJournalRecord(*content)
                           : absl::StatusOr<JournalRecord>(content.status());
          if (!record.ok()) {
            const std::string message =
                fmt::format("journal record {}: {}", seq,
                            std::string(record.status().message()));
            return absl::IsDataLoss(record.status())
                       ? JournalDamage(database_.path(), message)
                       : absl::Status(record.status().code(), message);
          }
          Add(row, *content, &report_->journal);
          See(seq, *record);
          return absl::OkStatus();
        });
  }

  void See(uint64_t seq, const JournalRecord& record) {
    report_->records_by_kind[std::string(JournalRecordName(record))] += 1;
    if (seq > lanes_known_up_to_) report_->lanes.Apply(record);
    const auto* batch = std::get_if<BatchRecord>(&record);
    if (batch == nullptr || batch->newest == kNoTime) return;
    report_->newest_event = std::max(report_->newest_event, batch->newest);
    report_->oldest_event =
        report_->oldest_event == kNoTime
            ? batch->newest
            : std::min(report_->oldest_event, batch->newest);
  }

  Database& database_;
  StateReport* report_;
  RowCodec codec_;
  JournalHead head_;
  uint64_t lanes_known_up_to_ = 0;
};

// A read as well, so that SQLite sees whether there is something to undo.
absl::StatusOr<Database> OpenAndRead(const std::string& path, bool read_only) {
  absl::StatusOr<Database> database =
      Database::Open(path, {.read_only = read_only, .vfs = ""});
  if (!database.ok()) return database;
  absl::Status status =
      database->Int("SELECT count(*) FROM sqlite_schema").status();
  if (!status.ok()) return status;
  return database;
}

// Read-only; if SQLite must undo an unfinished commit first, it may, with the
// directory to ourselves.
absl::StatusOr<Database> OpenToLook(const std::string& path,
                                    std::optional<StateDir>* dir,
                                    bool* rolled_back) {
  absl::StatusOr<Database> database =
      OpenAndRead((*dir)->database(), /*read_only=*/true);
  if (!absl::IsPermissionDenied(database.status())) return database;
  dir->reset();
  absl::StatusOr<StateDir> own = StateDir::Open(path, StateDir::Use::kOwn);
  if (!own.ok()) return own.status();
  *dir = *std::move(own);
  *rolled_back = true;
  return OpenAndRead((*dir)->database(), /*read_only=*/false);
}

}  // namespace

absl::StatusOr<StateReport> InspectState(const std::string& path) {
  absl::StatusOr<StateDir> opened = StateDir::Open(path, StateDir::Use::kLook);
  if (!opened.ok()) return opened.status();
  std::optional<StateDir> dir = *std::move(opened);
  StateReport report;
  report.dir = dir->path();
  struct stat file{};
  if (stat(dir->database().c_str(), &file) != 0) {
    if (stat(dir->rollback_journal().c_str(), &file) != 0) {
      return absl::NotFoundError(path + ": holds no state of Klaxon's");
    }
    report.damage = WithAdvice(JournalDamage(
        dir->database(), "it is gone, but its rollback journal is there"));
    return report;
  }
  report.file_bytes = static_cast<uint64_t>(file.st_size);
  if (file.st_size == 0) {
    report.damage = WithAdvice(JournalDamage(dir->database(), "it is empty"));
    return report;
  }
  absl::StatusOr<Database> database =
      OpenToLook(path, &dir, &report.rolled_back);
  absl::Status status = database.status();
  if (status.ok()) status = Inspector(*database, &report).Run();
  if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) {
    report.damage = WithAdvice(status);
    return report;
  }
  if (!status.ok()) return status;
  return report;
}

// ------------------------------------------------------------------ writing

namespace {

std::string Size(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double size = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(kUnits); ++unit) size /= 1024;
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string Safe(std::string_view text) {
  std::string safe;
  AppendTerminalSafe(text, &safe);
  return safe;
}

std::string Time(EventTime time) {
  return time == kNoTime ? "none" : FormatTime(time);
}

void AppendJournalText(const StateReport& report, std::string* out) {
  const StoredBytes& journal = report.journal;
  *out += fmt::format("journal   {} records, {} ({} unpacked)\n", journal.rows,
                      Size(journal.stored_bytes), Size(journal.content_bytes));
  if (report.first_seq <= report.last_seq) {
    *out += fmt::format("          numbers {} to {}; event time {} to {}\n",
                        report.first_seq, report.last_seq,
                        Time(report.oldest_event), Time(report.newest_event));
  }
  for (const auto& [kind, records] : report.records_by_kind) {
    *out += fmt::format("          {:>8}  {}\n", records, kind);
  }
}

void AppendSnapshotText(const StateReport& report, std::string* out) {
  if (!report.has_snapshot) {
    *out += "snapshot  none yet\n";
    return;
  }
  *out += fmt::format("snapshot  after record {}: {} parts, {} ({} unpacked)\n",
                      report.snapshot_seq, report.snapshot.rows,
                      Size(report.snapshot.stored_bytes),
                      Size(report.snapshot.content_bytes));
  for (const auto& [group, bytes] : report.snapshot_groups) {
    *out += fmt::format("          {:>10}  {} ({} parts)\n",
                        Size(bytes.stored_bytes), Safe(group), bytes.rows);
  }
}

void AppendLanesText(const StateReport& report, std::string* out) {
  for (const auto& [name, lane] : report.lanes.lanes()) {
    *out += fmt::format(
        "lane      {}: newest event {}, resume token of {} bytes{}{}\n",
        Safe(name), Time(lane.newest), lane.resume.size(),
        lane.idle ? ", idle" : "", lane.hold ? ", held" : "");
  }
}

void Number(JsonWriter* json, std::string_view key, uint64_t value) {
  json->Key(key);
  json->Uint(value);
}

void Stored(JsonWriter* json, const StoredBytes& bytes) {
  Number(json, "rows", bytes.rows);
  Number(json, "stored_bytes", bytes.stored_bytes);
  Number(json, "content_bytes", bytes.content_bytes);
}

void TimeUnlessNone(JsonWriter* json, std::string_view key, EventTime time) {
  if (time != kNoTime) json->Field(key, FormatTime(time));
}

void AppendJournalJson(const StateReport& report, JsonWriter* json) {
  json->Key("journal");
  json->BeginObject();
  Stored(json, report.journal);
  Number(json, "first_seq", report.first_seq);
  Number(json, "last_seq", report.last_seq);
  TimeUnlessNone(json, "oldest_event", report.oldest_event);
  TimeUnlessNone(json, "newest_event", report.newest_event);
  json->Key("kinds");
  json->BeginObject();
  for (const auto& [kind, records] : report.records_by_kind) {
    Number(json, kind, records);
  }
  json->EndObject();
  json->EndObject();
}

void AppendSnapshotJson(const StateReport& report, JsonWriter* json) {
  if (!report.has_snapshot) return;
  json->Key("snapshot");
  json->BeginObject();
  Number(json, "seq", report.snapshot_seq);
  Stored(json, report.snapshot);
  json->Key("groups");
  json->BeginObject();
  for (const auto& [group, bytes] : report.snapshot_groups) {
    json->Key(group);
    json->BeginObject();
    Stored(json, bytes);
    json->EndObject();
  }
  json->EndObject();
  json->EndObject();
}

void AppendLanesJson(const StateReport& report, JsonWriter* json) {
  json->Key("lanes");
  json->BeginArray();
  for (const auto& [name, lane] : report.lanes.lanes()) {
    json->BeginObject();
    json->Field("lane", name);
    TimeUnlessNone(json, "newest_event", lane.newest);
    Number(json, "resume_bytes", lane.resume.size());
    Number(json, "batches", lane.batches);
    json->Key("idle");
    json->Bool(lane.idle);
    json->Key("hold");
    json->Bool(lane.hold);
    json->EndObject();
  }
  json->EndArray();
}

}  // namespace

std::string StateReportText(const StateReport& report) {
  std::string out =
      fmt::format("{} (state format {})\n", Safe(report.dir), report.format);
  out += fmt::format("file      {}, {} of it free for what comes next\n",
                     Size(report.file_bytes), Size(report.free_bytes));
  if (report.rolled_back) {
    out += "          a commit that the last run did not finish was undone\n";
  }
  AppendJournalText(report, &out);
  AppendSnapshotText(report, &out);
  AppendLanesText(report, &out);
  if (report.garbage_rows > 0) {
    out +=
        fmt::format("garbage   {} rows will be deleted as the journal grows\n",
                    report.garbage_rows);
  }
  if (!report.damage.ok()) out += StateVerdictText(report);
  return out;
}

std::string StateVerdictText(const StateReport& report) {
  if (!report.damage.ok()) {
    return fmt::format("not usable: {}\n",
                       Safe(std::string(report.damage.message())));
  }
  return fmt::format(
      "ok: {}: every page, {} journal records and {} snapshot parts were read "
      "and are whole (an older copy of the whole directory, put back, would "
      "look the same)\n",
      Safe(report.dir), report.journal.rows, report.snapshot.rows);
}

std::string StateReportJson(const StateReport& report) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Field("schema", "klaxon.state/v1");
  json.Field("dir", report.dir);
  json.Field("format", report.format);
  Number(&json, "file_bytes", report.file_bytes);
  Number(&json, "free_bytes", report.free_bytes);
  Number(&json, "garbage_rows", report.garbage_rows);
  json.Key("rolled_back");
  json.Bool(report.rolled_back);
  AppendJournalJson(report, &json);
  AppendSnapshotJson(report, &json);
  AppendLanesJson(report, &json);
  json.Key("whole");
  json.Bool(report.damage.ok());
  if (!report.damage.ok()) {
    json.Field("damage", std::string(report.damage.message()));
  }
  json.EndObject();
  return out;
}

}  // namespace klaxon
