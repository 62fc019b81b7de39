#include "pipeline/read_ahead.h"

#include <array>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>

namespace klaxon {
namespace {

// A ring of records: filled by the one thread, emptied by the other. Few, as
// one may be as large as a row can be; their memory is used again and again.
class Ring {
 public:
  struct Entry {
    uint64_t seq = 0;
    JournalRecord record;
  };

  // The next to fill; null: nobody wants any more.
  Entry* ToFill() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock,
                  [&] { return closed_ || filled_ - emptied_ < kEntries; });
    return closed_ ? nullptr : &entries_[filled_ % kEntries];
  }
  // It is filled.
  void Filled() { Count(&filled_); }
  // The next to empty; null: there is no other, and will be none.
  Entry* ToEmpty() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || filled_ != emptied_; });
    return filled_ == emptied_ ? nullptr : &entries_[emptied_ % kEntries];
  }
  void Emptied() { Count(&emptied_); }
  // Nothing more is filled. What is, may still be emptied.
  void Close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

 private:
  static constexpr size_t kEntries = 3;

  void Count(uint64_t* count) {
    {
      std::lock_guard lock(mutex_);
      ++*count;
    }
    changed_.notify_all();
  }

  std::array<Entry, kEntries> entries_;
  std::mutex mutex_;  // Guards all below.
  std::condition_variable changed_;
  uint64_t filled_ = 0;
  uint64_t emptied_ = 0;
  bool closed_ = false;
};

}  // namespace

absl::Status ReadAhead(
    Journal* journal, uint64_t from_seq,
    const std::function<absl::Status(uint64_t seq, JournalRecord&& record)>&
        apply) {
  Ring ring;
  absl::Status read;
  std::thread reader([&] {
    read = journal->ReadRecords(
        from_seq, [&](uint64_t seq, std::string_view bytes) {
          Ring::Entry* const entry = ring.ToFill();
          if (entry == nullptr) return absl::CancelledError("not wanted");
          entry->seq = seq;
          absl::Status decoded = DecodeOver(bytes, &entry->record);
          if (decoded.ok()) ring.Filled();
          return decoded;
        });
    ring.Close();
  });
  absl::Status applied;
  while (Ring::Entry* const entry = ring.ToEmpty()) {
    applied = apply(entry->seq, std::move(entry->record));
    if (!applied.ok()) break;
    ring.Emptied();
  }
  ring.Close();
  reader.join();
  return applied.ok() ? read : applied;
}

}  // namespace klaxon
