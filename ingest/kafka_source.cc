#include "ingest/kafka_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ingest/kafka_source_impl.h"

namespace klaxon {
namespace {

// Longer than any event should be missed by librdkafka.
constexpr absl::Duration kSweepEvery = absl::Milliseconds(100);
constexpr absl::Duration kSayAgain = absl::Minutes(10);
constexpr absl::Duration kLastCommit = absl::Seconds(1);
// Some milliseconds of work.
constexpr size_t kTurnBytes = 4 << 20;

}  // namespace

KafkaSourceImpl::KafkaSourceImpl(KafkaSourceOptions options)
    : options_(std::move(options)), owner_(&options_) {
  shared_.options = &options_;
}

KafkaSourceImpl::~KafkaSourceImpl() {
  if (client_ == nullptr) return;
  // What was committed last is news for whoever watches the lag. A broker
  // that does not answer must not keep the process.
  if (unsure_since_ == absl::InfiniteFuture() && owner_.Flush(client_.get())) {
    const absl::Time end = absl::Now() + kLastCommit;
    while (owner_.waiting() && absl::Now() < end) {
      wake_.Wait(absl::Milliseconds(20));
      client_->Poll(&shared_.events);
      for (const KafkaEvent& event : shared_.events) {
        if (event.kind == KafkaEvent::Kind::kCommitted) {
          owner_.OnCommitted(event.code);
        }
      }
      shared_.events.clear();
    }
  }
  DropClient();
}

absl::Status KafkaSourceImpl::Open(std::span<const LaneResume> resume_from) {
  absl::Status status = CheckOptions();
  if (!status.ok()) return status;
  status = topics_.Compile(options_.topics);
  if (!status.ok()) return status;
  status = LoadTokens(resume_from);
  if (!status.ok()) return status;
  opened_ = options_.clock();
  const std::string limits =
      KafkaClientLimits(options_.config, rd_kafka_version());
  if (!limits.empty()) Say(limits);
  return ReplaceClient();
}

absl::Status KafkaSourceImpl::CheckOptions() {
  if (options_.brokers.empty()) {
    return absl::InvalidArgumentError(
        "brokers: none is named; give HOST:PORT, several with commas");
  }
  if (options_.group.empty()) {
    return absl::InvalidArgumentError(
        "group: needed, though Klaxon joins none: its offsets show how far "
        "Klaxon is, and whether a second one runs");
  }
  if (options_.cluster_from == KafkaClusterFrom::kHeader &&
      options_.cluster_header.empty()) {
    return absl::InvalidArgumentError(
        "cluster.kafka_header: the name of the header is missing");
  }
  return absl::OkStatus();
}

absl::Status KafkaSourceImpl::LoadTokens(
    std::span<const LaneResume> resume_from) {
  for (const LaneResume& lane : resume_from) {
    std::string topic;
    int32_t partition;
    // The state is that of all sources, and of such as were there once.
    if (!ParseKafkaLane(lane.lane, options_.name, &topic, &partition) ||
        !topics_.Match(topic)) {
      continue;
    }
    absl::StatusOr<KafkaPosition> position = DecodeKafkaPosition(lane.resume);
    if (!position.ok()) {
      return absl::Status(
          position.status().code(),
          fmt::format("{}: {}", lane.lane,
                      std::string(position.status().message())));
    }
    tokens_.emplace(lane.lane, *position);
    seen_topics_.insert(topic);
  }
  return absl::OkStatus();
}

absl::Status KafkaSourceImpl::Read(absl::Duration timeout,
                                   std::span<const std::string> held,
                                   LiveBatch& batch) {
  // A wait needs a clock that runs, whatever the injected one does.
  const absl::Time end = absl::Now() + timeout;
  for (;;) {
    if (interrupted_.exchange(false)) {
      return absl::UnavailableError("interrupted");
    }
    absl::Status status = RunTasks();
    if (!status.ok()) return status;
    Hold(held);  // There may be new ones.
    if (FillFromAny(batch)) return absl::OkStatus();
    if (AllDone()) return absl::OutOfRangeError("");
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::UnavailableError("nothing came in time");
    }
    const absl::Time before = absl::Now();
    const absl::Duration wait = std::min({left, kSweepEvery, TillNextTask()});
    wake_.Wait(wait);
    if (absl::Now() - before >= kSweepEvery) {
      for (const auto& partition : partitions_) partition->Sweep();
    }
  }
}

void KafkaSourceImpl::Hold(std::span<const std::string> held) {
  for (const size_t index : held_now_) held_[index] = false;
  held_now_.clear();
  for (const std::string& lane : held) {
    const auto it = by_lane_.find(lane);
    if (it == by_lane_.end()) continue;
    held_[it->second] = true;
    held_now_.push_back(it->second);
  }
}

// Batches of one lane are cheap to merge, so a partition that has more keeps
// its turn for a while.
bool KafkaSourceImpl::FillFromAny(LiveBatch& batch) {
  for (size_t tries = 0; tries < partitions_.size() && !shared_.broken;
       ++tries) {
    KafkaPartition& partition = *partitions_[turn_];
    if (!held_[turn_] && partition.ready() && partition.Fill(batch)) {
      turn_bytes_ += batch.batch.bytes.size();
      if (turn_bytes_ >= kTurnBytes) NextTurn();
      return true;
    }
    NextTurn();
  }
  return false;
}

void KafkaSourceImpl::NextTurn() {
  turn_ = (turn_ + 1) % partitions_.size();
  turn_bytes_ = 0;
}

bool KafkaSourceImpl::AllDone() const {
  return options_.until_end && placed_ &&
         std::all_of(partitions_.begin(), partitions_.end(),
                     [](const auto& partition) {
                       return partition->done() && !partition->ready();
                     });
}

absl::Status KafkaSourceImpl::Commit(std::string_view lane,
                                     std::string_view resume) {
  std::string topic;
  int32_t partition;
  if (!ParseKafkaLane(lane, options_.name, &topic, &partition)) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' is not the lane of a Kafka partition", lane));
  }
  const absl::StatusOr<KafkaPosition> position = DecodeKafkaPosition(resume);
  if (!position.ok()) return position.status();
  owner_.Allow(topic, partition, position->next);
  return absl::OkStatus();
}

std::vector<LaneState> KafkaSourceImpl::Lanes() const {
  std::vector<LaneState> lanes;
  lanes.reserve(partitions_.size());
  for (const auto& partition : partitions_) {
    lanes.push_back(partition->State());
  }
  // Read before, and not there yet: there may be more in them.
  for (const auto& [lane, position] : tokens_) {
    LaneState& state = lanes.emplace_back();
    state.name = lane;
    state.caught_up = placed_ || gave_up_;
  }
  // There, and not begun yet: what they hold must not come too late.
  for (const std::string& lane : unplaced_) {
    if (tokens_.contains(lane)) continue;
    LaneState& state = lanes.emplace_back();
    state.name = lane;
    state.caught_up = gave_up_;
  }
  return lanes;
}

void KafkaSourceImpl::Interrupt() noexcept {
  interrupted_ = true;
  wake_.Signal();
}

std::vector<InputProblem> KafkaSourceImpl::TakeProblems() {
  return std::exchange(shared_.problems, {});
}

rd_kafka_s* KafkaSourceImpl::client() {
  return client_ == nullptr ? nullptr : client_->handle();
}

void KafkaSourceImpl::Say(std::string message) {
  InputProblem problem;
  problem.path = "kafka:" + options_.brokers;
  problem.message = std::move(message);
  problem.lost = false;
  shared_.problems.push_back(std::move(problem));
}

void KafkaSourceImpl::SayAgain(const std::string& key, std::string message) {
  if (message.empty()) return;
  const absl::Time now = options_.clock();
  auto& [last, at] = said_[key];
  if (last == message && now < at + kSayAgain) return;
  last = message;
  at = now;
  Say(std::move(message));
}

std::unique_ptr<KafkaSource> MakeKafkaSource(KafkaSourceOptions options) {
  return std::make_unique<KafkaSourceImpl>(std::move(options));
}

}  // namespace klaxon
