#include "event/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

std::string Canonical(std::string_view text) {
  const std::optional<IpAddress> address = IpAddress::Parse(text);
  return address ? address->ToString() : "-";
}

TEST(IpAddress, ReadsWhatApiserversAndExportersPrint) {
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"203.0.113.9", "203.0.113.9"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"10.0.0.1:80", "10.0.0.1"},
      {"10.0.0.1:0", "10.0.0.1"},
      {"10.0.0.1:65535", "10.0.0.1"},
      {"::ffff:10.0.0.1", "10.0.0.1"},
      {"::ffff:a00:1", "10.0.0.1"},
      {"[::ffff:10.0.0.1]:443", "10.0.0.1"},
      {"::", "::"},
      {"::1", "::1"},
      {"[::1]", "::1"},
      {"[::1]:443", "::1"},
      {"fe80::1%eth0", "fe80::1"},
      {"[fe80::1%eth0]:6443", "fe80::1"},
      {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
      {"1::", "1::"},
      // Never the mixed form: Go prints it like this.
      {"::1.2.3.4", "::102:304"},
      {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
  };
  for (const Case& c : cases) EXPECT_EQ(Canonical(c.text), c.want) << c.text;
}

TEST(IpAddress, RefusesAllElse) {
  using std::string_view_literals::operator""sv;
  for (std::string_view text : {
           ""sv,
           "gce-internal-ip"sv,
           "unknown"sv,
           "localhost"sv,
           "1.2.3"sv,
           "1.2.3.4.5"sv,
           "1.2.3.256"sv,
           "1.2.3.0004"sv,
           "010.0.0.1"sv,
           "1.2.3.4 "sv,
           " 1.2.3.4"sv,
           "1..3.4"sv,
           "1.2.3.-4"sv,
           "1.2.3.4%eth0"sv,
           "1.2.3.4:"sv,
           "1.2.3.4:65536"sv,
           "1.2.3.4:080"sv,
           "1.2.3.4:+80"sv,
           "[1.2.3.4]:80"sv,
           "[::1"sv,
           "[::1]443"sv,
           "[::1]:"sv,
           "[]"sv,
           "::1]"sv,
           ":::"sv,
           "1:2:3:4:5:6:7:8:9"sv,
           "12345::"sv,
           "fe80::1%"sv,
           "::1\0"sv,
           "::1\0junk"sv,
           "1.2.3.4\0"sv,
           "10.0.0.0/8"sv,
           "@10.0.0.1"sv,
       }) {
    EXPECT_EQ(Canonical(text), "-") << text;
  }
  EXPECT_EQ(Canonical("fe80::1%" + std::string(1 << 20, 'x')), "-");
}

TEST(IpAddress, KnowsItsClasses) {
  struct Case {
    const char* text;
    bool v4, loopback, link_local;
  };
  const Case cases[] = {
      {"127.0.0.1", true, true, false},
      {"127.255.0.3", true, true, false},
      {"128.0.0.1", true, false, false},
      {"::1", false, true, false},
      {"::2", false, false, false},
      {"::", false, false, false},
      {"::ffff:127.0.0.1", true, true, false},
      {"169.254.169.254", true, false, true},
      {"169.255.0.1", true, false, false},
      {"fe80::1", false, false, true},
      {"febf::1", false, false, true},
      {"fec0::1", false, false, false},
  };
  for (const Case& c : cases) {
    const IpAddress address = *IpAddress::Parse(c.text);
    EXPECT_EQ(address.is_v4(), c.v4) << c.text;
    EXPECT_EQ(address.is_loopback(), c.loopback) << c.text;
    EXPECT_EQ(address.is_link_local(), c.link_local) << c.text;
  }
}

TEST(IpAddress, GivesItsPrefix) {
  EXPECT_EQ(IpAddress::Parse("2001:db8:0:1:a:b:c:d")->Prefix64(),
            "2001:db8:0:1::/64");
  EXPECT_EQ(IpAddress::Parse("2001:db8::1")->Prefix64(), "2001:db8::/64");
  EXPECT_EQ(IpAddress::Parse("::1")->Prefix64(), "::/64");
}

// Of random addresses, in canonical text and in what is nearly that.
TEST(IpAddress, GivesThePrefixOfATextAsThatOfTheAddress) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  constexpr std::string_view kAlphabet = "0019afAg:::.%/[ ";
  const auto slow = [](std::string_view text) {
    const auto address = IpAddress::Parse(text);
    return address && !address->is_v4() ? address->Prefix64() : "";
  };
  for (int i = 0; i < 200'000; ++i) {
    std::array<uint8_t, 16> bytes{};
    for (size_t word = 0; word < 8; ++word) {
      if (random() % 2) continue;
      bytes[2 * word] = static_cast<uint8_t>(random() % 3 ? random() : 0);
      bytes[2 * word + 1] = static_cast<uint8_t>(random() % 4 ? random() : 0);
    }
    if (random() % 8 == 0) {
      std::memset(bytes.data(), 0, 10);
      bytes[10] = bytes[11] = 0xff;
    }
    std::string text = IpAddress::FromBytes(bytes).ToString();
    ASSERT_EQ(IpAddress::Prefix64Of(text), slow(text)) << text;
    for (uint64_t changes = 1 + random() % 3; changes > 0; --changes) {
      const size_t at = random() % text.size();
      const char c = kAlphabet[random() % kAlphabet.size()];
      if (random() % 2) {
        text[at] = c;
      } else {
        text.insert(at, 1, c);
      }
    }
    ASSERT_EQ(IpAddress::Prefix64Of(text), slow(text)) << text;
  }
  EXPECT_EQ(IpAddress::Prefix64Of("unknown"), "");
  EXPECT_EQ(IpAddress::Prefix64Of(""), "");
}

// Random addresses with long runs of zeros, against inet_ntop and inet_pton.
TEST(IpAddress, AgreesWithTheSystemOnRandomAddresses) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100'000; ++i) {
    std::array<uint8_t, 16> bytes{};
    for (size_t word = 0; word < 8; ++word) {
      if (random() % 2) continue;
      bytes[2 * word] = static_cast<uint8_t>(random() % 3 ? random() : 0);
      bytes[2 * word + 1] = static_cast<uint8_t>(random());
    }
    if (random() % 4 == 0) {
      std::memset(bytes.data(), 0, 10);
      bytes[10] = bytes[11] = 0xff;
    }
    const IpAddress address = IpAddress::FromBytes(bytes);
    const std::string text = address.ToString();
    ASSERT_EQ(IpAddress::Parse(text), address) << text;
    char system[INET6_ADDRSTRLEN];
    if (address.is_v4()) {
      inet_ntop(AF_INET, bytes.data() + 12, system, sizeof(system));
    } else {
      inet_ntop(AF_INET6, bytes.data(), system, sizeof(system));
    }
    if (address.is_v4() || std::strchr(system, '.') == nullptr) {
      ASSERT_EQ(text, system);
    }
  }
}

TEST(IpAddress, NeverAcceptsWhatTheSystemRefuses) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  constexpr std::string_view kAlphabet = "0123459af:.";
  int accepted = 0;
  for (int i = 0; i < 300'000; ++i) {
    std::string text;
    for (uint64_t size = random() % 12; size > 0; --size) {
      text.push_back(kAlphabet[random() % kAlphabet.size()]);
    }
    unsigned char bytes[16];
    const bool system = inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
                        inet_pton(AF_INET6, text.c_str(), bytes) == 1;
    const bool with_port = text.find(':') == text.rfind(':') &&
                           text.find(':') != std::string::npos;
    const bool ours = IpAddress::Parse(text).has_value();
    if (!with_port) {
      ASSERT_EQ(ours, system) << text;
    }
    accepted += ours;
  }
  EXPECT_GT(accepted, 100);
}

TEST(Cidr, ReadsBlocksAndRefusesTypos) {
  struct Case {
    const char* text;
    const char* want;  // Null: refused.
  };
  const Case cases[] = {
      {"10.0.0.0/8", "10.0.0.0/8"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"::/0", "::/0"},
      {"fc00::/7", "fc00::/7"},
      {"192.0.2.1", "192.0.2.1/32"},
      {"2001:db8::1", "2001:db8::1/128"},
      {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
      {"10.0.0.1/8", nullptr},
      {"fc00::1/7", nullptr},
      {"10.0.0.0/33", nullptr},
      {"::/129", nullptr},
      {"10.0.0.0/", nullptr},
      {"10.0.0.0/-1", nullptr},
      {"10.0.0.0/+8", nullptr},
      {"10.0.0.0/08", nullptr},
      {"10.0.0.0/8 ", nullptr},
      {"10.0.0.0/8/8", nullptr},
      {"10.0.0.0/255.0.0.0", nullptr},
      {"10.0.0/8", nullptr},
      {"/8", nullptr},
      {"", nullptr},
      {"10.0.0.1:80/32", nullptr},
      {"[::1]/128", nullptr},
      {"fe80::1%eth0/64", nullptr},
  };
  for (const Case& c : cases) {
    const std::optional<Cidr> cidr = Cidr::Parse(c.text);
    ASSERT_EQ(cidr.has_value(), c.want != nullptr) << c.text;
    if (cidr) {
      EXPECT_EQ(cidr->ToString(), c.want);
    }
  }
}

// Bit by bit, by families.
bool ModelContains(const Cidr& cidr, const IpAddress& address) {
  if (cidr.base.is_v4() != address.is_v4()) return false;
  for (int bit = 0; bit < cidr.prefix_bits; ++bit) {
    const auto byte = static_cast<size_t>(bit / 8);
    const int mask = 0x80 >> (bit % 8);
    if ((cidr.base.bytes()[byte] & mask) != (address.bytes()[byte] & mask)) {
      return false;
    }
  }
  return true;
}

TEST(Cidr, ContainsWhatEveryBitSays) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  int inside = 0;
  for (int i = 0; i < 100'000; ++i) {
    const bool v4 = random() % 2;
    const int bits = static_cast<int>(random() % (v4 ? 33 : 129));
    std::array<uint8_t, 16> bytes;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    if (v4) {
      std::memset(bytes.data(), 0, 10);
      bytes[10] = bytes[11] = 0xff;
    }
    // An address that shares a random number of leading bits with the block.
    std::array<uint8_t, 16> other = bytes;
    const size_t flip = random() % 128;
    if (!v4 || flip >= 96) {
      other[flip / 8] ^= static_cast<uint8_t>(0x80 >> (flip % 8));
    }
    const int first_host_bit = v4 ? bits + 96 : bits;
    for (int bit = first_host_bit; bit < 128; ++bit) {
      bytes[static_cast<size_t>(bit / 8)] &=
          static_cast<uint8_t>(~(0x80 >> (bit % 8)));
    }
    const std::string text =
        IpAddress::FromBytes(bytes).ToString() + "/" + std::to_string(bits);
    const std::optional<Cidr> cidr = Cidr::Parse(text);
    ASSERT_TRUE(cidr) << text;
    const IpAddress address = IpAddress::FromBytes(other);
    ASSERT_EQ(cidr->Contains(address), ModelContains(*cidr, address))
        << text << " " << address.ToString();
    inside += cidr->Contains(address);
    ASSERT_EQ(Cidr::Parse(cidr->ToString()), cidr);
  }
  EXPECT_GT(inside, 1000);
}

TEST(CidrSet, EveryIpv6BlockLeavesIpv4Alone) {
  const CidrSet all_v6({*Cidr::Parse("::/0")});
  EXPECT_TRUE(all_v6.Contains(*IpAddress::Parse("2001:db8::1")));
  EXPECT_FALSE(all_v6.Contains(*IpAddress::Parse("10.0.0.1")));
  const CidrSet both({*Cidr::Parse("::/0"), *Cidr::Parse("10.0.0.0/8")});
  EXPECT_TRUE(both.Contains(*IpAddress::Parse("10.0.0.1")));
  EXPECT_FALSE(both.Contains(*IpAddress::Parse("11.0.0.1")));
  EXPECT_FALSE(CidrSet().Contains(*IpAddress::Parse("10.0.0.1")));
}

}  // namespace
}  // namespace klaxon
