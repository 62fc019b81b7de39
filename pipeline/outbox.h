// Which alerts are still owed to which sink: the deterministic half of the
// outbox (the other is outbox_dispatcher.h).
//
// The judge's own: fed by what it emits and by the acknowledgements that the
// journal holds, and by nothing else, so that a restart knows the same. Every
// emitted revision gets the next sequence number; a replay gives it the same.
// An acknowledgement is applied when it is durable in the journal; that it
// comes twice, or on a replay before what it acknowledges, does no harm.
//
// Of every sink, at every moment,
//   raised = delivered + pending + dead + filtered + shed.
//
// Memory: the pending alerts, encoded, one copy for all sinks (a sink that is
// not required sheds what would exceed its budget; for one that is, Blocked()
// asks the intake to pause), and the dead letters up to a budget of their own.
//
// One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "detectors/alert.h"
#include "detectors/persistent.h"

namespace klaxon {

struct OutboxSinkOptions {
  std::string name;  // By it a sink is known over restarts and reloads.
  Severity min_severity = Severity::kInfo;
  std::vector<std::string> detectors = {};  // Empty: all.
  std::vector<std::string> clusters = {};   // Empty: all.
  // Rather no intake than an alert that it does not get.
  bool required = false;
  uint64_t pending_bytes_max = 64 << 20;
  uint64_t dead_bytes_max = 16 << 20;
  bool operator==(const OutboxSinkOptions&) const = default;
};

void Put(const OutboxSinkOptions& options, WireWriter* out);
bool Get(WireReader* in, OutboxSinkOptions* options);

// One alert revision on its way to a sink.
struct OutboxItem {
  uint64_t sequence = 0;
  std::string id;
  uint64_t revision = 0;
  std::shared_ptr<const std::string> alert;  // As EncodeTo made it.
};

// What became of it; a record of the journal.
struct OutboxAck {
  enum class Outcome : uint8_t { kDelivered, kRefused };
  std::string sink;
  uint64_t sequence = 0;
  std::string id;
  uint64_t revision = 0;
  Outcome outcome = Outcome::kDelivered;
  std::string reason;  // Of a refusal; at most kReasonBytesMax.
  bool operator==(const OutboxAck&) const = default;

  static constexpr size_t kReasonBytesMax = 512;
};
void Put(const OutboxAck& ack, WireWriter* out);
bool Get(WireReader* in, OutboxAck* ack);

// What a sink refused for good, or can no longer get.
struct DeadLetter {
  OutboxItem item;
  std::string reason;
};

struct OutboxCounts {
  uint64_t raised = 0;  // Since the sink is configured.
  uint64_t delivered = 0;
  uint64_t pending = 0;
  uint64_t dead = 0;
  uint64_t filtered = 0;
  uint64_t shed = 0;
  uint64_t pending_bytes = 0;
  // Of the dead: no longer kept, for want of room or because somebody said so.
  uint64_t dead_dropped = 0;
  bool operator==(const OutboxCounts&) const = default;
};

class OutboxLedger final : public Persistent {
 public:
  // The sinks from now on; REQUIRES: distinct names. A new one gets what is
  // emitted from now on. What one that is gone was still owed becomes its dead
  // letters; its counts stay, and go on if the name comes back.
  void Configure(const std::vector<OutboxSinkOptions>& sinks);

  // Returns the alert's sequence number, from 1.
  uint64_t Emit(const Alert& alert);

  // OK also for what is not owed (any more). DataLoss: the ledger knows another
  // alert under that number, so journal and state do not belong together.
  absl::Status Apply(const OutboxAck& ack);

  // A required sink has no room: read no further, until it has.
  bool Blocked() const;

  // What `sink` is owed with numbers above `after`, in order; about `bytes_max`
  // bytes of it, at least one if there is one.
  std::vector<OutboxItem> Pending(std::string_view sink, uint64_t after,
                                  uint64_t bytes_max) const;

  // Dead letters become pending again, with new numbers: a command of somebody,
  // so a record of the journal too. Returns how many.
  uint64_t RetryDeadLetters(std::string_view sink);
  // They are kept no longer; they still count as dead.
  uint64_t DropDeadLetters(std::string_view sink);

  std::vector<std::string> sinks() const;  // Those that are gone, too.
  bool configured(std::string_view sink) const;
  OutboxCounts counts(std::string_view sink) const;
  const std::deque<DeadLetter>& dead_letters(std::string_view sink) const;
  uint64_t raised() const { return raised_; }
  uint64_t next_sequence() const { return next_sequence_; }
  // All that is owed to any sink, in order.
  std::vector<OutboxItem> Owed() const;
  // The least number that `sink` is owed; next_sequence() if none is.
  uint64_t OldestPending(std::string_view sink) const;
  bool all_delivered() const { return entries_.empty(); }

  std::string_view name() const override { return "outbox"; }
  void Save(WireWriter* out) const override;
  bool Load(WireReader* in) override;

 private:
  struct Entry {
    OutboxItem item;
    uint64_t waiting = 0;  // Sinks that it is owed to.
  };
  struct SinkState {
    OutboxSinkOptions options;
    bool configured = false;
    OutboxCounts counts;
    std::set<uint64_t> pending;
    std::deque<DeadLetter> dead;  // By number.
    uint64_t dead_bytes = 0;
    // From the journal, before its alert: by number. Only on a replay.
    std::map<uint64_t, OutboxAck> early;
  };
  using SinkMap = std::map<std::string, SinkState, std::less<>>;

  static bool Wants(const SinkState& sink, const Alert& alert);
  void Owe(Entry* entry, SinkState* sink);
  // Takes `sequence` off what `sink` is owed; forgets it if nobody else is.
  // REQUIRES: it is.
  OutboxItem Settle(uint64_t sequence, SinkState* sink);
  void Bury(OutboxItem item, std::string_view reason, SinkState* sink);
  void ApplyEarly(uint64_t sequence, SinkState* sink);
  absl::Status Conclude(const OutboxAck& ack, SinkState* sink);
  void LoadSink(WireReader* in, SinkState* sink);

  SinkMap sinks_;
  std::map<uint64_t, Entry> entries_;  // By number; owed to somebody.
  uint64_t next_sequence_ = 1;
  uint64_t raised_ = 0;
};

}  // namespace klaxon
