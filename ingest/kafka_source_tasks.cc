// KafkaSourceImpl: what it does besides handing on batches.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "ingest/kafka_config.h"
#include "ingest/kafka_source_impl.h"

namespace klaxon {
namespace {

constexpr absl::Duration kAnswerTimeout = absl::Seconds(1);
// Of several questions in a row, while some partition has no leader.
constexpr absl::Duration kQuestionsMax = absl::Seconds(2);
constexpr absl::Duration kLookEvery = absl::Minutes(1);
constexpr absl::Duration kLookSoon = absl::Seconds(1);
constexpr absl::Duration kReplaceEvery = absl::Seconds(1);
// A cluster that is away so long holds the other sources back no longer.
constexpr absl::Duration kUnsureMax = absl::Minutes(5);

bool IsOutage(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__TRANSPORT ||
         code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
         code == RD_KAFKA_RESP_ERR__RESOLVE ||
         code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
         code == RD_KAFKA_RESP_ERR__SSL ||
         code == RD_KAFKA_RESP_ERR__AUTHENTICATION;
}

bool IsUnknown(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
         code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

}  // namespace

absl::Status KafkaSourceImpl::RunTasks() {
  const absl::Time now = options_.clock();
  if (shared_.broken && now >= replace_at_) {
    absl::Status status = ReplaceClient();
    if (!status.ok()) return status;
  }
  client_->Poll(&shared_.events);
  TakeEvents();
  if (std::any_of(partitions_.begin(), partitions_.end(),
                  [](const auto& partition) { return partition->IsMute(); })) {
    Say("a topic that was created anew gives nothing; the Kafka client is "
        "made anew");
    shared_.broken = true;
  }
  if (shared_.broken) return absl::OkStatus();
  owner_.Tick(client_.get());
  if (now >= look_at_) {
    absl::Status status = LookAtTopics();
    if (!status.ok()) return status;
  }
  if (unsure_since_ != absl::InfiniteFuture() && now >= confirm_at_) {
    ConfirmEnds();
  }
  return absl::OkStatus();
}

absl::Duration KafkaSourceImpl::TillNextTask() const {
  absl::Time due = std::min(look_at_, owner_.due());
  if (shared_.broken) due = std::min(due, replace_at_);
  // An injected clock may stand still: then there is a task at each sweep.
  return std::max(due - options_.clock(), absl::Milliseconds(1));
}

// ------------------------------------------------------------------ events

void KafkaSourceImpl::TakeEvents() {
  for (const KafkaEvent& event : std::exchange(shared_.events, {})) {
    switch (event.kind) {
      case KafkaEvent::Kind::kError:
        TakeError(event);
        break;
      case KafkaEvent::Kind::kFatal:
        Say(
            fmt::format("the Kafka client failed ({}: {}) and is made anew; "
                        "reading goes on behind the last record",
                        rd_kafka_err2name(event.code), event.text));
        shared_.broken = true;
        break;
      case KafkaEvent::Kind::kCommitted:
        ++(event.code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? shared_.counters.commits
               : shared_.counters.commits_failed);
        SayAgain("commit", owner_.OnCommitted(event.code));
        break;
      case KafkaEvent::Kind::kGroupRead:
        SayAgain("owner", owner_.OnGroupRead(event));
        owner_.Repeat(client_.get());
        break;
    }
  }
}

void KafkaSourceImpl::TakeError(const KafkaEvent& event) {
  const std::string words = ExplainKafkaError(event.code, event.text, options_);
  if (!IsOutage(event.code)) {
    if (event.code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
        event.code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
      look_at_ = options_.clock();
      return;
    }
    SayAgain(rd_kafka_err2name(event.code), words);
    return;
  }
  // "All brokers are down" says less than why.
  const bool all_down = event.code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
  if (!all_down || last_error_.empty()) last_error_ = words;
  // One that is lost comes back by itself; said is only what somebody can do
  // something about.
  if (all_down) {
    SayAgain("down", fmt::format("no broker can be reached; Klaxon goes on "
                                 "when one can: {}",
                                 last_error_));
  } else if (event.code != RD_KAFKA_RESP_ERR__TRANSPORT &&
             event.code != RD_KAFKA_RESP_ERR__TIMED_OUT) {
    SayAgain(rd_kafka_err2name(event.code), words);
  }
  if (unsure_since_ == absl::InfiniteFuture()) {
    unsure_since_ = options_.clock();
    confirm_at_ = unsure_since_;
  }
  if (gave_up_) return;
  for (const auto& partition : partitions_) partition->SetUnsure();
}

// When to ask again what was not answered, `began` (real time) being when it
// was asked: most of the time is for reading what can be read.
absl::Time KafkaSourceImpl::Soon(absl::Time began) const {
  return options_.clock() + std::max(kLookSoon, 4 * (absl::Now() - began));
}

// After an outage there may be more than we know of: asks how far each
// partition goes that seemed to be at its end.
void KafkaSourceImpl::ConfirmEnds() {
  const absl::Time now = options_.clock();
  const absl::Time began = absl::Now();
  bool all = true;
  bool asked = false;
  // Those of a broker that is away must not take all the time for ever.
  ++confirm_round_;
  for (size_t i = 0; i < partitions_.size(); ++i) {
    KafkaPartition* const partition =
        partitions_[(i + confirm_round_) % partitions_.size()].get();
    if (partition->gone() || (asked && !partition->unsure())) continue;
    const absl::StatusOr<KafkaWatermarks> marks =
        absl::Now() - began < kQuestionsMax
            ? client_->Watermarks(partition->topic(), partition->number(),
                                  kAnswerTimeout)
            : absl::UnavailableError("no time left");
    asked = true;
    if (!marks.ok()) {
      all = false;
    } else if (partition->unsure()) {
      partition->ConfirmEnd(marks->high);
    }
  }
  confirm_at_ = Soon(began);
  if (all && (asked || partitions_.empty())) {
    unsure_since_ = absl::InfiniteFuture();
    gave_up_ = false;
    last_error_.clear();
  } else if (!gave_up_ && now - unsure_since_ > kUnsureMax) {
    gave_up_ = true;
    Say("brokers are away for minutes: other sources are judged without "
        "waiting for Kafka; what comes later from there may count as late");
    for (const auto& partition : partitions_) partition->AssumeEnd();
  }
}

// ------------------------------------------------------------------ client

absl::Status KafkaSourceImpl::ReplaceClient() {
  const absl::Time now = options_.clock();
  DropClient();
  absl::StatusOr<std::unique_ptr<KafkaClient>> client =
      KafkaClient::Create(options_, &wake_);
  if (!client.ok()) return client.status();
  client_ = *std::move(client);
  shared_.client = client_.get();
  shared_.broken = false;
  ++shared_.counters.clients;
  replace_at_ = now + kReplaceEvery;
  look_at_ = now;
  assigned_ = false;
  return AssignAll();
}

void KafkaSourceImpl::DropClient() {
  for (const auto& partition : partitions_) partition->Detach();
  shared_.client = nullptr;
  client_.reset();
  owner_.Forget();
}

absl::Status KafkaSourceImpl::AssignAll() {
  std::vector<KafkaOffset> offsets;
  for (const auto& partition : partitions_) {
    const KafkaOffset at = partition->Attach();
    if (!partition->gone()) offsets.push_back(at);
  }
  if (offsets.empty()) return absl::OkStatus();
  assigned_ = true;
  const absl::Status status = client_->Assign(offsets);
  if (!status.ok()) shared_.broken = true;  // Once more, a second later.
  return absl::OkStatus();
}

absl::Status KafkaSourceImpl::StartNewcomers(
    const std::vector<Newcomer>& newcomers) {
  std::vector<KafkaOffset> offsets;
  for (const Newcomer& newcomer : newcomers) {
    const std::string lane =
        KafkaLane(options_.name, newcomer.at.topic, newcomer.at.partition);
    tokens_.erase(lane);
    by_lane_[lane] = partitions_.size();
    partitions_.push_back(std::make_unique<KafkaPartition>(
        &shared_, newcomer.at.topic, newcomer.at.partition, newcomer.position,
        newcomer.known));
    if (newcomer.stop >= 0) partitions_.back()->SetStop(newcomer.stop);
    // Its queue must be there before it is assigned.
    offsets.push_back(partitions_.back()->Attach());
  }
  held_.resize(partitions_.size());
  if (offsets.empty()) return absl::OkStatus();
  absl::Status status;
  if (!std::exchange(assigned_, true)) {
    status = client_->Assign(offsets);
  } else {
    for (const KafkaOffset& at : offsets) status.Update(client_->Add(at));
  }
  if (!status.ok()) shared_.broken = true;
  return absl::OkStatus();
}

// ------------------------------------------------------------------ topics

absl::Status KafkaSourceImpl::LookAtTopics() {
  const absl::Time now = options_.clock();
  const absl::Time began = absl::Now();
  look_at_ = now + kLookSoon;
  absl::StatusOr<std::vector<KafkaTopic>> all =
      client_->Topics(topics_.names(), topics_.has_patterns(), kAnswerTimeout);
  if (!all.ok()) return NotAnswered(all.status());
  std::vector<KafkaTopic> topics;
  for (KafkaTopic& topic : *all) {
    if (topics_.Match(topic.name)) topics.push_back(std::move(topic));
  }
  absl::Status status = ComplainOfTopics(topics);
  if (!status.ok()) return status;
  const bool gone = CheckGone(topics);
  if (options_.until_end && placed_) {
    look_at_ = now + (gone ? kLookSoon : kLookEvery);
    return absl::OkStatus();
  }
  status = PlaceTopics(topics);
  if (!status.ok()) {
    look_at_ = Soon(began);
    return absl::OkStatus();
  }
  placed_ = true;
  if (!gone && !partitions_.empty()) look_at_ = now + kLookEvery;
  for (size_t i = 0; i < partitions_.size(); ++i) {
    const bool may_be_read =
        !held_[i] && unsure_since_ == absl::InfiniteFuture();
    if (may_be_read && look_at_ > now + kLookSoon) {
      partitions_[i]->TellStandstill();
    }
  }
  return absl::OkStatus();
}

absl::Status KafkaSourceImpl::NotAnswered(const absl::Status& why) {
  if (placed_) return absl::OkStatus();
  // The first connection takes more than one question.
  look_at_ = options_.clock();
  const absl::Duration waited = options_.clock() - opened_;
  if (waited < std::min(options_.connect_timeout, absl::Seconds(10))) {
    return absl::OkStatus();
  }
  const std::string words = fmt::format(
      "no broker of '{}' answers: {}", options_.brokers,
      last_error_.empty() ? std::string(why.message()) : last_error_);
  if (waited >= options_.connect_timeout) {
    return absl::DeadlineExceededError(words);
  }
  SayAgain("down", words);
  return absl::OkStatus();
}

absl::Status KafkaSourceImpl::ComplainOfTopics(
    const std::vector<KafkaTopic>& topics) {
  size_t usable = 0;
  for (const KafkaTopic& topic : topics) {
    if (topic.partitions > 0) {
      ++usable;
      continue;
    }
    const bool unknown = IsUnknown(topic.error);
    const std::string words =
        unknown ? fmt::format(
                      "there is no topic '{}' (or this user may not "
                      "see it: DESCRIBE)",
                      topic.name)
                : fmt::format("topic '{}': {}", topic.name,
                              ExplainKafkaError(topic.error, "", options_));
    if (options_.until_end && unknown && !placed_) {
      return absl::NotFoundError(words);
    }
    if (topic.error != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
      SayAgain("topic " + topic.name, words + "; it is looked for again");
    }
  }
  if (usable > 0 || !topics_.has_patterns()) return absl::OkStatus();
  const std::string words = "no topic matches the regular expression";
  if (options_.until_end && !placed_) return absl::NotFoundError(words);
  SayAgain("pattern", words + "; it is looked for again");
  return absl::OkStatus();
}

// True: a partition that was read is not there; look again soon.
bool KafkaSourceImpl::CheckGone(const std::vector<KafkaTopic>& topics) {
  bool any = false;
  for (const auto& partition : partitions_) {
    const auto topic = std::find_if(
        topics.begin(), topics.end(),
        [&](const KafkaTopic& t) { return t.name == partition->topic(); });
    if (topic != topics.end() && IsUnknown(topic->error)) partition->Vanish();
    if (!partition->gone()) continue;
    if (topic != topics.end() && topic->partitions > partition->number()) {
      partition->Return();
    } else {
      partition->StillGone();
      any = true;
    }
  }
  return any;
}

absl::Status KafkaSourceImpl::PlaceTopics(
    const std::vector<KafkaTopic>& topics) {
  std::vector<Newcomer> newcomers;
  for (const KafkaTopic& topic : topics) {
    for (int32_t number = 0; number < topic.partitions; ++number) {
      const std::string lane = KafkaLane(options_.name, topic.name, number);
      if (by_lane_.contains(lane)) continue;
      Newcomer& newcomer = newcomers.emplace_back();
      newcomer.at = {topic.name, number, RD_KAFKA_OFFSET_INVALID, ""};
      const auto token = tokens_.find(lane);
      if (token == tokens_.end()) continue;
      newcomer.known = true;
      newcomer.position = token->second;
    }
  }
  if (newcomers.empty()) return absl::OkStatus();
  // If one has no leader, the others do not wait for it.
  std::rotate(newcomers.begin(),
              newcomers.begin() + look_round_++ % newcomers.size(),
              newcomers.end());
  const absl::Time began = absl::Now();
  std::vector<Newcomer> found;
  std::set<std::string> not_found;
  unplaced_.clear();
  for (Newcomer& newcomer : newcomers) {
    if (absl::Now() - began < kQuestionsMax && FindStart(&newcomer).ok()) {
      found.push_back(std::move(newcomer));
    } else {
      not_found.insert(newcomer.at.topic);
      unplaced_.insert(
          KafkaLane(options_.name, newcomer.at.topic, newcomer.at.partition));
    }
  }
  std::set<std::string> seen;
  for (const Newcomer& newcomer : found) {
    if (!not_found.contains(newcomer.at.topic)) {
      seen.insert(newcomer.at.topic);
    }
  }
  // In an order that does not depend on who answered first.
  std::sort(found.begin(), found.end(),
            [](const Newcomer& a, const Newcomer& b) {
              return std::tie(a.at.topic, a.at.partition) <
                     std::tie(b.at.topic, b.at.partition);
            });
  absl::Status status = StartNewcomers(found);
  seen_topics_.merge(seen);
  if (!status.ok()) return status;
  if (!not_found.empty()) return absl::UnavailableError("not all have begun");
  return absl::OkStatus();
}

absl::Status KafkaSourceImpl::FindStart(Newcomer* newcomer) {
  const KafkaOffset& at = newcomer->at;
  if (newcomer->known && !options_.until_end) return absl::OkStatus();
  const absl::StatusOr<KafkaWatermarks> marks =
      client_->Watermarks(at.topic, at.partition, kAnswerTimeout);
  if (!marks.ok()) return marks.status();
  if (options_.until_end) newcomer->stop = marks->high;
  if (newcomer->known) return absl::OkStatus();
  // What is new in a topic that was read, or matches later, is read whole.
  const bool named = std::find(topics_.names().begin(), topics_.names().end(),
                               at.topic) != topics_.names().end();
  const bool first = !seen_topics_.contains(at.topic) &&
                     (named || seen_topics_.empty()) && !placed_;
  int64_t& next = newcomer->position.next;
  next = marks->low;
  if (!first || options_.start == KafkaStart::kBegin) return absl::OkStatus();
  std::vector<KafkaOffset> asked = {at};
  absl::Status status;
  switch (options_.start) {
    case KafkaStart::kBegin:
      break;
    case KafkaStart::kEnd:
      next = marks->high;
      break;
    case KafkaStart::kTime:
      status =
          client_->OffsetsForTime(options_.start_time, &asked, kAnswerTimeout);
      if (status.ok()) {
        next = asked[0].offset >= 0 ? asked[0].offset : marks->high;
      }
      break;
    case KafkaStart::kCommitted:
      status = client_->Committed(&asked, kAnswerTimeout);
      // What is no more is a gap, and said.
      if (status.ok() && asked[0].offset >= 0) next = asked[0].offset;
      break;
  }
  return status;
}

}  // namespace klaxon
