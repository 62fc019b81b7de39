// What a snapshot's child process holds on to, and for how long.
#include "pipeline/snapshot_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <filesystem>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "pipeline/journal.h"
#include "pipeline/state_dir.h"
#include "tests/random_seed.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

// Seen by children, too.
class SharedNumber {
 public:
  SharedNumber()
      : memory_(mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
        number_(new(memory_) std::atomic<int>(0)) {}
  ~SharedNumber() { munmap(memory_, sizeof(std::atomic<int>)); }
  SharedNumber(const SharedNumber&) = delete;
  SharedNumber& operator=(const SharedNumber&) = delete;

  void Set(int number) {
    *number_ = number;
    syscall(SYS_futex, memory_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  // Until it is set; 0: it was not within a minute.
  int Wait() const {
    constexpr timespec kPatience = {.tv_sec = 60, .tv_nsec = 0};
    while (*number_ == 0) {
      const long woken = syscall(  // NOLINT(google-runtime-int)
          SYS_futex, memory_, FUTEX_WAIT, 0, &kPatience, nullptr, 0);
      if (woken < 0 && errno == ETIMEDOUT) break;
    }
    return *number_;
  }

 private:
  void* memory_;
  std::atomic<int>* number_;
};

class SnapshotWriterTest : public ::testing::Test {
 protected:
  std::unique_ptr<Journal> Open() {
    absl::StatusOr<std::unique_ptr<Journal>> journal =
        Journal::Open({.dir = dir_});
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  // In the child: says who it is, and never comes to an end.
  SnapshotWriter::Save Endless() {
    return [this](const SnapshotWriter::PutPart&) {
      child_.Set(getpid());
      for (;;) pause();
    };
  }

  TemporaryDirectory temporary_;
  const std::string dir_ = temporary_.Sub("state");
  SharedNumber child_;
};

TEST_F(SnapshotWriterTest, TheChildHoldsNoLock) {
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  SnapshotWriter writer;
  ASSERT_TRUE(writer.Begin(0, 1, journal.get(), Endless()).ok());
  ASSERT_NE(child_.Wait(), 0);
  journal.reset();
  EXPECT_NE(Open(), nullptr);
}

TEST_F(SnapshotWriterTest, TheChildKeepsNoPipeOpen) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  SnapshotWriter writer;
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  ASSERT_TRUE(writer.Begin(0, 1, journal.get(), Endless()).ok());
  ASSERT_NE(child_.Wait(), 0);
  close(ends[1]);
  char byte = 0;
  EXPECT_EQ(read(ends[0], &byte, 1), 0);  // Else it would have to wait.
  close(ends[0]);
}

TEST_F(SnapshotWriterTest, TheChildKeepsNobodyFromACpuAndGetsOneInTheEnd) {
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  SnapshotWriter writer(std::chrono::seconds(0));
  ASSERT_TRUE(writer.Begin(0, 1, journal.get(), Endless()).ok());
  const pid_t child = child_.Wait();
  ASSERT_NE(child, 0);
  if (getpriority(PRIO_PROCESS, child) != 10) {
    EXPECT_EQ(sched_getscheduler(child), SCHED_OTHER);
    GTEST_SKIP() << "we may not become less nice";
  }
  EXPECT_EQ(sched_getscheduler(child), SCHED_IDLE);
  ASSERT_TRUE(writer.Step(journal.get()).ok());
  EXPECT_EQ(sched_getscheduler(child), SCHED_OTHER);
  EXPECT_EQ(getpriority(PRIO_PROCESS, child), 10);
}

// As waitpid; 0: it did not end within a minute, and was killed.
pid_t WaitFor(pid_t process, int* status) {
  constexpr int kPatienceMs = 60'000;
  pollfd end = {static_cast<int>(syscall(SYS_pidfd_open, process, 0)), POLLIN,
                0};
  const bool ended = end.fd >= 0 && poll(&end, 1, kPatienceMs) == 1;
  if (!ended) kill(process, SIGKILL);
  const pid_t waited = waitpid(process, status, 0);
  close(end.fd);
  return ended ? waited : 0;
}

TEST_F(SnapshotWriterTest, TheChildDiesWithItsParent) {
  // Orphans become ours, so that we see how they end.
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  const pid_t parent = fork();
  if (parent == 0) {
    SnapshotWriter writer;
    if (!writer.Begin(0, 1, journal.get(), Endless()).ok()) _exit(1);
    child_.Wait();
    kill(getpid(), SIGKILL);
  }
  const pid_t child = child_.Wait();
  ASSERT_NE(child, 0);
  int status = 0;
  ASSERT_EQ(waitpid(parent, &status, 0), parent);
  ASSERT_EQ(WaitFor(child, &status), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// Steps, each with its commit, until there is nothing under way. How many.
int Finish(SnapshotWriter* writer, Journal* journal) {
  int steps = 0;
  for (; writer->busy(); ++steps) {
    EXPECT_TRUE(writer->Step(journal).ok());
    EXPECT_TRUE(journal->Append({}).ok());
    std::this_thread::yield();
  }
  return steps;
}

TEST_F(SnapshotWriterTest, CarriesALittleWithEachStep) {
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  ASSERT_TRUE(journal->Append({{"a record"}}).ok());
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  std::vector<std::pair<std::string, std::string>> parts;
  for (int i = 0; i < 60; ++i) {
    std::string bytes(random() % 300'000, 'x');
    for (char& byte : bytes) byte = static_cast<char>(random());
    parts.emplace_back("part" + std::to_string(i % 7), std::move(bytes));
  }
  const auto save = [&](const SnapshotWriter::PutPart& put) {
    for (const auto& [name, bytes] : parts) put(name, bytes);
  };
  SnapshotWriter writer;
  ASSERT_TRUE(writer.Begin(1, 2, journal.get(), save).ok());
  EXPECT_GT(Finish(&writer, journal.get()), 10);  // 9 MB.
  EXPECT_EQ(writer.taken(), 1u);
  EXPECT_GT(writer.taken_bytes(), 1'000'000u);
  std::vector<std::pair<std::string, std::string>> read;
  const auto add = [&](std::string_view name, std::string_view bytes) {
    read.emplace_back(name, bytes);
    return absl::OkStatus();
  };
  ASSERT_TRUE(journal->ReadSnapshot(add).ok());
  EXPECT_EQ(read, parts);
}

SnapshotWriter::Save OnePart() {
  return [](const SnapshotWriter::PutPart& put) { put("a", "part"); };
}

TEST_F(SnapshotWriterTest, IsCommittedWithRecordsThatCome) {
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  SnapshotWriter writer;
  ASSERT_TRUE(writer.Begin(0, 1, journal.get(), OnePart()).ok());
  while (writer.busy()) {
    const bool before = journal->has_snapshot();
    ASSERT_TRUE(writer.Step(journal.get()).ok());
    EXPECT_EQ(journal->has_snapshot(), before);
    ASSERT_TRUE(journal->Append({{"a record"}}).ok());
  }
  EXPECT_EQ(writer.taken(), 1u);
  EXPECT_TRUE(journal->has_snapshot());
}

TEST_F(SnapshotWriterTest, IsCommittedAloneWhereNoneCome) {
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  SnapshotWriter writer;
  ASSERT_TRUE(writer.Begin(0, 1, journal.get(), OnePart()).ok());
  while (writer.busy()) ASSERT_TRUE(writer.Step(journal.get()).ok());
  EXPECT_EQ(writer.taken(), 1u);
  EXPECT_TRUE(journal->has_snapshot());
}

TEST_F(SnapshotWriterTest, OfAChildThatFailsNothingIsKept) {
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  for (const bool killed : {true, false}) {
    const auto save = [&](const SnapshotWriter::PutPart& put) {
      put("a", "part");
      if (killed) raise(SIGKILL);
      _exit(1);
    };
    SnapshotWriter writer;
    ASSERT_TRUE(writer.Begin(0, 1, journal.get(), save).ok());
    absl::Status status;
    while (status.ok()) status = writer.Step(journal.get());
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_FALSE(writer.busy());
    EXPECT_FALSE(journal->has_snapshot());
    EXPECT_TRUE(journal->status().ok());
  }
  // The next one is whole.
  SnapshotWriter writer;
  const auto save = [](const SnapshotWriter::PutPart& put) { put("b", "c"); };
  ASSERT_TRUE(writer.Begin(0, 1, journal.get(), save).ok());
  Finish(&writer, journal.get());
  std::string read;
  const auto add = [&](std::string_view name, std::string_view bytes) {
    read.append(name).append(bytes);
    return absl::OkStatus();
  };
  ASSERT_TRUE(journal->ReadSnapshot(add).ok());
  EXPECT_EQ(read, "bc");
}

bool HasOpen(pid_t process, const std::string& path) {
  const std::string fds = "/proc/" + std::to_string(process) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(fds)) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == path) return true;
  }
  return false;
}

// Killed between its birth and its first instruction, so to speak.
TEST_F(SnapshotWriterTest, ALockThatAnOrphanIsAboutToDropIsWaitedFor) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const pid_t self = getpid();
  const pid_t owner = fork();
  if (owner == 0) {
    const auto dir = StateDir::Open(dir_, StateDir::Use::kOwn);
    if (dir.ok() && fork() == 0) {
      child_.Set(getpid());
      // Until somebody wants it.
      while (!HasOpen(self, dir->path() + "/klaxon.lock")) sched_yield();
      _exit(0);
    }
    child_.Wait();
    _exit(0);  // Its lock lives on in the child.
  }
  const pid_t orphan = child_.Wait();
  ASSERT_NE(orphan, 0);
  ASSERT_EQ(waitpid(owner, nullptr, 0), owner);
  const auto dir = StateDir::Open(dir_, StateDir::Use::kOwn);
  EXPECT_TRUE(dir.ok()) << dir.status();
  kill(orphan, SIGKILL);
  waitpid(orphan, nullptr, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

}  // namespace
}  // namespace klaxon
