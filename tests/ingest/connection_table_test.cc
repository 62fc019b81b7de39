#include "ingest/connection_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

using Verdict = ConnectionTable::Verdict;

IpAddress Peer(const std::string& text) { return *IpAddress::Parse(text); }

TEST(ConnectionTable, FullTableGivesUpTheOldestFreshOne) {
  ConnectionTable table({.connections_max = 2, .peer_connections_max = 10});
  table.Admit(1, Peer("10.0.0.1"));
  table.Admit(2, Peer("10.0.0.2"));
  const auto admission = table.Admit(3, Peer("10.0.0.3"));
  EXPECT_EQ(admission.verdict, Verdict::kAdmitted);
  EXPECT_EQ(admission.evicted, 1u);
  EXPECT_EQ(table.size(), 2u);
}

TEST(ConnectionTable, FreshGoesBeforeIdleAndBusyNever) {
  ConnectionTable table({.connections_max = 3, .peer_connections_max = 10});
  table.Admit(1, Peer("10.0.0.1"));
  table.SetUse(1, ConnectionUse::kIdle);
  table.Admit(2, Peer("10.0.0.2"));
  table.SetUse(2, ConnectionUse::kBusy);
  table.Admit(3, Peer("10.0.0.3"));
  EXPECT_EQ(table.Admit(4, Peer("10.0.0.4")).evicted, 3u);
  table.SetUse(4, ConnectionUse::kBusy);
  EXPECT_EQ(table.Admit(5, Peer("10.0.0.5")).evicted, 1u);
  table.SetUse(5, ConnectionUse::kBusy);
  const auto admission = table.Admit(6, Peer("10.0.0.6"));
  EXPECT_EQ(admission.verdict, Verdict::kRefusedInAll);
  EXPECT_EQ(admission.evicted, std::nullopt);
}

TEST(ConnectionTable, PeerAtItsLimitPushesOutOnlyItself) {
  ConnectionTable table({.connections_max = 10, .peer_connections_max = 2});
  table.Admit(1, Peer("10.0.0.1"));
  table.Admit(2, Peer("10.0.0.2"));
  table.Admit(3, Peer("10.0.0.2"));
  EXPECT_EQ(table.Admit(4, Peer("10.0.0.2")).evicted, 2u);
  table.SetUse(3, ConnectionUse::kBusy);
  table.SetUse(4, ConnectionUse::kBusy);
  EXPECT_EQ(table.Admit(5, Peer("10.0.0.2")).verdict, Verdict::kRefusedForPeer);
  EXPECT_EQ(table.Admit(6, Peer("10.0.0.1")).verdict, Verdict::kAdmitted);
}

TEST(ConnectionTable, AnIpv6PeerIsItsSlash64) {
  ConnectionTable table({.connections_max = 10, .peer_connections_max = 1});
  table.Admit(1, Peer("2001:db8::1"));
  EXPECT_EQ(table.Admit(2, Peer("2001:db8::ffff:1")).evicted, 1u);
  EXPECT_EQ(table.Admit(3, Peer("2001:db8:0:1::1")).evicted, std::nullopt);
  EXPECT_EQ(table.peers(), 2u);
}

// The same rules, by a look through a list.
class SlowTable {
 public:
  SlowTable(size_t all, size_t peer) : all_(all), peer_(peer) {}
  ConnectionTable::Admission Admit(uint64_t id, const std::string& peer) {
    ConnectionTable::Admission admission;
    const auto count = std::count_if(list_.begin(), list_.end(),
                                     [&](auto& e) { return e.peer == peer; });
    if (static_cast<size_t>(count) >= peer_) {
      admission.evicted = First(peer);
      if (!admission.evicted) admission.verdict = Verdict::kRefusedForPeer;
    } else if (list_.size() >= all_) {
      admission.evicted = First("");
      if (!admission.evicted) admission.verdict = Verdict::kRefusedInAll;
    }
    if (admission.evicted) Remove(*admission.evicted);
    if (admission.verdict == Verdict::kAdmitted) {
      list_.push_back({id, peer, ConnectionUse::kFresh});
    }
    return admission;
  }
  // To the back: the list is in order of the last change.
  void SetUse(uint64_t id, ConnectionUse use) {
    for (size_t at = 0; at < list_.size(); ++at) {
      if (list_[at].id != id) continue;
      Entry entry = list_[at];
      entry.use = use;
      list_.erase(list_.begin() + static_cast<ptrdiff_t>(at));
      list_.push_back(entry);
      return;
    }
  }
  void Remove(uint64_t id) {
    std::erase_if(list_, [&](auto& e) { return e.id == id; });
  }
  std::optional<uint64_t> First(const std::string& peer) const {
    for (const ConnectionUse use :
         {ConnectionUse::kFresh, ConnectionUse::kIdle}) {
      for (const Entry& entry : list_) {
        if (entry.use == use && (peer.empty() || entry.peer == peer)) {
          return entry.id;
        }
      }
    }
    return std::nullopt;
  }
  size_t size() const { return list_.size(); }

 private:
  struct Entry {
    uint64_t id;
    std::string peer;
    ConnectionUse use;
  };
  size_t all_;
  size_t peer_;
  std::vector<Entry> list_;
};

TEST(ConnectionTable, DoesWhatTheSlowOneDoes) {
  std::mt19937_64 random(RandomSeed());
  SCOPED_TRACE("KLAXON_TEST_SEED=" + std::to_string(RandomSeed()));
  ConnectionTable table({.connections_max = 20, .peer_connections_max = 6});
  SlowTable slow(20, 6);
  uint64_t ids = 0;
  for (int step = 0; step < 20000; ++step) {
    const uint64_t id = ids == 0 ? 0 : ids - random() % std::min(ids, 30ul);
    switch (random() % 5) {
      case 0:
      case 1: {
        const std::string peer = "10.0.0." + std::to_string(random() % 7);
        ++ids;
        const auto got = table.Admit(ids, Peer(peer));
        const auto want = slow.Admit(ids, peer);
        ASSERT_EQ(got.verdict, want.verdict) << step;
        ASSERT_EQ(got.evicted, want.evicted) << step;
        break;
      }
      case 2:
      case 3: {
        const auto use = static_cast<ConnectionUse>(random() % 3);
        table.SetUse(id, use);
        slow.SetUse(id, use);
        break;
      }
      default:
        if (random() % 8 == 0) {
          const auto want = slow.First("");
          ASSERT_EQ(table.EvictOne(), want) << step;
          if (want) slow.Remove(*want);
        } else {
          table.Remove(id);
          slow.Remove(id);
        }
    }
    ASSERT_EQ(table.size(), slow.size()) << step;
  }
}

}  // namespace
}  // namespace klaxon
