#include "event/request_hash.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>

#include "event/wire.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

// As its comment says it, by another of OpenSSL's ways.
std::array<uint8_t, 16> Model(const EventView& event, EventTime stamp) {
  std::string bytes;
  WireWriter w(&bytes);
  w.Text(event.audit_id);
  w.Int(stamp);
  w.Text(event.verb);
  w.Text(event.request_uri);
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  EXPECT_EQ(EVP_Digest(bytes.data(), bytes.size(), hash.data(), nullptr,
                       EVP_sha256(), nullptr),
            1);
  std::array<uint8_t, 16> out{};
  std::copy_n(hash.begin(), out.size(), out.begin());
  return out;
}

TEST(RequestHasher, GivesTheSha256OfWhatMakesARequest) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  RequestHasher hasher;
  for (int round = 0; round < 300; ++round) {
    // Of less than a block, of several, and about each edge.
    const std::string audit_id(random() % 40, 'a');
    const std::string uri(random() % 200, 'u');
    EventView event;
    event.audit_id = audit_id;
    event.verb = "list";
    event.request_uri = uri;
    event.stage_time = static_cast<EventTime>(random() >> 2);
    const bool received = random() % 2 == 0;
    event.request_received_time =
        received ? static_cast<EventTime>(random() >> 2) : kNoTime;
    const auto want =
        Model(event, received ? event.request_received_time : event.stage_time);
    ASSERT_EQ(hasher.Hash(event), want);
    uint64_t head = 0;
    for (size_t i = 0; i < 8; ++i) head = head << 8 | want[i];
    ASSERT_EQ(hasher.Hash64(event), head);
  }
}

}  // namespace
}  // namespace klaxon
