#include "pipeline/observer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/decode.h"
#include "event/wire.h"
#include "tests/random_seed.h"
#include "tests/testing/audit_line.h"

namespace klaxon {
namespace {

template <typename OnEvent>
void Decode(const std::string& line, Decoder* decoder, OnEvent on_event) {
  const std::string padded = line + std::string(kDecodePadding, '\0');
  decoder->DecodeLine(std::string_view(padded).substr(0, line.size()),
                      on_event);
}

void ObserveLine(const std::string& line, Observer* observer) {
  Decoder decoder;
  Decode(line, &decoder,
         [&](const EventView& event) { observer->Observe(event, ""); });
}

std::vector<std::string> Encoded(const Observations& observations) {
  std::vector<std::string> all;
  const auto add = [&](const auto& values) {
    for (const auto& value : values) EncodeTo(value, &all.emplace_back());
  };
  add(observations.facts);
  add(observations.sightings);
  add(observations.refusals);
  add(observations.deeds);
  std::sort(all.begin(), all.end());
  return all;
}

// Failures and anonymous requests, of few clients or many, some twice.
std::string RandomLine(std::mt19937_64* random, Nanos at) {
  const uint64_t number = (*random)();
  AuditLine line;
  line.At(at);
  if (number % 4 == 0) {
    line.Anonymous().Code(403).Forbid();
  } else {
    line.Failed();
  }
  if (number % 16 == 1) line.Anonymous().Code(200).Allow();
  line.Agent(fmt::format("tool/{}", number / 16 % 3));
  if (number % 5 == 0) {
    line.Through({"198.51.100.7", fmt::format("2001:db8::{}", number % 9)});
  } else {
    line.From(fmt::format("203.0.113.{}", number / 64 % 40));
  }
  return line.Uri(fmt::format("/api/v1/pods?limit={}", number % 3)).Json();
}

// One decoder for all, as a worker has it, tells who came before by number;
// what it says of that must not show.
TEST(Observer, ObservesTheSameOfCallersThatWereSeenBefore) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  const EngineConfig config;
  Observer observer(config);
  Observer plain(config);
  Decoder decoder;
  // More than decoder and observer remember, and a few again and again.
  constexpr int kCallers = 20'000;
  const auto caller = [&] {
    return random() % 2 == 0 ? random() % 8 : random() % kCallers;
  };
  Nanos at = 0;
  for (int i = 0; i < 4 * kCallers; ++i) {
    at += kMinute / 10'000;
    const uint64_t who = caller();
    AuditLine line;
    line.User(fmt::format("user-{}", who)).At(at);
    line.From(fmt::format("10.0.{}.7", who % 200)).Agent("kubectl/v1");
    if (random() % 4 == 0) line.Code(403).Forbid();
    if (random() % 64 == 0) {
      line.Annotation("authentication.k8s.io/legacy-token",
                      "system:serviceaccount:a:b");
    }
    // Two clusters, of which each has that caller.
    const std::string_view cluster = random() % 2 == 0 ? "" : "other";
    const std::string text = line.Json();
    int events = 0;
    Decode(text, &decoder, [&](const EventView& event) {
      ++events;
      observer.Observe(event, cluster);
      EventView unknown = event;
      unknown.identity = IdentityKey();
      unknown.identity_number = 0;
      plain.Observe(unknown, cluster);
    });
    ASSERT_EQ(events, 1) << text;
    if (i % 5'000 == 4'999) {
      ASSERT_EQ(Encoded(observer.Take()), Encoded(plain.Take())) << i;
    }
  }
  EXPECT_EQ(decoder.counters().fast_path_events, uint64_t{4 * kCallers});
}

// Clusters are forgotten where there are too many, and all that is of them.
TEST(Observer, ObservesTheSameInMoreClustersThanItRemembers) {
  const EngineConfig config;
  Observer observer(config);
  Decoder decoder;
  size_t sightings = 0;
  for (int round = 0; round < 3; ++round) {
    for (int cluster = 0; cluster < 1'500; ++cluster) {
      const std::string text =
          AuditLine().User("dana").From("10.0.0.7").Agent("kubectl/v1").Json();
      Decode(text, &decoder, [&](const EventView& event) {
        observer.Observe(event, fmt::format("c{}", cluster));
      });
      if (!observer.full() && cluster < 1'499) continue;
      for (const Sighting& sighting : observer.Take().sightings) {
        EXPECT_EQ(sighting.user, "dana");
        EXPECT_EQ(sighting.requests, 1u);
        ++sightings;
      }
    }
  }
  EXPECT_EQ(sightings, 3u * 1'500);
}

// Minutes are told apart wherever they lie.
TEST(Observer, TellsMinutesApartBeforeAndAfterTheEpoch) {
  const EngineConfig config;
  Observer observer(config);
  Decoder decoder;
  std::map<EventTime, uint64_t> requests;
  for (const char* day :
       {"1678-01-01", "1902-03-04", "1969-12-31", "1970-01-01", "2026-01-02",
        "2038-01-19", "2261-12-31"}) {
    for (const char* time : {"T00:00:00", "T04:16:00", "T04:16:01", "T00:00:59",
                             "T00:01:00", "T23:59:00", "T23:59:59"}) {
      const std::string stamp = fmt::format("{}{}.000001Z", day, time);
      std::string text = AuditLine().User("dana").From("10.0.0.7").Json();
      for (const char* key : {"requestReceivedTimestamp", "stageTimestamp"}) {
        const size_t at = text.find(key) + std::string_view(key).size() + 3;
        text.replace(at, text.find('"', at) - at, stamp);
      }
      Decode(text, &decoder, [&](const EventView& event) {
        ++requests[MinuteOf(event.time())];
        observer.Observe(event, "");
      });
    }
  }
  ASSERT_EQ(requests.size(), 7u * 4);
  std::map<EventTime, uint64_t> seen;
  for (const Sighting& sighting : observer.Take().sightings) {
    seen[sighting.minute] += sighting.requests;
  }
  EXPECT_EQ(seen, requests);
}

// What was given back is written over without a trace.
TEST(Observer, ObservesTheSameInMemoryThatWasUsedBefore) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  const EngineConfig config;
  Observer fresh(config);
  Observer reused(config);
  Nanos at = 0;
  size_t refusals = 0;
  for (int round = 0; round < 20; ++round) {
    for (uint64_t n = random() % 2000; n > 0; --n) {
      at += static_cast<Nanos>(random() % 3) * kSecond / 10;
      const std::string line = RandomLine(&random, at);
      ObserveLine(line, &fresh);
      ObserveLine(line, &reused);
    }
    Observations taken = reused.Take();
    refusals += taken.refusals.size();
    ASSERT_EQ(Encoded(taken), Encoded(fresh.Take())) << "round " << round;
    reused.Recycle(std::move(taken));
  }
  EXPECT_GT(refusals, 500u);
}

// Failures are grouped by client, whatever their user agent and however often
// all sources were forgotten for want of room.
TEST(Observer, GroupsFailuresByClientOfMoreSourcesThanItRemembers) {
  const EngineConfig config;
  Observer observer(config);
  constexpr int kSources = 70'000;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kSources; ++i) {
      AuditLine line;
      line.Failed().At(round * kSecond).Agent(fmt::format("tool/{}", round));
      const std::string client =
          fmt::format("10.{}.{}.1", i / 256 % 256, i % 256);
      if (i % 7 == 0) {
        line.Through({fmt::format("claimed-{}", i), client});
      } else {
        line.From(client);
      }
      // Another instance: those of i and i + 65536 are one client.
      line.Uri(fmt::format("/api/v1/pods?x={}", i));
      ObserveLine(line.Json(), &observer);
    }
  }
  std::map<std::string, std::set<uint64_t>> agents;
  std::map<std::string, size_t> failures;
  for (const RefusalGroup& g : observer.Take().refusals) {
    EXPECT_TRUE(failures.emplace(g.client, g.kept.size()).second) << g.client;
    for (const Refusal& r : g.kept) agents[g.client].insert(r.agent);
    EXPECT_TRUE(g.sample.has_value());
  }
  ASSERT_EQ(failures.size(), 65'536u);
  for (const auto& [client, count] : failures) {
    ASSERT_TRUE(count == 2 || count == 4) << client;
    ASSERT_EQ(agents[client].size(), 2u) << client;
  }
  EXPECT_EQ(std::count_if(failures.begin(), failures.end(),
                          [](const auto& f) { return f.second == 4; }),
            kSources - 65'536);
}

// Former bug: one address of a forged event could stand for a list of them.
TEST(Observer, TellsOneAddressFromAListThatIsWrittenAlike) {
  const EngineConfig config;
  Observer observer(config);
  const std::vector<std::string> list = {"198.51.100.1", "203.0.113.7"};
  std::string forged;
  WireWriter w(&forged);
  for (const std::string& ip : list) w.Text(ip);
  w.Uint(list.size());
  ObserveLine(AuditLine().Failed().At(0).From(forged).Json(), &observer);
  ObserveLine(AuditLine().Failed().At(kSecond).Through(list).Json(), &observer);
  std::set<std::string> clients;
  for (const RefusalGroup& g : observer.Take().refusals) {
    clients.insert(g.client);
  }
  EXPECT_EQ(clients, (std::set<std::string>{"unknown", "203.0.113.7"}));
}

// Former bug: it was no deed, as any 401 without a name.
TEST(Observer, SeesAnonymousAccessOfWhoHasOnlyTheGroup) {
  const EngineConfig config;
  Observer observer(config);
  std::string line =
      AuditLine().Failed().At(0).Allow().Resource("secrets").Json();
  const std::string nobody = "\"user\":{}";
  ASSERT_NE(line.find(nobody), std::string::npos);
  line.replace(line.find(nobody), nobody.size(),
               R"("user":{"groups":["system:unauthenticated"]})");
  ObserveLine(line, &observer);
  const Observations taken = observer.Take();
  EXPECT_EQ(taken.deeds.size(), 1u);
  EXPECT_EQ(taken.refusals.size(), 1u);
}

// A worker hands on what it holds when a minute is over, not before.
TEST(Observer, IsFullWhenAMinuteOfManyIsOver) {
  const EngineConfig config;
  Observer observer(config);
  const auto fail = [&](int client, Nanos at) {
    ObserveLine(AuditLine()
                    .Failed()
                    .From(fmt::format("10.{}.{}.1", client / 256, client % 256))
                    .At(at)
                    .Json(),
                &observer);
  };
  for (int i = 0; i < 5000; ++i) fail(i, i * kSecond / 1000);
  EXPECT_FALSE(observer.full());
  fail(0, kMinute);
  EXPECT_TRUE(observer.full());
  EXPECT_EQ(observer.Take().refusals.size(), 5001u);
  fail(0, kMinute + kSecond);
  fail(0, 2 * kMinute);
  EXPECT_FALSE(observer.full());  // Few can wait.
  observer.Take();
  constexpr int kMax = 16 << 10;
  for (int i = 0; i < kMax - 1; ++i) fail(i, 2 * kMinute);
  EXPECT_FALSE(observer.full());
  fail(kMax, 2 * kMinute);
  EXPECT_TRUE(observer.full());  // Too many cannot.
}

}  // namespace
}  // namespace klaxon
