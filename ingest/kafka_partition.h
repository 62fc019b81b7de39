// One partition: its records, in order and once each, and what is known to be
// lost of them.
//
// A partition is read from `position` on. Three things interrupt that:
//   verify   After a start the last record that was handed on is read again
//            and compared: a topic that was deleted and created anew has
//            another one there, or none.
//   ask      The broker has no record at the position. The watermarks tell
//            whether retention was faster, or the topic is a new one.
//   probe    A batch of records cannot be decoded. Positions behind it are
//            tried, with doubling stride until one is good, then halving, so
//            that the gap ends exactly where the batch does.
//
// One thread.
#pragma once

#include <librdkafka/rdkafka.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "ingest/kafka_client.h"
#include "ingest/kafka_options.h"
#include "ingest/kafka_position.h"
#include "ingest/kafka_source.h"
#include "ingest/live_source.h"
#include "ingest/payload_pieces.h"

namespace klaxon {

// What all partitions of a source share. Outlives them.
struct KafkaShared {
  const KafkaSourceOptions* options = nullptr;
  KafkaClient* client = nullptr;   // Null between two clients.
  bool broken = false;             // A new client is needed.
  std::vector<KafkaEvent> events;  // For the source.
  std::vector<InputProblem> problems;
  KafkaCounters counters;
};

class KafkaPartition {
 public:
  // `known`: the position is that of an earlier run, or of this one's client.
  KafkaPartition(KafkaShared* shared, std::string topic, int32_t number,
                 const KafkaPosition& position, bool known);
  ~KafkaPartition();

  const std::string& lane() const { return lane_; }
  const std::string& topic() const { return topic_; }
  int32_t number() const { return number_; }
  const KafkaPosition& position() const { return position_; }

  // A client was made: opens the queue and says from where to assign.
  KafkaOffset Attach();
  // The client is about to go.
  void Detach();

  // Fill may have something to give.
  bool ready() const;
  // Events may be missed where librdkafka stops short: look anyway.
  void Sweep();
  // True: `batch` has bytes, gaps, or a new token.
  bool Fill(LiveBatch& batch);

  LaneState State() const;
  // With until_end: every record before the end was handed on.
  void SetStop(int64_t offset) { stop_ = offset; }
  bool done() const { return done_; }

  // Its end was seen, but a broker was lost since: there may be more.
  bool unsure() const { return eof_ && unsure_; }
  void SetUnsure() { unsure_ = eof_; }
  void ConfirmEnd(int64_t end);
  void AssumeEnd() { unsure_ = false; }

  // Looked at every minute while it may be read: says if it stands still.
  void TellStandstill();

  // The topic, or the partition, is not there (any more).
  bool gone() const { return phase_ == Phase::kGone; }
  void Vanish();
  void Return();     // It is there again.
  void StillGone();  // It was looked for in vain, as every second.
  // It came back, and nothing comes of it.
  bool IsMute() const;

 private:
  enum class Phase : uint8_t { kRead, kVerify, kProbe, kAsk, kGone };
  enum class Verdict : uint8_t { kHandOn, kDrop, kMoved };
  static constexpr size_t kTakenMax = 500;

  // Of an undecodable batch. Offsets.
  struct Probe {
    int64_t begin = 0;        // Of the gap.
    int64_t last_bad = 0;     // Nothing decodable can be read from here,
    int64_t first_good = -1;  // but from here. -1: not found.
    int64_t at = 0;           // What is being tried.
    int64_t stride = 1;
    int64_t Step();
  };

  rd_kafka_message_t* Front();
  void AskForMore();
  void Pop();
  void DropTaken();
  void MarkNewest();
  Verdict Judge(const rd_kafka_message_t& message);
  Verdict JudgeRecord(const rd_kafka_message_t& message);
  Verdict JudgeEnd(int64_t end);
  Verdict JudgeUndecodable();
  Verdict ProbeIsGood();
  Verdict TellError(const rd_kafka_message_t& message);
  void Ask(bool recreated);
  void Resolve();
  void ResolveProbe(const KafkaWatermarks& marks);
  void Restart(const KafkaWatermarks& marks);
  Verdict MoveTo(int64_t offset, Phase phase);
  void Skip(int64_t next);  // Position behind a gap.

  void FillWithRecords(LiveBatch& batch);
  bool Add(const rd_kafka_message_t& message, LiveBatch& batch);
  bool AddPiece(const rd_kafka_message_t& message, LiveBatch& batch);
  void HandedOn(const rd_kafka_message_t& message);
  void AppendLine(std::string_view payload, LiveBatch& batch);
  void AttachGaps(LiveBatch& batch);
  bool Finish(LiveBatch& batch);
  const std::string& ClusterOf(const rd_kafka_message_t& message);
  void AddGap(std::string reason, int64_t begin, uint64_t end,
              std::string message);
  void Tell(std::string message);
  std::string At(int64_t offset) const;

  KafkaShared* const shared_;
  const std::string topic_;
  const int32_t number_;
  const std::string lane_;

  KafkaPosition position_;
  std::optional<KafkaPosition> told_;  // By a token.
  std::unique_ptr<KafkaQueue> queue_;
  std::array<rd_kafka_message_t*, kTakenMax> taken_ = {};
  size_t taken_begin_ = 0;
  size_t taken_end_ = 0;
  rd_kafka_message_t* newest_ = nullptr;   // Handed on last, not yet marked.
  std::unique_ptr<PayloadPieces> pieces_;  // Of Front().
  std::vector<Gap> gaps_;
  std::string cluster_;

  Phase phase_ = Phase::kRead;
  bool assigned_ = false;
  bool recreated_ = false;  // kAsk: this is known.
  Phase asked_in_ = Phase::kRead;
  absl::Time ask_at_ = absl::InfinitePast();
  Probe probe_;
  int64_t undecodable_ = -1;  // Position that could not be read once.
  rd_kafka_resp_err_t told_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  int gone_looks_ = 0;
  // When its topic came back, until something comes of it.
  absl::Time returned_ = absl::InfiniteFuture();
  bool was_at_end_ = false;  // When it vanished.

  bool eof_ = false;
  int64_t eof_offset_ = 0;
  bool unsure_ = false;
  int64_t stood_at_ = -1;  // At the last look, with more behind it.
  int64_t stop_ = -1;
  bool done_ = false;
};

}  // namespace klaxon
