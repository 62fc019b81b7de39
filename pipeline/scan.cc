#include "pipeline/scan.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "event/observation_json.h"
#include "pipeline/batch_decoder.h"
#include "pipeline/observation_sorter.h"
#include "pipeline/observer.h"
#include "pipeline/verdict.h"

namespace klaxon {
namespace {

// What one worker found in one batch, for messages in input order.
struct BatchResult {
  Position begin;
  bool first_of_input = false;
  uint64_t input_bytes = 0;
  uint64_t events = 0;
  uint64_t outside = 0;  // Events that were read, but not asked for.
  BatchOutcome outcome;  // Offsets and lines count from `begin` on.
};

size_t WaitingBytes(const BatchResult& result) {
  size_t bytes = 0;
  for (const UnreadableBytes& unreadable : result.outcome.unreadable) {
    bytes += sizeof(unreadable) + unreadable.bytes.size() +
             unreadable.message.size();
  }
  return bytes;
}

// Two stages of one long-running request are one request: counts how many such
// pairs there are, in whatever order their halves come. Past `kUnpairedMax`
// halves without their other the count is a lower bound.
class StagePairs {
 public:
  void Add(const std::vector<uint64_t>& requests) {
    for (uint64_t request : requests) {
      if (unpaired_.erase(request ^ kOther) != 0) {
        ++pairs_;
      } else if (unpaired_.size() < kUnpairedMax) {
        unpaired_.insert(request);
      }
    }
  }
  uint64_t pairs() const { return pairs_; }

 private:
  static constexpr uint64_t kOther = 1;  // Observer::TakeLongRunning.
  static constexpr size_t kUnpairedMax = 1 << 20;
  absl::flat_hash_set<uint64_t> unpaired_;
  uint64_t pairs_ = 0;
};

void AddFact(const Fact& fact, ScanSummary* summary) {
  summary->requests += fact.requests;
  if (summary->first_event == kNoTime ||
      fact.first_event < summary->first_event) {
    summary->first_event = fact.first_event;
  }
  summary->last_event = std::max(summary->last_event, fact.last_event);
}

// One run, shared by its workers.
class Scan {
 public:
  Scan(const EngineConfig& config, const ScanOptions& options,
       ArchiveSource& source, const ScanCallbacks& callbacks,
       ScanProgress* progress, ScanSummary* summary)
      : config_(config),
        options_(options),
        source_(source),
        callbacks_(callbacks),
        progress_(progress),
        summary_(*summary),
        threads_(options.threads > 0
                     ? static_cast<size_t>(options.threads)
                     : std::max(1u, std::thread::hardware_concurrency())) {
    const size_t sorters = std::min(threads_, ObservationSorter::kSortersMax);
    for (size_t i = 0; i < sorters; ++i) {
      sorters_.push_back(std::make_unique<ObservationSorter>(config, sorters));
    }
    workers_left_.resize(sorters);
    for (size_t i = 0; i < threads_; ++i) ++workers_left_[i % sorters];
  }

  absl::Status Run();

 private:
  // The results of a batch, or of the batches of a part. Slots stand in input
  // order; those before a result are done when it is reported.
  struct Slot {
    uint32_t input = 0;
    bool last_of_input = false;
    bool done = false;
    std::deque<BatchResult> results;
  };
  using Slots = std::list<Slot>;
  struct Work {
    Batch batch;
    std::string cluster;  // Of the batch's input.
    Slots::iterator slot;
  };
  struct Worker {
    Worker(const EngineConfig& config, const DecoderOptions& options,
           ObservationSorter* to)
        : decoder(options), observer(config), sorter(to) {}
    BatchDecoder decoder;
    Observer observer;
    ObservationSorter* const sorter;
    std::unique_ptr<Work> work = std::make_unique<Work>();
  };

  void RunWorker(size_t number);
  // A worker adds no more to that sorter; the last one finishes it.
  void FinishSorter(size_t sorter);
  // Gives the worker something to do. False: there is no more.
  bool NextWork(Worker& worker);
  bool Read(Work& work);
  // Takes half of the part of which most is left. REQUIRES: work_mutex_ held.
  bool TakeHalf(Work& work);
  void Process(Worker& worker);
  void ProcessPart(Worker& worker);
  BatchResult DecodeBatch(Worker& worker);
  void Report(const std::vector<InputProblem>& problems);
  void HandOn(Worker& worker);
  // What is of all of them together.
  void Count(const Observations& observations,
             const std::vector<uint64_t>& long_running);
  void Deliver(Slots::iterator slot, BatchResult&& result);
  void Finish(Slots::iterator slot);
  void ReportSlots();
  void Report(const BatchResult& result);
  void EndInput(uint32_t input);
  void Fail(const absl::Status& status);

  const EngineConfig& config_;
  const ScanOptions& options_;
  ArchiveSource& source_;
  const ScanCallbacks& callbacks_;
  ScanProgress* progress_;
  ScanSummary& summary_;

  const size_t threads_;
  std::mutex work_mutex_;  // Guards this paragraph.
  std::condition_variable work_changed_;
  bool reading_ = false;  // Some worker reads source_: it alone.
  bool at_end_ = false;
  std::deque<std::unique_ptr<Work>> ready_;
  std::vector<Work*> parts_;                  // Being read.
  std::vector<std::unique_ptr<Work>> spare_;  // Buffers to be used again.

  std::vector<std::unique_ptr<ObservationSorter>> sorters_;

  std::mutex count_mutex_;  // Guards pairs_, on_observations and the summary's
  // requests, observations and event times.
  StagePairs pairs_;

  std::mutex result_mutex_;  // Guards all below, the rest of summary_, and the
  // other callbacks.
  std::vector<size_t> workers_left_;  // Of each sorter.
  std::condition_variable reported_;
  Slots slots_;
  uint64_t waiting_bytes_ = 0;  // Of results in slots_.
  std::vector<InputInfo> inputs_;
  uint64_t input_lines_ = 0;  // Before the next batch, in its input.
  uint64_t input_events_ = 0;
  uint64_t input_bytes_ = 0;
  uint64_t input_quarantined_ = 0;
  absl::Status status_;
};

// Nothing will be judged, so nothing more is read.
void Scan::Fail(const absl::Status& status) {
  std::lock_guard lock(result_mutex_);
  if (!status_.ok()) return;
  status_ = status;
  source_.Interrupt();
}

// Whoever reads goes on reading until enough is ready: a stream that is being
// inflated stays on one core, and the others decode beside it.
bool Scan::NextWork(Worker& worker) {
  const size_t enough = threads_ > 1 ? 4 * threads_ : 1;
  std::unique_lock lock(work_mutex_);
  spare_.push_back(std::move(worker.work));
  const auto take_spare = [this] {
    if (spare_.empty()) return std::make_unique<Work>();
    std::unique_ptr<Work> work = std::move(spare_.back());
    spare_.pop_back();
    return work;
  };
  for (;;) {
    if (!reading_ && !at_end_ && ready_.size() < enough) {
      std::unique_ptr<Work> work = take_spare();
      reading_ = true;
      lock.unlock();
      const bool read = Read(*work);
      lock.lock();
      reading_ = false;
      at_end_ = !read;
      if (read) ready_.push_back(std::move(work));
      if (read) {
        work_changed_.notify_one();
      } else {
        work_changed_.notify_all();
      }
      continue;
    }
    if (!ready_.empty()) {
      worker.work = std::move(ready_.front());
      ready_.pop_front();
      break;
    }
    if (at_end_) {
      worker.work = take_spare();
      if (!TakeHalf(*worker.work)) return false;
      break;
    }
    work_changed_.wait(lock);
  }
  if (worker.work->batch.part != nullptr) parts_.push_back(worker.work.get());
  return true;
}

bool Scan::Read(Work& work) {
  const absl::Status status =
      source_.Read(absl::InfiniteDuration(), work.batch);
  Report(source_.TakeProblems());
  if (!status.ok()) {
    if (!absl::IsOutOfRange(status)) Fail(status);
    return false;
  }
  const uint32_t index = work.batch.begin.input;
  InputInfo input = source_.input(index);
  work.cluster = input.cluster;
  std::lock_guard result_lock(result_mutex_);
  work.slot = slots_.insert(
      slots_.end(),
      Slot{.input = index, .last_of_input = work.batch.last_of_input});
  if (work.batch.first_of_input) {
    if (inputs_.size() <= index) inputs_.resize(index + 1);
    inputs_[index] = std::move(input);
  }
  return true;
}

bool Scan::TakeHalf(Work& work) {
  std::vector<std::pair<uint64_t, Work*>> largest;
  largest.reserve(parts_.size());
  for (Work* const part : parts_) {
    largest.emplace_back(part->batch.part->bytes_left(), part);
  }
  std::sort(largest.begin(), largest.end(), std::greater<>());
  for (const auto& [bytes, whole] : largest) {
    std::unique_ptr<BatchReader> half =
        whole->batch.part->Split(options_.split_bytes_min);
    if (half == nullptr) continue;
    work.batch.part = std::move(half);
    work.cluster = whole->cluster;
    std::lock_guard result_lock(result_mutex_);
    Slot& before = *whole->slot;
    work.slot = slots_.insert(
        std::next(whole->slot),
        Slot{.input = before.input, .last_of_input = before.last_of_input});
    before.last_of_input = false;
    return true;
  }
  return false;
}

void Scan::Report(const std::vector<InputProblem>& problems) {
  if (problems.empty() || !callbacks_.on_problem) return;
  std::lock_guard lock(result_mutex_);
  for (const InputProblem& problem : problems) callbacks_.on_problem(problem);
}

void Scan::HandOn(Worker& worker) {
  Observations observations = worker.observer.Take();
  Count(observations, worker.observer.TakeLongRunning());
  if (!callbacks_.on_observations) {
    const absl::Status status = worker.sorter->Add(observations);
    if (!status.ok()) Fail(status);
  }
  worker.observer.Recycle(std::move(observations));
}

void Scan::Count(const Observations& observations,
                 const std::vector<uint64_t>& long_running) {
  std::lock_guard lock(count_mutex_);
  pairs_.Add(long_running);
  for (const Fact& fact : observations.facts) AddFact(fact, &summary_);
  if (callbacks_.on_observations) {
    summary_.observations += observations.size();
    callbacks_.on_observations(observations);
  }
}

void Scan::FinishSorter(size_t sorter) {
  {
    std::lock_guard lock(result_mutex_);
    if (--workers_left_[sorter] > 0 || !status_.ok()) return;
  }
  const absl::Status status = sorters_[sorter]->Finish();
  if (!status.ok()) Fail(status);
}

void Scan::RunWorker(size_t number) {
  const size_t sorter = number % sorters_.size();
  Worker worker(config_, options_.decoder, sorters_[sorter].get());
  while (NextWork(worker)) Process(worker);
  HandOn(worker);
  FinishSorter(sorter);
  std::lock_guard lock(result_mutex_);
  summary_.odd += worker.decoder.counters().odd_events;
}

void Scan::Process(Worker& worker) {
  Work& work = *worker.work;
  if (work.batch.part != nullptr) {
    ProcessPart(worker);
  } else {
    BatchResult result = DecodeBatch(worker);
    result.first_of_input = work.batch.first_of_input;
    Deliver(work.slot, std::move(result));
  }
  Finish(work.slot);
}

void Scan::ProcessPart(Worker& worker) {
  Work& work = *worker.work;
  BatchReader& part = *work.batch.part;
  // An interrupted part has no more batches: the rest is not judged.
  while (part.Read(work.batch).ok()) Deliver(work.slot, DecodeBatch(worker));
  Report(part.TakeProblems());
  std::lock_guard lock(work_mutex_);
  std::erase(parts_, &work);  // From here on nobody takes half of it.
  work.batch.part.reset();
}

BatchResult Scan::DecodeBatch(Worker& worker) {
  const Batch& batch = worker.work->batch;
  BatchResult result;
  result.begin = batch.begin;
  const auto on_event = [&](const EventView& event) {
    const EventTime time = event.time();
    if (time < options_.since || time >= options_.until) {
      ++result.outside;
      return;
    }
    ++result.events;
    worker.observer.Observe(event, worker.work->cluster);
  };
  result.outcome = worker.decoder.Decode(batch, on_event);
  result.input_bytes = batch.input_bytes;
  if (progress_ != nullptr) {
    progress_->bytes.fetch_add(batch.input_bytes, std::memory_order_relaxed);
    progress_->events.fetch_add(result.events, std::memory_order_relaxed);
  }
  if (worker.observer.full()) HandOn(worker);
  return result;
}

// Slots are begun in order, so whoever has the first one is never held here.
void Scan::Deliver(Slots::iterator slot, BatchResult&& result) {
  std::unique_lock lock(result_mutex_);
  waiting_bytes_ += WaitingBytes(result);
  slot->results.push_back(std::move(result));
  ReportSlots();
  reported_.wait(lock, [&] {
    return waiting_bytes_ <= options_.waiting_bytes_max ||
           slot == slots_.begin();
  });
}

void Scan::Finish(Slots::iterator slot) {
  std::lock_guard lock(result_mutex_);
  slot->done = true;
  ReportSlots();
}

void Scan::ReportSlots() {
  while (!slots_.empty()) {
    Slot& slot = slots_.front();
    for (const BatchResult& result : slot.results) {
      Report(result);
      waiting_bytes_ -= WaitingBytes(result);
    }
    slot.results.clear();
    if (!slot.done) break;
    if (slot.last_of_input) EndInput(slot.input);
    slots_.pop_front();
  }
  reported_.notify_all();
}

void Scan::Report(const BatchResult& result) {
  if (result.first_of_input) {
    ++summary_.inputs;
    input_lines_ = input_events_ = input_bytes_ = input_quarantined_ = 0;
  }
  for (const UnreadableBytes& q : result.outcome.unreadable) {
    ++summary_.quarantined;
    summary_.quarantined_bytes += q.bytes.size();
    if (!callbacks_.on_quarantined) continue;
    QuarantineRecord record;
    record.path = inputs_[result.begin.input].path;
    record.offset = result.begin.offset + q.offset;
    record.line = input_lines_ + q.line + 1;
    record.column = q.column;
    record.reason = q.reason;
    record.message = q.message;
    record.bytes = q.bytes;
    callbacks_.on_quarantined(record);
  }
  summary_.bytes += result.input_bytes;
  summary_.lines += result.outcome.lines;
  summary_.events += result.events;
  summary_.skipped += result.outcome.skipped + result.outside;
  input_lines_ += result.outcome.lines;
  input_events_ += result.events + result.outside;
  input_bytes_ += result.input_bytes;
  input_quarantined_ += result.outcome.unreadable.size();
}

void Scan::EndInput(uint32_t input) {
  if (input_events_ == 0 && input_quarantined_ > 0) {
    ++summary_.unreadable_inputs;
  }
  if (input_bytes_ == 0 && callbacks_.on_problem) {
    callbacks_.on_problem({inputs_[input].path, 0,
                           "is empty; is audit logging on, and was the log "
                           "rotated away?",
                           /*lost=*/false});
  }
}

void Tally(const Alert& alert, ScanSummary* summary) {
  ++summary->alerts_by_detector[alert.detector];
  ++summary->alerts_by_severity[std::string(SeverityName(alert.severity))];
}

absl::Status JudgeAll(
    const EngineConfig& config,
    std::span<const std::unique_ptr<ObservationSorter>> sorters,
    const ScanCallbacks& callbacks, ScanSummary* summary) {
  for (const auto& sorter : sorters) {
    summary->observations += sorter->observations();
  }
  const auto on_alert = [&](Alert&& alert) {
    Tally(alert, summary);
    if (callbacks.on_alert) callbacks.on_alert(std::move(alert));
  };
  return Conclude(config, sorters, on_alert, &summary->evicted);
}

absl::Status Scan::Run() {
  std::vector<std::thread> workers;
  for (size_t i = 1; i < threads_; ++i) {
    workers.emplace_back([this, i] { RunWorker(i); });
  }
  RunWorker(0);
  for (std::thread& worker : workers) worker.join();
  summary_.requests -= pairs_.pairs();
  if (!status_.ok() || callbacks_.on_observations) return status_;
  return JudgeAll(config_, sorters_, callbacks_, &summary_);
}

absl::Status Submit(const Observations& observations, ObservationSorter* sorter,
                    ScanSummary* summary) {
  for (const Fact& fact : observations.facts) {
    AddFact(fact, summary);
    summary->events += fact.events;
  }
  return sorter->Add(observations);
}

}  // namespace

absl::Status RunScan(const EngineConfig& config, const ScanOptions& options,
                     ArchiveSource& source, const ScanCallbacks& callbacks,
                     ScanProgress* progress, ScanSummary* summary) {
  Scan scan(config, options, source, callbacks, progress, summary);
  return scan.Run();
}

absl::Status RunJudge(const EngineConfig& config, const std::string& path,
                      const std::function<bool(std::string*)>& next_line,
                      const ScanCallbacks& callbacks, ScanSummary* summary) {
  const std::array sorters = {std::make_unique<ObservationSorter>(config, 1)};
  ObservationSorter& sorter = *sorters.front();
  ObservationParser parser;
  Observations held;
  std::string line;
  std::string error;
  absl::Status status;
  while (status.ok() && next_line(&line)) {
    ++summary->lines;
    const uint64_t offset = summary->bytes;
    summary->bytes += line.size() + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (!parser.Parse(line, &held, &error)) {
      ++summary->quarantined;
      summary->quarantined_bytes += line.size();
      if (callbacks.on_quarantined) {
        callbacks.on_quarantined({path, offset, summary->lines, 1,
                                  QuarantineReason::kNotJson, error, line});
      }
      continue;
    }
    if (held.size() < 1024) continue;
    status.Update(
        Submit(std::exchange(held, Observations()), &sorter, summary));
  }
  status.Update(Submit(held, &sorter, summary));
  status.Update(sorter.Finish());
  if (!status.ok()) return status;
  return JudgeAll(config, sorters, callbacks, summary);
}

}  // namespace klaxon
