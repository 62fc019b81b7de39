#include "ingest/archive_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ingest/file_stream.h"
#include "ingest/file_stretch.h"
#include "tests/ingest/ingest_fixture.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ArchiveSourceTest : public ::testing::Test {
 protected:
  std::string At(const std::string& name) const {
    return directory_.Path(name);
  }
  std::string Write(const std::string& name, const std::string& bytes) const {
    return directory_.Write(name, bytes);
  }
  ReadResult ReadAll(FileAccess* files = &SystemFiles()) const {
    return ReadPaths({directory_.path()}, files);
  }

  TempDirectory directory_;
};

TEST_F(ArchiveSourceTest, ReadsEveryKindByContent) {
  const std::string lines = SomeLines(1000);
  // The suffixes lie.
  Write("a.gz", lines);
  Write("b.log", Gzip(lines));
  Write("c.txt", Zstd(lines));
  Write("d", Compress(archive_write_add_filter_bzip2, lines));
  Write("e.zst", Compress(archive_write_add_filter_xz, lines));
  Write("f.log", Tar({{"x.log", lines}, {"sub/y.log.gz", Gzip(lines)}}));
  Write("g", Gzip(Tar({{"z", Zstd(lines)}})));
  Write("h", Zstd(Tar({{"inner.tar.gz", Gzip(Tar({{"deep", lines}}))}})));
  const ReadResult result = ReadAll();
  EXPECT_TRUE(absl::IsOutOfRange(result.end));
  EXPECT_THAT(result.problems, IsEmpty());
  EXPECT_THAT(
      result.Paths(),
      ElementsAre(At("a.gz"), At("b.log"), At("c.txt"), At("d"), At("e.zst"),
                  At("f.log:x.log"), At("f.log:sub/y.log.gz"), At("g:z"),
                  At("h:inner.tar.gz:deep")));
  for (const ReadInput& input : result.inputs) {
    EXPECT_EQ(input.bytes, lines) << input.path;
  }
  EXPECT_EQ(result.raw_bytes_read, result.raw_bytes_total);
  EXPECT_GT(result.raw_bytes_total, lines.size());
}

TEST_F(ArchiveSourceTest, ManyBatchesOfManyInputs) {
  const uint32_t seed = static_cast<uint32_t>(RandomSeed());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::string want;
  for (int i = 0; i < 40; ++i) {
    const std::string lines = SomeLines(random() % 2000);
    const std::string name = "f" + std::to_string(100 + i);
    want += lines;
    Write(name, i % 3 == 0 ? Gzip(lines) : i % 3 == 1 ? Zstd(lines) : lines);
  }
  for (int round = 0; round < 10; ++round) {
    ArchiveOptions options;
    options.paths = {directory_.path()};
    options.batch_bytes = 1 + random() % 20'000;
    options.line_bytes_max = 100 + random() % 100'000;
    const ReadResult result = ReadSource(*MakeArchiveSource(options));
    EXPECT_EQ(result.AllBytes(), want);
    EXPECT_EQ(result.inputs.size(), 40u);
  }
}

TEST_F(ArchiveSourceTest, OrderOfArgumentsDoesNotMatter) {
  std::vector<std::string> paths;
  for (int i = 0; i < 8; ++i) {
    paths.push_back(
        Write("d" + std::to_string(i % 3) + "/audit.log." + std::to_string(i),
              SomeLines(i + 1)));
  }
  const ReadResult want = ReadPaths(paths);
  const uint32_t seed = static_cast<uint32_t>(RandomSeed());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(paths.begin(), paths.end(), random);
    const ReadResult result = ReadPaths(paths);
    EXPECT_EQ(result.Paths(), want.Paths());
    EXPECT_EQ(result.AllBytes(), want.AllBytes());
  }
}

TEST_F(ArchiveSourceTest, RotationFamilyIsReadInTimeOrder) {
  Write("audit.log", "4\n");
  Write("audit-2026-01-02T03-04-05.001.log", "3\n");
  Write("audit-2026-01-01T03-04-05.002.log.gz", Gzip("1\n"));
  Write("audit-2026-01-01T03-04-05.003.log.zst", Zstd("2\n"));
  EXPECT_EQ(ReadAll().AllBytes(), "1\n2\n3\n4\n");
}

TEST_F(ArchiveSourceTest, LogAndItsEqualGzAreReadOnce) {
  const std::string lines = SomeLines(20'000);
  Write("x.log", lines);
  Write("x.log.gz", Gzip(lines));
  Write("x.log.zst", Zstd(lines));
  const ReadResult result = ReadAll();
  EXPECT_THAT(result.Paths(), ElementsAre(At("x.log")));
  EXPECT_EQ(result.AllBytes(), lines);
  EXPECT_THAT(result.problems, IsEmpty());
  EXPECT_EQ(result.raw_bytes_read, result.raw_bytes_total);
}

TEST_F(ArchiveSourceTest, GzOfAKilledCompressorIsNoProblem) {
  const std::string lines = SomeLines(20'000);
  const std::string gz = Gzip(lines);
  Write("x.log", lines);
  for (size_t cut : {size_t{0}, size_t{1}, size_t{2}, size_t{5}, size_t{18},
                     gz.size() / 2, gz.size() - 1}) {
    SCOPED_TRACE(cut);
    Write("x.log.gz", gz.substr(0, cut));
    const ReadResult result = ReadAll();
    EXPECT_THAT(result.Paths(), ElementsAre(At("x.log")));
    EXPECT_EQ(result.AllBytes(), lines);
    EXPECT_THAT(result.problems, IsEmpty());
  }
}

TEST_F(ArchiveSourceTest, TheLongerOfTwinsIsRead) {
  const std::string lines = SomeLines(20'000);
  Write("x.log", lines.substr(0, 1000));  // gunzip killed half-way.
  Write("x.log.gz", Gzip(lines));
  const ReadResult result = ReadAll();
  EXPECT_THAT(result.Paths(), ElementsAre(At("x.log.gz")));
  EXPECT_EQ(result.AllBytes(), lines);
}

TEST_F(ArchiveSourceTest, DifferentTwinsAreBothRead) {
  Write("x.log", SomeLines(20'000) + "a\n");
  Write("x.log.gz", Gzip(SomeLines(20'000) + "b\n"));
  Write("y.log", "new\n");
  Write("y.log.gz", Gzip("old\n"));
  const ReadResult result = ReadAll();
  EXPECT_THAT(result.Paths(), ElementsAre(At("x.log"), At("x.log.gz"),
                                          At("y.log"), At("y.log.gz")));
}

TEST_F(ArchiveSourceTest, TwinOnADyingDiskDoesNotHideTheOther) {
  const std::string lines = SomeLines(20'000);
  Write("x.log", lines);
  Write("x.log.gz", Gzip(lines));
  FaultyFiles files;
  files.faults[At("x.log")] = {.read_error_at = 70'000};
  const ReadResult result = ReadAll(&files);
  EXPECT_THAT(result.Paths(), ElementsAre(At("x.log"), At("x.log.gz")));
  EXPECT_EQ(result.inputs[1].bytes, lines);
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].offset, 70'000u);
}

TEST_F(ArchiveSourceTest, TruncatedGzGivesWhatCameBeforeAndItsOffset) {
  const std::string lines = SomeLines(50'000);
  const std::string gz = Gzip(lines);
  Write("a.log.gz", gz.substr(0, gz.size() / 2));
  Write("b.log", "b\n");
  const ReadResult result = ReadAll();
  ASSERT_EQ(result.inputs.size(), 2u);
  EXPECT_TRUE(lines.starts_with(result.inputs[0].bytes));
  EXPECT_GT(result.inputs[0].bytes.size(), lines.size() / 3);
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].path, At("a.log.gz"));
  EXPECT_EQ(result.problems[0].offset, result.inputs[0].bytes.size());
  EXPECT_TRUE(result.problems[0].lost);
}

TEST_F(ArchiveSourceTest, WrongChecksumHasTheOffsetOfItsMember) {
  const std::string lines = SomeLines(10'000);
  std::string bad = Gzip(lines);
  bad[bad.size() - 8] ^= 1;
  Write("a.log.gz", Gzip(lines) + bad + Gzip(lines));
  const ReadResult result = ReadAll();
  EXPECT_EQ(result.AllBytes(), lines + lines + lines);
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].offset, 2 * lines.size());
}

TEST_F(ArchiveSourceTest, DamagedTarSaysWhichMember) {
  const std::string lines = SomeLines(1000);
  std::string tar = Tar({{"a", lines}, {"b", lines}});
  Write("t.tar.gz", Gzip(tar.substr(0, 20'000)));
  const ReadResult result = ReadAll();
  EXPECT_EQ(result.inputs.back().path, At("t.tar.gz:b"));
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].path, At("t.tar.gz:b"));
  EXPECT_EQ(result.problems[0].offset, result.inputs.back().bytes.size());
  // The gz breaks off, and with it the tar: that is one problem.
  const std::string gz = Gzip(tar);
  Write("t.tar.gz", gz.substr(0, gz.size() / 2));
  EXPECT_EQ(ReadAll().problems.size(), 1u);
}

TEST_F(ArchiveSourceTest, BrokenMemberOfATarDoesNotHideTheNext) {
  const std::string lines = SomeLines(1000);
  const std::string gz = Gzip(lines);
  Write("t.tar", Tar({{"a.gz", gz.substr(0, gz.size() / 2)}, {"b.gz", gz}}));
  const ReadResult result = ReadAll();
  ASSERT_EQ(result.inputs.size(), 2u);
  EXPECT_EQ(result.inputs[1].bytes, lines);
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].path, At("t.tar:a.gz"));
}

TEST_F(ArchiveSourceTest, ReadErrorInTheMiddleAtEveryByte) {
  const std::string lines = SomeLines(30);
  Write("a.log", lines);
  Write("b.log", "b\n");
  for (size_t at = 0; at < lines.size(); ++at) {
    SCOPED_TRACE(at);
    FaultyFiles files;
    files.faults[At("a.log")] = {.read_error_at = static_cast<int64_t>(at),
                                 .piece_max = 7};
    const ReadResult result = ReadAll(&files);
    ASSERT_EQ(result.inputs.size(), 2u);
    EXPECT_EQ(result.inputs[0].bytes, lines.substr(0, at));
    EXPECT_EQ(result.inputs[1].bytes, "b\n");
    ASSERT_EQ(result.problems.size(), 1u);
    EXPECT_EQ(result.problems[0].offset, at);
    EXPECT_TRUE(result.problems[0].lost);
    EXPECT_THAT(result.problems[0].message, HasSubstr("input/output error"));
    EXPECT_EQ(files.open_now, 0);
  }
}

TEST_F(ArchiveSourceTest, ShortReadsAndSignalsDoNotShow) {
  const std::string lines = SomeLines(3000);
  Write("a.log", lines);
  Write("b.log", Gzip(lines));
  Write("c.tar.zst", Zstd(Tar({{"c", lines}})));
  FaultyFiles files;
  for (const char* name : {"a.log", "b.log", "c.tar.zst"}) {
    files.faults[At(name)] = {.piece_max = 13, .signals = true};
  }
  const ReadResult result = ReadAll(&files);
  EXPECT_EQ(result.AllBytes(), lines + lines + lines);
  EXPECT_THAT(result.problems, IsEmpty());
}

TEST_F(ArchiveSourceTest, UnreadableFileIsAProblemAndTheRestGoesOn) {
  Write("a.log", "a\n");
  Write("b.log", "b\n");
  FaultyFiles files;
  files.faults[At("a.log")] = {.open_error = EACCES};
  const ReadResult result = ReadAll(&files);
  EXPECT_TRUE(result.open.ok());
  EXPECT_THAT(result.Paths(), ElementsAre(At("b.log")));
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_THAT(result.problems[0].message, HasSubstr("permission denied"));
  EXPECT_EQ(result.raw_bytes_read, result.raw_bytes_total);
}

TEST_F(ArchiveSourceTest, OpenFailsOnlyWhenNothingCanBeRead) {
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPaths({}).open));
  const ReadResult missing = ReadPaths({At("x"), At("y")});
  EXPECT_TRUE(absl::IsNotFound(missing.open));
  EXPECT_THAT(std::string(missing.open.message()), HasSubstr(At("x")));
  EXPECT_EQ(missing.problems.size(), 2u);
  Write("a.log", "a\n");
  FaultyFiles files;
  files.faults[At("a.log")] = {.open_error = EACCES};
  EXPECT_TRUE(absl::IsPermissionDenied(ReadAll(&files).open));
  EXPECT_TRUE(ReadPaths({At("x"), At("a.log")}).open.ok());
}

TEST_F(ArchiveSourceTest, EmptyFilesAreInputs) {
  Write("a.log", "");
  Write("b.log.gz", Gzip(""));
  Write("c.tar", Tar({{"c", ""}}));
  const ReadResult result = ReadAll();
  EXPECT_THAT(result.Paths(),
              ElementsAre(At("a.log"), At("b.log.gz"), At("c.tar:c")));
  EXPECT_THAT(result.problems, IsEmpty());
}

TEST_F(ArchiveSourceTest, ClusterIsTheFirstGroupOfThePath) {
  Write("clusters/prod/a.log", "a\n");
  Write("other/c.log", "c\n");
  Write("test.tar", Tar({{"clusters/edge/b.log", "b\n"}}));
  ArchiveOptions options;
  options.paths = {directory_.path()};
  options.cluster_path_regex = "clusters/([^/]+)/";
  const ReadResult result = ReadSource(*MakeArchiveSource(options));
  ASSERT_EQ(result.inputs.size(), 3u);
  EXPECT_EQ(result.inputs[0].cluster, "edge");
  EXPECT_EQ(result.inputs[1].cluster, "prod");
  EXPECT_EQ(result.inputs[2].cluster, "");
}

TEST_F(ArchiveSourceTest, BadClusterRegexIsRefused) {
  Write("a.log", "a\n");
  for (const char* regex : {"clusters/(", "clusters/[^/]+/"}) {
    ArchiveOptions options;
    options.paths = {directory_.path()};
    options.cluster_path_regex = regex;
    const absl::Status status = MakeArchiveSource(options)->Open({});
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("clusters/([^/]+)/"));
  }
}

TEST_F(ArchiveSourceTest, ModeIsPerInput) {
  Write("a.json", "{\n}\n{\n}\n");
  Write("b.log", "{}\n{}\n");
  ArchiveOptions options;
  options.paths = {directory_.path()};
  const ReadResult result = ReadSource(*MakeArchiveSource(options));
  EXPECT_THAT(result.inputs[0].framings,
              ElementsAre(BatchFraming::kDocument, BatchFraming::kDocument));
  EXPECT_THAT(result.inputs[1].framings, ElementsAre(BatchFraming::kLines));
}

TEST_F(ArchiveSourceTest, OneDescriptorAtATimeAndNoneLeft) {
  for (int i = 0; i < 50; ++i) {
    Write("f" + std::to_string(i), Gzip(SomeLines(10)));
  }
  Write("t.tar.gz", Gzip(Tar({{"t", Gzip("t\n")}})));
  const size_t before = OpenDescriptors();
  FaultyFiles files;
  ReadAll(&files);
  EXPECT_EQ(files.open_now, 0);
  EXPECT_EQ(files.open_most, 1);
  {
    auto source = MakeArchiveSource({.paths = {directory_.path()}});
    ASSERT_TRUE(source->Open({}).ok());
    Batch batch;
    ASSERT_TRUE(source->Read(absl::ZeroDuration(), batch).ok());
  }  // Left in the middle.
  EXPECT_EQ(OpenDescriptors(), before);
}

// ------------------------------------------------------------------- parts

// Lines of all kinds that matter to where a part may end.
std::string LinesForParts(std::mt19937_64& random, size_t line_bytes_max) {
  std::string text = "{\"kind\":\"Event\"}\n";
  const size_t lines = 50 + random() % 400;
  for (size_t i = 0; i < lines; ++i) {
    switch (random() % 12) {
      case 0:
        text += "\n";
        break;
      case 1:
        text += std::string(
                    random() % 8 == 0 ? 3 * line_bytes_max : line_bytes_max / 3,
                    'x') +
                "\n";
        break;
      case 2:
      case 3: {  // A line that a runtime wrote in chunks.
        const char* stream = random() % 2 == 0 ? "stdout" : "stderr";
        for (uint64_t n = random() % 5; n > 0; --n) {
          text += std::string("2026-01-02T03:04:05.000000006Z ") + stream +
                  " P {\"a\"\n";
        }
        text += std::string("2026-01-02T03:04:05.000000006Z ") + stream +
                " F :1}\n";
        break;
      }
      default:
        text += "{\"n\":" + std::to_string(random() % 100000) + "}\n";
    }
  }
  if (random() % 3 == 0) text += "{\"half";
  return text;
}

TEST_F(ArchiveSourceTest, PartsHoldWhatTheWholeHolds) {
  std::mt19937_64 random(RandomSeed());
  size_t parts = 0;
  for (int round = 0; round < 300; ++round) {
    FaultyFiles files;
    ArchiveOptions options;
    options.line_bytes_max = 1024;
    options.oversize_keep_bytes = 64;
    options.batch_bytes = 64 + random() % 1024;
    const std::string path =
        Write("a.log", LinesForParts(random, options.line_bytes_max));
    options.paths = {path};
    files.faults[path].piece_max = random() % 2 * (1 + random() % 500);
    files.faults[path].signals = random() % 2 == 0;
    const ReadResult whole =
        ReadSource(*MakeArchiveSourceOver(options, &files));
    options.part_bytes_min = 1 + random() % 4096;
    const ReadResult split =
        ReadSource(*MakeArchiveSourceOver(options, &files),
                   [&random] { return random() % 4 == 0; });
    ASSERT_EQ(whole.inputs.size(), 1u);
    ASSERT_EQ(split.inputs.size(), 1u);
    ASSERT_EQ(split.inputs[0].bytes, whole.inputs[0].bytes);
    ASSERT_EQ(split.inputs[0].input_bytes, whole.inputs[0].input_bytes);
    ASSERT_EQ(split.raw_bytes_read, split.raw_bytes_total);
    ASSERT_EQ(files.open_now, 0);
    parts += split.parts;
  }
  EXPECT_GT(parts, 1000u);
}

TEST_F(ArchiveSourceTest, HalfOfWhatIsLeftIsTaken) {
  constexpr uint64_t kMiB = 1 << 20;
  std::string text;
  while (text.size() < 8 * kMiB) text += "{\"" + std::string(95, 'x') + "\"}\n";
  ArchiveOptions options;
  options.paths = {Write("a.log", text)};
  options.part_bytes_min = kMiB;
  auto source = MakeArchiveSource(options);
  ASSERT_TRUE(source->Open({}).ok());
  Batch batch;
  while (source->Read(absl::InfiniteDuration(), batch).ok()) {
    if (batch.part != nullptr) break;
  }
  ASSERT_NE(batch.part, nullptr);
  const uint64_t left = batch.part->bytes_left();
  EXPECT_EQ(left, text.size() - batch.begin.offset);
  EXPECT_EQ(batch.part->Split(left + 1), nullptr);
  const auto half = batch.part->Split(left);
  ASSERT_NE(half, nullptr);
  EXPECT_EQ(batch.part->bytes_left() + half->bytes_left(), left);
  EXPECT_NEAR(static_cast<double>(half->bytes_left()),
              static_cast<double>(left) / 2, 200);
  // What was read is nobody's to take; at the end there is nothing.
  Batch read;
  while (half->Read(read).ok()) {
  }
  EXPECT_EQ(half->bytes_left(), 0u);
  EXPECT_EQ(half->Split(0), nullptr);
}

// One reads, others cut, and each line is somebody's.
TEST_F(ArchiveSourceTest, PartsAreSplitWhileTheyAreRead) {
  const std::string text = SomeLines(200'000);
  ArchiveOptions options;
  options.paths = {Write("a.log", text)};
  options.batch_bytes = 4096;
  options.part_bytes_min = 1;
  auto source = MakeArchiveSource(options);
  ASSERT_TRUE(source->Open({}).ok());
  Batch batch;
  ASSERT_TRUE(source->Read(absl::InfiniteDuration(), batch).ok());
  std::string first(batch.bytes.view());
  ASSERT_TRUE(source->Read(absl::InfiniteDuration(), batch).ok());
  ASSERT_NE(batch.part, nullptr);
  std::mutex mutex;
  std::map<uint64_t, std::string> pieces;  // By offset.
  std::vector<std::thread> readers;
  std::function<void(std::shared_ptr<BatchReader>)> read =
      [&](std::shared_ptr<BatchReader> part) {
        Batch piece;
        while (part->Read(piece).ok()) {
          std::lock_guard lock(mutex);
          pieces[piece.begin.offset] = piece.bytes.view();
          std::shared_ptr<BatchReader> half;
          if (readers.size() < 8) half = part->Split(1);
          if (half != nullptr) readers.emplace_back(read, half);
        }
      };
  std::thread cutter([&, part = batch.part] {
    for (;;) {
      std::shared_ptr<BatchReader> half = part->Split(100'000);
      if (half == nullptr) return;
      std::lock_guard lock(mutex);
      readers.emplace_back(read, half);
    }
  });
  read(batch.part);
  cutter.join();
  for (size_t i = 0;; ++i) {
    std::unique_lock lock(mutex);
    if (i == readers.size()) break;
    std::thread reader = std::move(readers[i]);
    lock.unlock();
    reader.join();
  }
  std::string all = first;
  for (const auto& [offset, bytes] : pieces) {
    ASSERT_EQ(offset, all.size());
    all += bytes;
  }
  EXPECT_EQ(all, text);
}

// Of a line that a container runtime cut into chunks, the next one may stand
// behind any number of others.
TEST_F(ArchiveSourceTest, WhatMayBeInChunksIsNoPart) {
  const std::string cri = "2026-01-02T03:04:05.000000006Z stdout F {\"a\":1}\n";
  const std::string docker = "{\"log\":\"x\\n\",\"stream\":\"stdout\"}\n";
  for (const std::string& line : {cri, docker, std::string("text\n")}) {
    std::string text;
    while (text.size() < 100'000) text += line;
    ArchiveOptions options;
    options.paths = {Write("a.log", text)};
    options.batch_bytes = 1000;
    options.part_bytes_min = 1;
    const ReadResult result = ReadSource(*MakeArchiveSource(options));
    EXPECT_EQ(result.parts, 0u) << line;
    EXPECT_EQ(result.inputs[0].bytes, text);
  }
}

TEST_F(ArchiveSourceTest, PartsEndBetweenTwoEvents) {
  std::mt19937_64 random(RandomSeed());
  size_t cuts = 0;
  for (int round = 0; round < 200; ++round) {
    std::string text = "{\"n\":1}\n";
    const auto lines = random() % 3 == 0 ? 3 : 300;
    for (int i = 0; i < lines; ++i) {
      switch (random() % 8) {
        case 0:
          text += "2026-01-02T03:04:05.000000006Z stdout P {\"a\"\n";
          break;
        case 1:
          text += "{\"log\":\"x\",\"stream\":\"stdout\"}\n";
          break;
        case 2:
          text += "{\"half\n";
          break;
        case 3:
          text +=
              "{\"n\":\"" + std::string(random() % 200'000, 'x') + "\"}\r\n";
          break;
        default:
          text += "{\"n\":" + std::to_string(random()) + "}\n";
      }
    }
    const std::string path = Write("a.log", text);
    const int fd = SystemFiles().Open(path);
    const OpenFile file(fd, /*owned=*/true, &SystemFiles());
    for (int probe = 0; probe < 20; ++probe) {
      const uint64_t from = random() % text.size();
      const uint64_t cut = StretchEnd(file, from);
      if (cut == kToEnd) continue;
      ++cuts;
      ASSERT_GT(cut, from);
      ASSERT_LT(cut, text.size());
      const std::string_view before = std::string_view(text).substr(0, cut);
      const std::string_view line =
          before.substr(before.rfind('\n', cut - 2) + 1);
      EXPECT_TRUE(line.starts_with("{\"n\"")) << line;
      EXPECT_TRUE(line.ends_with("}\n") || line.ends_with("}\r\n")) << line;
      EXPECT_TRUE(BeginsAnEvent(std::string_view(text).substr(cut)));
    }
  }
  EXPECT_GT(cuts, 1000u);
}

// Where there is no such place, it is not looked for through the whole file.
TEST_F(ArchiveSourceTest, TheSearchForAnEndIsBounded) {
  FaultyFiles files;
  const std::string path = Write("a.log", std::string(20 << 20, 'x'));
  const OpenFile file(files.Open(path), /*owned=*/true, &files);
  EXPECT_EQ(StretchEnd(file, 1000), kToEnd);
  EXPECT_LE(files.most_behind, uint64_t{5} << 20);
}

TEST_F(ArchiveSourceTest, UnreadablePartIsAProblemWithItsPlace) {
  FaultyFiles files;
  ArchiveOptions options;
  const std::string path = Write("a.log", SomeLines(1000));
  options.paths = {path};
  options.batch_bytes = 512;
  options.part_bytes_min = 2048;
  files.faults[path].read_error_at = 6000;
  const ReadResult result = ReadSource(*MakeArchiveSourceOver(options, &files));
  ASSERT_FALSE(result.problems.empty());
  EXPECT_EQ(result.problems[0].path, path);
  EXPECT_EQ(result.problems[0].offset, 6000u);
  EXPECT_TRUE(result.problems[0].lost);
  EXPECT_EQ(result.inputs[0].bytes, SomeLines(1000).substr(0, 6000));
}

}  // namespace
}  // namespace klaxon
