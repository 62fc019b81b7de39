// The Kafka source itself. Use kafka_source.h.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/kafka_client.h"
#include "ingest/kafka_owner.h"
#include "ingest/kafka_partition.h"
#include "ingest/kafka_source.h"
#include "ingest/kafka_topics.h"

namespace klaxon {

class KafkaSourceImpl : public KafkaSource {
 public:
  explicit KafkaSourceImpl(KafkaSourceOptions options);
  ~KafkaSourceImpl() override;

  absl::Status Open(std::span<const LaneResume> resume_from) override;
  absl::Status Read(absl::Duration timeout, std::span<const std::string> held,
                    LiveBatch& batch) override;
  absl::Status Commit(std::string_view lane, std::string_view resume) override;
  std::vector<LaneState> Lanes() const override;
  void Interrupt() noexcept override;

  std::vector<InputProblem> TakeProblems() override;
  KafkaCounters counters() const override { return shared_.counters; }
  rd_kafka_s* client() override;

 private:
  using Partitions = std::vector<std::unique_ptr<KafkaPartition>>;
  // A partition that is not read yet.
  struct Newcomer {
    KafkaOffset at;
    bool known = false;  // `position` is that of a token.
    KafkaPosition position;
    int64_t stop = -1;
  };

  absl::Status CheckOptions();
  absl::Status LoadTokens(std::span<const LaneResume> resume_from);
  bool FillFromAny(LiveBatch& batch);
  void NextTurn();
  bool AllDone() const;
  void Hold(std::span<const std::string> held);
  absl::Duration TillNextTask() const;

  // Tasks. Not OK: fatal.
  absl::Status RunTasks();
  void TakeEvents();
  void TakeError(const KafkaEvent& event);
  absl::Status ReplaceClient();
  void DropClient();
  absl::Status AssignAll();
  absl::Status LookAtTopics();
  absl::Status PlaceTopics(const std::vector<KafkaTopic>& topics);
  absl::Status ComplainOfTopics(const std::vector<KafkaTopic>& topics);
  absl::Status NotAnswered(const absl::Status& why);
  bool CheckGone(const std::vector<KafkaTopic>& topics);
  void ConfirmEnds();
  absl::Time Soon(absl::Time began) const;

  // Where it begins. Not OK: ask again.
  absl::Status FindStart(Newcomer* newcomer);
  absl::Status StartNewcomers(const std::vector<Newcomer>& newcomers);

  void Say(std::string message);
  // Once every ten minutes, as long as it stays the same.
  void SayAgain(const std::string& key, std::string message);

  // Constant after Open.
  const KafkaSourceOptions options_;
  KafkaTopics topics_;

  KafkaWake wake_;
  std::atomic<bool> interrupted_{false};
  KafkaOwner owner_;

  // The thread of Read.
  KafkaShared shared_;
  std::unique_ptr<KafkaClient> client_;
  std::map<std::string, KafkaPosition> tokens_;  // By lane, not placed yet.
  std::set<std::string> unplaced_;  // Lanes whose beginning is not known yet.
  std::set<std::string> seen_topics_;  // Read before.
  Partitions partitions_;
  std::map<std::string, size_t> by_lane_;
  std::vector<bool> held_;
  std::vector<size_t> held_now_;
  size_t turn_ = 0;        // Of the partitions, whose it is.
  size_t turn_bytes_ = 0;  // That it has given in this turn.
  bool placed_ = false;    // All partitions there were.
  bool assigned_ = false;  // The client has partitions.
  size_t look_round_ = 0;
  size_t confirm_round_ = 0;
  absl::Time opened_;
  absl::Time look_at_ = absl::InfinitePast();
  absl::Time confirm_at_ = absl::InfinitePast();
  absl::Time replace_at_ = absl::InfinitePast();
  absl::Time unsure_since_ = absl::InfiniteFuture();  // An outage.
  bool gave_up_ = false;                              // Waiting for its end.
  std::string last_error_;  // Why no broker answers, as far as it is known.
  std::map<std::string, std::pair<std::string, absl::Time>> said_;
};

}  // namespace klaxon
