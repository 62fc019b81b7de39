// Which connections a server keeps when there are too many: a limit in all and
// one for each peer (an IPv4 address, the /64 of an IPv6 one).
//
// A new connection at a limit costs an old one its place, and the choice is
// made so that a flood pushes out only itself: first the oldest that has not
// shown any request that was let in (in handshake, dripping a header, silent),
// then the one that has been idle between requests for longest. One that is
// being served is never given up; where there is no other, the newcomer is
// refused.
//
// Not thread-safe: belongs to the server's one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "event/address.h"

namespace klaxon {

enum class ConnectionUse : uint8_t {
  kFresh,  // Has not yet shown a request that was let in.
  kBusy,   // Sends its body, waits for its answer or reads it.
  kIdle,   // Between two requests.
};

class ConnectionTable {
 public:
  struct Options {
    size_t connections_max = 2560;
    size_t peer_connections_max = 256;
  };
  enum class Verdict : uint8_t { kAdmitted, kRefusedInAll, kRefusedForPeer };
  struct Admission {
    Verdict verdict = Verdict::kAdmitted;
    // To be closed, and already out of the table.
    std::optional<uint64_t> evicted;
  };

  explicit ConnectionTable(Options options) : options_(options) {}
  // For connections to come.
  void SetLimits(Options options) { options_ = options; }

  // `id` is new. Admitted as kFresh.
  Admission Admit(uint64_t id, const IpAddress& peer);
  // Unknown ids are ignored.
  void SetUse(uint64_t id, ConnectionUse use);
  void Remove(uint64_t id);
  // Makes room for a file descriptor: removes and names what would go next.
  std::optional<uint64_t> EvictOne();

  size_t size() const { return entries_.size(); }
  size_t peers() const { return peers_.size(); }

 private:
  // (when it came to be so, id): the first is the one that goes first.
  using Order = std::set<std::pair<uint64_t, uint64_t>>;
  struct Candidates {
    Order fresh;
    Order idle;
  };
  struct Peer {
    size_t connections = 0;
    Candidates candidates;
  };
  struct Entry {
    std::string peer;
    ConnectionUse use = ConnectionUse::kFresh;
    uint64_t since = 0;
  };

  static std::optional<uint64_t> First(const Candidates& candidates);
  static Order* ListOf(Candidates* candidates, ConnectionUse use);
  void Link(uint64_t id, const Entry& entry);
  void Unlink(uint64_t id, const Entry& entry);

  Options options_;
  uint64_t steps_ = 0;  // Orders events; no clock is needed.
  std::unordered_map<uint64_t, Entry> entries_;
  std::map<std::string, Peer, std::less<>> peers_;
  Candidates candidates_;
};

}  // namespace klaxon
