// What a journal holds, as plain values, and a random life of one: the slow
// obvious model beside pipeline/journal.h.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/journal.h"

namespace klaxon {

struct JournalContent {
  uint64_t first_seq = 1;
  std::vector<std::string> records;  // From first_seq on.
  std::optional<uint64_t> snapshot_seq;
  std::vector<std::pair<std::string, std::string>> parts;
  bool operator==(const JournalContent&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const JournalContent& c) {
  return out << "records " << c.first_seq << "+" << c.records.size()
             << ", snapshot of " << c.snapshot_seq.value_or(0) << " in "
             << c.parts.size() << " parts";
}

inline absl::StatusOr<JournalContent> ReadAll(Journal& journal) {
  JournalContent content;
  content.first_seq = journal.first_seq();
  if (journal.has_snapshot()) content.snapshot_seq = journal.snapshot_seq();
  absl::Status status =
      journal.ReadSnapshot([&](std::string_view name, std::string_view bytes) {
        content.parts.emplace_back(name, bytes);
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  uint64_t expected = content.first_seq;
  status = journal.ReadRecords(content.first_seq,
                               [&](uint64_t seq, std::string_view record) {
                                 EXPECT_EQ(seq, expected++);
                                 content.records.emplace_back(record);
                                 return absl::OkStatus();
                               });
  if (!status.ok()) return status;
  EXPECT_EQ(expected, journal.last_seq() + 1);
  return content;
}

// Opens, reads, closes.
inline absl::StatusOr<JournalContent> ReadJournalDir(
    const std::string& dir, const std::string& vfs = "") {
  absl::StatusOr<std::unique_ptr<Journal>> journal =
      Journal::Open({.dir = dir, .vfs = vfs});
  if (!journal.ok()) return journal.status();
  return ReadAll(**journal);
}

struct JournalStep {
  enum What { kAppend, kBegin, kPut, kCommit, kAbort };
  What what = kAppend;
  std::vector<std::string> records;
  uint64_t seq = 0;  // Of kBegin; keep_from of kCommit.
  std::string name;
  std::string bytes;
};

inline absl::Status Do(const JournalStep& step, Journal& journal) {
  switch (step.what) {
    case JournalStep::kAppend:
      return journal.Append(step.records);
    case JournalStep::kBegin:
      return journal.BeginSnapshot(step.seq);
    case JournalStep::kPut:
      return journal.PutSnapshotPart(step.name, step.bytes);
    case JournalStep::kCommit:
      return journal.CommitSnapshot(step.seq);
    case JournalStep::kAbort:
      journal.AbortSnapshot();
      return absl::OkStatus();
  }
  return absl::InternalError("no such step");
}

// Content on the disk, and the snapshot under way, which is lost in a crash.
struct JournalModel {
  JournalContent content;
  uint64_t writing_seq = 0;
  std::vector<std::pair<std::string, std::string>> writing;

  void Do(const JournalStep& step) {
    switch (step.what) {
      case JournalStep::kAppend:
        content.records.insert(content.records.end(), step.records.begin(),
                               step.records.end());
        break;
      case JournalStep::kBegin:
        writing.clear();
        writing_seq = step.seq;
        break;
      case JournalStep::kPut:
        writing.emplace_back(step.name, step.bytes);
        break;
      case JournalStep::kCommit:
        content.snapshot_seq = writing_seq;
        content.parts = std::move(writing);
        writing.clear();
        if (step.seq > content.first_seq) {
          content.records.erase(
              content.records.begin(),
              content.records.begin() +
                  static_cast<std::ptrdiff_t>(step.seq - content.first_seq));
          content.first_seq = step.seq;
        }
        break;
      case JournalStep::kAbort:
        writing.clear();
        break;
    }
  }
};

// Half of it compresses well, half does not.
inline std::string RandomBytes(std::mt19937_64& random, size_t size_max) {
  std::string bytes(random() % (size_max + 1), 'x');
  if (random() % 2 == 0) {
    for (char& c : bytes) c = static_cast<char>(random());
  }
  return bytes;
}

// A valid life of `steps` steps, beginning with an empty journal.
inline std::vector<JournalStep> RandomScript(std::mt19937_64& random,
                                             size_t steps, size_t bytes_max) {
  std::vector<JournalStep> script;
  uint64_t last = 0;
  uint64_t first = 1;
  uint64_t writing_seq = 0;
  int parts = -1;  // -1: no snapshot under way.
  while (script.size() < steps) {
    JournalStep step;
    const uint64_t dice = random() % 12;
    if (dice < 6) {
      step.what = JournalStep::kAppend;
      for (uint64_t n = random() % 4; n > 0; --n) {
        step.records.push_back(RandomBytes(random, bytes_max));
      }
      last += step.records.size();
    } else if (parts < 0 || dice == 6) {
      if (parts >= 0 && random() % 3 != 0) continue;
      step.what = JournalStep::kBegin;
      const uint64_t least = first - 1;
      writing_seq = step.seq = least + random() % (last - least + 1);
      parts = 0;
    } else if (dice < 10) {
      step.what = JournalStep::kPut;
      step.name = "group" + std::to_string(random() % 3) + "/" +
                  std::to_string(parts++);
      step.bytes = RandomBytes(random, bytes_max);
    } else if (parts > 0 && dice == 10) {
      step.what = JournalStep::kCommit;
      step.seq = writing_seq + 1 - std::min(random() % 5, writing_seq);
      first = std::max(first, step.seq);
      parts = -1;
    } else if (random() % 4 == 0) {
      step.what = JournalStep::kAbort;
      parts = -1;
    } else {
      continue;
    }
    script.push_back(std::move(step));
  }
  return script;
}

}  // namespace klaxon
