#include "sinks/file_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/random_seed.h"
#include "tests/sinks/alert_samples.h"
#include "tests/sinks/file_faults.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;

std::string LineOf(const Alert& alert) {
  std::string line;
  AppendJson(alert, &line);
  return line + "\n";
}

Alert Revision(int number, uint64_t revision) {
  Alert alert = SampleAlert(number);
  alert.revision = revision;
  return alert;
}

// Lowers the largest file that this process may write, for a while.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &saved_);
    rlimit lower = saved_;
    lower.rlim_cur = bytes;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &lower), 0);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &saved_); }

 private:
  rlimit saved_{};
};

class FileSinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/klaxon-sink-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    path_ = dir_ + "/alerts.ndjson";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<Sink> Make() {
    FileSinkOptions options;
    options.path = path_;
    return MakeFileSink(options);
  }
  std::unique_ptr<Sink> Opened() {
    std::unique_ptr<Sink> sink = Make();
    const absl::Status status = sink->Open();
    EXPECT_TRUE(status.ok()) << status;
    return sink;
  }
  absl::Status Deliver(Sink* sink, const std::vector<Alert>& alerts) {
    int calls = 0;
    absl::Status result;
    sink->Deliver(alerts, [&](const absl::Status& status) {
      ++calls;
      result = status;
    });
    EXPECT_EQ(calls, 1);
    return result;
  }
  std::string Contents() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void WriteFile(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  std::string dir_;
  std::string path_;
};

TEST_F(FileSinkTest, AppendsOneObjectALineInAPrivateFile) {
  const mode_t mask = umask(0);
  {
    std::unique_ptr<Sink> sink = Opened();
    EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1), SampleAlert(2)}).ok());
    EXPECT_TRUE(sink->Drain(absl::Seconds(1)).ok());
  }
  umask(mask);
  struct stat status{};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  std::unique_ptr<Sink> again = Opened();
  EXPECT_TRUE(Deliver(again.get(), {SampleAlert(3)}).ok());
  EXPECT_EQ(Contents(), LineOf(SampleAlert(1)) + LineOf(SampleAlert(2)) +
                            LineOf(SampleAlert(3)));
}

TEST_F(FileSinkTest, WritesEachRevisionOnce) {
  std::string want;
  {
    std::unique_ptr<Sink> sink = Opened();
    EXPECT_TRUE(Deliver(sink.get(), {Revision(1, 1), Revision(1, 1),
                                     Revision(2, 1), Revision(1, 2)})
                    .ok());
    EXPECT_TRUE(Deliver(sink.get(), {Revision(1, 1), Revision(1, 2)}).ok());
    want = LineOf(Revision(1, 1)) + LineOf(Revision(2, 1)) +
           LineOf(Revision(1, 2));
    EXPECT_EQ(Contents(), want);
  }
  // Nor after a restart.
  std::unique_ptr<Sink> sink = Opened();
  EXPECT_TRUE(
      Deliver(sink.get(), {Revision(1, 2), Revision(2, 1), Revision(2, 2)})
          .ok());
  EXPECT_EQ(Contents(), want + LineOf(Revision(2, 2)));
}

TEST_F(FileSinkTest, ForgetsOnlyTheOldest) {
  FileSinkOptions options;
  options.path = path_;
  options.remembered_min = 10;
  std::unique_ptr<Sink> sink = MakeFileSink(options);
  ASSERT_TRUE(sink->Open().ok());
  std::string want;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(i)}).ok());
    want += LineOf(SampleAlert(i));
    for (int back = 1; back < 10 && back <= i; ++back) {
      EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(i - back)}).ok());
    }
  }
  EXPECT_EQ(Contents(), want);
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(0)}).ok());
  EXPECT_EQ(Contents(), want + LineOf(SampleAlert(0)));
}

TEST_F(FileSinkTest, LearnsFromTheEndOfALargeFile) {
  {
    std::unique_ptr<Sink> sink = Opened();
    std::vector<Alert> alerts;
    for (int i = 0; i < 3000; ++i) alerts.push_back(SampleAlert(i));
    EXPECT_TRUE(Deliver(sink.get(), alerts).ok());
  }
  const std::string before = Contents();
  ASSERT_GT(before.size(), size_t{3} << 20);  // Several blocks are read.
  std::vector<Alert> all;
  for (int i = 0; i < 3000; ++i) all.push_back(SampleAlert(i));
  {
    std::unique_ptr<Sink> sink = Opened();
    EXPECT_TRUE(Deliver(sink.get(), all).ok());
    EXPECT_EQ(Contents(), before);
  }
  // Only the last line, and half of the one before, are looked at.
  FileSinkOptions options;
  options.path = path_;
  options.reread_bytes_max = LineOf(SampleAlert(2999)).size() * 3 / 2;
  std::unique_ptr<Sink> sink = MakeFileSink(options);
  ASSERT_TRUE(sink->Open().ok());
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(2999)}).ok());
  EXPECT_EQ(Contents(), before);
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(2998)}).ok());
  EXPECT_EQ(Contents(), before + LineOf(SampleAlert(2998)));
}

// A crash may leave any prefix of what was being written.
TEST_F(FileSinkTest, CutsOffTheHalfLineOfACrash) {
  const std::string first = LineOf(SampleAlert(1));
  const std::string second = LineOf(SampleAlert(2));
  for (size_t half = 0; half < second.size(); half += half < 80 ? 1 : 97) {
    WriteFile(first + second.substr(0, half));
    std::unique_ptr<Sink> sink = Opened();
    EXPECT_EQ(Contents(), first) << half;
    EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1), SampleAlert(2)}).ok());
    EXPECT_EQ(Contents(), first + second) << half;
  }
}

TEST_F(FileSinkTest, LeavesOtherPeoplesFilesAlone) {
  for (const char* bytes : {"half a line", "{\"a\":1}\n{\"b\":2}", "\n{x"}) {
    WriteFile(bytes);
    std::unique_ptr<Sink> sink = Make();
    const absl::Status status = sink->Open();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_EQ(Contents(), bytes);
  }
  // Whole lines of whatever kind are no obstacle.
  WriteFile("# alerts of klaxon\n");
  std::unique_ptr<Sink> sink = Opened();
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1)}).ok());
  EXPECT_EQ(Contents(), "# alerts of klaxon\n" + LineOf(SampleAlert(1)));
}

TEST_F(FileSinkTest, CutsBackWhatDidNotFitAndGoesOnLater) {
  std::unique_ptr<Sink> sink = Opened();
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1)}).ok());
  const std::string first = LineOf(SampleAlert(1));
  const std::vector<Alert> more = {SampleAlert(2), SampleAlert(3)};
  for (size_t room : {size_t{0}, size_t{1}, first.size() / 2, first.size(),
                      first.size() + 1, 2 * first.size() - 1}) {
    FileSizeLimit limit(first.size() + room);
    const absl::Status status = Deliver(sink.get(), more);
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
    EXPECT_EQ(Contents(), first) << room;
  }
  EXPECT_TRUE(Deliver(sink.get(), more).ok());
  EXPECT_EQ(Contents(), first + LineOf(more[0]) + LineOf(more[1]));
}

// More than the sink writes at once.
TEST_F(FileSinkTest, CutsBackOverManyBlocks) {
  std::unique_ptr<Sink> sink = Opened();
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(0)}).ok());
  std::vector<Alert> many;
  for (int i = 1; i < 3000; ++i) many.push_back(SampleAlert(i));
  {
    FileSizeLimit limit(3 << 20);  // Whole blocks were written by then.
    EXPECT_TRUE(absl::IsResourceExhausted(Deliver(sink.get(), many)));
    EXPECT_EQ(Contents(), LineOf(SampleAlert(0)));
  }
  EXPECT_TRUE(Deliver(sink.get(), many).ok());
  const std::string contents = Contents();
  EXPECT_EQ(std::count(contents.begin(), contents.end(), '\n'), 3000);
}

TEST_F(FileSinkTest, GluesNothingToWhatItCouldNotCutBack) {
  const std::string first = LineOf(SampleAlert(1));
  std::unique_ptr<Sink> sink = Opened();
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1)}).ok());
  {
    FileFaults faults(FileFaults::Failing(FileCall::kFtruncate, EIO));
    {
      FileSizeLimit limit(first.size() + 10);
      const absl::Status status = Deliver(sink.get(), {SampleAlert(2)});
      EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr("cannot be cut off"));
    }
    EXPECT_EQ(Contents().size(), first.size() + 10);
    EXPECT_TRUE(absl::IsUnavailable(Deliver(sink.get(), {SampleAlert(2)})));
    EXPECT_EQ(Contents().size(), first.size() + 10);
  }
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(2)}).ok());
  EXPECT_EQ(Contents(), first + LineOf(SampleAlert(2)));
}

// What a failed sync leaves in memory is not to be trusted: it is cut off and
// written again.
TEST_F(FileSinkTest, WritesAnewWhatCouldNotBeSynced) {
  std::unique_ptr<Sink> sink = Opened();
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1)}).ok());
  {
    FileFaults faults(FileFaults::Failing(FileCall::kFsync, EIO));
    for (int i = 0; i < 2; ++i) {
      const absl::Status status = Deliver(sink.get(), {SampleAlert(2)});
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("cannot be synced"));
    }
  }
  std::vector<FileCall> calls;
  {
    FileFaults faults([&calls](FileCall call) {
      calls.push_back(call);
      return FileFault();
    });
    EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(3), SampleAlert(2)}).ok());
  }
  EXPECT_EQ(calls, (std::vector<FileCall>{FileCall::kFtruncate,
                                          FileCall::kWrite, FileCall::kFsync}));
  EXPECT_EQ(Contents(), LineOf(SampleAlert(1)) + LineOf(SampleAlert(3)) +
                            LineOf(SampleAlert(2)));
}

TEST_F(FileSinkTest, DoesNotOpenWhatItCannotMakeDurable) {
  std::unique_ptr<Sink> sink = Make();
  {
    FileFaults faults(FileFaults::Failing(FileCall::kFsync, EIO));
    const absl::Status status = sink->Open();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  }
  EXPECT_TRUE(sink->Open().ok());
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1)}).ok());
}

// Zeros stand where a power failure kept the length and lost the bytes.
TEST_F(FileSinkTest, CutsOffWhatAPowerFailureLeft) {
  const std::string first = LineOf(SampleAlert(1));
  const std::string second = LineOf(SampleAlert(2));
  const std::string third = LineOf(SampleAlert(3));
  for (size_t from : {size_t{0}, size_t{1}, second.size() / 2}) {
    std::string damaged = second;
    std::fill_n(damaged.begin() + static_cast<ptrdiff_t>(from), 100, '\0');
    for (const std::string& rest : {damaged + third, damaged, damaged + "{"}) {
      WriteFile(first + rest);
      std::unique_ptr<Sink> sink = Opened();
      EXPECT_EQ(Contents(), first);
      EXPECT_TRUE(
          Deliver(sink.get(), {SampleAlert(1), SampleAlert(2), SampleAlert(3)})
              .ok());
      EXPECT_EQ(Contents(), first + second + third);
    }
  }
  // Far from the end it is no crash of ours.
  std::string old = std::string(10, '\0') + "\n";
  while (old.size() < (size_t{17} << 20)) old += third;
  WriteFile(old);
  EXPECT_TRUE(absl::IsFailedPrecondition(Make()->Open()));
  EXPECT_EQ(Contents().size(), old.size());
}

TEST_F(FileSinkTest, RefusesWhatIsNoFileOfItsOwn) {
  struct Case {
    std::string path;
    absl::StatusCode want;
  };
  const Case cases[] = {
      {"/dev/full", absl::StatusCode::kFailedPrecondition},
      {dir_, absl::StatusCode::kUnavailable},
      {dir_ + "/none/alerts", absl::StatusCode::kUnavailable},
  };
  for (const Case& c : cases) {
    path_ = c.path;
    std::unique_ptr<Sink> sink = Make();
    EXPECT_EQ(sink->Open().code(), c.want) << c.path;
  }
  path_ = dir_ + "/fifo";
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  std::unique_ptr<Sink> fifo = Make();
  EXPECT_FALSE(fifo->Open().ok());
}

TEST_F(FileSinkTest, HasItsFileForItself) {
  std::unique_ptr<Sink> first = Opened();
  std::unique_ptr<Sink> second = Make();
  const absl::Status status = second->Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("another process"));
  first.reset();
  std::unique_ptr<Sink> third = Opened();
  EXPECT_TRUE(Deliver(third.get(), {SampleAlert(1)}).ok());
}

TEST_F(FileSinkTest, RefusesToDeliverUnopened) {
  std::unique_ptr<Sink> sink = Make();
  EXPECT_TRUE(absl::IsFailedPrecondition(Deliver(sink.get(), {SampleAlert()})));
}

// Random deliveries, limits and restarts, some of them with a half line left,
// against a plain list: what was acknowledged stands there once, in order.
TEST_F(FileSinkTest, KeepsWhatItAcknowledged) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::string want;
  std::set<std::pair<int, uint64_t>> written;
  std::vector<uint64_t> newest(50, 0);
  std::unique_ptr<Sink> sink = Opened();
  for (int step = 0; step < 400; ++step) {
    if (random() % 16 == 0) {
      sink.reset();
      if (random() % 2) {
        const std::string line = LineOf(Revision(99, 1));
        WriteFile(want + line.substr(0, random() % line.size()));
      }
      sink = Opened();
    }
    std::vector<Alert> alerts;
    std::string lines;
    std::set<std::pair<int, uint64_t>> fresh;
    std::vector<uint64_t> newest_now = newest;
    for (uint64_t n = random() % 4; n > 0; --n) {
      const int number = static_cast<int>(random() % newest.size());
      // Again, or the next revision.
      uint64_t& revision = newest_now[static_cast<size_t>(number)];
      if (revision == 0 || random() % 2) ++revision;
      alerts.push_back(Revision(number, revision));
      const std::pair<int, uint64_t> key(number, revision);
      if (!written.contains(key) && fresh.insert(key).second) {
        lines += LineOf(alerts.back());
      }
    }
    absl::Status status;
    const uint64_t room = random() % 6000;
    if (random() % 4 == 0) {
      FileSizeLimit limit(want.size() + room);
      status = Deliver(sink.get(), alerts);
      ASSERT_EQ(status.ok(), lines.size() <= room) << status;
    } else {
      status = Deliver(sink.get(), alerts);
      ASSERT_TRUE(status.ok()) << status;
    }
    if (status.ok()) {
      want += lines;
      written.merge(fresh);
      newest = newest_now;
    }
    ASSERT_EQ(Contents(), want) << "step " << step;
  }
}

}  // namespace
}  // namespace klaxon
