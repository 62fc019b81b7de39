#include "sinks/stdout_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/sinks/alert_samples.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;

std::string LineOf(const Alert& alert) {
  std::string line;
  AppendJson(alert, &line);
  return line + "\n";
}

// Status of one delivery; fails the test unless `done` was called once.
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

// Blocks until the kernel says that the thread sleeps.
void AwaitSleep(pid_t thread) {
  const std::string path = fmt::format("/proc/self/task/{}/stat", thread);
  for (;;) {
    std::ifstream in(path);
    std::string stat;
    ASSERT_TRUE(std::getline(in, stat));
    // "pid (name) S …"; the name may hold anything.
    if (stat.substr(stat.rfind(')') + 2, 1) == "S") return;
    std::this_thread::yield();
  }
}

class StdoutSinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    ASSERT_EQ(pipe2(pipe_, O_CLOEXEC), 0);
  }
  void TearDown() override {
    for (int fd : pipe_) {
      if (fd >= 0) close(fd);
    }
  }
  void CloseEnd(int end) {
    close(pipe_[end]);
    pipe_[end] = -1;
  }
  std::string ReadAll() {
    std::string all;
    char buffer[4096];
    for (ssize_t n; (n = read(pipe_[0], buffer, sizeof(buffer))) > 0;) {
      all.append(buffer, static_cast<size_t>(n));
    }
    return all;
  }
  int pipe_[2] = {-1, -1};
};

TEST_F(StdoutSinkTest, WritesOneObjectALine) {
  std::unique_ptr<Sink> sink = MakeStdoutSink(pipe_[1], {});
  ASSERT_TRUE(sink->Open().ok());
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(1), SampleAlert(2)}).ok());
  EXPECT_TRUE(Deliver(sink.get(), {}).ok());
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert(3)}).ok());
  EXPECT_TRUE(sink->Drain(absl::Seconds(1)).ok());
  CloseEnd(1);
  EXPECT_EQ(ReadAll(), LineOf(SampleAlert(1)) + LineOf(SampleAlert(2)) +
                           LineOf(SampleAlert(3)));
}

TEST_F(StdoutSinkTest, WritesTextForAPerson) {
  StdoutSinkOptions options;
  options.format = StdoutSinkOptions::Format::kText;
  std::unique_ptr<Sink> sink = MakeStdoutSink(pipe_[1], options);
  EXPECT_TRUE(Deliver(sink.get(), {SampleAlert()}).ok());
  CloseEnd(1);
  std::string want;
  AppendText(SampleAlert(), options.text, &want);
  EXPECT_EQ(ReadAll(), want);
}

TEST_F(StdoutSinkTest, SaysThatTheReaderHasGone) {
  CloseEnd(0);
  std::unique_ptr<Sink> sink = MakeStdoutSink(pipe_[1], {});
  ASSERT_TRUE(sink->Open().ok());
  const absl::Status status = Deliver(sink.get(), {SampleAlert()});
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("standard output"));
  EXPECT_EQ(sink->Drain(absl::Seconds(1)), status);
}

TEST_F(StdoutSinkTest, SaysThatThereIsNoSpaceAndStaysFailed) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  std::unique_ptr<Sink> sink = MakeStdoutSink(full, {});
  const absl::Status status = Deliver(sink.get(), {SampleAlert()});
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  // Even where there would be room by now: half a line may stand there.
  ASSERT_EQ(dup2(pipe_[1], full), full);
  EXPECT_EQ(Deliver(sink.get(), {SampleAlert()}), status);
  EXPECT_EQ(sink->Drain(absl::Seconds(1)), status);
  close(full);
  CloseEnd(1);
  EXPECT_EQ(ReadAll(), "");
}

TEST_F(StdoutSinkTest, SaysThatTheDescriptorIsBad) {
  std::unique_ptr<Sink> sink = MakeStdoutSink(pipe_[0], {});  // Not writable.
  EXPECT_TRUE(absl::IsUnavailable(Deliver(sink.get(), {SampleAlert()})));
}

// More than a pipe holds, to a reader that is slow, over a descriptor that
// refuses to block: short writes and EAGAIN.
TEST_F(StdoutSinkTest, WaitsForASlowReader) {
  ASSERT_EQ(fcntl(pipe_[1], F_SETFL, O_NONBLOCK), 0);
  std::vector<Alert> alerts;
  std::string want;
  for (int i = 0; i < 3000; ++i) {
    alerts.push_back(SampleAlert(i));
    want += LineOf(alerts.back());
  }
  std::string got;
  const pid_t writer = gettid();
  std::thread reader([&] {
    AwaitSleep(writer);  // In poll(): the pipe is full.
    got = ReadAll();
  });
  std::unique_ptr<Sink> sink = MakeStdoutSink(pipe_[1], {});
  EXPECT_TRUE(Deliver(sink.get(), alerts).ok());
  CloseEnd(1);
  reader.join();
  EXPECT_EQ(got, want);
}

class StdoutOptionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      saved_.emplace_back(value != nullptr, value == nullptr ? "" : value);
      unsetenv(name);
    }
    winsize size{40, 93, 0, 0};
    ASSERT_EQ(openpty(&master_, &terminal_, nullptr, nullptr, &size), 0);
  }
  void TearDown() override {
    for (size_t i = 0; i < std::size(kNames); ++i) {
      if (saved_[i].first) {
        setenv(kNames[i], saved_[i].second.c_str(), 1);
      } else {
        unsetenv(kNames[i]);
      }
    }
    close(master_);
    close(terminal_);
  }
  static constexpr const char* kNames[] = {"NO_COLOR", "TERM", "LC_ALL",
                                           "LC_CTYPE", "LANG"};
  std::vector<std::pair<bool, std::string>> saved_;
  int master_ = -1;
  int terminal_ = -1;
};

TEST_F(StdoutOptionsTest, AreTextInATerminal) {
  setenv("TERM", "xterm", 1);
  setenv("LANG", "de_DE.UTF-8", 1);
  const StdoutSinkOptions options = StdoutOptionsFor(terminal_);
  EXPECT_EQ(options.format, StdoutSinkOptions::Format::kText);
  EXPECT_TRUE(options.text.colour);
  EXPECT_TRUE(options.text.unicode);
  EXPECT_EQ(options.text.columns, 93);
}

TEST_F(StdoutOptionsTest, RespectTheEnvironment) {
  setenv("LANG", "de_DE.UTF-8", 1);
  setenv("LC_ALL", "C", 1);
  EXPECT_FALSE(StdoutOptionsFor(terminal_).text.unicode);
  setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(StdoutOptionsFor(terminal_).text.colour);
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(StdoutOptionsFor(terminal_).text.colour);
  unsetenv("NO_COLOR");
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(StdoutOptionsFor(terminal_).text.colour);
}

TEST_F(StdoutOptionsTest, AreNdjsonElsewhere) {
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  const StdoutSinkOptions options = StdoutOptionsFor(pipe[1]);
  EXPECT_EQ(options.format, StdoutSinkOptions::Format::kNdjson);
  EXPECT_FALSE(options.text.colour);
  close(pipe[0]);
  close(pipe[1]);
}

}  // namespace
}  // namespace klaxon
