#include "pipeline/scan.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "event/observation_json.h"
#include "pipeline/observer.h"
#include "pipeline/verdict.h"

namespace klaxon {
namespace {

// What one worker found in one batch, for messages in input order.
struct BatchResult {
  struct Quarantined {
    size_t offset;  // Of the bytes, in the batch.
    size_t error_offset;
    std::string bytes;
    QuarantineReason reason;
    std::string message;
    uint64_t line;  // Of the error, in the batch, from 0.
    uint64_t column;
    // Line number and column are of the record's own bytes (documents).
  };
  Position begin;
  bool first_of_input = false;
  bool last_of_input = false;
  uint64_t input_bytes = 0;
  uint64_t lines = 0;
  uint64_t events = 0;
  uint64_t skipped = 0;
  uint64_t outside = 0;  // Events that were read, but not asked for.
  std::vector<Quarantined> quarantined;
};

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
        verdict_(config) {}

  absl::Status Run();

 private:
  struct Worker {
    Worker(const EngineConfig& config, const DecoderOptions& options)
        : decoder(options), observer(config) {}
    Decoder decoder;
    Observer observer;
    Batch batch;
    std::string cluster;  // Of the batch's input.
  };

  void Work();
  // False: no more, or a failure.
  bool ReadBatch(Worker& worker);
  void DecodeBatch(Worker& worker, BatchResult* result);
  void DecodeLines(Worker& worker, EventCallback on_event, BatchResult* result);
  void Quarantine(const DecodeOutcome& outcome, std::string_view text,
                  size_t text_offset, uint64_t line, BatchResult* result);
  void HandOn(Observer& observer);
  void Deliver(uint64_t sequence, BatchResult&& result);
  void Report(const BatchResult& result);
  void Fail(const absl::Status& status);

  const EngineConfig& config_;
  const ScanOptions& options_;
  ArchiveSource& source_;
  const ScanCallbacks& callbacks_;
  ScanProgress* progress_;
  ScanSummary& summary_;

  std::mutex read_mutex_;  // Guards source_ and at_end_.
  bool at_end_ = false;

  std::mutex verdict_mutex_;  // Guards the rest of this paragraph and the
  // summary's requests, observations and event times.
  Verdict verdict_;
  StagePairs pairs_;

  std::mutex result_mutex_;  // Guards all below, summary_ and the callbacks.
  std::map<uint64_t, BatchResult> waiting_;  // Out of order, by sequence.
  uint64_t next_sequence_ = 0;
  std::vector<InputInfo> inputs_;
  uint64_t input_lines_ = 0;  // Before the next batch, in its input.
  uint64_t input_events_ = 0;
  uint64_t input_bytes_ = 0;
  uint64_t input_quarantined_ = 0;
  absl::Status status_;
};

void Scan::Fail(const absl::Status& status) {
  std::lock_guard lock(result_mutex_);
  if (status_.ok()) status_ = status;
}

bool Scan::ReadBatch(Worker& worker) {
  std::lock_guard lock(read_mutex_);
  if (at_end_) return false;
  const absl::Status status =
      source_.Read(absl::InfiniteDuration(), worker.batch);
  const std::vector<InputProblem> problems = source_.TakeProblems();
  if (!problems.empty()) {
    std::lock_guard result_lock(result_mutex_);
    for (const InputProblem& problem : problems) {
      if (callbacks_.on_problem) callbacks_.on_problem(problem);
    }
  }
  if (!status.ok()) {
    at_end_ = true;
    if (!absl::IsOutOfRange(status)) Fail(status);
    return false;
  }
  InputInfo input = source_.input(worker.batch.begin.input);
  worker.cluster = input.cluster;
  if (worker.batch.first_of_input) {
    std::lock_guard result_lock(result_mutex_);
    if (inputs_.size() <= worker.batch.begin.input) {
      inputs_.resize(worker.batch.begin.input + 1);
    }
    inputs_[worker.batch.begin.input] = std::move(input);
  }
  return true;
}

void Scan::HandOn(Observer& observer) {
  Observations observations = observer.Take();
  const std::vector<uint64_t> long_running = observer.TakeLongRunning();
  std::lock_guard lock(verdict_mutex_);
  pairs_.Add(long_running);
  for (const Fact& fact : observations.facts) AddFact(fact, &summary_);
  if (callbacks_.on_observations) {
    summary_.observations += observations.size();
    callbacks_.on_observations(observations);
    return;
  }
  const absl::Status status = verdict_.Add(std::move(observations));
  if (!status.ok()) Fail(status);
}

void Scan::Work() {
  Worker worker(config_, options_.decoder);
  while (ReadBatch(worker)) {
    BatchResult result;
    DecodeBatch(worker, &result);
    if (worker.observer.full()) HandOn(worker.observer);
    Deliver(worker.batch.sequence, std::move(result));
  }
  HandOn(worker.observer);
  std::lock_guard lock(result_mutex_);
  summary_.odd += worker.decoder.counters().odd_events;
}

void Scan::Quarantine(const DecodeOutcome& outcome, std::string_view text,
                      size_t text_offset, uint64_t line, BatchResult* result) {
  const TextPosition at = PositionOf(text, outcome.error_offset);
  const size_t end = std::min(outcome.quarantine_end, text.size());
  const size_t begin = std::min(outcome.quarantine_begin, end);
  result->quarantined.push_back({text_offset + begin, outcome.error_offset,
                                 std::string(text.substr(begin, end - begin)),
                                 outcome.reason, outcome.message,
                                 line + at.line - 1, at.column});
}

void Scan::DecodeLines(Worker& worker, EventCallback on_event,
                       BatchResult* result) {
  const std::string_view bytes = worker.batch.bytes.view();
  size_t begin = 0;
  while (begin < bytes.size()) {
    if (const size_t size =
            worker.decoder.DecodeFastLine(bytes.substr(begin), on_event)) {
      ++result->lines;
      begin += size + 1;
      continue;
    }
    const size_t newline = bytes.find('\n', begin);
    const size_t end =
        newline == std::string_view::npos ? bytes.size() : newline;
    const std::string_view line = bytes.substr(begin, end - begin);
    const DecodeOutcome outcome = worker.decoder.DecodeLine(line, on_event);
    result->skipped += outcome.skipped;
    if (outcome.reason != QuarantineReason::kNone) {
      Quarantine(outcome, line, begin, result->lines, result);
    }
    ++result->lines;
    begin = end + 1;
  }
}

void Scan::DecodeBatch(Worker& worker, BatchResult* result) {
  const Batch& batch = worker.batch;
  result->begin = batch.begin;
  result->first_of_input = batch.first_of_input;
  result->last_of_input = batch.last_of_input;
  result->input_bytes = batch.input_bytes;
  const auto on_event = [&](const EventView& event) {
    const EventTime time = event.time();
    if (time < options_.since || time >= options_.until) {
      ++result->outside;
      return;
    }
    ++result->events;
    worker.observer.Observe(event, worker.cluster);
  };
  const std::string_view bytes = batch.bytes.view();
  if (batch.framing == BatchFraming::kLines) {
    DecodeLines(worker, on_event, result);
  } else {
    const DecodeOutcome outcome =
        batch.framing == BatchFraming::kDocument
            ? worker.decoder.DecodeDocument(bytes, on_event)
            : worker.decoder.DecodeOversize(
                  bytes.substr(0, batch.oversize_head_bytes),
                  bytes.substr(batch.oversize_head_bytes),
                  batch.oversize_line_bytes, on_event);
    result->skipped += outcome.skipped;
    if (outcome.reason != QuarantineReason::kNone) {
      Quarantine(outcome, bytes, 0, 0, result);
    }
    result->lines += batch.framing == BatchFraming::kOversize
                         ? 1
                         : static_cast<uint64_t>(
                               std::count(bytes.begin(), bytes.end(), '\n'));
  }
  // No line goes on from one batch to the next (BatchFramer).
  const DecodeOutcome unjoined = worker.decoder.FinishStream();
  if (unjoined.reason != QuarantineReason::kNone) {
    Quarantine(unjoined, {}, bytes.size(), result->lines, result);
  }
  if (progress_ != nullptr) {
    progress_->bytes.fetch_add(batch.input_bytes, std::memory_order_relaxed);
    progress_->events.fetch_add(result->events, std::memory_order_relaxed);
  }
}

void Scan::Deliver(uint64_t sequence, BatchResult&& result) {
  std::lock_guard lock(result_mutex_);
  waiting_.emplace(sequence, std::move(result));
  while (!waiting_.empty() && waiting_.begin()->first == next_sequence_) {
    Report(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    ++next_sequence_;
  }
}

void Scan::Report(const BatchResult& result) {
  if (result.first_of_input) {
    ++summary_.inputs;
    input_lines_ = input_events_ = input_bytes_ = input_quarantined_ = 0;
  }
  for (const BatchResult::Quarantined& q : result.quarantined) {
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
  summary_.lines += result.lines;
  summary_.events += result.events;
  summary_.skipped += result.skipped + result.outside;
  input_lines_ += result.lines;
  input_events_ += result.events + result.outside;
  input_bytes_ += result.input_bytes;
  input_quarantined_ += result.quarantined.size();
  if (!result.last_of_input) return;
  if (input_events_ == 0 && input_quarantined_ > 0) {
    ++summary_.unreadable_inputs;
  }
  if (input_bytes_ == 0 && callbacks_.on_problem) {
    callbacks_.on_problem({inputs_[result.begin.input].path, 0,
                           "is empty; is audit logging on, and was the log "
                           "rotated away?",
                           /*lost=*/false});
  }
}

void Tally(const Alert& alert, ScanSummary* summary) {
  ++summary->alerts_by_detector[alert.detector];
  ++summary->alerts_by_severity[std::string(SeverityName(alert.severity))];
}

absl::Status Scan::Run() {
  size_t threads = options_.threads > 0
                       ? static_cast<size_t>(options_.threads)
                       : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> workers;
  for (size_t i = 1; i < threads; ++i) workers.emplace_back([this] { Work(); });
  Work();
  for (std::thread& worker : workers) worker.join();
  summary_.requests -= pairs_.pairs();
  if (!status_.ok() || callbacks_.on_observations) return status_;
  summary_.observations = verdict_.observations();
  absl::Status status = verdict_.Conclude([&](const Alert& alert) {
    Tally(alert, &summary_);
    if (callbacks_.on_alert) callbacks_.on_alert(alert);
  });
  summary_.evicted = verdict_.evicted();
  return status;
}

absl::Status Submit(Observations&& observations, Verdict* verdict,
                    ScanSummary* summary) {
  for (const Fact& fact : observations.facts) {
    AddFact(fact, summary);
    summary->events += fact.events;
  }
  return verdict->Add(std::move(observations));
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
  Verdict verdict(config);
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
        Submit(std::exchange(held, Observations()), &verdict, summary));
  }
  status.Update(Submit(std::move(held), &verdict, summary));
  if (!status.ok()) return status;
  summary->observations = verdict.observations();
  status = verdict.Conclude([&](const Alert& alert) {
    Tally(alert, summary);
    if (callbacks.on_alert) callbacks.on_alert(alert);
  });
  summary->evicted = verdict.evicted();
  return status;
}

}  // namespace klaxon
