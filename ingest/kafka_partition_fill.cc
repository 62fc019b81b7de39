// KafkaPartition: records into batches.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "event/unwrap.h"
#include "ingest/kafka_partition.h"

namespace klaxon {
namespace {

// Longer ones, and such with control characters, name no cluster.
constexpr size_t kClusterBytesMax = 253;

std::string_view PayloadOf(const rd_kafka_message_t& message) {
  return {static_cast<const char*>(message.payload), message.len};
}

bool CanBeCluster(std::string_view name) {
  return !name.empty() && name.size() <= kClusterBytesMax &&
         std::none_of(name.begin(), name.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

// Empty: none.
std::string_view HeaderOf(const rd_kafka_message_t& message,
                          const std::string& name) {
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) !=
      RD_KAFKA_RESP_ERR_NO_ERROR) {
    return {};
  }
  const void* value = nullptr;
  size_t size = 0;
  if (rd_kafka_header_get_last(headers, name.c_str(), &value, &size) !=
          RD_KAFKA_RESP_ERR_NO_ERROR ||
      value == nullptr) {
    return {};
  }
  return {static_cast<const char*>(value), size};
}

}  // namespace

bool KafkaPartition::Fill(LiveBatch& live) {
  if (phase_ == Phase::kAsk) Resolve();
  Batch& batch = live.batch;
  batch.part.reset();
  batch.bytes.set_size(0);
  batch.framing = BatchFraming::kLines;
  batch.begin = {};
  batch.input_bytes = 0;
  batch.oversize_head_bytes = 0;
  batch.oversize_line_bytes = 0;
  live.gaps.clear();
  live.digest.clear();
  live.cluster.clear();
  live.lane = lane_;
  live.input = At(position_.next);
  AttachGaps(live);
  if (!done_ && phase_ != Phase::kGone && phase_ != Phase::kAsk) {
    FillWithRecords(live);
  }
  return Finish(live);
}

void KafkaPartition::FillWithRecords(LiveBatch& live) {
  const size_t aim = shared_->options->batch_bytes;
  const size_t limit = shared_->options->line_bytes_max;
  bool goes_on = false;
  // A container runtime's long line comes in chunks, a record each: what is
  // decoded together must not end between them.
  while (live.batch.bytes.size() < aim ||
         (goes_on && live.batch.bytes.size() < limit)) {
    const rd_kafka_message_t* const message = Front();
    if (message == nullptr) return;
    switch (Judge(*message)) {
      case Verdict::kMoved:
        return;
      case Verdict::kDrop:
        Pop();
        AttachGaps(live);
        continue;
      case Verdict::kHandOn:
        break;
    }
    AttachGaps(live);
    if (!gaps_.empty()) return;  // Behind what is in the batch already.
    if (stop_ >= 0 && message->offset >= stop_) {
      done_ = true;
      DropTaken();
      return;
    }
    goes_on = GoesOnInNextLine(PayloadOf(*message));
    if (!Add(*message, live)) return;
  }
}

// False: the record, or the rest of it, belongs to another batch.
bool KafkaPartition::Add(const rd_kafka_message_t& message, LiveBatch& live) {
  const std::string_view payload = PayloadOf(message);
  Batch& batch = live.batch;
  if (payload.empty()) {
    ++shared_->counters.null_records;
    HandedOn(message);
    return true;
  }
  const std::string& cluster = ClusterOf(message);
  const bool pieces = NeedsPieces(payload, shared_->options->line_bytes_max);
  if (batch.bytes.size() == 0) {
    live.cluster = cluster;
    live.input = At(message.offset);
  } else if (pieces || live.cluster != cluster) {
    return false;
  }
  if (pieces) return AddPiece(message, live);
  AppendLine(payload, live);
  HandedOn(message);
  return true;
}

bool KafkaPartition::AddPiece(const rd_kafka_message_t& message,
                              LiveBatch& live) {
  const KafkaSourceOptions& options = *shared_->options;
  if (pieces_ == nullptr) {
    // Not as batch_bytes says: after a restart the cuts must be the same.
    pieces_ = std::make_unique<PayloadPieces>(
        PayloadOf(message),
        FramerOptions{.batch_bytes = 256 << 10,
                      .line_bytes_max = options.line_bytes_max,
                      .oversize_keep_bytes = options.oversize_keep_bytes});
  }
  Batch& batch = live.batch;
  const bool found = pieces_->Next(position_.within, &batch);
  if (found) position_.within = batch.begin.offset + batch.input_bytes;
  if (!pieces_->finished()) return false;
  if (!pieces_->problem().empty()) {
    AddGap(
        "undecodable", message.offset, message.offset + 1,
        fmt::format("the record cannot be read whole: {}", pieces_->problem()));
  }
  HandedOn(message);
  if (found) return false;
  batch.bytes.set_size(0);
  batch.framing = BatchFraming::kLines;
  batch.begin = {};
  return true;
}

void KafkaPartition::HandedOn(const rd_kafka_message_t& message) {
  position_.next = message.offset + 1;
  position_.within = 0;
  ++shared_->counters.records;
  shared_->counters.payload_bytes += message.len;
  pieces_.reset();
  if (newest_ != nullptr) rd_kafka_message_destroy(newest_);
  newest_ = taken_[taken_begin_++];
}

void KafkaPartition::AppendLine(std::string_view payload, LiveBatch& live) {
  BatchBuffer& bytes = live.batch.bytes;
  const size_t size = bytes.size();
  const size_t needed = size + payload.size() + 1;
  if (needed > bytes.capacity()) {
    bytes.Reserve(std::max(
        needed, std::max(2 * bytes.capacity(), shared_->options->batch_bytes)));
  }
  std::memcpy(bytes.data() + size, payload.data(), payload.size());
  bytes.set_size(size + payload.size());
  if (payload.back() != '\n') {
    bytes.data()[bytes.size()] = '\n';
    bytes.set_size(bytes.size() + 1);
  }
  live.batch.input_bytes += payload.size();
}

// Gaps lie before the bytes of their batch.
void KafkaPartition::AttachGaps(LiveBatch& live) {
  if (live.batch.bytes.size() > 0 || gaps_.empty()) return;
  std::move(gaps_.begin(), gaps_.end(), std::back_inserter(live.gaps));
  gaps_.clear();
}

bool KafkaPartition::Finish(LiveBatch& live) {
  MarkNewest();
  BatchBuffer& bytes = live.batch.bytes;
  const bool news =
      bytes.size() > 0 || !live.gaps.empty() || told_ != position_;
  if (!news) return false;
  bytes.Reserve(bytes.size());
  std::memset(bytes.data() + bytes.size(), 0, BatchBuffer::kPadding);
  live.batch.first_of_input = live.batch.last_of_input = true;
  live.resume = EncodeKafkaPosition(position_);
  told_ = position_;
  return true;
}

const std::string& KafkaPartition::ClusterOf(
    const rd_kafka_message_t& message) {
  const KafkaSourceOptions& options = *shared_->options;
  std::string_view name;
  switch (options.cluster_from) {
    case KafkaClusterFrom::kDefault:
      return options.cluster_default;
    case KafkaClusterFrom::kHeader:
      name = HeaderOf(message, options.cluster_header);
      break;
    case KafkaClusterFrom::kKey:
      name = {static_cast<const char*>(message.key), message.key_len};
      break;
  }
  if (!CanBeCluster(name)) {
    if (!name.empty()) ++shared_->counters.odd_clusters;
    return options.cluster_default;
  }
  if (cluster_ != name) cluster_ = name;
  return cluster_;
}

}  // namespace klaxon
