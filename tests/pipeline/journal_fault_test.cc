// The disk fails, the process dies, the power goes: whatever the moment, what
// Append acknowledged is there, nothing else is, and nothing is half there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "pipeline/journal.h"
#include "tests/random_seed.h"
#include "tests/testing/fault_vfs.h"
#include "tests/testing/journal_script.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

using Script = std::vector<JournalStep>;

// What may be on the disk after a script was cut short.
struct Outcome {
  JournalContent before;  // The step that failed did nothing,
  JournalContent after;   // or all of it.
  bool finished = false;
};

enum class Power { kStays, kFails, kFailsAfterRestart };

class JournalFaultTest : public ::testing::Test {
 protected:
  JournalFaultTest() { SCOPED_TRACE(RandomSeed()); }

  Journal::Options options() const {
    return {.dir = dir_, .snapshot_buffer_bytes_max = 5'000, .vfs = "fault"};
  }

  // Runs the script until a step fails for good. ResourceExhausted is
  // forgiven: after `Heal` the same step must succeed, but for a snapshot that
  // was given up.
  Outcome Run(const Script& script) {
    JournalModel model;
    absl::StatusOr<std::unique_ptr<Journal>> journal = Open(options());
    if (!journal.ok()) return {};
    bool given_up = false;  // The snapshot under way.
    for (const JournalStep& step : script) {
      if (step.what == JournalStep::kBegin) given_up = false;
      if (given_up && step.what != JournalStep::kAppend) continue;
      Outcome outcome{model.content, {}, false};
      absl::Status status = Do(step, **journal);
      if (absl::IsResourceExhausted(status)) {
        EXPECT_TRUE((*journal)->status().ok()) << status;
        ExpectContent(**journal, model.content);
        disk_.Heal();
        ++retried_;
        status = Do(step, **journal);
      }
      if (absl::IsResourceExhausted(status)) {
        // An Append before had to choose.
        EXPECT_NE(step.what, JournalStep::kAppend) << status;
        given_up = true;
        continue;
      }
      model.Do(step);
      if (!status.ok()) {
        ExpectDead(**journal, status);
        outcome.after = model.content;
        return outcome;
      }
    }
    return {model.content, model.content, true};
  }

  absl::StatusOr<std::unique_ptr<Journal>> Open(
      const Journal::Options& options) {
    absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(options);
    if (!absl::IsResourceExhausted(journal.status())) return journal;
    disk_.Heal();
    ++retried_;
    journal = Journal::Open(options);
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal;
  }

  static void ExpectContent(Journal& journal, const JournalContent& want) {
    absl::StatusOr<JournalContent> content = ReadAll(journal);
    ASSERT_TRUE(content.ok()) << content.status();
    EXPECT_EQ(*content, want);
  }

  static void ExpectDead(Journal& journal, const absl::Status& status) {
    EXPECT_FALSE(absl::IsDataLoss(status)) << status;
    EXPECT_EQ(journal.status(), status);
    EXPECT_EQ(journal.Append(std::vector<std::string>{"x"}), status);
    EXPECT_EQ(journal.BeginSnapshot(0), status);
    EXPECT_EQ(ReadAll(journal).status(), status);
  }

  // Opens what is there and goes on with it.
  void ExpectEither(const Outcome& outcome) {
    JournalContent found;
    {
      absl::StatusOr<std::unique_ptr<Journal>> journal =
          Journal::Open(options());
      ASSERT_TRUE(journal.ok()) << journal.status();
      absl::StatusOr<JournalContent> content = ReadAll(**journal);
      ASSERT_TRUE(content.ok()) << content.status();
      found = *content;
      EXPECT_TRUE(found == outcome.before || found == outcome.after)
          << found << "; before " << outcome.before << "; after "
          << outcome.after;
      ASSERT_TRUE((*journal)->Append(std::vector<std::string>{"go on"}).ok());
    }
    found.records.emplace_back("go on");
    absl::StatusOr<JournalContent> again = ReadJournalDir(dir_, "fault");
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, found);
  }

  // What a restart has shown is what the next power failure leaves.
  void ExpectDurable() {
    absl::StatusOr<JournalContent> shown = ReadJournalDir(dir_, "fault");
    ASSERT_TRUE(shown.ok()) << shown.status();
    disk_.LoseUnsynced(random_);
    absl::StatusOr<JournalContent> left = ReadJournalDir(dir_, "fault");
    ASSERT_TRUE(left.ok()) << left.status();
    EXPECT_EQ(*left, *shown);
  }

  void Clear() {
    std::filesystem::remove_all(dir_);
    disk_.Forget();
    disk_.Heal();
  }

  // The power fails, and perhaps again while the journal is opened.
  void CutThePower() {
    disk_.LoseUnsynced(random_);
    if (random_() % 2 == 0) return;
    disk_.FailAt(static_cast<int64_t>(1 + random_() % 12), FaultDisk::kDead);
    Journal::Open(options()).IgnoreError();
    disk_.Heal();
    disk_.LoseUnsynced(random_);
  }

  // Lets the n-th operation of the script's life fail, for n = 1, 2, … until
  // there are no more. Returns how many points that were.
  int FailEverywhere(FaultDisk::Kind kind, int64_t times,
                     Power power = Power::kStays) {
    int points = 0;
    for (int64_t n = 1;; ++n) {
      // Another script now and then; the same points in each.
      if (n % 64 == 1) script_ = RandomScript(random_, 40, 12'000);
      Clear();
      disk_.FailAt(n, kind, times);
      const Outcome outcome = Run(script_);
      if (!disk_.fired()) break;
      ++points;
      disk_.Heal();
      if (power == Power::kFails) CutThePower();
      if (power == Power::kFailsAfterRestart) ExpectDurable();
      ExpectEither(outcome);
      if (HasFailure()) {
        ADD_FAILURE() << "at operation " << n << ", seed " << RandomSeed();
        break;
      }
    }
    return points;
  }

  TemporaryDirectory temporary_{/*in_memory=*/true};
  const std::string dir_ = temporary_.Sub("state");
  FaultDisk disk_;
  std::mt19937_64 random_{RandomSeed()};
  Script script_;
  int retried_ = 0;
};

TEST_F(JournalFaultTest, PowerFailsAtAnyPoint) {
  int points = 0;
  for (int round = 0; round < 3; ++round) {
    points += FailEverywhere(FaultDisk::kDead, 1, Power::kFails);
  }
  EXPECT_GE(points, 600);
}

TEST_F(JournalFaultTest, AnyOperationFailsOnce) {
  EXPECT_GE(FailEverywhere(FaultDisk::kEio, 1), 200);
  EXPECT_GE(FailEverywhere(FaultDisk::kShortWrite, 1), 200);
  EXPECT_EQ(retried_, 0);  // Never forgiven.
}

TEST_F(JournalFaultTest, AnySyncFails) {
  EXPECT_GE(FailEverywhere(FaultDisk::kSyncFails, 1), 200);
  EXPECT_EQ(retried_, 0);  // Never forgiven.
}

TEST_F(JournalFaultTest, SaysWhatFailedAndWhatComesNext) {
  const struct {
    FaultDisk::Kind kind;
    const char* what;
  } cases[] = {{FaultDisk::kSyncFails, "a sync failed"},
               {FaultDisk::kEio, "a write failed"}};
  for (const auto& [kind, what] : cases) {
    Clear();
    absl::StatusOr<std::unique_ptr<Journal>> journal = Open(options());
    ASSERT_TRUE(journal.ok()) << journal.status();
    disk_.FailAt(1, kind);
    const absl::Status status =
        (*journal)->Append(std::vector<std::string>{"x"});
    EXPECT_THAT(std::string(status.message()),
                ::testing::AllOf(::testing::HasSubstr(what),
                                 ::testing::HasSubstr("next start")));
  }
}

TEST_F(JournalFaultTest, AnySyncFailsAndThenThePower) {
  EXPECT_GE(FailEverywhere(FaultDisk::kSyncFails, 1, Power::kFails), 200);
}

// A failed sync leaves a cache that shows more than the disk holds; the next
// run must not believe it.
TEST_F(JournalFaultTest, AnySyncFailsAndThePowerOnlyAfterARestart) {
  EXPECT_GE(FailEverywhere(FaultDisk::kSyncFails, 1, Power::kFailsAfterRestart),
            200);
}

TEST_F(JournalFaultTest, TheDiskIsFullForAMoment) {
  EXPECT_GE(FailEverywhere(FaultDisk::kNoSpace, 1), 200);
  EXPECT_GE(retried_, 100);
}

// Where there is no room for undoing the commit either, the store is dead, and
// must not say that it is worth trying again: the daemon waited for ever.
TEST_F(JournalFaultTest, TheDiskIsFullForAWhile) {
  for (const int64_t times : {1, 2, 4, 8, 1'000'000}) {
    EXPECT_GE(FailEverywhere(FaultDisk::kFull, times), 200);
  }
}

TEST_F(JournalFaultTest, TheDiskStaysFullUntilItIsSeenTo) {
  EXPECT_GE(FailEverywhere(FaultDisk::kNoSpace, 1'000'000), 200);
}

// ---------------------------------------------------------------- processes

// Runs the script in a child that tells of every step it has finished, and
// returns how many it told of.
template <typename Kill>
size_t RunInChild(const Journal::Options& options, const Script& script,
                  const Kill& kill_at, int* wait_status) {
  int pipe_fds[2];
  EXPECT_EQ(pipe(pipe_fds), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(pipe_fds[0]);
    absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(options);
    if (!journal.ok()) _exit(1);
    for (const JournalStep& step : script) {
      if (!Do(step, **journal).ok()) _exit(2);
      if (write(pipe_fds[1], "x", 1) != 1) _exit(3);
    }
    _exit(0);
  }
  close(pipe_fds[1]);
  size_t done = 0;
  char byte = 0;
  kill_at(child, done);
  while (read(pipe_fds[0], &byte, 1) == 1) kill_at(child, ++done);
  close(pipe_fds[0]);
  waitpid(child, wait_status, 0);
  return done;
}

Outcome OutcomeAfter(const Script& script, size_t done) {
  JournalModel model;
  for (size_t i = 0; i < done; ++i) model.Do(script[i]);
  Outcome outcome{model.content, model.content, done == script.size()};
  if (done < script.size()) model.Do(script[done]);
  outcome.after = model.content;
  return outcome;
}

TEST_F(JournalFaultTest, TheProcessExitsAtAnyPoint) {
  int points = 0;
  for (int64_t n = 1;; n += 1 + static_cast<int64_t>(random_() % 3)) {
    if (points % 50 == 0) script_ = RandomScript(random_, 30, 12'000);
    Clear();
    disk_.FailAt(n, FaultDisk::kExit);
    int wait_status = 0;
    const size_t done =
        RunInChild(options(), script_, [](pid_t, size_t) {}, &wait_status);
    disk_.Heal();
    ASSERT_TRUE(WIFEXITED(wait_status));
    if (WEXITSTATUS(wait_status) == 0) break;
    ASSERT_EQ(WEXITSTATUS(wait_status), FaultDisk::kExitCode);
    ++points;
    ExpectEither(OutcomeAfter(script_, done));
    ASSERT_FALSE(HasFailure()) << "operation " << n << " seed " << RandomSeed();
  }
  EXPECT_GE(points, 100);
}

TEST_F(JournalFaultTest, TheProcessIsKilledAtAnyInstant) {
  for (int round = 0; round < 60; ++round) {
    const Script script = RandomScript(random_, 40, 12'000);
    std::filesystem::remove_all(dir_);
    Journal::Options real = options();
    real.vfs.clear();
    const size_t at = random_() % script.size();
    const uint64_t later = random_() % 100;
    int wait_status = 0;
    const size_t done = RunInChild(
        real, script,
        [&](pid_t child, size_t finished) {
          if (finished != at) return;
          for (uint64_t turn = 0; turn < later; ++turn) sched_yield();
          kill(child, SIGKILL);
        },
        &wait_status);
    EXPECT_TRUE(WIFSIGNALED(wait_status) || done == script.size());
    ExpectEither(OutcomeAfter(script, done));
    ASSERT_FALSE(HasFailure()) << "round " << round << " seed " << RandomSeed();
  }
}

// The kernel itself says EFBIG here, where the disk would say ENOSPC.
TEST_F(JournalFaultTest, ARealLimitIsNoRoomAndCanBeLifted) {
  Journal::Options real = options();
  real.vfs.clear();
  absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(real);
  ASSERT_TRUE(journal.ok()) << journal.status();
  auto* const ignore_before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 300'000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  JournalContent want;
  absl::Status status;
  std::string record;
  while (status.ok()) {
    record = RandomBytes(random_, 30'000);
    status = (*journal)->Append(std::vector{record});
    if (status.ok()) want.records.push_back(record);
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, ignore_before);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  ExpectContent(**journal, want);
  EXPECT_TRUE((*journal)->Append(std::vector{record}).ok());
  want.records.push_back(record);
  journal->reset();
  absl::StatusOr<JournalContent> again = ReadJournalDir(dir_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, want);
}

}  // namespace
}  // namespace klaxon
