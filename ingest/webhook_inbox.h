// What the webhook receiver remembers: bodies that wait to be read, to be
// durable, to come again. Knows no socket and no clock of its own.
//
// Thread-safe: one mutex, held for short; a responder is never called under
// it. Bounded by the options, whatever the clients do.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ingest/live_source.h"
#include "ingest/webhook_pace.h"
#include "ingest/webhook_source.h"

namespace klaxon {

class WebhookInbox {
 public:
  // Of `options`, all but `http` and `clients`.
  explicit WebhookInbox(WebhookOptions options);

  void Open(std::span<const LaneResume> resume_from);
  // The server's side. Begin for a head that is in order: an answer refuses
  // it. Then Receive or Abort, exactly once.
  std::optional<HttpResponse> Begin(const HttpRequest& request,
                                    const WebhookTarget& target);
  void Receive(HttpRequest&& request, HttpResponder responder);
  void Abort(HttpRequest&& request, int status);
  // One that was refused before Begin.
  void CountRefusedHead();

  // The engine's side: as LiveSource.
  absl::Status Read(absl::Duration timeout, std::span<const std::string> held,
                    LiveBatch& batch);
  absl::Status Commit(std::string_view lane, std::string_view resume);
  std::vector<LaneState> Lanes() const;
  void Interrupt();

  // Answers 503 to whatever waits; takes nothing more.
  void Close();
  WebhookCounters counters() const;

 private:
  // A body on its way to be durable, or a gap.
  struct Item {
    uint64_t token = 0;
    std::string lane;
    std::string key;  // Of the body, see KeyOf; empty: a gap.
    std::string digest;
    std::string body;
    uint64_t bytes = 0;  // Of the body, also when it was handed on.
    std::vector<HttpResponder> responders;  // The first copy's, and repeats'.
    std::vector<Gap> gaps;
    // Newer ones of its lane came before it: until it is read, event time
    // stands where it did while it was waited for.
    std::optional<uint64_t> hold_after;
  };
  struct Lane {
    std::string cluster;
    uint64_t newest_token = 0;  // Of what was accepted.
    size_t waiting_bodies = 0;
    size_t waiting_bytes = 0;
    std::deque<std::unique_ptr<Item>> handed_on;
    absl::Time last_used;
    absl::Time startup_hold_until = absl::InfinitePast();
    uint64_t startup_token = 0;
    // Since then it holds event time, and no body came whole.
    mutable absl::Time held_since;
  };
  struct Receiving {
    std::string lane;
    std::string path;
    uint64_t hold_after = 0;
  };
  // A body that was refused or broke off, and has to come again.
  struct Failed {
    std::string lane;
    std::string path;
    std::optional<uint64_t> length;  // As announced, or of the whole body.
    size_t prefix_bytes = 0;         // What was read of it,
    std::string prefix_digest;       // and that part's SHA-256.
    int status = 0;
    uint64_t hold_after = 0;
    absl::Time expires;
  };
  using FailedList = std::list<Failed>;

  Lane* FindOrMakeLane(const std::string& name, const WebhookTarget& target);
  bool MakeRoomForLane(absl::Time now);
  Receiving EndReceiving(uint64_t request);
  // `digest`: of `body`, which is what was read of it.
  void AddFailed(const Receiving& receiving, std::string_view body,
                 std::string digest, std::optional<uint64_t> length,
                 int status);
  // Takes out what `body`, as far as it was read, is a further try of; the
  // least of their hold_after and `hold_after`.
  uint64_t TakeEarlierTries(std::string_view path, std::string_view body,
                            std::optional<uint64_t> length,
                            uint64_t hold_after);
  // Whether one more body of so many bytes has to be refused.
  bool IsFull(uint64_t bytes, absl::Time now) const;
  // `hold_after`: where the lane stood when this body was first begun.
  void Enqueue(const Receiving& receiving, uint64_t hold_after, std::string key,
               std::string digest, std::string body, HttpResponder responder);
  void ExpireFailed(absl::Time now);
  void ReportNotResent(const Failed& failed);
  void Remember(std::string key, absl::Time now);
  void ForgetOldDigests(absl::Time now);
  std::unique_ptr<Item> TakeFirst(std::span<const std::string> held);
  bool HasReadable(std::span<const std::string> held) const;
  void HandOn(std::unique_ptr<Item> item, LiveBatch& batch);
  bool IsOutstanding(const std::string& lane) const;

  const WebhookOptions options_;
  mutable std::mutex mutex_;  // Guards all below.
  std::condition_variable readable_;
  bool interrupted_ = false;
  bool closed_ = false;
  uint64_t tokens_ = 0;  // Over all lanes: a lane that comes back goes on.
  std::map<std::string, Lane, std::less<>> lanes_;
  std::unordered_map<uint64_t, Receiving> receiving_;
  FailedList failed_;  // By the time of their failure.
  std::deque<std::unique_ptr<Item>> queue_;
  std::unordered_map<std::string, Item*> in_flight_;      // By key.
  std::unordered_map<std::string, absl::Time> accepted_;  // By key.
  std::deque<std::pair<absl::Time, std::string>> accepted_order_;
  std::map<uint64_t, absl::Time> in_flight_since_;  // By token.
  WebhookCounters counters_;
  uint64_t waiting_cost_ = 0;  // Of the queue.
  WebhookPace pace_;
};

}  // namespace klaxon
