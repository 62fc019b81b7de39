// The whole scan over one long file: what is said of it must not depend on the
// parts it is read in, nor on the number of workers.
#include "pipeline/scan.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "detectors/alert_wire.h"
#include "tests/random_seed.h"
#include "tests/testing/audit_line.h"
#include "tests/testing/shared_folder.h"

namespace klaxon {
namespace {

constexpr size_t kLineMax = 4096;

std::string SomeLog(std::mt19937_64& random) {
  std::string log;
  for (int i = 0; i < 3000; ++i) {
    const EventTime time = i * kSecond / 20;
    const std::string client = "203.0.113." + std::to_string(random() % 30);
    switch (random() % 20) {
      case 0:
        log += "{\"kind\":\"Event\",\"broken\n";
        break;
      case 1:
        log += "\n";
        break;
      case 2:
        log += std::string(random() % 6 == 0 ? 2 * kLineMax : 300, 'x') + "\n";
        break;
      case 3:
        log += AuditLine().User("dana").From(client).At(time).Json() + "\n";
        break;
      default:
        log += AuditLine()
                   .Failed()
                   .Id("id-" + std::to_string(i))
                   .From(client)
                   .At(time)
                   .Json() +
               "\n";
    }
  }
  return log;
}

struct Told {
  std::vector<std::string> alerts;
  std::vector<std::tuple<uint64_t, uint64_t, uint64_t, std::string>> bad;
  uint64_t lines = 0;
  uint64_t bytes = 0;
  uint64_t events = 0;
  uint64_t requests = 0;
  uint64_t skipped = 0;
  bool operator==(const Told&) const = default;
};

// `part_bytes`: 0, or how small parts may be.
Told Tell(const std::string& path, uint64_t part_bytes, int threads,
          size_t line_bytes_max = kLineMax) {
  ArchiveOptions options;
  options.paths = {path};
  options.batch_bytes = 8 << 10;
  options.line_bytes_max = line_bytes_max;
  options.oversize_keep_bytes = 512;
  options.part_bytes_min = part_bytes;
  auto source = MakeArchiveSource(options);
  EXPECT_TRUE(source->Open({}).ok());
  Told told;
  ScanCallbacks callbacks;
  callbacks.on_alert = [&](const Alert& alert) {
    EncodeTo(alert, &told.alerts.emplace_back());
  };
  callbacks.on_quarantined = [&](const QuarantineRecord& record) {
    told.bad.emplace_back(record.offset, record.line, record.column,
                          std::string(record.bytes));
  };
  const EngineConfig config;
  ScanSummary summary;
  ScanOptions scan;
  scan.threads = threads;
  scan.split_bytes_min = part_bytes;
  scan.waiting_bytes_max = part_bytes / 10;
  EXPECT_TRUE(
      RunScan(config, scan, *source, callbacks, nullptr, &summary).ok());
  told.lines = summary.lines;
  told.bytes = summary.bytes;
  told.events = summary.events;
  told.requests = summary.requests;
  told.skipped = summary.skipped;
  return told;
}

std::string LogPath() {
  return (std::filesystem::temp_directory_path() /
          ("klaxon-scan-test-" + std::to_string(getpid())))
      .string();
}

// Of a line in chunks the rest may stand behind hundreds of others.
TEST(Scan, WorkersDoNotShowWhereLinesAreInChunks) {
  const std::string path = LogPath();
  const std::string stamp = "2026-01-02T03:04:05.000000006Z ";
  std::string log;
  for (int i = 0; i < 200; ++i) {
    const std::string line =
        AuditLine().Failed().From("203.0.113.7").At(i * kSecond).Json();
    log += stamp + "stdout P " + line.substr(0, 200) + "\n";
    for (int other = i % 50 == 0 ? 300 : 20; other > 0; --other) {
      log += stamp + "stderr F I0102 03:04:05.000000       1 x.go:1] y\n";
    }
    log += stamp + "stdout F " + line.substr(200) + "\n";
  }
  std::ofstream(path, std::ios::binary) << log;
  const Told whole = Tell(path, 0, 1);
  EXPECT_FALSE(whole.alerts.empty());
  EXPECT_GE(whole.events, 190u);
  for (int threads = 1; threads <= 4; ++threads) {
    for (uint64_t part_bytes : {1, 1000, 20'000}) {
      EXPECT_EQ(Tell(path, part_bytes, threads), whole) << threads;
    }
  }
  std::remove(path.c_str());
}

// Two events are one request (design.md): of a watch; and where an API server
// calls more long-running than kube-apiserver does, as OpenShift's does an
// import of images. A failed authentication has one event.
TEST(Scan, CountsARequestOnce) {
  const std::string path = LogPath();
  std::string log;
  for (const char* verb : {"watch", "create"}) {
    for (const char* stage : {"ResponseStarted", "ResponseComplete"}) {
      log += AuditLine().User("dana").Id(verb).Verb(verb).Stage(stage).Json();
      log += "\n";
    }
  }
  log += AuditLine().Failed().Id("failed").Json() + "\n";
  std::ofstream(path, std::ios::binary) << log;
  for (int threads = 1; threads <= 4; ++threads) {
    const Told told = Tell(path, 0, threads);
    EXPECT_EQ(told.events, 5u);
    EXPECT_EQ(told.requests, 3u);
  }
  std::remove(path.c_str());
}

// 11 258 events: 26 requests have two.
TEST(PublicLogs, RequestsOfOpenShift) {
  const auto log =
      SharedFolder() / "public-logs/openshift-stolen-token" / "audit.log.gz";
  if (!std::filesystem::exists(log)) GTEST_SKIP() << "no " << log;
  const Told told = Tell(log.string(), 0, 2, 16 << 20);
  EXPECT_EQ(told.events, 11'258u);
  EXPECT_EQ(told.requests, 11'232u);
  EXPECT_TRUE(told.bad.empty());
}

TEST(Scan, PartsAndWorkersDoNotShow) {
  std::mt19937_64 random(RandomSeed());
  const std::string path = LogPath();
  const std::string log =
      AuditLine().User("dana").Json() + "\n" + SomeLog(random);
  std::ofstream(path, std::ios::binary) << log;
  const Told whole = Tell(path, 0, 1);
  EXPECT_FALSE(whole.alerts.empty());
  EXPECT_GT(whole.bad.size(), 100u);
  EXPECT_EQ(whole.bytes, log.size());
  for (const auto& [offset, line, column, bytes] : whole.bad) {
    // An oversize line is kept by its head and tail alone.
    if (bytes.size() < kLineMax / 8) {
      EXPECT_EQ(log.substr(offset, bytes.size()), bytes);
    }
    EXPECT_EQ(
        1 + std::count(log.begin(),
                       log.begin() + static_cast<ptrdiff_t>(offset), '\n'),
        static_cast<ptrdiff_t>(line));
  }
  for (int threads : {1, 2, 3, 4, 19}) {
    for (int round = 0; round < 5; ++round) {
      const uint64_t part_bytes = 1 + random() % 100'000;
      EXPECT_EQ(Tell(path, part_bytes, threads), whole)
          << "parts of " << part_bytes << ", " << threads << " workers";
    }
  }
  std::remove(path.c_str());
}

// What cannot be judged is not read to its end.
TEST(Scan, StopsWhereNothingCanBeSpilled) {
  const std::string path = LogPath();
  {
    std::ofstream file(path);
    for (int minute = 0; minute < 2'000; ++minute) {
      for (int client = 0; client < 20; ++client) {
        file << AuditLine()
                    .Failed()
                    .From("203.0.113." + std::to_string(client))
                    .At(minute * kMinute)
                    .Json()
             << "\n";
      }
    }
  }
  const uint64_t size = std::filesystem::file_size(path);
  for (int threads : {1, 2, 9}) {
    ArchiveOptions options;
    options.paths = {path};
    options.batch_bytes = 64 << 10;
    options.part_bytes_min = threads == 1 ? 0 : 1 << 20;
    auto source = MakeArchiveSource(options);
    ASSERT_TRUE(source->Open({}).ok());
    EngineConfig config;
    config.reorder_memory_bytes = 1;
    config.spill_dir = "/nowhere";
    ScanOptions scan;
    scan.threads = threads;
    scan.split_bytes_min = 1 << 20;
    ScanCallbacks callbacks;
    callbacks.on_alert = [](const Alert&) { FAIL() << "of a part of it"; };
    ScanSummary summary;
    const absl::Status status =
        RunScan(config, scan, *source, callbacks, nullptr, &summary);
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_LT(summary.bytes, size) << threads << " threads";
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace klaxon
