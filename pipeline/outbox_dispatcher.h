// Delivers what the outbox owes: one thread a sink, so that a slow one slows
// nobody else.
//
//   OutboxDispatcher dispatcher(clock, wake);
//   dispatcher.Add("siem", std::move(sink), options);
//   …whenever the ledger has changed, or `wake` was called:
//   acks = dispatcher.TakeAcks();     // into the journal, made durable,
//   for (ack : acks) ledger.Apply(ack);
//   RefillOutbox(ledger, &dispatcher);
//   …
//   dispatcher.Stop(grace); acks = dispatcher.TakeAcks();
//
// At a reload a sink that changed is removed and added anew; before the ledger
// is told that one is gone, its acks are taken and applied.
//
// A sink that fails is tried again (delivery_queue.h) for ever; what it was
// offered and did not acknowledge is offered again by the next process.
//
// Add, Remove, Stop, Offer, Wants and RefillOutbox are of one thread, the
// ledger's; the rest is for any.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "pipeline/delivery_queue.h"
#include "pipeline/outbox.h"
#include "sinks/sink.h"

namespace klaxon {

// Time to wait by: monotonic, since an arbitrary start. Any thread.
class DispatchClock {
 public:
  virtual ~DispatchClock() = default;
  virtual absl::Duration Now() = 0;
  // Waits, `lock` being held as with any condition, until `condition` is
  // notified or Now() >= `until`, or for no reason.
  virtual void Wait(std::condition_variable& condition,
                    std::unique_lock<std::mutex>& lock,
                    absl::Duration until) = 0;
  // The machine's own.
  static DispatchClock* Steady();
};

struct SinkHealth {
  std::string sink;
  bool open = false;
  uint64_t failures = 0;    // In a row; 0: well.
  std::string problem;      // Of the last failure; empty: well.
  absl::Duration retry_at;  // By the clock; of no meaning while well.
  uint64_t attempts = 0;    // Deliver calls, ever.
  uint64_t retries = 0;     // Of these, those that failed and are repeated.
  size_t queued = 0;
  size_t queued_bytes = 0;
};

class OutboxDispatcher {
 public:
  // `wake` is called from the sinks' threads whenever there are acks to take;
  // it must not call back. Both must outlive the dispatcher.
  OutboxDispatcher(DispatchClock* clock, std::function<void()> wake);
  ~OutboxDispatcher();  // Stop(0).
  OutboxDispatcher(const OutboxDispatcher&) = delete;
  OutboxDispatcher& operator=(const OutboxDispatcher&) = delete;

  // Opens the sink, in its thread, and delivers from now on. REQUIRES: the name
  // is not in use.
  void Add(const std::string& name, std::unique_ptr<Sink> sink,
           const DeliveryOptions& options);
  // Ends one, or all: what is queued is still delivered within `grace`, then
  // the delivery under way is interrupted. Acks may be left to take.
  void Remove(std::string_view name, absl::Duration grace);
  void Stop(absl::Duration grace);

  // How much more each sink's queue takes, and behind which number.
  struct Want {
    std::string sink;
    uint64_t after = 0;
    size_t bytes = 0;
  };
  std::vector<Want> Wants() const;
  // REQUIRES: numbers above `after`, in order.
  void Offer(std::string_view sink, std::vector<OutboxItem> items);

  std::vector<OutboxAck> TakeAcks();
  std::vector<SinkHealth> Health() const;
  // Every sink opens its files anew (SIGUSR1, SIGHUP).
  void Reopen() noexcept;

 private:
  class Worker;
  void PushAcks(std::vector<OutboxAck> acks);

  DispatchClock* const clock_;
  const std::function<void()> wake_;

  // Guards workers_ itself; a worker has a mutex of its own.
  mutable std::mutex workers_mutex_;
  std::map<std::string, std::unique_ptr<Worker>, std::less<>> workers_;

  std::mutex acks_mutex_;  // Guards acks_.
  std::vector<OutboxAck> acks_;
};

// Offers each sink what it is owed and has room for.
void RefillOutbox(const OutboxLedger& ledger, OutboxDispatcher* dispatcher);

}  // namespace klaxon
