// The same log, scanned when it is finished and followed while it is written:
// the same alerts. The clock is the test's: each line is written when its time
// has come, and all that the followers do because of the time that passes (a
// lane is idle, batches are merged, stamps lie in the future) is decided by it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/decode.h"
#include "ingest/archive_source.h"
#include "ingest/file_follower.h"
#include "pipeline/engine_config_wire.h"
#include "pipeline/intake.h"
#include "pipeline/live_state.h"
#include "pipeline/scan.h"
#include "tests/random_seed.h"
#include "tests/testing/temporary_directory.h"

namespace klaxon {
namespace {

struct Line {
  EventTime time = kNoTime;  // When it is written.
  std::string text;
};

// The lines of a sample, and when an apiserver wrote them: in this order, so
// none before the one above it.
std::vector<Line> LinesOf(const std::string& path) {
  ArchiveOptions options;
  options.paths = {path};
  auto source = MakeArchiveSource(options);
  EXPECT_TRUE(source->Open({}).ok());
  std::vector<Line> lines;
  Decoder decoder;
  Batch batch;
  EventTime now = kNoTime;
  while (source->Read(absl::InfiniteDuration(), batch).ok()) {
    std::string_view rest = batch.bytes.view();
    while (!rest.empty()) {
      const size_t size = std::min(rest.find('\n'), rest.size() - 1) + 1;
      std::string padded(rest.substr(0, size - 1));
      padded.append(kDecodePadding, '\0');
      decoder.DecodeLine(
          std::string_view(padded).substr(0, size - 1),
          [&](const EventView& event) { now = std::max(now, event.time()); });
      lines.push_back({now, std::string(rest.substr(0, size))});
      rest.remove_prefix(size);
    }
  }
  // What stands before the first event was written with it.
  for (size_t i = lines.size(); i-- > 1;) {
    if (lines[i - 1].time == kNoTime) lines[i - 1].time = lines[i].time;
  }
  return lines;
}

// Writes the log as its time comes, with half lines and rotations, whenever
// the source that follows it has nothing to read.
class WrittenSlowly : public LiveSource {
 public:
  WrittenSlowly(std::vector<Line> lines, const std::string& dir,
                std::mt19937_64* random)
      : lines_(std::move(lines)),
        path_(dir + "/audit.log"),
        random_(*random),
        now_(absl::FromUnixNanos(lines_.front().time - kSecond)) {
    FollowOptions options;
    options.paths = {path_};
    options.poll = absl::ZeroDuration();
    options.clock = [this] { return now_; };
    follower_ = MakeFileFollower(options);
    Reopen();
  }

  absl::Time now() const { return now_; }

  absl::Status Open(std::span<const LaneResume> resume_from) override {
    return follower_->Open(resume_from);
  }
  absl::Status Read(absl::Duration, std::span<const std::string> held,
                    LiveBatch& batch) override {
    absl::Status status = follower_->Read(absl::ZeroDuration(), held, batch);
    if (!absl::IsUnavailable(status)) return status;
    if (next_ == lines_.size() && silence_ > absl::Minutes(2)) {
      return absl::OutOfRangeError("");
    }
    Live();
    return status;
  }
  absl::Status Commit(std::string_view lane, std::string_view resume) override {
    return follower_->Commit(lane, resume);
  }
  std::vector<LaneState> Lanes() const override { return follower_->Lanes(); }
  void Interrupt() noexcept override { follower_->Interrupt(); }

 private:
  // The clock goes on to the next line, or for a while.
  void Live() {
    constexpr absl::Duration kStep = absl::Milliseconds(400);
    const absl::Time due = next_ < lines_.size()
                               ? absl::FromUnixNanos(lines_[next_].time)
                               : absl::InfiniteFuture();
    if (due > now_ + kStep) {
      now_ += kStep;
      silence_ += kStep;
      return;
    }
    now_ = std::max(now_, due);
    silence_ = absl::ZeroDuration();
    std::string_view text = lines_[next_].text;
    if (half_ == 0 && random_() % 20 == 0) {
      half_ = random_() % text.size();
      Write(text.substr(0, half_));
      return;
    }
    Write(text.substr(half_));
    half_ = 0;
    ++next_;
    if (random_() % 200 == 0) Rotate();
  }

  void Write(std::string_view text) {
    file_.write(text.data(), static_cast<std::streamsize>(text.size()));
    file_.flush();
  }

  // As lumberjack does.
  void Rotate() {
    file_.close();
    const std::string stamp =
        absl::FormatTime("%Y-%m-%dT%H-%M-%E3S", now_, absl::UTCTimeZone());
    const std::string name = std::filesystem::path(path_).replace_filename(
        "audit-" + stamp + ".log");
    if (!std::filesystem::exists(name)) std::filesystem::rename(path_, name);
    Reopen();
  }
  void Reopen() { file_.open(path_, std::ios::binary | std::ios::app); }

  const std::vector<Line> lines_;
  const std::string path_;
  std::mt19937_64& random_;
  absl::Time now_;
  absl::Duration silence_;
  size_t next_ = 0;
  size_t half_ = 0;  // Bytes of it that are written.
  std::ofstream file_;
  std::unique_ptr<LiveSource> follower_;
};

// What an alert was at last, by its id; how often it was told is left out.
using LastContents = std::map<std::string, std::string>;

void Keep(Alert alert, LastContents* contents) {
  alert.revision = 0;
  std::string& json = (*contents)[alert.id];
  json.clear();
  AppendJson(alert, &json);
}

LastContents Scanned(const EngineConfig& config, const std::string& path) {
  ArchiveOptions options;
  options.paths = {path};
  auto source = MakeArchiveSource(options);
  EXPECT_TRUE(source->Open({}).ok());
  LastContents contents;
  ScanCallbacks callbacks;
  callbacks.on_alert = [&](const Alert& alert) { Keep(alert, &contents); };
  ScanSummary summary;
  EXPECT_TRUE(RunScan(config, {}, *source, callbacks, nullptr, &summary).ok());
  return contents;
}

// The revisions that were told before the log had ended, and what stood at the
// end.
struct Followed {
  size_t told_live = 0;
  size_t idle_records = 0;
  uint64_t late = 0;
  LastContents contents;
};

Followed Follow(const std::shared_ptr<const EngineConfig>& config,
                WrittenSlowly* source) {
  PendingQueue queue(size_t{1} << 32);
  IntakeOptions options;
  options.clock = [source] { return source->now(); };
  Intake intake(options, source, &queue);
  intake.Begin();
  EXPECT_TRUE(intake.Run({}, config).ok());

  Followed followed;
  bool ended = false;
  LiveState state([&](const Alert& alert) {
    if (!ended) ++followed.told_live;
    Keep(alert, &followed.contents);
  });
  uint64_t seq = 0;
  ReloadRecord reload;
  EncodeTo(*config, &reload.configuration);
  EXPECT_TRUE(state.Apply(++seq, std::move(reload)).ok());
  for (PendingRecord& pending : queue.Take()) {
    if (pending.source_ended) continue;
    if (std::holds_alternative<LaneIdleRecord>(pending.record)) {
      ++followed.idle_records;
    }
    EXPECT_TRUE(state.Apply(++seq, std::move(pending.record)).ok());
  }
  ended = true;
  EXPECT_TRUE(state.Apply(++seq, EndOfInputRecord{}).ok());
  followed.late = state.late();
  return followed;
}

void ExpectSameSlowly(const std::string& log, size_t* told_live) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(log + ", KLAXON_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const TemporaryDirectory dir(/*in_memory=*/true);
  const auto config = std::make_shared<const EngineConfig>();
  std::vector<Line> lines = LinesOf(log);
  if (lines.empty() || lines.back().time == kNoTime) return;  // No event.
  WrittenSlowly source(std::move(lines), dir.path(), &random);
  const Followed followed = Follow(config, &source);
  EXPECT_EQ(followed.contents, Scanned(*config, log));
  EXPECT_EQ(followed.late, 0u);
  EXPECT_GT(followed.idle_records, 1u);
  *told_live += followed.told_live;
}

TEST(WrittenSlowly, SamplesAreJudgedAsWhenTheyAreFinished) {
  size_t told_live = 0;
  for (const char* sample :
       {"accounts.log", "anonymous.log", "attacked-hour.log.zst", "burst.log",
        "certificates.log", "forged.log"}) {
    ExpectSameSlowly(std::string(KLAXON_SOURCE_DIR "/samples/logs/") + sample,
                     &told_live);
  }
  EXPECT_GT(told_live, 10u);
}

TEST(WrittenSlowly, RecordingsAreJudgedAsWhenTheyAreFinished) {
  const std::filesystem::path folder(KLAXON_SOURCE_DIR "/../shared/recordings");
  if (!std::filesystem::is_directory(folder)) {
    GTEST_SKIP() << "no " << folder;
  }
  size_t told_live = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (path.ends_with(".log")) ExpectSameSlowly(path, &told_live);
  }
  EXPECT_GT(told_live, 10u);
}

}  // namespace
}  // namespace klaxon
