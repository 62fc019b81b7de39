#include "event/networks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Networks WithProxies() {
  Networks networks;
  networks.trusted_proxies =
      CidrSet({*Cidr::Parse("10.0.0.10"), *Cidr::Parse("2001:db8::/64")});
  return networks;
}

ClientInfo Resolve(std::vector<std::string_view> source_ips,
                   const Networks& networks = WithProxies()) {
  return ResolveClient(source_ips, networks);
}

TEST(ResolveClient, TakesTheLastThatIsNoTrustedProxy) {
  struct Case {
    std::vector<std::string_view> source_ips;
    const char* client;
    bool known, internal, trusted_proxy;
    size_t claimed;
  };
  const Case cases[] = {
      {{}, "unknown", false, false, false, 0},
      {{"203.0.113.9"}, "203.0.113.9", true, false, false, 0},
      {{"192.168.3.4"}, "192.168.3.4", true, true, false, 0},
      {{"100.64.0.1"}, "100.64.0.1", true, true, false, 0},
      {{"169.254.0.1"}, "169.254.0.1", true, true, false, 0},
      {{"fd00::1"}, "fd00::1", true, true, false, 0},
      {{"::1"}, "::1", true, true, false, 0},
      {{"::ffff:203.0.113.9"}, "203.0.113.9", true, false, false, 0},
      {{"1.1.1.1", "203.0.113.9"}, "203.0.113.9", true, false, false, 1},
      {{"203.0.113.9", "10.0.0.10"}, "203.0.113.9", true, false, false, 0},
      {{"1.1.1.1", "203.0.113.9", "10.0.0.10"},
       "203.0.113.9",
       true,
       false,
       false,
       1},
      {{"203.0.113.9", "2001:db8::7", "10.0.0.10"},
       "203.0.113.9",
       true,
       false,
       false,
       0},
      // All are trusted: the leftmost.
      {{"2001:db8::7", "10.0.0.10"}, "2001:db8::7", true, false, true, 0},
      {{"10.0.0.10"}, "10.0.0.10", true, true, true, 0},
      // What is no address ends the walk.
      {{"gce-internal-ip"}, "unknown", false, false, false, 0},
      {{"203.0.113.9", "gce-internal-ip"}, "unknown", false, false, false, 1},
      {{"203.0.113.9", "junk", "10.0.0.10"}, "unknown", false, false, false, 1},
      {{"junk", "203.0.113.9"}, "203.0.113.9", true, false, false, 1},
  };
  for (const Case& c : cases) {
    const ClientInfo info = Resolve(c.source_ips);
    SCOPED_TRACE(::testing::PrintToString(c.source_ips));
    EXPECT_EQ(info.client, c.client);
    EXPECT_EQ(info.known, c.known);
    EXPECT_EQ(info.internal, c.internal);
    EXPECT_EQ(info.external, c.known && !c.internal);
    EXPECT_EQ(info.trusted_proxy, c.trusted_proxy);
    EXPECT_EQ(info.claimed.size(), c.claimed);
  }
}

TEST(ResolveClient, ThePeerIsTheLastElement) {
  EXPECT_FALSE(Resolve({}).peer_known);
  EXPECT_FALSE(Resolve({"10.0.0.1", "junk"}).peer_known);
  EXPECT_TRUE(Resolve({"junk", "10.0.0.1"}).peer_known);
  EXPECT_TRUE(Resolve({"10.0.0.1", "127.0.0.1"}).peer_loopback);
  EXPECT_TRUE(Resolve({"10.0.0.1", "::1"}).peer_loopback);
  // `kubectl proxy`: loopback is claimed, the peer is the workstation.
  EXPECT_FALSE(Resolve({"127.0.0.1", "10.0.0.1"}).peer_loopback);
  EXPECT_FALSE(Resolve({"junk"}).peer_loopback);
}

TEST(ResolveClient, KeepsTheNearestClaimsAsWritten) {
  std::vector<std::string> many;
  for (int i = 0; i < 1000; ++i) many.push_back("1.1.1." + std::to_string(i));
  many.push_back("203.0.113.9");
  const std::vector<std::string_view> views(many.begin(), many.end());
  EXPECT_THAT(Resolve(views).claimed,
              ElementsAre("1.1.1.992", "1.1.1.993", "1.1.1.994", "1.1.1.995",
                          "1.1.1.996", "1.1.1.997", "1.1.1.998", "1.1.1.999"));
  EXPECT_THAT(Resolve({"::FFFF:1.2.3.4", "203.0.113.9"}).claimed,
              ElementsAre("::FFFF:1.2.3.4"));
  EXPECT_THAT(Resolve({"203.0.113.9"}).claimed, IsEmpty());
}

TEST(ResolveClient, CutsLongClaimsBetweenCharacters) {
  const std::string ascii(1 << 20, 'x');
  EXPECT_EQ(Resolve({ascii, "203.0.113.9"}).claimed[0], std::string(64, 'x'));
  std::string accents(63, 'x');
  for (int i = 0; i < 20; ++i) accents += "é";
  EXPECT_EQ(Resolve({accents, "203.0.113.9"}).claimed[0], std::string(63, 'x'));
  // Continuation bytes without end are cut all the same.
  const std::string broken(100, '\x80');
  EXPECT_GE(Resolve({broken, "203.0.113.9"}).claimed[0].size(), 60u);
  EXPECT_LE(Resolve({broken, "203.0.113.9"}).claimed[0].size(), 64u);
}

// Whatever a client writes in front, it never becomes the client nor changes
// what is decided.
TEST(ResolveClient, PrefixesNeverChangeTheClient) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const std::string_view words[] = {"203.0.113.9", "10.0.0.10", "127.0.0.1",
                                    "2001:db8::7", "junk",      "",
                                    "192.168.1.1", "::1"};
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::string_view> honest;
    for (uint64_t n = 1 + random() % 3; n > 0; --n) {
      honest.push_back(words[random() % std::size(words)]);
    }
    const ClientInfo plain = Resolve(honest);
    if (plain.trusted_proxy) continue;  // Then a prefix is believed.
    std::vector<std::string_view> forged = honest;
    for (uint64_t n = random() % 4; n > 0; --n) {
      forged.insert(forged.begin(), words[random() % std::size(words)]);
    }
    const ClientInfo other = Resolve(forged);
    ASSERT_EQ(other.client, plain.client);
    ASSERT_EQ(other.internal, plain.internal);
    ASSERT_EQ(other.external, plain.external);
    ASSERT_EQ(other.peer_known, plain.peer_known);
    ASSERT_EQ(other.peer_loopback, plain.peer_loopback);
  }
}

TEST(Networks, InternalCanBeReplacedButLoopbackStays) {
  Networks networks;
  networks.internal = CidrSet({*Cidr::Parse("198.51.100.0/24")});
  EXPECT_TRUE(networks.IsInternal(*IpAddress::Parse("198.51.100.7")));
  EXPECT_FALSE(networks.IsInternal(*IpAddress::Parse("10.0.0.1")));
  EXPECT_TRUE(networks.IsInternal(*IpAddress::Parse("127.0.0.1")));
  EXPECT_TRUE(networks.IsInternal(*IpAddress::Parse("fe80::1")));
}

}  // namespace
}  // namespace klaxon
