// Bytes on their way from a file to the framer, one layer upon another: the
// file, what it is compressed with, a member of an archive.
//
// One thread at a time; only Interrupt may come from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace klaxon {

enum class StreamState : uint8_t {
  kData,         // bytes > 0. Call again.
  kEnd,          // The end, or nothing can be read beyond here (then a problem
                 // was reported). Stays so.
  kBlocked,      // Nothing came before the deadline. Call again.
  kInterrupted,  // Interrupt was called. Stays so.
};

struct StreamRead {
  size_t bytes = 0;  // > 0 only with kData.
  StreamState state = StreamState::kEnd;
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Writes up to `capacity` (> 0) bytes. A layer that finds a problem returns
  // at once, so that the problem's offset is known.
  virtual StreamRead Read(char* out, size_t capacity) = 0;
};

enum class ProblemCause : uint8_t {
  kUnreadable,  // The bytes could not be had: an I/O error.
  kDamaged,     // They were had, and are no good: truncated, corrupt.
  kLeftOver,    // Something stands behind the end that belongs to nothing.
};

struct StreamProblem {
  static constexpr uint64_t kOffsetUnknown = ~uint64_t{0};
  ProblemCause cause = ProblemCause::kDamaged;
  bool lost = true;  // As InputProblem::lost.
  std::string message;
  uint64_t offset = kOffsetUnknown;  // Set by whoever counts what is delivered.
};

// Wakes a thread that waits in poll(2).
class Interrupter {
 public:
  Interrupter();
  ~Interrupter();
  Interrupter(const Interrupter&) = delete;
  Interrupter& operator=(const Interrupter&) = delete;

  // Any thread, signal handlers too. For good.
  void Interrupt() noexcept;
  bool interrupted() const {
    return interrupted_.load(std::memory_order_relaxed);
  }
  // Becomes readable with Interrupt; -1 if the system gave none.
  int wake_fd() const { return wake_fd_; }

 private:
  std::atomic<bool> interrupted_{false};
  int wake_fd_;
};

// What all layers of one source share.
struct StreamContext {
  using Clock = std::chrono::steady_clock;

  explicit StreamContext(Interrupter* interrupter) : interrupter(interrupter) {}

  void Report(ProblemCause cause, bool lost, std::string message) {
    problems.push_back({cause, lost, std::move(message)});
    if (lost) ++lost_count;
  }
  // Gives the problems that have no offset yet this one.
  void StampProblems(uint64_t offset) {
    for (StreamProblem& problem : problems) {
      if (problem.offset == StreamProblem::kOffsetUnknown) {
        problem.offset = offset;
      }
    }
  }

  Interrupter* interrupter;  // Outlives this.
  // Until when a pipe may keep us waiting.
  Clock::time_point deadline = Clock::time_point::max();
  std::vector<StreamProblem> problems;
  uint64_t lost_count = 0;             // Problems with `lost`, ever.
  std::atomic<uint64_t> raw_bytes{0};  // Read from files, for progress.
};

}  // namespace klaxon
