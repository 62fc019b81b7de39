// Archives that come through a pipe: stdin, a FIFO, a descriptor's name.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include "ingest/archive_source.h"
#include "tests/ingest/ingest_fixture.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;

// stdin from a descriptor, for the life of it.
class StdinFrom {
 public:
  explicit StdinFrom(int fd) : saved_(dup(0)) {
    dup2(fd, 0);
    close(fd);
  }
  ~StdinFrom() {
    dup2(saved_, 0);
    close(saved_);
  }

 private:
  const int saved_;
};

TEST(ArchivePipe, ReadsStdin) {
  for (const std::string& bytes : {SomeLines(100'000), Gzip(SomeLines(100'000)),
                                   Zstd(Tar({{"x", SomeLines(100'000)}}))}) {
    int pipe_fds[2];
    ASSERT_EQ(pipe(pipe_fds), 0);
    StdinFrom redirected(pipe_fds[0]);
    std::thread writer([&] {
      for (size_t at = 0; at < bytes.size();) {
        const ssize_t wrote = write(pipe_fds[1], bytes.data() + at,
                                    std::min<size_t>(bytes.size() - at, 3000));
        if (wrote < 0) break;
        at += wrote;
      }
      close(pipe_fds[1]);
    });
    const ReadResult result = ReadPaths({"-"});
    writer.join();
    EXPECT_EQ(result.AllBytes(), SomeLines(100'000));
    EXPECT_EQ(result.raw_bytes_total, 0u);
    EXPECT_EQ(result.raw_bytes_read, bytes.size());
  }
}

TEST(ArchivePipe, StdinFromAFile) {
  const TempDirectory directory;
  const std::string path = directory.Write("a.log", "a\nb\n");
  StdinFrom redirected(open(path.c_str(), O_RDONLY));
  const ReadResult result = ReadPaths({"-"});
  EXPECT_EQ(result.AllBytes(), "a\nb\n");
  EXPECT_THAT(result.Paths(), ElementsAre("-"));
}

TEST(ArchivePipe, SilentPipeIsUnavailableAndCanBeInterrupted) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  StdinFrom redirected(pipe_fds[0]);
  auto source = MakeArchiveSource({.paths = {"-"}});
  ASSERT_TRUE(source->Open({}).ok());
  Batch batch;
  EXPECT_TRUE(absl::IsUnavailable(source->Read(absl::Milliseconds(20), batch)));
  ASSERT_EQ(write(pipe_fds[1], "{\"a\":1}\n{\"b\"", 13), 13);
  ASSERT_TRUE(source->Read(absl::Milliseconds(20), batch).ok());
  EXPECT_EQ(batch.bytes.view(), "{\"a\":1}\n");
  EXPECT_TRUE(batch.first_of_input);
  EXPECT_FALSE(batch.last_of_input);
  std::thread waker([&] {
    WaitUntilAsleep(getpid());  // The main thread, in Read.
    source->Interrupt();
  });
  EXPECT_TRUE(absl::IsCancelled(source->Read(absl::InfiniteDuration(), batch)));
  waker.join();
  EXPECT_TRUE(absl::IsCancelled(source->Read(absl::InfiniteDuration(), batch)));
  close(pipe_fds[1]);
}

TEST(ArchivePipe, InterruptReachesIntoATarFromAPipe) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  StdinFrom redirected(pipe_fds[0]);
  const std::string head = Tar({{"x", SomeLines(1000)}}).substr(0, 3000);
  ASSERT_EQ(write(pipe_fds[1], head.data(), head.size()),
            static_cast<ssize_t>(head.size()));
  auto source = MakeArchiveSource({.paths = {"-"}});
  ASSERT_TRUE(source->Open({}).ok());
  std::thread waker([&] {
    WaitUntilAsleep(getpid());  // The main thread, in Read.
    source->Interrupt();
  });
  Batch batch;
  absl::Status status;
  do {
    status = source->Read(absl::InfiniteDuration(), batch);
  } while (status.ok());
  EXPECT_TRUE(absl::IsCancelled(status));
  waker.join();
  close(pipe_fds[1]);
}

TEST(ArchivePipe, NamedFifoWaitsForItsWriter) {
  const TempDirectory directory;
  const std::string fifo = directory.Path("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::thread writer([&] {
    WaitUntilAsleep(getpid());  // The main thread, in Read.
    std::ofstream(fifo) << "a\nb\n";
  });
  const ReadResult result = ReadPaths({fifo});
  writer.join();
  EXPECT_EQ(result.AllBytes(), "a\nb\n");
}

TEST(ArchivePipe, PipeByItsDescriptorsNameEndsWithItsWriter) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  ASSERT_EQ(write(pipe_fds[1], "a\n", 2), 2);
  close(pipe_fds[1]);  // As of `klaxon scan <(echo a)`.
  const ReadResult result =
      ReadPaths({"/dev/fd/" + std::to_string(pipe_fds[0])});
  EXPECT_EQ(result.AllBytes(), "a\n");
  close(pipe_fds[0]);
}

}  // namespace
}  // namespace klaxon
