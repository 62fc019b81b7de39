// Rotation of the file sink, killed and failed at every step.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "sinks/file_sink.h"
#include "sinks/rotated_files.h"
#include "sinks/written_alerts.h"
#include "tests/random_seed.h"
#include "tests/sinks/alert_samples.h"
#include "tests/sinks/file_faults.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kAlerts = 16;
constexpr size_t kBatch = 2;

std::string LineOf(const Alert& alert) {
  std::string line;
  AppendJson(alert, &line);
  return line + "\n";
}

class FileRotationTest : public ::testing::TestWithParam<Compression> {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/klaxon-rotation-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    options_.path = dir_ + "/alerts.ndjson";
    options_.rotate_bytes = 5 * LineOf(SampleAlert(1)).size();
    options_.keep = 1000;
    options_.compression = GetParam();
    options_.warn = [this](std::string_view what) {
      warnings_.emplace_back(what);
    };
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void StartAnew() const {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directory(dir_);
  }

  static absl::Status Deliver(Sink* sink, std::span<const Alert> alerts) {
    absl::Status result = absl::UnknownError("not done");
    sink->Deliver(alerts, [&](const absl::Status& status) { result = status; });
    return result;
  }
  std::unique_ptr<Sink> Opened() const {
    std::unique_ptr<Sink> sink = MakeFileSink(options_);
    const absl::Status status = sink->Open();
    EXPECT_TRUE(status.ok()) << status;
    return sink;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  static std::string ContentsOf(const std::string& path) {
    std::string contents;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const absl::Status status = ReadDecompressed(
        fd, path, [&](std::string_view block) { contents.append(block); });
    EXPECT_TRUE(status.ok()) << status;
    close(fd);
    return contents;
  }
  // All files, the oldest first.
  std::string Everything() const {
    std::string all;
    std::vector<std::string> names = Names();
    for (size_t i = 1; i < names.size(); ++i) {
      all += ContentsOf(dir_ + "/" + names[i]);
    }
    return all + ContentsOf(options_.path);
  }
  void ExpectTidy() const {
    std::string suffix(CompressionSuffix(options_.compression));
    std::vector<std::string> want = {"alerts.ndjson"};
    for (size_t i = 1; i < Names().size(); ++i) {
      want.push_back("alerts.ndjson." + std::string(i < 10 ? "00000" : "0000") +
                     std::to_string(i) + suffix);
    }
    EXPECT_EQ(Names(), want);
  }

  std::string dir_;
  FileSinkOptions options_;
  std::vector<std::string> warnings_;
};

INSTANTIATE_TEST_SUITE_P(All, FileRotationTest,
                         ::testing::Values(Compression::kNone,
                                           Compression::kGzip,
                                           Compression::kZstd),
                         [](const auto& info) {
                           switch (info.param) {
                             case Compression::kNone:
                               return "Plain";
                             case Compression::kGzip:
                               return "Gzip";
                             default:
                               return "Zstd";
                           }
                         });

std::vector<Alert> SampleAlerts() {
  std::vector<Alert> alerts;
  for (int i = 1; i <= kAlerts; ++i) {
    alerts.push_back(SampleAlert(i));
    alerts.back().summary = std::to_string(i);  // Of about one length.
  }
  return alerts;
}

// 1, 2, 3, … for lines that are those alerts; -1 for what is no such line.
std::vector<int> NumbersOf(std::string_view text) {
  static const auto* lines = [] {
    auto* made = new std::map<std::string, int, std::less<>>();
    for (const Alert& alert : SampleAlerts()) {
      made->emplace(LineOf(alert), static_cast<int>(made->size()) + 1);
    }
    return made;
  }();
  std::vector<int> numbers;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n') + 1);
    const auto it = lines->find(line);
    numbers.push_back(it == lines->end() ? -1 : it->second);
    if (line.empty()) break;
    text.remove_prefix(line.size());
  }
  return numbers;
}

std::vector<int> Numbers(int first, int last) {
  std::vector<int> numbers;
  for (int i = first; i <= last; ++i) numbers.push_back(i);
  return numbers;
}

TEST_P(FileRotationTest, BeginsANewFileBeforeTheOldGrowsTooLarge) {
  const std::vector<Alert> alerts = SampleAlerts();
  {
    std::unique_ptr<Sink> sink = Opened();
    for (size_t i = 0; i < alerts.size(); i += kBatch) {
      ASSERT_TRUE(
          Deliver(sink.get(), std::span(alerts).subspan(i, kBatch)).ok());
    }
  }
  ExpectTidy();
  EXPECT_GE(Names().size(), 4u);
  EXPECT_EQ(NumbersOf(Everything()), Numbers(1, kAlerts));
  for (const std::string& name : Names()) {
    EXPECT_LE(ContentsOf(dir_ + "/" + name).size(), options_.rotate_bytes);
    struct stat status{};
    ASSERT_EQ(stat((dir_ + "/" + name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
  EXPECT_THAT(warnings_, IsEmpty());
  // All of it is known to a later process.
  std::unique_ptr<Sink> sink = Opened();
  EXPECT_TRUE(Deliver(sink.get(), alerts).ok());
  EXPECT_EQ(NumbersOf(Everything()), Numbers(1, kAlerts));
}

TEST_P(FileRotationTest, KeepsTheNewest) {
  options_.keep = 2;
  options_.rotate_bytes = 1;
  std::unique_ptr<Sink> sink = Opened();
  const std::vector<Alert> alerts = SampleAlerts();
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(Deliver(sink.get(),
                        std::span(alerts).subspan(static_cast<size_t>(i), 1))
                    .ok());
  }
  const std::string suffix(CompressionSuffix(options_.compression));
  EXPECT_THAT(Names(),
              ElementsAre("alerts.ndjson", "alerts.ndjson.000010" + suffix,
                          "alerts.ndjson.000011" + suffix));
  EXPECT_EQ(NumbersOf(Everything()), Numbers(10, 12));
}

TEST_P(FileRotationTest, NeverSpreadsADeliveryOverFiles) {
  std::unique_ptr<Sink> sink = Opened();
  const std::vector<Alert> alerts = SampleAlerts();
  ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(0, 1)).ok());
  ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(1)).ok());
  EXPECT_EQ(Names().size(), 2u);
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(2, kAlerts));
}

// A child delivers, says over a pipe what was acknowledged, and is killed at a
// call of the file system.
class KilledWriter {
 public:
  enum class When { kBefore, kHalf, kAfter };

  // Delivers alerts from `begin` on. Returns how many were acknowledged, at
  // most; `*killed`: whether it came to the call.
  static size_t Run(const FileSinkOptions& options,
                    const std::vector<Alert>& alerts, size_t begin,
                    int kill_at_call, When when, bool* killed) {
    int pipe_ends[2];
    EXPECT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
      Child(options, alerts, begin, kill_at_call, when, pipe_ends[1]);
    }
    close(pipe_ends[1]);
    size_t acknowledged = begin;
    for (size_t next;
         read(pipe_ends[0], &next, sizeof(next)) == ssize_t{sizeof(next)};) {
      acknowledged = next;
    }
    close(pipe_ends[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    *killed = WIFSIGNALED(status);
    EXPECT_TRUE(*killed || WEXITSTATUS(status) == 0) << status;
    return acknowledged;
  }

 private:
  [[noreturn]] static void Child(const FileSinkOptions& options,
                                 const std::vector<Alert>& alerts, size_t begin,
                                 int kill_at_call, When when, int pipe) {
    int calls = 0;
    const auto die = [] { kill(getpid(), SIGKILL); };
    FileFaults faults(
        [&](FileCall call) {
          if (++calls != kill_at_call) return FileFault();
          if (when == When::kBefore) die();
          return FileFault{.half =
                               when == When::kHalf && call == FileCall::kWrite};
        },
        [&](FileCall) {
          if (calls == kill_at_call) die();
        });
    std::unique_ptr<Sink> sink = MakeFileSink(options);
    if (!sink->Open().ok()) _exit(2);
    for (size_t i = begin; i < alerts.size(); i += kBatch) {
      const size_t count = std::min(kBatch, alerts.size() - i);
      if (!Deliver(sink.get(), std::span(alerts).subspan(i, count))) _exit(3);
      const size_t next = i + count;
      syscall(SYS_write, pipe, &next, sizeof(next));
    }
    _exit(0);
  }
  static bool Deliver(Sink* sink, std::span<const Alert> alerts) {
    bool ok = false;
    sink->Deliver(alerts,
                  [&](const absl::Status& status) { ok = status.ok(); });
    return ok;
  }
};

TEST_P(FileRotationTest, LosesAndDoublesNothingWhereverItIsKilled) {
  using When = KilledWriter::When;
  options_.warn = nullptr;
  const std::vector<Alert> alerts = SampleAlerts();
  int kills = 0;
  for (When when : {When::kBefore, When::kHalf, When::kAfter}) {
    bool killed = true;
    for (int call = 1; killed; ++call) {
      StartAnew();
      const size_t acknowledged =
          KilledWriter::Run(options_, alerts, 0, call, when, &killed);
      kills += killed ? 1 : 0;
      // What was acknowledged is there, and perhaps what was under way.
      std::unique_ptr<Sink> sink = Opened();
      const std::vector<int> found = NumbersOf(Everything());
      ASSERT_GE(found.size(), acknowledged) << "call " << call;
      ASSERT_LE(found.size(), acknowledged + kBatch) << "call " << call;
      ASSERT_EQ(found, Numbers(1, static_cast<int>(found.size())));
      // The acknowledgement may have been lost with the process: all again.
      ASSERT_TRUE(Deliver(sink.get(), alerts).ok());
      ASSERT_EQ(NumbersOf(Everything()), Numbers(1, kAlerts))
          << "call " << call;
      ASSERT_NO_FATAL_FAILURE(ExpectTidy());
    }
  }
  EXPECT_GT(kills, 3 * 30);
}

TEST_P(FileRotationTest, LosesAndDoublesNothingWhenKilledAgainAndAgain) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  options_.warn = nullptr;
  const std::vector<Alert> alerts = SampleAlerts();
  for (int round = 0; round < 15; ++round) {
    StartAnew();
    size_t acknowledged = 0;
    bool killed = true;
    while (killed) {
      // Some of the acknowledgements did not become durable.
      const size_t begin =
          acknowledged - std::min<size_t>(acknowledged, random() % 7);
      acknowledged = KilledWriter::Run(
          options_, alerts, begin, static_cast<int>(4 + random() % 30),
          static_cast<KilledWriter::When>(random() % 3), &killed);
    }
    ASSERT_EQ(NumbersOf(Everything()), Numbers(1, kAlerts))
        << "round " << round;
    ASSERT_NO_FATAL_FAILURE(ExpectTidy());
  }
}

TEST_P(FileRotationTest, LosesAndDoublesNothingWhateverFails) {
  const std::vector<Alert> alerts = SampleAlerts();
  int failures = 0;
  for (int error : {ENOSPC, EIO}) {
    for (int length : {1, 3}) {  // How many calls fail in a row.
      bool reached = true;
      for (int first = 1; reached; ++first) {
        StartAnew();
        int calls = 0;
        reached = false;
        const auto fail = [&](FileCall call) {
          ++calls;
          if (calls < first || calls >= first + length) return FileFault();
          reached = true;
          ++failures;
          // A full disk does not keep files from being removed.
          const bool spared = error == ENOSPC && call == FileCall::kUnlink;
          return FileFault{.error = spared ? 0 : error};
        };
        std::unique_ptr<Sink> sink = MakeFileSink(options_);
        {
          FileFaults faults(fail);
          int tries = 0;
          while (!sink->Open().ok()) ASSERT_LT(++tries, 10);
          for (size_t i = 0; i < alerts.size(); i += kBatch) {
            const auto batch = std::span(alerts).subspan(i, kBatch);
            while (!Deliver(sink.get(), batch).ok()) ASSERT_LT(++tries, 10);
          }
        }
        // What could not be tidied up waits for the next rotation or start.
        sink.reset();
        Opened().reset();
        ASSERT_EQ(NumbersOf(Everything()), Numbers(1, kAlerts))
            << "calls from " << first << ", " << length;
      }
    }
  }
  EXPECT_GT(failures, 4 * 30);
}

TEST_P(FileRotationTest, SaysWhatItHadToPutOff) {
  const std::vector<Alert> alerts = SampleAlerts();
  options_.rotate_bytes = 1;
  std::unique_ptr<Sink> sink = Opened();
  ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(0, 1)).ok());
  {
    FileFaults faults(FileFaults::Failing(FileCall::kRename, EACCES));
    ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(1, 1)).ok());
  }
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0], HasSubstr("cannot be renamed: Permission denied"));
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(1, 2));
  ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(2, 1)).ok());
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(3, 3));
  ExpectTidy();
}

TEST_P(FileRotationTest, TouchesNobodyElsesFiles) {
  const std::vector<std::string> others = {
      "alerts.ndjson-000001",  "alerts.ndjson.20260102", "alerts.ndjson.7",
      "alerts.ndjson.old.tmp", "alerts.ndjson000002",    "other.000003"};
  for (const std::string& name : others) {
    std::ofstream(dir_ + "/" + name) << "theirs\n";
  }
  options_.rotate_bytes = 1;
  options_.keep = 1;
  std::unique_ptr<Sink> sink = Opened();
  const std::vector<Alert> alerts = SampleAlerts();
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(i, 1)).ok());
  }
  for (const std::string& name : others) {
    EXPECT_EQ(ContentsOf(dir_ + "/" + name), "theirs\n");
  }
  EXPECT_EQ(Names().size(), others.size() + 2);
}

TEST_P(FileRotationTest, WritesOnWhereNoNumberIsLeft) {
  std::ofstream(options_.path + ".999999") << LineOf(SampleAlert(9));
  options_.compression = Compression::kNone;
  options_.rotate_bytes = 1;
  std::unique_ptr<Sink> sink = Opened();
  const std::vector<Alert> alerts = SampleAlerts();
  ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(0, 1)).ok());
  ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(1, 1)).ok());
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0], HasSubstr("move the old files away"));
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(1, 2));
  EXPECT_EQ(ContentsOf(options_.path + ".999999"), LineOf(SampleAlert(9)));
}

using RenamedFileTest = FileRotationTest;
INSTANTIATE_TEST_SUITE_P(Plain, RenamedFileTest,
                         ::testing::Values(Compression::kNone));

// As logrotate does it: rename, then ask; and as `rm` does it.
TEST_P(RenamedFileTest, LeavesAFileThatWasMovedAway) {
  options_.rotate_bytes = 0;
  const std::vector<Alert> alerts = SampleAlerts();
  const auto one = [&](size_t i) { return std::span(alerts).subspan(i, 1); };
  std::unique_ptr<Sink> sink = Opened();
  ASSERT_TRUE(Deliver(sink.get(), one(0)).ok());
  std::filesystem::rename(options_.path, options_.path + ".1");
  sink->Reopen();
  ASSERT_TRUE(Deliver(sink.get(), one(1)).ok());
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path + ".1")), Numbers(1, 1));
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(2, 2));
  // Nobody asked.
  std::filesystem::rename(options_.path, options_.path + ".2");
  ASSERT_TRUE(Deliver(sink.get(), one(2)).ok());
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(3, 3));
  std::filesystem::remove(options_.path);
  ASSERT_TRUE(Deliver(sink.get(), one(3)).ok());
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(4, 4));
  // Asked without need: the file goes on.
  sink->Reopen();
  ASSERT_TRUE(Deliver(sink.get(), one(4)).ok());
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(4, 5));
  // What was written to the others is known all the same.
  ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(0, 5)).ok());
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(4, 5));
}

TEST_P(RenamedFileTest, TriesAgainWhereTheNewFileCannotBeOpened) {
  options_.rotate_bytes = 0;
  const std::vector<Alert> alerts = SampleAlerts();
  std::unique_ptr<Sink> sink = Opened();
  ASSERT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(0, 1)).ok());
  std::filesystem::rename(options_.path, options_.path + ".1");
  {
    FileFaults faults(FileFaults::Failing(FileCall::kOpen, EMFILE));
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(absl::IsUnavailable(
          Deliver(sink.get(), std::span(alerts).subspan(1, 1))));
    }
  }
  EXPECT_TRUE(Deliver(sink.get(), std::span(alerts).subspan(1, 1)).ok());
  EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(2, 2));
}

TEST_P(RenamedFileTest, KnowsWhatLogrotateMadeOfItsFileBeforeACrash) {
  options_.rotate_bytes = 0;
  const std::vector<Alert> alerts = SampleAlerts();
  const auto one = [&](size_t i) { return std::span(alerts).subspan(i, 1); };
  for (const char* suffix : {".1", "-20260102"}) {
    ASSERT_TRUE(Deliver(Opened().get(), one(0)).ok());
    std::filesystem::rename(options_.path, options_.path + suffix);
    // A scan writes what it finds to the file that it was told.
    ASSERT_TRUE(Deliver(Opened().get(), one(0)).ok());
    EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(1, 1));
    std::filesystem::remove(options_.path);
    options_.reread_renamed = true;
    ASSERT_TRUE(Deliver(Opened().get(), std::span(alerts).subspan(0, 2)).ok());
    EXPECT_EQ(NumbersOf(ContentsOf(options_.path)), Numbers(2, 2));
    options_.reread_renamed = false;
    StartAnew();
  }
}

TEST(WrittenAlerts, AreExactForTheNewestRevisionsOfEach) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    WrittenAlerts written(1000);
    std::vector<bool> model(400);
    uint64_t newest = 0;
    for (int i = 0; i < 60; ++i) {
      const uint64_t revision = 1 + random() % (round % 2 == 0 ? 399 : 70);
      written.Add({"a", revision});
      model[revision] = true;
      newest = std::max(newest, revision);
      for (uint64_t r = 1; r < model.size(); ++r) {
        const bool want = model[r] || r + 64 < newest;
        ASSERT_EQ(written.Contains({"a", r}), want) << r << " of " << newest;
      }
    }
    EXPECT_FALSE(written.Contains({"b", 1}));
  }
}

TEST(FileCodec, GivesBackWhatItWasGiven) {
  const std::string path =
      ::testing::TempDir() + "/klaxon-codec-" + std::to_string(getpid());
  std::mt19937_64 random(RandomSeed());
  for (Compression compression : {Compression::kGzip, Compression::kZstd}) {
    for (size_t bytes :
         {size_t{0}, size_t{1}, (size_t{1} << 20) - 1, size_t{1} << 20,
          (size_t{1} << 20) + 1, size_t{5} << 20}) {
      std::string text(bytes, 'x');
      for (size_t i = 0; i < bytes; i += 1 + random() % 64) {
        text[i] = static_cast<char>(random());
      }
      std::ofstream(path, std::ios::binary) << text;
      const int in = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      const int out = open((path + ".z").c_str(),
                           O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
      ASSERT_TRUE(CompressFile(in, out, compression, path).ok());
      std::string back;
      const auto add = [&](std::string_view block) { back.append(block); };
      lseek(out, 0, SEEK_SET);
      ASSERT_TRUE(ReadDecompressed(out, path, add).ok());
      ASSERT_EQ(back == text, true) << bytes;
      // Half of it is not the whole.
      const off_t size = lseek(out, 0, SEEK_END);
      ASSERT_EQ(ftruncate(out, size - 1), 0);
      lseek(out, 0, SEEK_SET);
      EXPECT_TRUE(absl::IsDataLoss(ReadDecompressed(out, path, add)));
      close(in);
      close(out);
    }
  }
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".z");
}

}  // namespace
}  // namespace klaxon
