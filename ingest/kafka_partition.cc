#include "ingest/kafka_partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ingest/kafka_config.h"

namespace klaxon {
namespace {

constexpr absl::Duration kAskTimeout = absl::Seconds(1);
constexpr absl::Duration kAskAgain = absl::Milliseconds(200);
// In vain, one a second, and a topic counts as deleted.
constexpr int kGoneLooks = 5;

bool IsUnknownTopic(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
         code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
         code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

bool IsUndecodable(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
         code == RD_KAFKA_RESP_ERR__BAD_MSG ||
         code == RD_KAFKA_RESP_ERR__UNDERFLOW ||
         code == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED;
}

KafkaMark MarkOf(const rd_kafka_message_t& message) {
  rd_kafka_timestamp_type_t type;
  return MarkOfRecord(message.offset,
                      rd_kafka_message_timestamp(&message, &type),
                      {static_cast<const char*>(message.key), message.key_len},
                      {static_cast<const char*>(message.payload), message.len});
}

}  // namespace

// The next offset to try; nothing is left to try when it is `first_good`.
int64_t KafkaPartition::Probe::Step() {
  if (first_good < 0) {
    at = last_bad + stride;
    stride *= 2;
  } else if (first_good > last_bad + 1) {
    at = last_bad + (first_good - last_bad) / 2;
  } else {
    at = first_good;
  }
  return at;
}

KafkaPartition::KafkaPartition(KafkaShared* shared, std::string topic,
                               int32_t number, const KafkaPosition& position,
                               bool known)
    : shared_(shared),
      topic_(std::move(topic)),
      number_(number),
      lane_(KafkaLane(shared->options->name, topic_, number_)),
      position_(position) {
  if (known) told_ = position_;
}

KafkaPartition::~KafkaPartition() { Detach(); }

KafkaOffset KafkaPartition::Attach() {
  queue_ = shared_->client->OpenQueue(topic_, number_);
  undecodable_ = -1;
  returned_ = absl::InfiniteFuture();
  eof_ = unsure_ = false;
  assigned_ = phase_ != Phase::kGone;
  if (assigned_) {
    phase_ = position_.last.has_value() ? Phase::kVerify : Phase::kRead;
  }
  return {topic_, number_,
          position_.last.has_value() ? position_.last->offset : position_.next,
          ""};
}

void KafkaPartition::Detach() {
  DropTaken();
  queue_.reset();
}

bool KafkaPartition::ready() const {
  if (!gaps_.empty()) return true;
  if (done_ || phase_ == Phase::kGone) return false;
  if (phase_ == Phase::kAsk) return shared_->options->clock() >= ask_at_;
  return told_ != position_ || taken_begin_ < taken_end_ ||
         (queue_ != nullptr && queue_->ready());
}

void KafkaPartition::Sweep() {
  if (queue_ != nullptr) queue_->SetReady();
}

LaneState KafkaPartition::State() const {
  LaneState state;
  state.name = lane_;
  const bool all_read = phase_ == Phase::kRead && eof_ && !unsure_ && !ready();
  state.caught_up = gaps_.empty() && (gone() || done_ || all_read);
  state.ended = done_ && !ready();
  if (shared_->client != nullptr && !gone()) {
    const int64_t end = shared_->client->CachedEnd(topic_, number_);
    if (end > position_.next && !(eof_ && end <= eof_offset_)) {
      state.lag_records = end - position_.next;
    }
  }
  return state;
}

void KafkaPartition::ConfirmEnd(int64_t end) {
  unsure_ = false;
  if (end > eof_offset_) eof_ = false;
}

// A batch that is neither damaged nor whole makes librdkafka (2.0.2) ask for it
// for ever without a word.
void KafkaPartition::TellStandstill() {
  const int64_t end =
      gone() || eof_ ? -1 : shared_->client->CachedEnd(topic_, number_);
  const int64_t at = end > position_.next ? position_.next : -1;
  if (at >= 0 && at == stood_at_) {
    Tell(
        fmt::format("nothing has come for a minute, though there are records "
                    "up to offset {}: the broker does not give them, or "
                    "what is at offset {} cannot be read",
                    end, at));
  }
  stood_at_ = at;
}

// ----------------------------------------------------------- what has come

// The next message, not to be kept; null: none is there.
rd_kafka_message_t* KafkaPartition::Front() {
  if (taken_begin_ == taken_end_) {
    if (queue_ == nullptr) return nullptr;
    taken_begin_ = 0;
    taken_end_ = queue_->Consume(taken_);
    if (taken_end_ > 0) returned_ = absl::InfiniteFuture();
    AskForMore();
    // Callbacks that came by this queue are about this partition.
    for (KafkaEvent& event : shared_->client->TakeCallbacks()) {
      if (event.kind == KafkaEvent::Kind::kError &&
          IsUnknownTopic(event.code)) {
        Vanish();
      } else {
        shared_->events.push_back(std::move(event));
      }
    }
  }
  return taken_begin_ < taken_end_ ? taken_[taken_begin_] : nullptr;
}

// The queue may have been full, and what is behind it is wanted now.
void KafkaPartition::AskForMore() {
  if (taken_end_ == 0) return;
  const int64_t last = taken_[taken_end_ - 1]->offset;
  if (taken_end_ == taken_.size() ||
      shared_->client->CachedEnd(topic_, number_) > last + 1) {
    shared_->client->AskForMore();
  }
}

void KafkaPartition::Pop() {
  pieces_.reset();
  rd_kafka_message_destroy(taken_[taken_begin_++]);
}

void KafkaPartition::DropTaken() {
  pieces_.reset();
  while (taken_begin_ < taken_end_) Pop();
  MarkNewest();
}

// The record handed on last becomes the one that is compared with.
void KafkaPartition::MarkNewest() {
  if (newest_ == nullptr) return;
  position_.last = MarkOf(*newest_);
  rd_kafka_message_destroy(newest_);
  newest_ = nullptr;
}

KafkaPartition::Verdict KafkaPartition::Judge(
    const rd_kafka_message_t& message) {
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) return JudgeRecord(message);
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    return JudgeEnd(message.offset);
  }
  if (message.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
    Ask(/*recreated=*/false);
    return Verdict::kMoved;
  }
  if (IsUndecodable(message.err)) return JudgeUndecodable();
  if (IsUnknownTopic(message.err)) {
    Vanish();
    return Verdict::kMoved;
  }
  return TellError(message);
}

KafkaPartition::Verdict KafkaPartition::JudgeRecord(
    const rd_kafka_message_t& message) {
  undecodable_ = -1;
  told_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  eof_ = false;
  if (phase_ == Phase::kVerify) {
    if (message.offset < position_.last->offset) return Verdict::kDrop;
    if (message.offset == position_.last->offset &&
        MarkOf(message) != *position_.last) {
      Ask(/*recreated=*/true);
      return Verdict::kMoved;
    }
    // Where it was compacted away, nothing can be compared.
    phase_ = Phase::kRead;
    // What was stepped over is not tried again.
    if (position_.next > position_.last->offset + 1) {
      return MoveTo(position_.next, Phase::kRead);
    }
  } else if (phase_ == Phase::kProbe) {
    if (message.offset < probe_.at) return Verdict::kDrop;
    if (ProbeIsGood() == Verdict::kMoved) return Verdict::kMoved;
  }
  return message.offset < position_.next ? Verdict::kDrop : Verdict::kHandOn;
}

KafkaPartition::Verdict KafkaPartition::JudgeEnd(int64_t end) {
  undecodable_ = -1;
  if (phase_ == Phase::kVerify) {
    // The last record should be there.
    if (end < position_.next) {
      Ask(/*recreated=*/true);
      return Verdict::kMoved;
    }
    phase_ = Phase::kRead;
  } else if (phase_ == Phase::kProbe) {
    if (ProbeIsGood() == Verdict::kMoved) return Verdict::kMoved;
  }
  eof_ = true;
  unsure_ = false;
  eof_offset_ = end;
  if (stop_ >= 0) done_ = true;
  return Verdict::kDrop;
}

// The error's own offset says nothing: behind a batch with a wrong checksum
// librdkafka (2.0.2) reads on at a wrong place, so offsets that it finds there,
// and where it would go on from, may be anything. What comes after an error is
// therefore always asked for anew.
KafkaPartition::Verdict KafkaPartition::JudgeUndecodable() {
  if (phase_ == Phase::kProbe) {
    probe_.last_bad = std::max(probe_.last_bad, probe_.at);
    if (probe_.first_good <= probe_.last_bad) probe_.first_good = -1;
    return MoveTo(probe_.Step(), Phase::kProbe);
  }
  const bool verify = phase_ == Phase::kVerify;
  // Once may be an accident of the network.
  if (std::exchange(undecodable_, position_.next) != position_.next) {
    return MoveTo(verify ? position_.last->offset : position_.next, phase_);
  }
  undecodable_ = -1;
  // Only what would be compared with is damaged.
  if (verify) return MoveTo(position_.next, Phase::kRead);
  probe_ = {};
  probe_.begin = probe_.last_bad = position_.next;
  return MoveTo(probe_.Step(), Phase::kProbe);
}

// Something can be read at the place that is tried (or it is the end).
KafkaPartition::Verdict KafkaPartition::ProbeIsGood() {
  probe_.first_good = probe_.at;
  if (probe_.Step() != probe_.first_good) {
    return MoveTo(probe_.at, Phase::kProbe);
  }
  AddGap("undecodable", probe_.begin, probe_.first_good,
         fmt::format("{} records cannot be decoded (damaged, or too large "
                     "when inflated) and were skipped; the topic still has "
                     "them. Look at what wrote them",
                     probe_.first_good - probe_.begin));
  Skip(probe_.first_good);
  phase_ = Phase::kRead;
  return Verdict::kDrop;
}

KafkaPartition::Verdict KafkaPartition::TellError(
    const rd_kafka_message_t& message) {
  if (message.err == RD_KAFKA_RESP_ERR__FATAL) {
    shared_->broken = true;
    return Verdict::kDrop;
  }
  // The same comes again and again, once a fetch.
  if (told_error_ != message.err) {
    told_error_ = message.err;
    Tell(ExplainKafkaError(message.err, rd_kafka_message_errstr(&message),
                           *shared_->options));
  }
  return Verdict::kDrop;
}

// -------------------------------------------------- positions that are lost

void KafkaPartition::Vanish() {
  if (phase_ == Phase::kGone) return;
  // The source looks for it from now on.
  KafkaEvent event;
  event.code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
  shared_->events.push_back(std::move(event));
  DropTaken();
  returned_ = absl::InfiniteFuture();
  phase_ = Phase::kGone;
  was_at_end_ = eof_ && eof_offset_ <= position_.next;
  eof_ = false;
  gone_looks_ = 0;
  shared_->client->Forsake();
}

void KafkaPartition::Return() {
  if (phase_ != Phase::kGone) return;
  // What librdkafka had of the old partition goes with its assignment, the
  // queue too: what the new one gets would come to another.
  if (assigned_) {
    shared_->client->Remove({topic_, number_, position_.next, ""})
        .IgnoreError();  // That it is not assigned is what is wanted.
    assigned_ = false;
  }
  queue_.reset();  // First: it may be the same one's, and stops its events.
  queue_ = shared_->client->OpenQueue(topic_, number_);
  returned_ = shared_->options->clock();
  const bool check = position_.last.has_value();
  MoveTo(check ? position_.last->offset : position_.next,
         check ? Phase::kVerify : Phase::kRead);
}

// Of a topic that was created anew librdkafka (2.0.2) sometimes, one time in
// twenty on a busy machine, gives nothing for ever, not even its end.
bool KafkaPartition::IsMute() const {
  constexpr absl::Duration kMax = absl::Seconds(10);
  return shared_->options->clock() - returned_ > kMax && queue_ != nullptr &&
         !queue_->ready();
}

void KafkaPartition::StillGone() {
  // A topic whose metadata are on their way is there a moment later.
  if (++gone_looks_ != kGoneLooks) return;
  const int64_t end = shared_->client->CachedEnd(topic_, number_);
  if (end < 0 ? was_at_end_ : end <= position_.next) {
    Tell("the topic was deleted; all that was known of it had been read");
  } else {
    AddGap("deleted", position_.next,
           end < 0 ? Gap::kUnknown : static_cast<uint64_t>(end),
           "the topic was deleted, with records that had not been read");
  }
  if (stop_ >= 0) done_ = true;
}

// The broker has to say what there is.
void KafkaPartition::Ask(bool recreated) {
  asked_in_ = phase_;
  recreated_ = recreated;
  phase_ = Phase::kAsk;
  ask_at_ = absl::InfinitePast();
  DropTaken();
}

void KafkaPartition::Resolve() {
  const absl::Time now = shared_->options->clock();
  if (now < ask_at_) return;
  const absl::StatusOr<KafkaWatermarks> marks =
      shared_->client->Watermarks(topic_, number_, kAskTimeout);
  if (!marks.ok()) {
    ask_at_ = now + kAskAgain;
    return;
  }
  if (!recreated_ && asked_in_ == Phase::kProbe) return ResolveProbe(*marks);
  const int64_t next = position_.next;
  if (recreated_ || next > marks->high) return Restart(*marks);
  if (next < marks->low) {
    AddGap("retention", next, marks->low,
           fmt::format("{} records were deleted before they were read: raise "
                       "the topic's retention, or find out why Klaxon is so "
                       "far behind",
                       marks->low - next));
    Skip(marks->low);
  }
  // Else only the record to compare with is gone: nothing is missing.
  MoveTo(position_.next, Phase::kRead);
}

// What was tried lies behind the end, or retention came closer.
void KafkaPartition::ResolveProbe(const KafkaWatermarks& marks) {
  probe_.last_bad = std::max(probe_.last_bad, marks.low - 1);
  if (marks.high <= probe_.begin) return Restart(marks);
  probe_.first_good = std::max(marks.high, probe_.last_bad + 1);
  MoveTo(probe_.Step(), Phase::kProbe);
}

// Another topic of that name, or the log was cut back (a broker that was not
// in sync became the leader): what it holds now is all read.
void KafkaPartition::Restart(const KafkaWatermarks& marks) {
  AddGap("recreated", position_.next, Gap::kUnknown,
         fmt::format("the partition is not the one that was read: the topic "
                     "was deleted and created anew, or cut back. What came "
                     "after the last record read is lost; reading begins "
                     "again at offset {} of {}",
                     marks.low, marks.high));
  Skip(marks.low);
  position_.last.reset();
  MoveTo(marks.low, Phase::kRead);
}

KafkaPartition::Verdict KafkaPartition::MoveTo(int64_t offset, Phase phase) {
  DropTaken();
  phase_ = phase;
  eof_ = false;
  const KafkaOffset to{topic_, number_, offset, ""};
  const absl::Status status =
      assigned_ ? shared_->client->Move(to) : shared_->client->Add(to);
  assigned_ = true;
  if (!status.ok()) {
    Tell(std::string(status.message()));
    shared_->broken = true;
  }
  return Verdict::kMoved;
}

void KafkaPartition::Skip(int64_t next) {
  position_.next = next;
  position_.within = 0;
}

// ------------------------------------------------------------------- words

void KafkaPartition::AddGap(std::string reason, int64_t begin, uint64_t end,
                            std::string message) {
  Gap gap;
  gap.input = At(begin);
  gap.reason = std::move(reason);
  gap.message = std::move(message);
  gap.begin = begin;
  gap.end = end;
  gaps_.push_back(std::move(gap));
}

void KafkaPartition::Tell(std::string message) {
  InputProblem problem;
  problem.path = lane_;
  problem.offset = position_.next;
  problem.message = std::move(message);
  problem.lost = false;
  shared_->problems.push_back(std::move(problem));
}

std::string KafkaPartition::At(int64_t offset) const {
  return fmt::format("{}@{}", lane_, offset);
}

}  // namespace klaxon
