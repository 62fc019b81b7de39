// A clock that stands still until the test moves it.
//
// Any thread.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <vector>

#include "absl/time/time.h"
#include "pipeline/outbox_dispatcher.h"

namespace klaxon {

class FakeDispatchClock : public DispatchClock {
 public:
  absl::Duration Now() override {
    std::lock_guard<std::mutex> lock(mutex_);
    return now_;
  }

  void Wait(std::condition_variable& condition,
            std::unique_lock<std::mutex>& lock, absl::Duration until) override {
    std::list<Waiter>::iterator waiter;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      if (now_ >= until) return;
      waiter = waiters_.insert(waiters_.end(),
                               {&condition, lock.mutex(), until, false});
      changed_.notify_all();
    }
    condition.wait(lock);
    std::lock_guard<std::mutex> guard(mutex_);
    waiters_.erase(waiter);
  }

  // Whoever waited for a time up to the new one is woken.
  void Advance(absl::Duration by) {
    std::vector<Waiter> due;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      now_ += by;
      for (Waiter& waiter : waiters_) {
        if (waiter.until > now_ || waiter.woken) continue;
        waiter.woken = true;
        due.push_back(waiter);
      }
    }
    for (const Waiter& waiter : due) {
      // It holds the mutex until it waits, so no waking is missed.
      std::lock_guard<std::mutex> guard(*waiter.mutex);
      waiter.condition->notify_all();
    }
  }

  // Blocks until somebody waits for just that time; infinite: for ever.
  void AwaitWaiter(absl::Duration until) {
    std::unique_lock<std::mutex> guard(mutex_);
    changed_.wait(guard, [&] {
      for (const Waiter& waiter : waiters_) {
        if (waiter.until == until && !waiter.woken) return true;
      }
      return false;
    });
  }

 private:
  struct Waiter {
    std::condition_variable* condition;
    std::mutex* mutex;
    absl::Duration until;
    bool woken;  // By Advance; it has only not run yet.
  };
  std::mutex mutex_;  // Guards all below.
  std::condition_variable changed_;
  absl::Duration now_ = absl::Hours(3);
  std::list<Waiter> waiters_;
};

}  // namespace klaxon
