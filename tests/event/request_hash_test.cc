#include "event/request_hash.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <string_view>

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
  }
}

// Processes of other versions and machines have to agree.
TEST(CountedHash, IsFixed) {
  EventView event;
  event.audit_id = "00000000-0000-4000-8000-000000000001";
  event.verb = "list";
  event.request_uri = "/api/v1/pods";
  event.request_received_time = 1767322800000001000;
  EXPECT_EQ(RequestHasher().CountedHash(event), 1785560761387802196U);
  event.stage_time = 7;
  EXPECT_EQ(RequestHasher().CountedHash(event), 1785560761387802196U)
      << "of any stage";
}

// Stamps that somebody cut can be foretold: requests of one fast hash can be
// made by the thousand.
TEST(CountedHash, IsSha256WhereTheStampWasCut) {
  RequestHasher hasher;
  EventView event;
  event.audit_id = "a";
  event.verb = "list";
  event.request_uri = "/api";
  for (const EventTime stamp :
       {EventTime{1767322800'000'000'000}, EventTime{1767322800'004'000'000}}) {
    event.request_received_time = stamp;
    uint64_t head = 0;
    const auto want = Model(event, stamp);
    for (size_t i = 0; i < 8; ++i) head = head << 8 | want[i];
    EXPECT_EQ(hasher.CountedHash(event), head);
    event.request_received_time = stamp + 1000;
    EXPECT_NE(hasher.CountedHash(event), head);
  }
}

// Everything that makes a request changes it, and what stands in which field.
TEST(CountedHash, DiffersWithEachField) {
  const auto of = [](std::string_view audit_id, EventTime received,
                     std::string_view verb, std::string_view uri) {
    EventView event;
    event.audit_id = audit_id;
    event.request_received_time = received;
    event.stage_time = 5;
    event.verb = verb;
    event.request_uri = uri;
    return RequestHasher().CountedHash(event);
  };
  const std::set<uint64_t> hashes = {
      of("a", 1, "get", "/"), of("b", 1, "get", "/"),  of("a", 2, "get", "/"),
      of("a", 1, "put", "/"), of("a", 1, "get", "/a"), of("", 1, "aget", "/"),
      of("aget", 1, "", "/"), of("a", 1, "get/", "")};
  EXPECT_EQ(hashes.size(), 8);
  EXPECT_EQ(of("a", kNoTime, "get", "/"), of("a", 5, "get", "/"));
}

}  // namespace
}  // namespace klaxon
