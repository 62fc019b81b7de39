#include "detectors/unauthorized_burst.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "detectors/failure_window.h"
#include "detectors/spray.h"
#include "tests/random_seed.h"
#include "tests/testing/verdicts.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "unauthorized-burst";

AuditLine Failure(std::string from = "203.0.113.7") {
  return AuditLine().Failed().From(std::move(from)).Agent("curl/8");
}

TEST(UnauthorizedBurst, FiresOnceWhenThresholdIsReached) {
  EXPECT_EQ(Lines().Repeat(9, 0, kSecond, Failure()).Verdicts(kName), Words());
  EXPECT_EQ(Lines().Repeat(10, 0, kSecond, Failure()).Verdicts(kName),
            Words({"burst:medium:10"}));
  EXPECT_EQ(Lines().Repeat(99, 0, kSecond / 4, Failure()).Verdicts(kName),
            Words({"burst:medium:99"}));
  EXPECT_EQ(Lines().Repeat(100, 0, kSecond / 4, Failure()).Verdicts(kName),
            Words({"burst:high:100"}));
}

TEST(UnauthorizedBurst, WindowIsClosedAtBothEnds) {
  // Ten failures whose last is exactly 60 s after the first, and 1 µs more.
  const Nanos step = kMinute / 9;
  AuditLine last = Failure().At(kMinute);
  EXPECT_EQ(Lines().Repeat(9, 0, step, Failure()).Add(last).Verdicts(kName),
            Words({"burst:medium:10"}));
  last.At(kMinute + 1000);
  EXPECT_EQ(Lines().Repeat(9, 0, step, Failure()).Add(last).Verdicts(kName),
            Words());
}

TEST(UnauthorizedBurst, FloodInOneMinuteIsCountedExactly) {
  EXPECT_EQ(Lines().Repeat(731, 0, kSecond / 20, Failure()).Verdicts(kName),
            Words({"burst:high:731"}));
}

// Of more failures than N in a minute the last are told at its end, as they
// came: what only the last of them has was not there before. (A workload's new
// token, and then a failure of something else.)
TEST(UnauthorizedBurst, WhatTheLastOfAMinuteHasWasNotThereBefore) {
  const AuditLine workload = Failure("10.0.3.9");
  const Nanos step = kSecond / 4;
  const Nanos late = kMinute + 45 * kSecond;
  for (const int dropped : {0, 100}) {
    Lines lines;
    // 150 in the first minute, 180 in the second, or so many more.
    lines.Repeat(330 + dropped, kMinute - 150 * step, step, workload);
    lines.Add(AuditLine()
                  .Account("shop", "cart")
                  .From("10.0.3.9")
                  .Agent("curl/8")
                  .Uri("/api/v1/namespaces/shop/pods")
                  .At(late - kSecond));
    Lines another = lines;
    another.Add(Failure("10.0.3.9").Agent("other/1").At(kMinute * 2 - 1000));
    EXPECT_EQ(lines.Verdicts(kName),
              Words({fmt::format("workload:low:{}", 330 + dropped)}));
    const Words want({fmt::format("burst:high:{}", 331 + dropped)});
    EXPECT_EQ(another.Verdicts(kName), want);
    // Delivered twice, it was no earlier there.
    another.Add(Failure("10.0.3.9").Agent("other/1").At(kMinute * 2 - 1000));
    EXPECT_EQ(another.Verdicts(kName), want);
  }
}

// No Klaxon writes such observations, but `judge` reads what it is given.
TEST(UnauthorizedBurst, ForgedNumbersDoNotMakeCountsSmall) {
  Lines lines;
  for (int client = 0; client < 25; ++client) {
    for (int minute = 0; minute < 2; ++minute) {
      lines.Repeat(201, minute * kMinute + client, kSecond / 5,
                   Failure(fmt::format("203.0.113.{}", client)));
    }
  }
  lines.Forge([](Observations* observations) {
    for (RefusalGroup& group : observations->refusals) {
      group.dropped = UINT64_MAX - 1;
    }
  });
  const std::vector<Alert> alerts = lines.Alerts();
  EXPECT_EQ(alerts.size(), 26u);  // Each client's, and the spray.
  for (const Alert& alert : alerts) {
    EXPECT_GE(alert.count, uint64_t{1} << 40) << alert.rule;
  }
}

TEST(UnauthorizedBurst, QuietOfExactlyTenMinutesStillBelongs) {
  AuditLine later = Failure().At(9 * kSecond + 10 * kMinute);
  EXPECT_EQ(
      Lines().Repeat(10, 0, kSecond, Failure()).Add(later).Verdicts(kName),
      Words({"burst:medium:11"}));
  later.At(9 * kSecond + 10 * kMinute + 1000);
  EXPECT_EQ(
      Lines().Repeat(10, 0, kSecond, Failure()).Add(later).Verdicts(kName),
      Words({"burst:medium:10"}));
}

TEST(UnauthorizedBurst, A401WithAUsernameIsNone) {
  AuditLine line;
  line.User("dana").Code(401).From("203.0.113.7");
  EXPECT_EQ(Lines().Repeat(30, 0, kSecond, line).Verdicts(kName), Words());
}

TEST(UnauthorizedBurst, SpoofedAuditIdHidesNothingDuplicatesCountOnce) {
  EXPECT_EQ(
      Lines().Repeat(15, 0, kSecond, Failure().Id("Lorem")).Verdicts(kName),
      Words({"burst:medium:15"}));
  Lines twice;
  twice.Repeat(8, 0, kSecond, Failure()).Repeat(8, 0, kSecond, Failure());
  EXPECT_EQ(twice.Verdicts(kName), Words());
}

TEST(UnauthorizedBurst, WorkloadIsToldApart) {
  AuditLine pod = Failure("10.244.1.5");
  EXPECT_EQ(Lines().Repeat(20, 0, 4 * kSecond, pod).Verdicts(kName),
            Words({"workload:low:20"}));
  // Another agent: no workload, from that failure on.
  EXPECT_EQ(Lines()
                .Repeat(20, 0, 4 * kSecond, pod)
                .Add(Failure("10.244.1.5").Agent("nmap").At(81 * kSecond))
                .Verdicts(kName),
            Words({"burst:medium:21"}));
  // External: never.
  EXPECT_EQ(Lines().Repeat(20, 0, 4 * kSecond, Failure()).Verdicts(kName),
            Words({"burst:medium:20"}));
  // Not steady: a gap above ten times the median.
  Lines jumpy;
  jumpy.Repeat(9, 0, kSecond, pod).Add(pod.At(20 * kSecond));
  EXPECT_EQ(jumpy.Verdicts(kName), Words({"burst:medium:10"}));
}

TEST(UnauthorizedBurst, AFloodOfAWorkloadIsStillAWorkload) {
  // What is dropped between the first and the last hundred is no gap.
  AuditLine pod = Failure("10.244.1.5");
  EXPECT_EQ(Lines().Repeat(300, 0, kSecond / 5, pod).Verdicts(kName),
            Words({"workload:low:300"}));
}

TEST(UnauthorizedBurst, PrefixCountsWhatHasNoAlertOfItsOwn) {
  Lines spread;
  for (int i = 0; i < 10; ++i) {
    spread.Add(Failure(fmt::format("2001:db8::{:x}", i + 1)).At(i * kSecond));
  }
  EXPECT_EQ(spread.Verdicts(kName), Words({"burst:medium:10"}));
  EXPECT_EQ(spread.Alerts()[0].client, "2001:db8::/64");
  // Nine of one address, then its tenth makes its own alert; one of another
  // does not make the /64 fire.
  Lines own;
  own.Repeat(10, 0, kSecond, Failure("2001:db8::1"));
  own.Add(Failure("2001:db8::2").At(11 * kSecond));
  EXPECT_EQ(own.Verdicts(kName), Words({"burst:medium:10"}));
  EXPECT_EQ(own.Alerts()[0].client, "2001:db8::1");
}

AuditLine Success(std::string user = "dana") {
  return AuditLine().User(std::move(user)).From("203.0.113.7").Allow();
}

TEST(UnauthorizedBurst, SuccessAfterBurst) {
  Lines burst;
  burst.Repeat(12, 0, kSecond, Failure());
  const Words raised({"success_after_burst:critical:12"});
  const Words not_raised({"burst:medium:12"});
  const auto with = [&](const AuditLine& line) {
    return Lines(burst).Add(line).Verdicts(kName);
  };
  EXPECT_EQ(with(Success().At(30 * kSecond)), raised);  // The same minute.
  EXPECT_EQ(with(Success().At(90 * kSecond)), raised);  // A later one.
  EXPECT_EQ(with(Success().Code(403).Forbid().At(90 * kSecond)), raised);
  // Before the failure that fired, too late, elsewhere, only public paths.
  EXPECT_EQ(with(Success().At(5 * kSecond)), not_raised);
  EXPECT_EQ(with(Success().At(11 * kSecond + 10 * kMinute + 1000)), not_raised);
  EXPECT_EQ(with(Success().From("203.0.113.8").At(90 * kSecond)), not_raised);
  EXPECT_EQ(with(Success().Uri("/version").Verb("get").At(90 * kSecond)),
            not_raised);
}

// What shows only among the last hundred of a minute that it is no workload:
// of that minute's successes those behind it count.
TEST(UnauthorizedBurst, SuccessBehindTheFailureThatShowedItWasNoWorkload) {
  AuditLine pod = Failure("10.244.1.5");
  Lines flood;
  flood.Repeat(300, 0, kSecond / 5, pod);
  flood.Repeat(240, kMinute, kSecond / 5, pod);
  flood.Add(pod.At(kMinute + 54 * kSecond));  // Not steady.
  const auto with = [&](Nanos at) {
    AuditLine success = Success().From("10.244.1.5").Agent("curl/8");
    return Lines(flood).Add(success.At(kMinute + at)).Verdicts(kName);
  };
  EXPECT_EQ(with(55 * kSecond), Words({"success_after_burst:critical:541"}));
  EXPECT_EQ(with(50 * kSecond), Words({"burst:high:541"}));
}

TEST(UnauthorizedBurst, TheSuccessIsAmongTheSamples) {
  Lines lines;
  lines.Repeat(10, 0, kSecond, Failure());
  for (int i = 1; i < 8; ++i) lines.Add(Failure().At(i * kMinute));
  lines.Add(Success().At(8 * kMinute));
  lines.Add(Success("erin").At(9 * kMinute));
  const std::vector<Alert> alerts = lines.Alerts();
  ASSERT_EQ(alerts.size(), 1u);
  ASSERT_EQ(alerts[0].evidence.size(), 5u);
  EXPECT_EQ(alerts[0].evidence[3].user, "");
  EXPECT_EQ(alerts[0].evidence[4].user, "dana");
}

TEST(UnauthorizedBurst, SharedAddressesAndProxiesProveNothing) {
  Lines nat;
  for (int i = 0; i < 5; ++i) {
    nat.Add(Success(fmt::format("u{}", i)).At(i * kSecond));
  }
  nat.Repeat(12, 10 * kSecond, kSecond, Failure());
  nat.Add(Success("u0").At(90 * kSecond));
  EXPECT_EQ(nat.Verdicts(kName), Words({"burst:medium:12"}));

  EngineConfig config;
  config.base.networks.trusted_proxies = CidrSet({*Cidr::Parse("203.0.113.7")});
  Lines proxy(config);
  proxy.Repeat(12, 0, kSecond, Failure()).Add(Success().At(90 * kSecond));
  EXPECT_EQ(proxy.Verdicts(kName), Words({"burst:medium:12"}));
}

TEST(UnauthorizedBurst, NewTokenOfTheSameWorkloadIsNoSuccess) {
  AuditLine pod = Failure("10.244.1.5").Agent("app/1");
  AuditLine same = AuditLine().Account("shop", "cart").From("10.244.1.5");
  same.Allow().At(3 * kMinute);
  EXPECT_EQ(Lines()
                .Repeat(20, 0, 4 * kSecond, pod)
                .Add(same.Agent("app/1"))
                .Verdicts(kName),
            Words({"workload:low:20"}));
  EXPECT_EQ(Lines()
                .Repeat(20, 0, 4 * kSecond, pod)
                .Add(same.Agent("curl/8"))
                .Verdicts(kName),
            Words({"success_after_burst:critical:20"}));
}

TEST(UnauthorizedBurst, LowAndSlowIsDaily) {
  EXPECT_EQ(Lines().Repeat(29, 0, kMinute, Failure()).Verdicts(kName), Words());
  EXPECT_EQ(Lines().Repeat(33, 0, kMinute, Failure()).Verdicts(kName),
            Words({"low_and_slow:low:33"}));
  // 03:00 + 40 · 40 min reaches into the next day: an episode each,
  // the second with the 24 h before it.
  EXPECT_EQ(Lines().Repeat(40, 0, 40 * kMinute, Failure()).Verdicts(kName),
            Words({"low_and_slow:low:32", "low_and_slow:low:40"}));
}

Lines SprayOf(int clients, int internal, int two_agents) {
  Lines lines;
  for (int i = 0; i < clients; ++i) {
    AuditLine line = Failure(i < internal ? fmt::format("10.0.0.{}", i)
                                          : fmt::format("203.0.113.{}", i));
    line.At(i * kSecond).Agent(fmt::format("agent/{}", i));
    lines.Add(line);
    if (i < two_agents) lines.Add(line.Agent("other/1").At(i * kSecond + 1000));
  }
  return lines;
}

TEST(UnauthorizedBurst, SprayAndKeyRotation) {
  EXPECT_EQ(SprayOf(19, 0, 0).Verdicts(kName), Words());
  EXPECT_EQ(SprayOf(20, 0, 0).Verdicts(kName), Words({"spray:medium:20"}));
  EXPECT_EQ(SprayOf(20, 16, 0).Verdicts(kName), Words({"spray:low:20"}));
  EXPECT_EQ(SprayOf(20, 15, 0).Verdicts(kName), Words({"spray:medium:20"}));
  EXPECT_EQ(SprayOf(20, 20, 4).Verdicts(kName), Words({"spray:low:24"}));
  EXPECT_EQ(SprayOf(20, 20, 5).Verdicts(kName), Words({"spray:medium:25"}));
}

// Former bug: clients that a spray had to forget were not counted.
TEST(Spray, CountsWhatItGivesUp) {
  klaxon::Spray spray(2, 5 * kMinute);
  for (const char* unit : {"203.0.113.1", "203.0.113.2", "203.0.113.3"}) {
    EXPECT_LE(spray.Add(unit, false, 1, kEpoch, 1, nullptr), 2u);
  }
  const Persistent& part = spray;  // As the judge adds them up.
  EXPECT_EQ(part.evicted(), 1u);
}

// Against the obvious: all failures, looked through each time.
TEST(Spray, CountsAgentsOfItsWindowAlone) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  struct Failed {
    EventTime time;
    std::string unit;
    uint64_t agent;
    bool internal;
  };
  for (int round = 0; round < 60; ++round) {
    klaxon::Spray spray(1000, kMinute);
    std::vector<Failed> all;
    EventTime now = kEpoch;
    for (int i = 0; i < 300; ++i) {
      now += static_cast<Nanos>(random() % 20) * kSecond;
      const std::string unit = fmt::format("u{}", random() % 12);
      const uint64_t agent = 1 + random() % 3;
      const bool internal = random() % 2 == 0;
      const size_t clients = spray.Add(unit, internal, agent, now, 1, nullptr);
      const auto state = spray.state();
      all.push_back({now, unit, agent, internal});
      std::map<std::string, std::set<uint64_t>> agents;
      std::map<std::string, bool> is_internal;  // As it was last.
      for (const Failed& f : all) {
        if (now - f.time > kMinute) continue;
        agents[f.unit].insert(f.agent);
        is_internal[f.unit] = f.internal;
      }
      const auto single =
          std::count_if(agents.begin(), agents.end(),
                        [](const auto& a) { return a.second.size() == 1; });
      const auto internals =
          std::count_if(is_internal.begin(), is_internal.end(),
                        [](const auto& i) { return i.second; });
      ASSERT_EQ(clients, agents.size());
      ASSERT_EQ(state.clients, clients);
      ASSERT_EQ(state.internal, static_cast<size_t>(internals));
      ASSERT_EQ(state.single_agent, static_cast<size_t>(single));
      if (random() % 50 != 0) continue;
      std::string bytes;
      WireWriter w(&bytes);
      spray.Save(&w);
      WireReader r(bytes);
      ASSERT_TRUE(spray.Load(&r) && r.done());
    }
  }
}

// The window against the obvious: all times, counted anew each time.
TEST(FailureWindow, AgreesWithTheObviousModel) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    FailureWindow window;
    std::vector<EventTime> all;
    EventTime now = 0;
    const size_t cap = 1 + random() % 12;
    for (int i = 0; i < 60; ++i) {
      now += static_cast<Nanos>(random() % (20 * kSecond));
      Refusal refusal;
      refusal.time = now;
      refusal.request = random() % 50;
      if (!window.Add({refusal}, kMinute, cap)) continue;
      all.push_back(now);
      const auto within = static_cast<size_t>(
          std::count_if(all.begin(), all.end(),
                        [&](EventTime t) { return now - t <= kMinute; }));
      ASSERT_EQ(window.size(), std::min(within, cap));
    }
  }
}

}  // namespace
}  // namespace klaxon
