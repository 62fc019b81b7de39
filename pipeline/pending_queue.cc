#include "pipeline/pending_queue.h"

namespace klaxon {

using Clock = std::chrono::steady_clock;

bool PendingQueue::Push(PendingRecord record) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || bytes_ < bytes_max_; });
  if (closed_) return false;
  bytes_ += record.encoded.size() + sizeof(PendingRecord);
  if (record.source_ended) woken_ = true;
  records_.push_back(std::move(record));
  lock.unlock();
  changed_.notify_all();
  return true;
}

std::vector<PendingRecord> PendingQueue::Take() {
  std::unique_lock lock(mutex_);
  bytes_ = 0;
  std::vector<PendingRecord> taken = std::exchange(records_, {});
  lock.unlock();
  changed_.notify_all();
  return taken;
}

void PendingQueue::WaitForMore(size_t bytes, Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline,
                      [&] { return woken_ || closed_ || bytes_ >= bytes; });
  woken_ = false;
}

void PendingQueue::WaitForWake(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] { return woken_ || closed_; });
  woken_ = false;
}

void PendingQueue::Wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

void PendingQueue::Close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

void AddInput(const std::vector<PendingRecord>& records,
              std::map<std::string, uint64_t>* bytes) {
  for (const PendingRecord& pending : records) {
    const auto* batch = std::get_if<BatchRecord>(&pending.record);
    if (batch != nullptr) (*bytes)[batch->lane] += batch->counts.bytes;
  }
}

void PendingQueue::AddInput(std::map<std::string, uint64_t>* bytes) const {
  std::lock_guard lock(mutex_);
  klaxon::AddInput(records_, bytes);
}

size_t PendingQueue::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace klaxon
