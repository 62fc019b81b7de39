// The receiver's rules with a clock of the test's own and no sockets.
#include "ingest/webhook_inbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "event/decode.h"
#include "tests/ingest/webhook_fixture.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

std::string Sha256Of(const std::string& bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

class WebhookInboxTest : public testing::Test {
 protected:
  // Of one request: 0 while it is not answered.
  using Status = std::shared_ptr<int>;

  WebhookInboxTest() {
    options_.clock = [this] { return now_; };
    options_.queue_bytes_max = 10'000;
    Restart({});
  }
  // Answers 503, which the rest of the fixture hears.
  ~WebhookInboxTest() override { inbox_.reset(); }
  void Restart(std::vector<LaneResume> resume) {
    if (inbox_) inbox_->Close();
    inbox_ = std::make_unique<WebhookInbox>(options_);
    inbox_->Open(resume);
  }

  struct Sending {
    HttpRequest request;
    std::optional<HttpResponse> refusal;
  };
  Sending Begin(const std::string& path, const std::string& address) {
    Sending sending;
    sending.request.id = ++ids_;
    sending.request.target = path;
    sending.request.peer.address = address;
    const auto target = ParseWebhookPath(path);
    EXPECT_TRUE(target.has_value());
    sending.refusal = inbox_->Begin(sending.request, *target);
    return sending;
  }
  Status Finish(Sending sending, const std::string& body) {
    auto status = std::make_shared<int>(0);
    if (sending.refusal) {
      *status = sending.refusal->status;
      return status;
    }
    sending.request.body = body;
    sending.request.content_length = body.size();
    inbox_->Receive(std::move(sending.request),
                    HttpResponder([status, this](HttpResponse response) {
                      *status = response.status;
                      last_ = std::move(response);
                    }));
    return status;
  }
  Status Post(const std::string& body,
              const std::string& path = "/audit/prod/a",
              const std::string& address = "10.0.0.1") {
    return Finish(Begin(path, address), body);
  }
  // What came is the first `size` bytes.
  void PostAborted(const std::string& body, size_t size, int status = 0) {
    Sending sending = Begin("/audit/prod/a", "10.0.0.1");
    sending.request.body = body.substr(0, size);
    sending.request.content_length = body.size();
    inbox_->Abort(std::move(sending.request), status);
  }
  // False: there is nothing.
  bool Read(std::vector<std::string> held = {}) {
    return inbox_->Read(absl::ZeroDuration(), held, batch_).ok();
  }
  std::string Body() const { return std::string(batch_.batch.bytes.view()); }
  void CommitRead() {
    EXPECT_TRUE(inbox_->Commit(batch_.lane, batch_.resume).ok());
  }
  LaneState Lane(const std::string& name = "webhook:/audit/prod/a,,10.0.0.1") {
    for (LaneState& lane : inbox_->Lanes()) {
      if (lane.name == name) return lane;
    }
    ADD_FAILURE() << "no lane " << name;
    return {};
  }
  void CheckSum() {
    const WebhookCounters c = inbox_->counters();
    EXPECT_EQ(c.received_bytes,
              c.delivered_bytes + c.repeated_bytes + c.in_flight_bytes);
  }

  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  WebhookOptions options_;
  std::unique_ptr<WebhookInbox> inbox_;
  uint64_t ids_ = 0;
  LiveBatch batch_;
  HttpResponse last_;
};

TEST_F(WebhookInboxTest, AnswersOnlyWhenDurable) {
  const std::string body = EventListOf("a");
  const Status status = Post(body);
  EXPECT_FALSE(Lane().caught_up);
  EXPECT_EQ(Lane().lag_bytes, body.size());
  ASSERT_TRUE(Read());
  EXPECT_EQ(*status, 0);
  EXPECT_EQ(Body(), body);
  EXPECT_EQ(batch_.lane, "webhook:/audit/prod/a,,10.0.0.1");
  EXPECT_EQ(batch_.cluster, "prod");
  EXPECT_EQ(batch_.digest, Sha256Of(body));
  EXPECT_EQ(batch_.batch.framing, BatchFraming::kLines);
  EXPECT_EQ(batch_.batch.input_bytes, body.size());
  EXPECT_TRUE(Lane().caught_up);
  EXPECT_FALSE(Lane().hold);
  CheckSum();
  CommitRead();
  EXPECT_EQ(*status, 200);
  CheckSum();
  EXPECT_FALSE(Read());
}

TEST_F(WebhookInboxTest, ALineAndADocumentAreReadTheSame) {
  std::string pretty = EventListOf("a", 3);
  pretty.insert(1, "\n  ");
  for (const std::string& body : {EventListOf("a", 3), pretty}) {
    Post(body);
    ASSERT_TRUE(Read());
    Decoder decoder;
    int events = 0;
    const auto count = [&](const EventView&) { ++events; };
    const std::string_view bytes = batch_.batch.bytes.view();
    const DecodeOutcome outcome =
        batch_.batch.framing == BatchFraming::kLines
            ? decoder.DecodeLine(bytes.substr(0, bytes.size() - 1), count)
            : decoder.DecodeDocument(bytes, count);
    EXPECT_EQ(outcome.reason, QuarantineReason::kNone) << outcome.message;
    EXPECT_EQ(events, 3);
  }
  EXPECT_EQ(batch_.batch.framing, BatchFraming::kDocument);
}

TEST_F(WebhookInboxTest, CommitIsForAllBeforeItInItsLane) {
  const Status a1 = Post(EventListOf("a1"));
  const Status b1 = Post(EventListOf("b1"), "/audit/prod/b");
  const Status a2 = Post(EventListOf("a2"));
  const Status a3 = Post(EventListOf("a3"));
  ASSERT_TRUE(Read());
  ASSERT_TRUE(Read());
  ASSERT_TRUE(Read());
  CommitRead();
  EXPECT_EQ(*a1, 200);
  EXPECT_EQ(*a2, 200);
  EXPECT_EQ(*a3, 0);  // Not even read.
  EXPECT_EQ(*b1, 0);
  EXPECT_TRUE(inbox_->Commit("webhook:/nobody,,", "9").ok());
}

TEST_F(WebhookInboxTest, HeldLanesAreNotReadAndKeepTheirOrder) {
  Post(EventListOf("a1"));
  Post(EventListOf("b1"), "/audit/prod/b");
  Post(EventListOf("a2"));
  const std::string a = "webhook:/audit/prod/a,,10.0.0.1";
  ASSERT_TRUE(Read({a}));
  EXPECT_EQ(Body(), EventListOf("b1"));
  EXPECT_FALSE(Read({a}));
  ASSERT_TRUE(Read());
  EXPECT_EQ(Body(), EventListOf("a1"));
  ASSERT_TRUE(Read());
  EXPECT_EQ(Body(), EventListOf("a2"));
}

TEST_F(WebhookInboxTest, RepeatedBodyIsAnsweredAndNotHandedOn) {
  const std::string body = EventListOf("a");
  Post(body);
  Read();
  CommitRead();
  now_ += absl::Minutes(9);
  EXPECT_EQ(*Post(body), 200);
  // Through a balancer it may come from another address.
  EXPECT_EQ(*Post(body, "/audit/prod/a", "10.0.0.2"), 200);
  EXPECT_FALSE(Read());
  EXPECT_EQ(inbox_->counters().repeated_bodies, 2u);
  EXPECT_EQ(inbox_->counters().repeated_bytes, 2 * body.size());
  CheckSum();
  // Another path is another cluster's.
  EXPECT_EQ(*Post(body, "/audit/other/a"), 0);
  EXPECT_TRUE(Read());
  now_ += absl::Minutes(2);
  EXPECT_EQ(*Post(body), 0);  // Forgotten.
  EXPECT_TRUE(Read());
}

TEST_F(WebhookInboxTest, RepeatOfWhatIsInFlightWaitsForIt) {
  const std::string body = EventListOf("a");
  const Status first = Post(body);
  const Status second = Post(body);
  ASSERT_TRUE(Read());
  const Status third = Post(body);
  EXPECT_FALSE(inbox_->Read(absl::ZeroDuration(), {}, batch_).ok());
  EXPECT_EQ(*first + *second + *third, 0);
  CheckSum();
  CommitRead();
  EXPECT_EQ(*first, 200);
  EXPECT_EQ(*second, 200);
  EXPECT_EQ(*third, 200);
  EXPECT_EQ(inbox_->counters().repeated_bodies, 2u);
  EXPECT_EQ(inbox_->counters().delivered_bodies, 1u);
  CheckSum();
}

TEST_F(WebhookInboxTest, DigestsAreKnownAfterARestart) {
  const std::string body = EventListOf("a");
  Post(body);
  Read();
  CommitRead();
  Restart({{batch_.lane, batch_.resume, {batch_.digest}}});
  EXPECT_EQ(*Post(body), 200);
  EXPECT_FALSE(Read());
  // Tokens go on.
  const std::string before = batch_.resume;
  Post(EventListOf("b"));
  ASSERT_TRUE(Read());
  EXPECT_NE(batch_.resume, before);
}

TEST_F(WebhookInboxTest, LanesOfTheLastRunHoldForOnePauseOfTheSender) {
  const std::string lane = "webhook:/audit/prod/a,,10.0.0.1";
  Restart({{lane, "41", {}}});
  EXPECT_TRUE(Lane().hold);
  EXPECT_EQ(Lane().hold_after, "41");
  EXPECT_TRUE(Lane().caught_up);
  now_ += absl::Seconds(44);
  EXPECT_TRUE(Lane().hold);
  now_ += absl::Seconds(2);
  EXPECT_FALSE(Lane().hold);
}

TEST_F(WebhookInboxTest, FullQueueIs429AndHoldsUntilTheBodyComesAgain) {
  const std::string large = EventListOf("large", 1, 9000);
  const std::string other = EventListOf("other", 1, 3000);
  EXPECT_EQ(*Post(large), 0);
  EXPECT_FALSE(Lane().hold);
  EXPECT_EQ(*Post(other), 429);
  EXPECT_EQ(last_.retry_after, absl::Seconds(2));
  EXPECT_TRUE(Lane().hold);
  EXPECT_EQ(Lane().hold_after, "1");  // What was accepted before it.
  ASSERT_TRUE(Read());
  EXPECT_EQ(*Post(other), 429);  // Read is not durable.
  CommitRead();
  const std::string third = EventListOf("third");
  Post(third);
  EXPECT_EQ(Lane().hold_after, "1");
  EXPECT_EQ(*Post(other), 0);
  ASSERT_TRUE(Read());
  EXPECT_EQ(Lane().hold_after, "1");  // It is there, but was not read.
  ASSERT_TRUE(Read());
  EXPECT_EQ(Body(), other);
  EXPECT_FALSE(Lane().hold);
  EXPECT_EQ(inbox_->counters().refused_full, 2u);
}

TEST_F(WebhookInboxTest, ABodyLargerThanTheQueueFitsAnEmptyOne) {
  EXPECT_EQ(*Post(EventListOf("huge", 1, 50'000)), 0);
  EXPECT_TRUE(Read());
}

// An engine that takes 100 ms for a batch: who would wait for longer than
// 600 ms is told at once, who would not is taken.
TEST_F(WebhookInboxTest, QueueIsFullWhenItWouldTakeTooLong) {
  options_.queue_bytes_max = 64 << 20;
  Restart({});
  int names = 0;
  const auto post = [&] {
    return Post(EventListOf("batch-" + std::to_string(names++)));
  };
  for (int i = 0; i < 30; ++i) EXPECT_EQ(*post(), 0);  // No pace known yet.
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(Read());
    now_ += absl::Milliseconds(100);
  }
  EXPECT_EQ(*post(), 0);
  for (int round = 0; round < 50; ++round) {
    int taken = 0;
    while (*post() == 0) ASSERT_LT(++taken, 10);
    ASSERT_LE(Lane().lag_records, 8u);
    ASSERT_GE(Lane().lag_records, 6u);
    ASSERT_TRUE(Read());
    now_ += absl::Milliseconds(100);
  }
  // When it is quick again, so is the receiver.
  while (Read()) now_ += absl::Milliseconds(1);
  CommitRead();
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 4; ++i) post();
    while (Read()) now_ += absl::Milliseconds(1);
    CommitRead();
  }
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(*post(), 0) << i;
    now_ += absl::Milliseconds(10);
  }
}

TEST_F(WebhookInboxTest, RequestInFlightHoldsWhereItBegan) {
  Post(EventListOf("a"));
  Sending slow = Begin("/audit/prod/a", "10.0.0.1");
  Post(EventListOf("b"));
  Sending newer = Begin("/audit/prod/a", "10.0.0.1");
  EXPECT_TRUE(Lane().hold);
  EXPECT_EQ(Lane().hold_after, "1");
  Finish(std::move(slow), EventListOf("c"));
  EXPECT_EQ(Lane().hold_after, "1");  // Until it is read.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Read());
  EXPECT_EQ(Lane().hold_after, "2");  // It moves on with the oldest.
  Finish(std::move(newer), EventListOf("d"));
  EXPECT_EQ(Lane().hold_after, "2");
  ASSERT_TRUE(Read());
  EXPECT_FALSE(Lane().hold);
}

TEST_F(WebhookInboxTest, BodyThatBrokeOffHoldsUntilItComesWhole) {
  const std::string body = EventListOf("a", 5);
  PostAborted(body, 700);
  EXPECT_TRUE(Lane().hold);
  now_ += absl::Seconds(11);
  PostAborted(body, 100);  // The second try too, sooner.
  now_ += absl::Seconds(15);
  // Of the same length, but another.
  const std::string other = EventListOf("b", 5);
  ASSERT_EQ(other.size(), body.size());
  Post(other);
  EXPECT_TRUE(Lane().hold);
  EXPECT_EQ(*Post(body), 0);
  now_ += absl::Minutes(5);
  while (Read()) EXPECT_TRUE(batch_.gaps.empty());
  EXPECT_FALSE(Lane().hold);
}

TEST_F(WebhookInboxTest, WhoNeverFinishesHoldsForABoundedTime) {
  const auto drip = [&] {
    PostAborted(EventListOf(std::to_string(ids_), 5), 100, 408);
    now_ += absl::Seconds(20);
    while (Read()) continue;
    return Lane().hold;
  };
  Post(EventListOf("a"));
  for (int i = 0; i < 13; ++i) EXPECT_TRUE(drip());
  for (int i = 0; i < 13; ++i) EXPECT_FALSE(drip());
  Post(EventListOf("c"));
  EXPECT_TRUE(drip());
}

TEST_F(WebhookInboxTest, WhatDoesNotComeAgainIsAGapWithItsExtent) {
  const std::string body = EventListOf("a", 5);
  PostAborted(body, 700);
  PostAborted(EventListOf("large", 9), 0, 413);
  now_ += absl::Seconds(89);
  EXPECT_FALSE(Read());
  EXPECT_TRUE(Lane().hold);
  now_ += absl::Seconds(2);
  EXPECT_FALSE(Lane().hold);
  ASSERT_TRUE(Read());
  ASSERT_EQ(batch_.gaps.size(), 1u);
  EXPECT_EQ(batch_.gaps[0].reason, "not_resent");
  EXPECT_EQ(batch_.gaps[0].end, body.size());
  EXPECT_EQ(batch_.gaps[0].begin, 0u);
  EXPECT_THAT(batch_.gaps[0].message, testing::HasSubstr("broke off"));
  EXPECT_EQ(batch_.batch.bytes.size(), 0u);
  EXPECT_FALSE(batch_.resume.empty());
  CommitRead();
  ASSERT_TRUE(Read());
  EXPECT_EQ(batch_.gaps[0].reason, "too_large");
  EXPECT_FALSE(Read());
  EXPECT_EQ(inbox_->counters().not_resent, 2u);
}

TEST_F(WebhookInboxTest, NoAuditEventsAre400AndHoldNothing) {
  for (
      const char* body :
      {"", "[]", "null", "{}", "{\"kind\":\"EventList\"}",
       R"({"kind":"Pod","apiVersion":"v1"})",
       R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":{}})",
       R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1"})",
       R"({"kind":"EventList","apiVersion":"v1","items":[]})",
       R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[)",
       R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]} x)",
       R"({"metadata":{"kind":"EventList"},"apiVersion":"audit.k8s.io/v1"})"}) {
    EXPECT_EQ(*Post(body), 400) << body;
    EXPECT_FALSE(last_.body.empty());
  }
  EXPECT_FALSE(Lane().hold);
  for (const char* body :
       {R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]})",
        R"( { "items" : [{"a":"]}\""}, 1] , "apiVersion":"audit.k8s.io/v1",
           "x":-1e5,"y":"z", "kind":"EventList" } )",
        R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":null})",
        R"({"kind":"Event","apiVersion":"audit.k8s.io/v1"})",
        "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\","
        "\"items\":[{\"odd\":\"\xff\"}]}"}) {
    EXPECT_EQ(*Post(body), 0) << body;
  }
}

TEST_F(WebhookInboxTest, LanesAreBoundedAndOldOnesGiveWay) {
  options_.lanes_max = 3;
  Restart({});
  Post(EventListOf("a"), "/audit/prod/a");
  Post(EventListOf("b"), "/audit/prod/b");
  Post(EventListOf("c"), "/audit/prod/c");
  EXPECT_EQ(*Post(EventListOf("d"), "/audit/prod/d"), 429);
  while (Read()) CommitRead();
  EXPECT_EQ(*Post(EventListOf("d"), "/audit/prod/d"), 429);
  now_ += absl::Minutes(11);
  EXPECT_EQ(*Post(EventListOf("d"), "/audit/prod/d"), 0);
  EXPECT_EQ(inbox_->Lanes().size(), 3u);
}

TEST_F(WebhookInboxTest, CloseAnswers503AndInterruptEndsReading) {
  const Status waiting = Post(EventListOf("a"));
  Post(EventListOf("b"));
  inbox_->Interrupt();
  EXPECT_TRUE(absl::IsCancelled(inbox_->Read(absl::Hours(1), {}, batch_)));
  EXPECT_EQ(*Post(EventListOf("c")), 503);
  inbox_->Close();
  EXPECT_EQ(*waiting, 503);
}

// kube-apiserver's own habits in its own time: 400 events a batch, several on
// their way at once, a failed one again after 10, 15, 22 and 34 s, then given
// up; 20 % of the tries fail in one way or another, and the receiver is killed
// now and then. Every event that was answered 200 was handed on exactly once
// (as durable). Without kills every batch that the apiserver gave up is
// reported; what is known of them does not outlive the process.
class ApiserverModel : public WebhookInboxTest {
 protected:
  struct Batch {
    std::string name;
    std::string body;
    int tries = 0;
    absl::Time next;
    Status status;
    bool done = false;
  };
  void Play(uint64_t seed);
  void Step(std::mt19937_64& random);
  void Try(Batch& batch, std::mt19937_64& random);
  void Learn(Batch& batch, std::mt19937_64& random);
  void RunEngine(std::mt19937_64& random, bool all);
  void Kill();

  std::vector<Batch> batches_;
  std::multiset<std::string> durable_;    // Bodies, as journalled.
  std::vector<std::string> uncommitted_;  // Read, not journalled.
  std::vector<LaneResume> journal_;
  bool kills_ = true;
  uint64_t broken_percent_ = 10;
  std::set<std::string> given_up_;
  uint64_t gaps_ = 0;
};

void ApiserverModel::Try(Batch& batch, std::mt19937_64& random) {
  ++batch.tries;
  // The connection breaks half-way: no answer.
  if (random() % 100 < broken_percent_) {
    PostAborted(batch.body, random() % batch.body.size());
    batch.status = std::make_shared<int>(-1);
    return;
  }
  batch.status = Post(batch.body);
  // The client may give up waiting, though the server did receive it.
  if (random() % 10 == 0) batch.status = std::make_shared<int>(-1);
}

void ApiserverModel::Learn(Batch& batch, std::mt19937_64& random) {
  if (batch.done || batch.status == nullptr || *batch.status == 0) return;
  const int status = *batch.status;
  batch.status = nullptr;
  if (status == 200) {
    batch.done = true;
    return;
  }
  constexpr int kPauses[] = {10, 15, 22, 34};
  if (batch.tries > 4) {
    batch.done = true;
    given_up_.insert(batch.body);
    return;
  }
  batch.next = now_ + absl::Seconds(kPauses[batch.tries - 1]) +
               absl::Milliseconds(random() % 2000);
}

void ApiserverModel::RunEngine(std::mt19937_64& random, bool all) {
  while ((all || random() % 4 != 0) && Read()) {
    gaps_ += batch_.gaps.size();
    const bool is_body = batch_.batch.bytes.size() > 0;
    if (is_body) uncommitted_.push_back(Body());
    if (!all && random() % 3 == 0) continue;  // A group commit takes more.
    // Durable first, then the answer.
    for (const std::string& body : uncommitted_) durable_.insert(body);
    if (journal_.empty()) journal_.push_back({batch_.lane, "", {}});
    for (const std::string& body : uncommitted_) {
      journal_[0].digests.push_back(Sha256Of(body));
    }
    journal_[0].resume = batch_.resume;
    uncommitted_.clear();
    if (kills_ && random() % 30 == 0)
      return Kill();  // Journalled, not yet answered.
    CommitRead();
  }
}

void ApiserverModel::Kill() {
  uncommitted_.clear();
  Restart(journal_);
}

void ApiserverModel::Step(std::mt19937_64& random) {
  now_ += absl::Milliseconds(random() % 400);
  if (random() % 3 == 0 && batches_.size() < 300) {
    const std::string name = "batch-" + std::to_string(batches_.size());
    Batch batch{.name = name, .body = EventListOf(name, 4)};
    batch.next = now_;
    batches_.push_back(std::move(batch));
  }
  for (Batch& batch : batches_) {
    Learn(batch, random);
    if (!batch.done && batch.status == nullptr && batch.next <= now_) {
      Try(batch, random);
    }
  }
  RunEngine(random, false);
  if (kills_ && random() % 200 == 0) Kill();
  CheckSum();
}

void ApiserverModel::Play(uint64_t seed) {
  SCOPED_TRACE("KLAXON_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int step = 0; step < 2500; ++step) Step(random);
  for (int step = 0; step < 2000; ++step) {
    Step(random);
    RunEngine(random, true);
  }
  for (Batch& batch : batches_) {
    const size_t times = durable_.count(batch.body);
    EXPECT_LE(times, 1u) << batch.name << " was judged twice";
    EXPECT_TRUE(batch.done) << batch.name;
    if (!given_up_.contains(batch.body)) {
      EXPECT_EQ(times, 1u) << batch.name << " was answered 200 and is lost";
    }
  }
  EXPECT_EQ(batches_.size(), 300u);
}

TEST_F(ApiserverModel, EveryEventAnswered200IsHandedOnExactlyOnce) {
  options_.queue_bytes_max = 9000;
  Restart({});
  for (uint64_t run = 0; run < 5; ++run) {
    batches_.clear();
    durable_.clear();
    journal_.clear();
    uncommitted_.clear();
    Restart({});
    Play(RandomSeed() + run);
    EXPECT_GT(durable_.size(), 100u);
  }
}

TEST_F(ApiserverModel, EveryBatchGivenUpIsReported) {
  kills_ = false;
  broken_percent_ = 60;
  Play(RandomSeed());
  uint64_t lost = 0;
  for (const std::string& body : given_up_) lost += 1 - durable_.count(body);
  EXPECT_GT(lost, 3u);
  EXPECT_GE(gaps_, lost);
  EXPECT_EQ(gaps_, inbox_->counters().not_resent);
}

}  // namespace
}  // namespace klaxon
