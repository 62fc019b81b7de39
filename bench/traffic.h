// The audit log of the invented cluster, one event after the other, as
// kube-apiserver would write it: in order of stage time, long-running requests
// with both their stages.
//
// A function of (kind, options, seed). Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "bench/bodies.h"
#include "bench/cluster.h"
#include "bench/random.h"

namespace klaxon {

enum class TrafficKind {
  kMetadata,      // Ordinary events at level Metadata.
  kMixed,         // About a third of them with bodies.
  kUnauthorized,  // Every line is a 401.
  kHostile,       // kMetadata, and many clients that are refused.
  kFlood,         // Every minute one 401 of each of many clients.
};

struct TrafficOptions {
  TrafficKind kind = TrafficKind::kMetadata;
  uint64_t bytes = 0;  // Aim; the last event and unborn clients exceed it.
  uint32_t hostile_clients = 1'000'000;  // kHostile and kFlood.
  uint64_t seed = 1;
};

// What was generated: a reader's answers are checked against it.
struct TrafficTruth {
  uint64_t bytes = 0;
  uint64_t events = 0;
  uint64_t requests = 0;         // Both stages of a watch are one request.
  uint64_t unauthenticated = 0;  // 401 without a username.
  uint64_t anonymous = 0;        // system:anonymous, let in or not.
  uint64_t with_bodies = 0;
  uint64_t hostile_clients = 0;  // Distinct ones born so far.
};

class Traffic {
 public:
  explicit Traffic(const TrafficOptions& options);

  // Appends the next event, with its newline. False: all was generated.
  bool AppendNext(std::string* out);
  const TrafficTruth& truth() const { return truth_; }

 private:
  // The changing parts of an event; views into cluster_, exchanges_ or the
  // scratch strings below.
  struct Event {
    std::string_view level = "Metadata";
    std::string_view stage = "ResponseComplete";
    std::string_view uri;
    std::string_view verb;
    std::string_view user_json = "{}";
    std::string_view impersonated_json;
    std::string_view sources_json;
    std::string_view user_agent;
    std::string_view ref_json;
    std::string_view status_json;
    std::string_view request;
    std::string_view response;
    std::string_view annotations_json;
  };
  // A watch that is open: its text waits for the end to be told.
  struct Open {
    uint64_t end_us = 0;
    std::string text;  // The event as it was at ResponseStarted.
    size_t stage_at = 0;
    size_t stage_time_at = 0;
    bool operator>(const Open& other) const { return end_us > other.end_us; }
  };

  void Write(const Event& event, std::string* out);
  void AppendTime(uint64_t time_us, std::string* out);
  void StartLongRunning(Event event, uint64_t seconds_max, std::string* out);
  void EndLongRunning(std::string* out);

  void Ordinary(std::string* out);
  void KubeletLease(std::string* out);
  void LeaderLease(std::string* out);
  void Watch(std::string* out);
  void AccountRead(std::string* out);
  void PersonRead(std::string* out);
  void Exec(Event event, std::string* out);
  void Discovery(std::string* out);
  void WithBodies(std::string* out);
  void Probe(std::string* out);

  // A refused request without credentials (or with broken ones).
  void Unauthenticated(std::string_view client, std::string* out);
  void AnonymousDenied(std::string_view client, std::string* out);
  void Attack(std::string* out);
  void Hostile(std::string* out);
  void UnauthorizedOnly(std::string* out);
  void Flood(std::string* out);
  std::string NextHostileClient();

  const TrafficOptions options_;
  Random random_;
  const Cluster cluster_;
  std::vector<Exchange> exchanges_;
  uint64_t now_us_;
  uint64_t resource_version_ = 184467440;
  uint32_t attempts_left_ = 0;  // Of the attack that is under way.
  std::string attacker_;
  std::deque<std::string> recent_hostile_;
  std::priority_queue<Open, std::vector<Open>, std::greater<Open>> open_;
  uint64_t second_cached_ = 0;
  std::string second_text_;  // "2026-06-09T10:11:12" of second_cached_.
  size_t stage_at_ = 0;      // Of the event written last.
  size_t stage_time_at_ = 0;
  TrafficTruth truth_;
  std::string uri_, ref_, sources_, status_, annotations_;  // Scratch.
};

}  // namespace klaxon
