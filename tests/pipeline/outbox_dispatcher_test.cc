#include "pipeline/outbox_dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "sinks/delivery_status.h"
#include "sinks/webhook_sink.h"
#include "tests/random_seed.h"
#include "tests/sinks/alert_samples.h"
#include "tests/testing/fake_dispatch_clock.h"
#include "tests/testing/http_receiver.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Status kDown = absl::UnavailableError("down");

// What a test sees of a sink, and tells it to do; shared by its copies, so that
// it lives as long as the sink.
class SinkScript {
 public:
  // The answer to the next deliveries, one each; then OK.
  void Answer(std::vector<absl::Status> answers) {
    std::lock_guard<std::mutex> lock(s_->mutex);
    s_->answers.assign(answers.rbegin(), answers.rend());
  }
  void AnswerToOpen(std::vector<absl::Status> answers) {
    std::lock_guard<std::mutex> lock(s_->mutex);
    s_->open_answers.assign(answers.rbegin(), answers.rend());
  }
  // Deliveries answer only after Release, or when interrupted.
  void Hold() {
    std::lock_guard<std::mutex> lock(s_->mutex);
    s_->held = true;
  }
  void Release() {
    std::lock_guard<std::mutex> lock(s_->mutex);
    s_->held = false;
    s_->changed.notify_all();
  }
  // Blocks until so many deliveries have begun.
  void AwaitDeliveries(size_t count) {
    std::unique_lock<std::mutex> lock(s_->mutex);
    s_->changed.wait(lock, [&] { return s_->deliveries.size() >= count; });
  }
  void AwaitOpens(int count) {
    std::unique_lock<std::mutex> lock(s_->mutex);
    s_->changed.wait(lock, [&] { return s_->opens >= count; });
  }
  std::vector<std::vector<std::string>> deliveries() const {
    std::lock_guard<std::mutex> lock(s_->mutex);
    return s_->deliveries;
  }
  bool interrupted() const {
    std::lock_guard<std::mutex> lock(s_->mutex);
    return s_->interrupted;
  }
  int reopened() const {
    std::lock_guard<std::mutex> lock(s_->mutex);
    return s_->reopened;
  }
  bool drained() const {
    std::lock_guard<std::mutex> lock(s_->mutex);
    return s_->drained;
  }

 private:
  friend class ScriptedSink;
  struct State {
    std::mutex mutex;  // Guards all below.
    std::condition_variable changed;
    std::vector<absl::Status> answers;
    std::vector<absl::Status> open_answers;
    std::vector<std::vector<std::string>> deliveries;  // "id/revision"
    bool held = false;
    bool interrupted = false;
    bool drained = false;
    int reopened = 0;
    int opens = 0;
  };
  std::shared_ptr<State> s_ = std::make_shared<State>();
};

class ScriptedSink : public Sink {
 public:
  explicit ScriptedSink(const SinkScript& script) : s_(script.s_) {}

  absl::Status Open() override {
    std::lock_guard<std::mutex> lock(s_->mutex);
    ++s_->opens;
    s_->changed.notify_all();
    return Pop(&s_->open_answers);
  }
  void Deliver(std::span<const Alert> alerts, DeliveryDone done) override {
    std::unique_lock<std::mutex> lock(s_->mutex);
    std::vector<std::string> names;
    for (const Alert& alert : alerts) {
      names.push_back(alert.id.substr(29) + "/" +
                      std::to_string(alert.revision));
    }
    s_->deliveries.push_back(std::move(names));
    s_->changed.notify_all();
    absl::Status status = Pop(&s_->answers);
    s_->changed.wait(lock, [this] { return !s_->held || s_->interrupted; });
    if (s_->interrupted) status = absl::CancelledError("interrupted");
    lock.unlock();
    done(status);
  }
  absl::Status Drain(absl::Duration) override {
    std::lock_guard<std::mutex> lock(s_->mutex);
    s_->drained = true;
    return absl::OkStatus();
  }
  void Interrupt() noexcept override {
    std::lock_guard<std::mutex> lock(s_->mutex);
    s_->interrupted = true;
    s_->changed.notify_all();
  }
  void Reopen() noexcept override {
    std::lock_guard<std::mutex> lock(s_->mutex);
    ++s_->reopened;
  }

 private:
  static absl::Status Pop(std::vector<absl::Status>* answers) {
    if (answers->empty()) return absl::OkStatus();
    absl::Status answer = answers->back();
    answers->pop_back();
    return answer;
  }
  const std::shared_ptr<SinkScript::State> s_;
};

// The core thread's part, in short: ledger, dispatcher, acknowledgements.
class DispatcherTest : public ::testing::Test {
 protected:
  void Emit(int number, uint64_t revision = 1) {
    Alert alert = SampleAlert(number);
    alert.revision = revision;
    ledger_.Emit(alert);
  }
  void Refill() { RefillOutbox(ledger_, &dispatcher_); }
  void ApplyAcks() {
    for (const OutboxAck& ack : dispatcher_.TakeAcks()) {
      ASSERT_TRUE(ledger_.Apply(ack).ok());
    }
  }
  void AwaitWake() {
    std::unique_lock<std::mutex> lock(mutex_);
    woken_.wait(lock, [this] { return wakes_ > 0; });
    wakes_ = 0;
  }
  // Delivers until `done`, as the core thread does.
  void RunUntil(const std::function<bool()>& done) {
    Refill();
    while (!done()) {
      AwaitWake();
      ASSERT_NO_FATAL_FAILURE(ApplyAcks());
      Refill();
    }
  }
  std::function<void()> wake() {
    return [this] {
      std::lock_guard<std::mutex> lock(mutex_);
      ++wakes_;
      woken_.notify_all();
    };
  }
  SinkHealth HealthOf(const std::string& sink) {
    for (const SinkHealth& health : dispatcher_.Health()) {
      if (health.sink == sink) return health;
    }
    ADD_FAILURE() << sink;
    return {};
  }
  void Add(const std::string& name, const SinkScript& script,
           DeliveryOptions options = {}) {
    dispatcher_.Add(name, std::make_unique<ScriptedSink>(script), options);
  }

  FakeDispatchClock clock_;
  std::mutex mutex_;  // Guards wakes_.
  std::condition_variable woken_;
  int wakes_ = 0;
  OutboxLedger ledger_;
  OutboxDispatcher dispatcher_{&clock_, wake()};
};

TEST_F(DispatcherTest, DeliversWhatIsOwedAndBringsBackTheAcks) {
  SinkScript a;
  SinkScript b;
  ledger_.Configure({{.name = "a"}, {.name = "b"}});
  Add("a", a);
  Add("b", b, {.batch_max = 10});
  for (int i = 1; i <= 3; ++i) Emit(i);
  RunUntil([this] { return ledger_.all_delivered(); });
  EXPECT_THAT(a.deliveries(),
              ElementsAre(ElementsAre("001/1"), ElementsAre("002/1"),
                          ElementsAre("003/1")));
  EXPECT_THAT(b.deliveries(),
              ElementsAre(ElementsAre("001/1", "002/1", "003/1")));
  EXPECT_EQ(ledger_.counts("a").delivered, 3u);
  EXPECT_TRUE(HealthOf("a").open);
  EXPECT_EQ(HealthOf("a").attempts, 3u);
}

TEST_F(DispatcherTest, TriesAgainWhenTheBackOffIsOverAndNoSooner) {
  SinkScript a;
  a.Answer({kDown, WithRetryAfter(kDown, absl::Seconds(90)), kDown});
  ledger_.Configure({{.name = "a"}});
  Add("a", a, {.backoff_base = absl::Seconds(4), .seed = 5});
  Emit(1);
  Refill();
  for (size_t attempt = 1; attempt <= 3; ++attempt) {
    a.AwaitDeliveries(attempt);
    // It stands before its condition, and the time is known.
    while (HealthOf("a").failures < attempt) std::this_thread::yield();
    const SinkHealth health = HealthOf("a");
    EXPECT_EQ(health.problem, "down");
    const absl::Duration wait = health.retry_at - clock_.Now();
    ASSERT_GT(wait, absl::Nanoseconds(1));
    if (attempt == 2) {
      EXPECT_EQ(wait, absl::Seconds(90));
    }
    clock_.AwaitWaiter(health.retry_at);
    clock_.Advance(wait - absl::Nanoseconds(1));
    clock_.AwaitWaiter(health.retry_at);  // Still.
    EXPECT_EQ(a.deliveries().size(), attempt);
    clock_.Advance(absl::Nanoseconds(1));
  }
  RunUntil([this] { return ledger_.all_delivered(); });
  EXPECT_EQ(a.deliveries().size(), 4u);
  EXPECT_EQ(HealthOf("a").failures, 0u);
  EXPECT_EQ(HealthOf("a").problem, "");
}

TEST_F(DispatcherTest, KeepsTryingToOpen) {
  SinkScript a;
  a.AnswerToOpen({absl::FailedPreconditionError("locked"),
                  absl::FailedPreconditionError("locked")});
  ledger_.Configure({{.name = "a"}});
  Add("a", a, {.backoff_base = absl::Seconds(4), .seed = 5});
  Emit(1);
  Refill();
  for (int attempt = 1; attempt <= 2; ++attempt) {
    a.AwaitOpens(attempt);
    while (HealthOf("a").failures < static_cast<uint64_t>(attempt)) {
      std::this_thread::yield();
    }
    EXPECT_FALSE(HealthOf("a").open);
    EXPECT_EQ(HealthOf("a").problem, "locked");
    clock_.AwaitWaiter(HealthOf("a").retry_at);
    clock_.Advance(HealthOf("a").retry_at - clock_.Now());
  }
  RunUntil([this] { return ledger_.all_delivered(); });
  EXPECT_TRUE(HealthOf("a").open);
  EXPECT_EQ(HealthOf("a").problem, "");
}

TEST_F(DispatcherTest, KeepsWhatIsRefusedAsDeadLetters) {
  SinkScript a;
  const absl::Status refused = absl::InvalidArgumentError("refused with 400");
  a.Answer({refused, absl::OkStatus(), refused});
  ledger_.Configure({{.name = "a"}});
  for (int i = 1; i <= 2; ++i) Emit(i);
  Refill();
  Add("a", a, {.batch_max = 10});
  RunUntil([this] { return ledger_.all_delivered(); });
  EXPECT_THAT(a.deliveries(),
              ElementsAre(ElementsAre("001/1", "002/1"), ElementsAre("001/1"),
                          ElementsAre("002/1")));
  EXPECT_EQ(ledger_.counts("a").delivered, 1u);
  ASSERT_EQ(ledger_.dead_letters("a").size(), 1u);
  EXPECT_EQ(ledger_.dead_letters("a")[0].reason, "refused with 400");
  EXPECT_EQ(ledger_.dead_letters("a")[0].item.id, SampleId(2));
}

TEST_F(DispatcherTest, LetsASlowSinkSlowNobodyAndHoldsLittleForIt) {
  SinkScript slow;
  SinkScript fast;
  slow.Hold();
  ledger_.Configure({{.name = "slow"}, {.name = "fast"}});
  Add("slow", slow, {.queue_bytes_max = 10'000});
  Add("fast", fast, {.batch_max = 16, .queue_bytes_max = 10'000});
  for (int i = 1; i <= 300; ++i) Emit(i);
  RunUntil([this] { return ledger_.counts("fast").delivered == 300; });
  slow.AwaitDeliveries(1);
  EXPECT_EQ(ledger_.counts("slow").delivered, 0u);
  const SinkHealth health = HealthOf("slow");
  EXPECT_LT(health.queued_bytes, 10'000u + 2'000u);
  EXPECT_LT(health.queued, 20u);
  slow.Release();
  RunUntil([this] { return ledger_.all_delivered(); });
  const auto deliveries = slow.deliveries();
  ASSERT_EQ(deliveries.size(), 300u);
  for (int i = 1; i <= 300; ++i) {
    EXPECT_EQ(deliveries[static_cast<size_t>(i - 1)][0],
              SampleId(i).substr(29) + "/1");
  }
}

TEST_F(DispatcherTest, DeliversWhatIsQueuedBeforeItStops) {
  SinkScript a;
  a.Hold();
  ledger_.Configure({{.name = "a"}});
  Add("a", a);
  for (int i = 1; i <= 5; ++i) Emit(i);
  Refill();
  a.AwaitDeliveries(1);
  const absl::Duration end = clock_.Now() + absl::Seconds(10);
  std::thread stopper([this] { dispatcher_.Stop(absl::Seconds(10)); });
  clock_.AwaitWaiter(end);
  EXPECT_FALSE(a.interrupted());
  a.Release();
  stopper.join();
  EXPECT_TRUE(a.drained());
  ASSERT_NO_FATAL_FAILURE(ApplyAcks());
  EXPECT_TRUE(ledger_.all_delivered());
}

TEST_F(DispatcherTest, InterruptsWhatTakesLongerThanItsGrace) {
  SinkScript a;
  SinkScript down;
  a.Hold();
  down.Answer(std::vector<absl::Status>(99, kDown));
  ledger_.Configure({{.name = "a"}, {.name = "down"}});
  Add("a", a);
  Add("down", down,
      {.backoff_base = absl::Hours(1),
       .backoff_max = absl::Hours(1),
       .seed = 1});
  for (int i = 1; i <= 5; ++i) Emit(i);
  Refill();
  a.AwaitDeliveries(1);
  down.AwaitDeliveries(1);
  const absl::Duration end = clock_.Now() + absl::Seconds(10);
  std::thread stopper([this] { dispatcher_.Stop(absl::Seconds(10)); });
  clock_.AwaitWaiter(end);
  clock_.Advance(absl::Seconds(10));
  stopper.join();
  EXPECT_TRUE(a.interrupted());
  EXPECT_TRUE(a.drained());
  EXPECT_TRUE(down.drained());
  // Nobody knows whether it arrived: it is owed still.
  EXPECT_THAT(dispatcher_.TakeAcks(), IsEmpty());
  EXPECT_EQ(ledger_.counts("a").pending, 5u);
  EXPECT_EQ(down.deliveries().size(), 1u);
}

TEST_F(DispatcherTest, OffersANewSinkWhatTheOldOneDidNotAcknowledge) {
  SinkScript before;
  SinkScript after;
  SinkScript other;
  before.Hold();
  ledger_.Configure({{.name = "a"}, {.name = "other"}});
  Add("a", before);
  Add("other", other);
  for (int i = 1; i <= 3; ++i) Emit(i);
  Refill();
  before.AwaitDeliveries(1);
  dispatcher_.Remove("a", absl::ZeroDuration());
  dispatcher_.Remove("nobody", absl::ZeroDuration());
  Add("a", after);
  RunUntil([this] { return ledger_.all_delivered(); });
  EXPECT_EQ(after.deliveries().size(), 3u);
  EXPECT_EQ(other.deliveries().size(), 3u);
  EXPECT_FALSE(other.interrupted());
  dispatcher_.Reopen();
  EXPECT_EQ(after.reopened(), 1);
  EXPECT_EQ(other.reopened(), 1);
  EXPECT_EQ(before.reopened(), 0);
}

// A sink that answers from a thread of its own, as a broker's client does.
class AsyncSink : public Sink {
 public:
  ~AsyncSink() override { Join(); }
  absl::Status Open() override { return absl::OkStatus(); }
  void Deliver(std::span<const Alert>, DeliveryDone done) override {
    Join();
    thread_ = std::thread([done = std::move(done)] { done(absl::OkStatus()); });
  }
  absl::Status Drain(absl::Duration) override {
    Join();
    return absl::OkStatus();
  }

 private:
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  std::thread thread_;
};

TEST_F(DispatcherTest, TakesAnswersFromAnyThread) {
  ledger_.Configure({{.name = "a"}});
  dispatcher_.Add("a", std::make_unique<AsyncSink>(), {});
  for (int i = 1; i <= 100; ++i) Emit(i);
  RunUntil([this] { return ledger_.all_delivered(); });
  EXPECT_EQ(ledger_.counts("a").delivered, 100u);
}

TEST_F(DispatcherTest, BuriesWhatCannotBeRead) {
  SinkScript a;
  Add("a", a);
  OutboxItem item{.sequence = 1, .id = "x", .revision = 1};
  item.alert = std::make_shared<const std::string>("\xff\xff");
  dispatcher_.Offer("a", {item});
  AwaitWake();
  const std::vector<OutboxAck> acks = dispatcher_.TakeAcks();
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].outcome, OutboxAck::Outcome::kRefused);
  EXPECT_THAT(a.deliveries(), IsEmpty());
}

std::vector<ReceiverAnswer> MoodyAnswers(std::mt19937_64* random) {
  using Then = ReceiverAnswer::Then;
  const ReceiverAnswer moods[] = {{},
                                  {},
                                  {.code = 429},
                                  {.code = 500},
                                  {.code = 503, .headers = {"Retry-After: 0"}},
                                  {.code = 302},
                                  {.then = Then::kReset},
                                  {.then = Then::kCloseMidBody},
                                  {.then = Then::kEndlessBody}};
  std::vector<ReceiverAnswer> answers;
  for (int i = 0; i < 200; ++i) {
    answers.push_back(moods[(*random)() % std::size(moods)]);
  }
  return answers;
}

// All revisions arrived, in order for each id; what was repeated is the same.
void ExpectRevisionsOf30Alerts(const std::vector<ReceivedRequest>& requests) {
  std::map<std::string, std::vector<std::string>> bodies;  // By id, distinct.
  for (const ReceivedRequest& request : requests) {
    std::vector<std::string>& seen =
        bodies[request.headers.find("webhook-id")->second];
    if (seen.empty() || seen.back() != request.body) {
      seen.push_back(request.body);
    }
  }
  ASSERT_EQ(bodies.size(), 30u);
  for (const auto& [id, seen] : bodies) {
    std::vector<std::string> want;
    for (uint64_t revision = 1; revision <= 4; ++revision) {
      Alert alert = SampleAlert();
      alert.id = id;
      alert.revision = revision;
      AppendJson(alert, &want.emplace_back());
    }
    if (id >= SampleId(10)) want.pop_back();
    EXPECT_EQ(seen, want);
  }
}

// Over the real webhook, to a receiver that does everything it should not.
TEST_F(DispatcherTest, GetsEverythingThroughToABadReceiver) {
  std::signal(SIGPIPE, SIG_IGN);
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  HttpReceiver receiver;
  receiver.Script(MoodyAnswers(&random));
  receiver.ResetConnections(3);
  WebhookSinkOptions options;
  options.http.url = "http://127.0.0.1:" + std::to_string(receiver.port());
  options.http.proxy = "";
  options.now = [] { return absl::FromUnixSeconds(1767323045); };
  auto sink = MakeWebhookSink(options);
  ASSERT_TRUE(sink.ok());

  OutboxDispatcher dispatcher(DispatchClock::Steady(), wake());
  ledger_.Configure({{.name = "hook"}});
  dispatcher.Add("hook", *std::move(sink),
                 {.backoff_base = absl::Microseconds(100),
                  .backoff_max = absl::Milliseconds(1),
                  .seed = seed});
  for (int i = 0; i < 100; ++i) {
    Emit(i % 30, 1 + static_cast<uint64_t>(i / 30));
  }
  RefillOutbox(ledger_, &dispatcher);
  while (!ledger_.all_delivered()) {
    AwaitWake();
    for (const OutboxAck& ack : dispatcher.TakeAcks()) {
      ASSERT_TRUE(ledger_.Apply(ack).ok());
    }
    RefillOutbox(ledger_, &dispatcher);
  }
  EXPECT_EQ(ledger_.counts("hook").delivered, 100u);
  const std::vector<ReceivedRequest> requests = receiver.requests();
  EXPECT_GT(requests.size(), 120u);
  ExpectRevisionsOf30Alerts(requests);
}

// Many sinks of many moods, alerts emitted meanwhile, one sink replaced again
// and again; in the end everything is accounted for.
TEST_F(DispatcherTest, AccountsForEverythingInTheEnd) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  OutboxDispatcher dispatcher(DispatchClock::Steady(), wake());
  std::vector<OutboxSinkOptions> sinks;
  const auto add = [&](const std::string& name) {
    SinkScript script;
    std::vector<absl::Status> answers;
    for (int i = 0; i < 300; ++i) {
      const absl::Status moods[] = {absl::OkStatus(), kDown,
                                    absl::InvalidArgumentError("no")};
      answers.push_back(moods[random() % 3]);
    }
    script.Answer(answers);
    dispatcher.Add(name, std::make_unique<ScriptedSink>(script),
                   {.batch_max = 1 + random() % 8,
                    .queue_bytes_max = 20'000,
                    .backoff_base = absl::Microseconds(50),
                    .backoff_max = absl::Microseconds(500),
                    .seed = random()});
  };
  for (const char* name : {"a", "b", "c", "d"}) {
    sinks.push_back({.name = name, .required = true});
    add(name);
  }
  sinks.back() = {.name = "d", .pending_bytes_max = 20'000};
  ledger_.Configure(sinks);
  int emitted = 0;
  while (emitted < 600 || !ledger_.all_delivered()) {
    for (uint64_t n = random() % 20; n > 0 && emitted < 600; --n) {
      ++emitted;
      Emit(emitted % 40, 1 + static_cast<uint64_t>(emitted) / 40);
    }
    if (random() % 50 == 0) {
      dispatcher.Remove("b", absl::ZeroDuration());
      add("b");
    }
    RefillOutbox(ledger_, &dispatcher);
    if (emitted == 600) AwaitWake();
    for (const OutboxAck& ack : dispatcher.TakeAcks()) {
      ASSERT_TRUE(ledger_.Apply(ack).ok());
    }
  }
  for (const char* name : {"a", "b", "c", "d"}) {
    const OutboxCounts c = ledger_.counts(name);
    EXPECT_EQ(c.raised, 600u);
    EXPECT_EQ(c.delivered + c.dead + c.shed, 600u) << name;
    if (std::string(name) != "d") {
      EXPECT_EQ(c.shed, 0u);
    }
    EXPECT_GT(c.delivered, 0u);
    EXPECT_GT(c.dead, 0u);
  }
}

}  // namespace
}  // namespace klaxon
