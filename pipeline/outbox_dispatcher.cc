#include "pipeline/outbox_dispatcher.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "detectors/alert_wire.h"
#include "sinks/delivery_status.h"

namespace klaxon {
namespace {

class SteadyDispatchClock : public DispatchClock {
 public:
  absl::Duration Now() override {
    return absl::FromChrono(
        std::chrono::steady_clock::now().time_since_epoch());
  }
  void Wait(std::condition_variable& condition,
            std::unique_lock<std::mutex>& lock, absl::Duration until) override {
    // No wait_until of for ever: its arithmetic would overflow.
    constexpr absl::Duration kLong = absl::Hours(24);
    const absl::Duration wait = std::min(until - Now(), kLong);
    condition.wait_for(lock, absl::ToChronoNanoseconds(wait));
  }
};

}  // namespace

DispatchClock* DispatchClock::Steady() {
  static auto* clock = new SteadyDispatchClock();
  return clock;
}

// One sink, its queue and its thread.
class OutboxDispatcher::Worker {
 public:
  Worker(OutboxDispatcher* owner, const std::string& name,
         std::unique_ptr<Sink> sink, const DeliveryOptions& options)
      : owner_(*owner),
        name_(name),
        sink_(std::move(sink)),
        queue_(name, options),
        thread_([this] { Run(); }) {}

  void Offer(std::vector<OutboxItem> items) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (OutboxItem& item : items) queue_.Add(std::move(item));
    changed_.notify_all();
  }

  Want want() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return {name_, queue_.newest(), queue_.room()};
  }

  SinkHealth health() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return {.sink = name_,
            .open = open_,
            .failures = queue_.failures(),
            .problem = problem_,
            .retry_at = queue_.not_before(),
            .attempts = attempts_,
            .retries = queue_.retries(),
            .queued = queue_.size(),
            .queued_bytes = queue_.bytes()};
  }

  void Reopen() noexcept { sink_->Reopen(); }

  // Asks the thread to end: at once when its queue is empty, at `deadline` in
  // any case.
  void Drain(absl::Duration deadline) {
    std::lock_guard<std::mutex> lock(mutex_);
    deadline_ = deadline;
    changed_.notify_all();
  }

  // Blocks until the thread has ended. REQUIRES: Drain was called.
  void Join() {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      while (!ended_ && owner_.clock_->Now() < *deadline_) {
        owner_.clock_->Wait(changed_, lock, *deadline_);
      }
    }
    sink_->Interrupt();
    thread_.join();
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    Open(&lock);
    while (open_ && DeliverNext(&lock)) {
    }
    const absl::Duration left =
        std::max(*deadline_ - owner_.clock_->Now(), absl::ZeroDuration());
    if (open_) {
      lock.unlock();
      // Nothing is under way: whatever it says, nothing is to be done about it.
      sink_->Drain(left).IgnoreError();
      lock.lock();
    }
    ended_ = true;
    changed_.notify_all();
  }

  bool over() const { return deadline_ && owner_.clock_->Now() >= *deadline_; }

  void Wait(std::unique_lock<std::mutex>* lock, absl::Duration until) {
    owner_.clock_->Wait(changed_, *lock,
                        deadline_ ? std::min(until, *deadline_) : until);
  }

  void Open(std::unique_lock<std::mutex>* lock) {
    for (;;) {
      lock->unlock();
      const absl::Status status = sink_->Open();
      lock->lock();
      open_ = status.ok();
      if (open_) return Recovered();
      problem_ = MessageOf(status);
      queue_.Failed(owner_.clock_->Now(), status);
      while (owner_.clock_->Now() < queue_.not_before()) {
        // Without anything to deliver it need not be open to end.
        if (over() || (deadline_ && queue_.empty())) return;
        Wait(lock, queue_.not_before());
      }
      if (over()) return;
    }
  }

  // False: the thread ends.
  bool DeliverNext(std::unique_lock<std::mutex>* lock) {
    if (over() || (deadline_ && queue_.empty())) return false;
    absl::Duration wake_at;
    const auto items = queue_.Next(owner_.clock_->Now(), &wake_at);
    if (items.empty()) {
      Wait(lock, wake_at);
      return true;
    }
    std::vector<Alert> alerts(items.size());
    bool readable = true;
    for (size_t i = 0; i < items.size(); ++i) {
      readable = Decode(*items[i]->alert, &alerts[i]) && readable;
    }
    const absl::Status status =
        readable ? Deliver(alerts, lock)
                 : absl::InvalidArgumentError(
                       "the alert as it was kept cannot be read");
    std::vector<OutboxAck> acks = queue_.Done(owner_.clock_->Now(), status);
    if (status.ok() || IsRefused(status)) {
      problem_.clear();
    } else {
      problem_ = MessageOf(status);
    }
    if (acks.empty()) return true;
    lock->unlock();
    owner_.PushAcks(std::move(acks));
    lock->lock();
    return true;
  }

  absl::Status Deliver(const std::vector<Alert>& alerts,
                       std::unique_lock<std::mutex>* lock) {
    ++attempts_;
    result_.reset();
    lock->unlock();
    sink_->Deliver(alerts, [this](const absl::Status& status) {
      std::lock_guard<std::mutex> guard(mutex_);
      result_ = status;
      changed_.notify_all();
    });
    lock->lock();
    // It comes: a sink has time-outs of its own, and is interrupted at the end.
    changed_.wait(*lock, [this] { return result_.has_value(); });
    return *result_;
  }

  void Recovered() {
    problem_.clear();
    queue_.Recovered();
  }

  OutboxDispatcher& owner_;
  const std::string name_;
  const std::unique_ptr<Sink> sink_;

  mutable std::mutex mutex_;  // Guards all below but thread_.
  std::condition_variable changed_;
  DeliveryQueue queue_;
  bool open_ = false;
  bool ended_ = false;
  uint64_t attempts_ = 0;
  std::string problem_;
  std::optional<absl::Duration> deadline_;  // Set: the end is asked for.
  std::optional<absl::Status> result_;      // Of the delivery under way.

  std::thread thread_;  // The last: it uses all of the above.
};

OutboxDispatcher::OutboxDispatcher(DispatchClock* clock,
                                   std::function<void()> wake)
    : clock_(clock), wake_(std::move(wake)) {}

OutboxDispatcher::~OutboxDispatcher() { Stop(absl::ZeroDuration()); }

void OutboxDispatcher::Add(const std::string& name, std::unique_ptr<Sink> sink,
                           const DeliveryOptions& options) {
  std::lock_guard<std::mutex> lock(workers_mutex_);
  workers_.emplace(
      name, std::make_unique<Worker>(this, name, std::move(sink), options));
}

void OutboxDispatcher::Remove(std::string_view name, absl::Duration grace) {
  std::unique_ptr<Worker> worker;
  {
    std::lock_guard<std::mutex> lock(workers_mutex_);
    auto it = workers_.find(name);
    if (it == workers_.end()) return;
    worker = std::move(it->second);
    workers_.erase(it);
  }
  worker->Drain(clock_->Now() + grace);
  worker->Join();
}

void OutboxDispatcher::Stop(absl::Duration grace) {
  std::map<std::string, std::unique_ptr<Worker>, std::less<>> workers;
  {
    std::lock_guard<std::mutex> lock(workers_mutex_);
    workers.swap(workers_);
  }
  const absl::Duration deadline = clock_->Now() + grace;
  for (auto& [name, worker] : workers) worker->Drain(deadline);
  for (auto& [name, worker] : workers) worker->Join();
}

std::vector<OutboxDispatcher::Want> OutboxDispatcher::Wants() const {
  std::lock_guard<std::mutex> lock(workers_mutex_);
  std::vector<Want> wants;
  wants.reserve(workers_.size());
  for (const auto& [name, worker] : workers_) wants.push_back(worker->want());
  return wants;
}

void OutboxDispatcher::Offer(std::string_view sink,
                             std::vector<OutboxItem> items) {
  std::lock_guard<std::mutex> lock(workers_mutex_);
  auto it = workers_.find(sink);
  if (it != workers_.end()) it->second->Offer(std::move(items));
}

std::vector<OutboxAck> OutboxDispatcher::TakeAcks() {
  std::vector<OutboxAck> acks;
  std::lock_guard<std::mutex> lock(acks_mutex_);
  acks.swap(acks_);
  return acks;
}

void OutboxDispatcher::PushAcks(std::vector<OutboxAck> acks) {
  {
    std::lock_guard<std::mutex> lock(acks_mutex_);
    acks_.insert(acks_.end(), std::make_move_iterator(acks.begin()),
                 std::make_move_iterator(acks.end()));
  }
  wake_();
}

std::vector<SinkHealth> OutboxDispatcher::Health() const {
  std::lock_guard<std::mutex> lock(workers_mutex_);
  std::vector<SinkHealth> all;
  all.reserve(workers_.size());
  for (const auto& [name, worker] : workers_) all.push_back(worker->health());
  return all;
}

void OutboxDispatcher::Reopen() noexcept {
  std::lock_guard<std::mutex> lock(workers_mutex_);
  for (const auto& [name, worker] : workers_) worker->Reopen();
}

void RefillOutbox(const OutboxLedger& ledger, OutboxDispatcher* dispatcher) {
  for (const OutboxDispatcher::Want& want : dispatcher->Wants()) {
    std::vector<OutboxItem> items =
        ledger.Pending(want.sink, want.after, want.bytes);
    if (!items.empty()) dispatcher->Offer(want.sink, std::move(items));
  }
}

}  // namespace klaxon
