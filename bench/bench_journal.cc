// How long a commit of the journal takes, and how long recovery does:
// klaxon-bench-journal DIR [COMMITS]. DIR must be empty or missing, on the disk
// that is to be measured; what is written there is removed again.
//
// What is read back is compared with what was written before a figure is given.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/crc32c.h"
#include "pipeline/journal.h"
#include "pipeline/journal_record.h"

namespace klaxon {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

[[noreturn]] void Give(const absl::Status& status) {
  fmt::print(stderr, "klaxon-bench-journal: {}\n", status.ToString());
  std::exit(1);
}

void Check(const absl::Status& status) {
  if (!status.ok()) Give(status);
}

std::unique_ptr<Journal> Open(const std::string& dir) {
  absl::StatusOr<std::unique_ptr<Journal>> journal =
      Journal::Open({.dir = dir});
  if (!journal.ok()) Give(journal.status());
  return *std::move(journal);
}

std::string Noise(std::mt19937_64& random, size_t bytes) {
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return noise;
}

void Report(std::string_view what, std::vector<double> ms, double bytes) {
  std::sort(ms.begin(), ms.end());
  double sum = 0;
  for (double one : ms) sum += one;
  auto at = [&ms](double share) {
    return ms[static_cast<size_t>(share * static_cast<double>(ms.size() - 1))];
  };
  fmt::print(
      "{:<44} {:>6} commits  p50 {:7.2f}  p90 {:7.2f}  p99 {:7.2f}  max "
      "{:7.2f} ms  {:7.1f} MB/s\n",
      what, ms.size(), at(0.5), at(0.9), at(0.99), ms.back(),
      bytes * static_cast<double>(ms.size()) / 1e3 / sum);
}

// Incompressible, so that as many bytes reach the disk.
void MeasureCommits(const std::string& dir, size_t bytes, size_t commits) {
  std::mt19937_64 random(1);
  auto journal = Open(dir);
  std::vector<double> ms;
  for (size_t i = 0; i < commits; ++i) {
    const std::vector<std::string> records = {Noise(random, bytes)};
    const auto start = Clock::now();
    Check(journal->Append(records));
    ms.push_back(MillisecondsSince(start));
  }
  Report(fmt::format("append {} KiB", bytes >> 10), std::move(ms),
         static_cast<double>(bytes));
  journal.reset();
  std::filesystem::remove_all(dir);
}

// The daemon's life: appends, each with a slice of a snapshot, while rows
// before the last snapshot are deleted.
void MeasureWithSnapshots(const std::string& dir, size_t commits) {
  constexpr size_t kRecordBytes = 64 << 10;
  constexpr size_t kPartBytes = 256 << 10;
  constexpr size_t kParts = 100;
  std::mt19937_64 random(2);
  auto journal = Open(dir);
  std::vector<double> ms;
  std::vector<double> snapshot_ms;
  const std::string part = Noise(random, kPartBytes);
  size_t parts = 0;
  for (size_t i = 0; i < commits; ++i) {
    if (parts == 0) Check(journal->BeginSnapshot(journal->last_seq()));
    const std::vector<std::string> records = {Noise(random, kRecordBytes)};
    const auto start = Clock::now();
    Check(journal->PutSnapshotPart(fmt::format("p/{}", parts), part));
    Check(journal->Append(records));
    ms.push_back(MillisecondsSince(start));
    if (++parts < kParts) continue;
    parts = 0;
    const auto commit = Clock::now();
    Check(journal->CommitSnapshot(journal->last_seq() + 1 - kParts));
    snapshot_ms.push_back(MillisecondsSince(commit));
  }
  Report("append 64 KiB + snapshot part 256 KiB, pruning", std::move(ms),
         kRecordBytes + kPartBytes);
  if (!snapshot_ms.empty()) {
    Report("commit of a snapshot", std::move(snapshot_ms), 0);
  }
  absl::StatusOr<Journal::Usage> usage = journal->usage();
  if (usage.ok()) {
    fmt::print("{:<44} {:.1f} MiB, {:.1f} of them free\n", "file after that",
               static_cast<double>(usage->file_bytes) / (1 << 20),
               static_cast<double>(usage->free_bytes) / (1 << 20));
  }
  journal.reset();
  std::filesystem::remove_all(dir);
}

// As a quarter MiB of a busy log leaves it: some hundred identities.
std::string BatchBytes(std::mt19937_64& random) {
  BatchRecord batch;
  batch.lane = "file:/var/log/kubernetes/audit.log";
  batch.resume = Noise(random, 100);
  batch.newest = 1'767'323'045 * kSecond;
  batch.counts.events = 170;
  for (int i = 0; i < 60; ++i) {
    Sighting& sighting = batch.observations.sightings.emplace_back();
    sighting.cluster = "default";
    sighting.user =
        fmt::format("system:serviceaccount:shop:a{}", random() % 5000);
    sighting.credential =
        fmt::format("JTI={:016x}-{:016x}", random(), random());
    sighting.client = fmt::format("10.{}.{}.{}", random() % 256, random() % 256,
                                  random() % 256);
    sighting.pod = fmt::format("a-{:x}", random() % 100'000);
    sighting.node = fmt::format("node-{}", random() % 100);
    sighting.minute = batch.newest;
    sighting.requests = random() % 20;
    sighting.seen.Add(batch.newest + static_cast<Nanos>(random() % kMinute));
    sighting.flags[0] = sighting.seen;
    sighting.AddAgent(batch.newest, random());
    sighting.sample.time = batch.newest;
    sighting.sample.order = random();
    sighting.sample.audit_id =
        fmt::format("{:016x}-{:016x}", random(), random());
    sighting.sample.verb = "list";
    sighting.sample.uri = "/api/v1/namespaces/shop/configmaps?limit=500";
    sighting.sample.user = sighting.user;
    sighting.sample.user_agent = "app/v1.2.3 (linux/amd64) kubernetes/abcdef";
    sighting.sample.source_ips = {sighting.client};
  }
  std::string bytes;
  EncodeTo(batch, &bytes);
  return bytes;
}

void MeasureRecovery(const std::string& dir) {
  constexpr uint64_t kJournalBytes = 64 << 20;
  std::mt19937_64 random(3);
  uint32_t written = 0;
  double unpacked = 0;
  {
    auto journal = Open(dir);
    while (journal->bytes_since_snapshot() < kJournalBytes) {
      std::vector<std::string> records;
      for (int i = 0; i < 100; ++i) {
        records.push_back(BatchBytes(random));
        written = Crc32c(written, records.back());
        unpacked += static_cast<double>(records.back().size());
      }
      Check(journal->Append(records));
    }
  }
  const auto start = Clock::now();
  auto journal = Open(dir);
  const double open_ms = MillisecondsSince(start);
  uint32_t read = 0;
  uint64_t observations = 0;
  Check(journal->ReadRecords(1, [&](uint64_t, std::string_view bytes) {
    read = Crc32c(read, bytes);
    absl::StatusOr<JournalRecord> record = DecodeJournalRecord(bytes);
    if (!record.ok()) return record.status();
    observations += std::get<BatchRecord>(*record).observations.size();
    return absl::OkStatus();
  }));
  const double all_ms = MillisecondsSince(start);
  if (read != written) Give(absl::DataLossError("read other than written"));
  fmt::print(
      "{:<44} {} records, {:.0f} MiB unpacked, {} observations: opened and "
      "verified in {:.0f} ms, read and decoded after {:.0f} ms\n",
      "recovery of 64 MiB", journal->last_seq(), unpacked / (1 << 20),
      observations, open_ms, all_ms);
  journal.reset();
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace klaxon

int main(int argc, char** argv) {
  if (argc < 2 || (std::filesystem::exists(argv[1]) &&
                   !std::filesystem::is_empty(argv[1]))) {
    fmt::print(stderr, "usage: klaxon-bench-journal EMPTY_DIR [COMMITS]\n");
    return 2;
  }
  const std::string dir = argv[1];
  size_t commits = 1000;
  if (argc > 2) {
    const std::string_view text = argv[2];
    std::from_chars(text.data(), text.data() + text.size(), commits);
  }
  klaxon::MeasureCommits(dir, 4 << 10, commits);
  klaxon::MeasureCommits(dir, 256 << 10, commits);
  klaxon::MeasureWithSnapshots(dir, commits);
  klaxon::MeasureRecovery(dir);
  return 0;
}
