// A reader of a Kafka source that checks every promise of live_source.h while
// it collects.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "ingest/kafka_position.h"
#include "ingest/kafka_source.h"

namespace klaxon {

// What was read of one lane.
struct ReadLane {
  std::string bytes;
  std::vector<Gap> gaps;
  std::vector<std::string> clusters;  // Of its batches.
  std::vector<std::string> inputs;
  std::vector<BatchFraming> framings;
  std::string resume;  // The newest token,
  std::string committed;

  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    size_t begin = 0;
    while (begin < bytes.size()) {
      const size_t end = std::min(bytes.find('\n', begin), bytes.size());
      lines.push_back(bytes.substr(begin, end - begin));
      begin = end + 1;
    }
    return lines;
  }
};

// A journal as the daemon's: what was read, and the tokens written with it.
class KafkaReader {
 public:
  explicit KafkaReader(KafkaSourceOptions options)
      : options_(std::move(options)) {}
  ~KafkaReader() = default;

  std::map<std::string, ReadLane> lanes;
  std::vector<std::string> said;
  std::vector<std::string> held;
  uint64_t batches = 0;
  std::vector<std::string> turns;  // Whose bytes came, one after the other.

  KafkaSourceOptions& options() { return options_; }
  KafkaSource* source() { return source_.get(); }

  // Opens, with the tokens of what was read.
  absl::Status Open() {
    source_ = MakeKafkaSource(options_);
    std::vector<LaneResume> resume;
    for (const auto& [name, lane] : lanes) {
      if (!lane.resume.empty()) resume.push_back({name, lane.resume, {}});
    }
    const absl::Status status = source_->Open(resume);
    TakeProblems();
    return status;
  }
  void Close() { source_.reset(); }

  // One call of Read, written down.
  absl::Status ReadOne(absl::Duration timeout = absl::Milliseconds(50)) {
    const absl::Status status = source_->Read(timeout, held, batch_);
    TakeProblems();
    if (!status.ok()) return status;
    Check();
    ReadLane& lane = lanes[batch_.lane];
    lane.bytes += batch_.batch.bytes.view();
    lane.gaps.insert(lane.gaps.end(), batch_.gaps.begin(), batch_.gaps.end());
    if (batch_.batch.bytes.size() > 0) {
      if (turns.empty() || turns.back() != batch_.lane) {
        turns.push_back(batch_.lane);
      }
      lane.clusters.push_back(batch_.cluster);
      lane.inputs.push_back(batch_.input);
      lane.framings.push_back(batch_.batch.framing);
    }
    lane.resume = batch_.resume;
    ++batches;
    return status;
  }
  // Until `enough`, or a minute is over, or Read fails.
  absl::Status ReadUntil(const std::function<bool()>& enough) {
    const absl::Time end = absl::Now() + absl::Minutes(1);
    while (!enough()) {
      const absl::Status status = ReadOne();
      if (!status.ok() && !absl::IsUnavailable(status)) return status;
      if (absl::Now() > end) return absl::DeadlineExceededError("a minute");
    }
    return absl::OkStatus();
  }
  // OutOfRange where all is well.
  absl::Status ReadToEnd() {
    return ReadUntil([] { return false; });
  }
  void CommitAll() {
    for (auto& [name, lane] : lanes) {
      EXPECT_TRUE(source_->Commit(name, lane.resume).ok());
    }
  }

  size_t LineCount() const {
    size_t count = 0;
    for (const auto& [name, lane] : lanes) {
      count += std::count(lane.bytes.begin(), lane.bytes.end(), '\n');
    }
    return count;
  }
  bool Said(std::string_view words) const {
    return std::any_of(said.begin(), said.end(), [&](const std::string& s) {
      return s.find(words) != s.npos;
    });
  }
  LaneState State(const std::string& lane) const {
    for (LaneState& state : source_->Lanes()) {
      if (state.name == lane) return state;
    }
    return {};
  }

 private:
  void TakeProblems() {
    for (InputProblem& problem : source_->TakeProblems()) {
      EXPECT_FALSE(problem.lost);
      said.push_back(problem.path + ": " + problem.message);
    }
  }
  void Check() {
    EXPECT_EQ(std::find(held.begin(), held.end(), batch_.lane), held.end());
    EXPECT_FALSE(batch_.resume.empty());
    EXPECT_TRUE(DecodeKafkaPosition(batch_.resume).ok());
    EXPECT_NE(lanes[batch_.lane].resume, batch_.resume);
    EXPECT_TRUE(batch_.input.starts_with(batch_.lane + "@")) << batch_.input;
    const BatchBuffer& bytes = batch_.batch.bytes;
    for (size_t i = 0; i < BatchBuffer::kPadding; ++i) {
      ASSERT_EQ(bytes.data()[bytes.size() + i], '\0');
    }
  }

  KafkaSourceOptions options_;
  std::unique_ptr<KafkaSource> source_;
  LiveBatch batch_;
};

}  // namespace klaxon
