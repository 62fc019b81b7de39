// What waits for its place in the journal: from the threads of sources to the
// one that writes.
//
// Bounded by bytes: Push waits while more than `bytes_max` wait already, which
// is how a slow journal or sink holds up a source. Order is that of Push.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/journal_record.h"

namespace klaxon {

struct PendingRecord {
  JournalRecord record;
  std::string encoded;  // Of `record`.
  // Of no source are acknowledgements, and what is told of lanes that no source
  // has any more.
  static constexpr size_t kNoSource = static_cast<size_t>(-1);
  size_t source = kNoSource;  // Whose it is, and
  std::string lane;           // what to commit there once it is durable;
  std::string resume;         // empty: nothing.
  bool source_ended = false;  // The last of its source; not to be written.
  // Not to be written either: why quarantined lines could not be read.
  std::map<std::string, uint64_t> unreadable;
};

// The same of some records.
void AddInput(const std::vector<PendingRecord>& records,
              std::map<std::string, uint64_t>* bytes);

class PendingQueue {
 public:
  explicit PendingQueue(size_t bytes_max) : bytes_max_(bytes_max) {}

  // False: closed; the record was dropped. The last of a source wakes.
  bool Push(PendingRecord record);
  // All that waits, at once.
  std::vector<PendingRecord> Take();
  // Returns when at least `bytes` wait, Wake was called, or at the deadline (of
  // the real clock: it bounds a wait and decides nothing).
  void WaitForMore(size_t bytes,
                   std::chrono::steady_clock::time_point deadline);
  // Returns when Wake was called, or at the deadline.
  void WaitForWake(std::chrono::steady_clock::time_point deadline);
  // Ends a wait; if there is none, the next one.
  void Wake();
  // Nothing more is wanted: Push returns false.
  void Close();
  size_t bytes() const;
  // Adds the bytes of input that the records which wait were made of, by lane.
  void AddInput(std::map<std::string, uint64_t>* bytes) const;

 private:
  const size_t bytes_max_;
  mutable std::mutex mutex_;  // Guards all below.
  std::condition_variable changed_;
  std::vector<PendingRecord> records_;
  size_t bytes_ = 0;
  bool woken_ = false;
  bool closed_ = false;
};

}  // namespace klaxon
