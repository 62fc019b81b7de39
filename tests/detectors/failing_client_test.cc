#include "detectors/failing_client.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "event/wire.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using Entry = FailureWindow::Entry;

// failure_window.h, in the slowest way.
struct WindowModel {
  std::vector<Entry> list;

  bool Add(const Entry& entry, Nanos span, size_t entries_max) {
    for (const Entry& held : list) {
      if (held.refusal.request == entry.refusal.request) return false;
    }
    list.push_back(entry);
    std::stable_sort(list.begin(), list.end(),
                     [](const Entry& a, const Entry& b) {
                       return a.refusal.time < b.refusal.time;
                     });
    if (list.size() > entries_max) list.erase(list.begin());
    const EventTime newest = list.back().refusal.time;
    std::erase_if(
        list, [&](const Entry& e) { return newest - e.refusal.time > span; });
    return true;
  }
  void RemoveSource(uint64_t source) {
    std::erase_if(list, [&](const Entry& e) { return e.source == source; });
  }
  bool Steady() const {
    std::vector<Nanos> gaps;
    for (size_t i = 1; i < list.size(); ++i) {
      if (list[i].after_dropped) continue;
      gaps.push_back(list[i].refusal.time - list[i - 1].refusal.time);
    }
    if (gaps.size() < 2) return true;
    std::sort(gaps.begin(), gaps.end());
    const size_t n = gaps.size();
    const Nanos median2 = gaps[n / 2] + gaps[(n - 1) / 2];
    return 2 * gaps.back() <= 10 * median2;
  }
};

std::vector<std::string> Texts(const auto& window, size_t size) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < size; ++i) {
    const Entry& e = window[i];
    texts.push_back(fmt::format("{} {} {} {} {} {}", e.refusal.time,
                                e.refusal.request, e.refusal.path,
                                e.refusal.agent, e.source, e.after_dropped));
  }
  return texts;
}

// As after a restart.
template <typename T>
T Reloaded(const T& value) {
  std::string bytes;
  WireWriter w(&bytes);
  value.Save(&w);
  T loaded;
  WireReader r(bytes);
  loaded.Load(&r);
  EXPECT_TRUE(r.done());
  return loaded;
}

void ExpectEqual(const FailureWindow& window, const WindowModel& model) {
  ASSERT_EQ(window.size(), model.list.size());
  ASSERT_EQ(Texts(window, window.size()), Texts(model.list, window.size()));
  std::set<uint64_t> paths;
  for (const Entry& e : model.list) paths.insert(e.refusal.path);
  EXPECT_EQ(window.DistinctPaths(), paths.size());
  for (uint64_t path = 0; path < 6; ++path) {
    EXPECT_EQ(window.HoldsPath(path), paths.contains(path));
  }
  EXPECT_EQ(window.Steady(), model.Steady());
  if (window.size() > 0) {
    EXPECT_EQ(window.first_time(), model.list.front().refusal.time);
  }
}

TEST(FailureWindow, HoldsTheNewestWithinTheSpan) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    const Nanos span = static_cast<Nanos>(1 + random() % 60);
    const size_t entries_max = 1 + random() % 70;
    FailureWindow window;
    WindowModel model;
    EventTime now = 1000;
    for (int step = 0; step < 300; ++step) {
      now += static_cast<EventTime>(random() % 4 == 0 ? random() % 30 : 0);
      window.Prefetch();
      Entry entry;
      entry.refusal.time = now - (random() % 6 == 0 ? 5 : 0);
      // Equal low bits too.
      entry.refusal.request = random() % 2 << 40 | random() % 200;
      entry.refusal.path = random() % 6;
      entry.source = random() % 3;
      entry.after_dropped = random() % 5 == 0;
      ASSERT_EQ(window.Add(entry, span, entries_max),
                model.Add(entry, span, entries_max));
      if (random() % 20 == 0) {
        const uint64_t source = random() % 3;
        window.RemoveSource(source);
        model.RemoveSource(source);
      }
      if (random() % 40 == 0) window = Reloaded(window);
      ASSERT_NO_FATAL_FAILURE(ExpectEqual(window, model))
          << "round " << round << ", step " << step;
    }
  }
}

// failing_client.h's minutes, in the slowest way.
struct MinutesModel {
  struct Failures {
    EventTime first;
    EventTime last;
    uint64_t count;
  };
  std::map<std::pair<EventTime, uint64_t>, Failures>
      entries;  // Minute, source.

  void Add(EventTime time, uint64_t count, uint64_t source, Nanos span) {
    auto [it, added] =
        entries.try_emplace({MinuteOf(time), source}, Failures{time, time, 0});
    it->second.first = std::min(it->second.first, time);
    it->second.last = std::max(it->second.last, time);
    it->second.count += count;
    std::erase_if(entries,
                  [&](const auto& e) { return time - e.second.last > span; });
    for (auto& [key, f] : entries) {
      if (time - f.first <= span || f.count < 2) continue;
      f.first = f.last;  // The first alone is surely outside.
      --f.count;
    }
  }
  void RemoveSource(uint64_t source) {
    std::erase_if(entries,
                  [&](const auto& e) { return e.first.second == source; });
  }
  size_t DistinctMinutes() const {
    std::set<EventTime> minutes;
    for (const auto& [key, f] : entries) minutes.insert(key.first);
    return minutes.size();
  }
  uint64_t Count() const {
    uint64_t count = 0;
    for (const auto& [key, f] : entries) count += f.count;
    return count;
  }
  EventTime FirstTime() const {
    EventTime first = kMaxTime;
    for (const auto& [key, f] : entries) first = std::min(first, f.first);
    return first;
  }
};

void ExpectEqual(const FailingMinutes& minutes, const MinutesModel& model) {
  ASSERT_EQ(minutes.entries(), model.entries.size());
  EXPECT_EQ(minutes.DistinctMinutes(), model.DistinctMinutes());
  EXPECT_EQ(minutes.Failures(), model.Count());
}

TEST(FailingMinutes, AreThoseOfTheSpan) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 40; ++round) {
    const Nanos span = kHour + static_cast<Nanos>(random() % 120) * kSecond;
    const uint64_t sources = 1 + random() % 3;
    FailingMinutes minutes;
    MinutesModel model;
    EventTime now = 1000 * kMinute;
    for (int step = 0; step < 400; ++step) {
      now += static_cast<EventTime>(random() % 90) * kSecond;
      if (random() % 200 == 0) now += span;  // All is forgotten.
      // Other addresses of a /64 are told of their minute a little later.
      const EventTime time =
          std::max(MinuteOf(now),
                   now - static_cast<EventTime>(random() % 2) * 10 * kSecond);
      const uint64_t count = 1 + random() % 3;
      const uint64_t source = random() % sources;
      minutes.Prefetch();
      minutes.Add(time, count, source, span);
      model.Add(time, count, source, span);
      if (random() % 30 == 0) {
        minutes.RemoveSource(source);
        model.RemoveSource(source);
      }
      if (random() % 50 == 0) minutes = Reloaded(minutes);
      ASSERT_NO_FATAL_FAILURE(ExpectEqual(minutes, model))
          << "round " << round << ", step " << step;
      // With several sources it is the time of the minute that began first.
      if (sources > 1 || minutes.entries() == 0) continue;
      ASSERT_EQ(minutes.first_time(), model.FirstTime());
    }
  }
}

TEST(FailingMinutes, GiveUpTheEarliestPastTheirLimit) {
  FailingMinutes minutes;
  for (EventTime i = 0; i < 5000; ++i) {
    minutes.Add(i * kMinute, 2, 0, 7 * kDay);
  }
  EXPECT_EQ(minutes.entries(), 4096u);
  EXPECT_EQ(minutes.DistinctMinutes(), 4096u);
  EXPECT_EQ(minutes.Failures(), 2u * 4096u);
  EXPECT_EQ(minutes.first_time(), (5000 - 4096) * kMinute);
}

// recent identities, in the slowest way: every request of the log.
struct IdentitiesModel {
  std::vector<std::pair<EventTime, uint64_t>> all;

  size_t Within(EventTime time, Nanos span) const {
    std::set<uint64_t> users;
    for (const auto& [at, user] : all) {
      if (at <= time && time - at <= span) users.insert(user);
    }
    return users.size();
  }
};

// As the judge tells of a minute: each user's first request of it by time, one
// question at each; at its end their last ones in any order, and then questions
// of any time in it.
TEST(RecentIdentities, AreCountedExactlyUpToWhatIsAsked) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    const size_t most = 2 + random() % 11;
    const Nanos span = kMinute + static_cast<Nanos>(random() % 300) * kSecond;
    const uint64_t users = 1 + random() % 60;
    RecentIdentities identities;
    IdentitiesModel model;
    const auto expect_equal = [&](EventTime time) {
      ASSERT_EQ(std::min(identities.Within(time, span), most),
                std::min(model.Within(time, span), most));
    };
    EventTime minute = 1000 * kMinute;
    for (int step = 0; step < 20; ++step) {
      minute += static_cast<EventTime>(1 + random() % 3) * kMinute;
      std::map<uint64_t, std::pair<EventTime, EventTime>> seen;
      const size_t count = random() % 80;
      std::vector<std::pair<EventTime, uint64_t>> requests;
      for (size_t i = 0; i < count; ++i) {
        requests.emplace_back(
            minute + static_cast<EventTime>(random() % 60) * kSecond,
            random() % users);
      }
      std::sort(requests.begin(), requests.end());
      for (const auto& [time, user] : requests) {
        model.all.emplace_back(time, user);
        const auto [at, first] = seen.try_emplace(user, time, time);
        at->second.second = time;
        if (!first) continue;
        identities.Add(user, time, most);
        expect_equal(time);
      }
      for (const auto& [user, times] : seen) {
        identities.Add(user, times.second, most);
      }
      if (random() % 3 == 0) identities = Reloaded(identities);
      for (EventTime time = minute; time < minute + kMinute; time += kSecond) {
        expect_equal(time);
      }
    }
  }
}

// All gaps of the window, also those of failures that it holds no more; also
// after a restart.
TEST(FailingClient, KnowsThePaceOfAFullWindow) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  constexpr size_t kKept = 20;
  int steady = 0;
  for (int round = 0; round < 100; ++round) {
    FailingClient client;
    client.burst = std::make_unique<FailingClient::Burst>();
    client.burst->fired = 0;
    WindowModel model;
    EventTime now = 1000 * kMinute;
    for (uint64_t step = 1; step < 300; ++step) {
      const bool pause = random() % 60 == 0;
      now += static_cast<EventTime>((pause ? 2250 : 120) + random() % 240) *
             kSecond / 1000;
      Entry entry;
      entry.refusal.time = now - (random() % 9 == 0 ? kSecond / 10 : 0);
      entry.refusal.request = step;
      entry.after_dropped = random() % 50 == 0;
      client.window.Add(entry, kMinute, kKept);
      model.Add(entry, kMinute, 400);
      ASSERT_EQ(client.burst->Steady(client.window, entry, kKept, kMinute),
                model.Steady());
      steady += model.Steady() ? 1 : 0;
      if (random() % 50 != 0) continue;
      std::string bytes;
      WireWriter w(&bytes);
      client.Save(&w);
      WireReader r(bytes);
      client = FailingClient();
      client.Load(&r);
      ASSERT_TRUE(r.done());
    }
  }
  EXPECT_GT(steady, 100);
  EXPECT_LT(steady, 29'000);
}

TEST(FewDistinct, CountsUpToItsLimit) {
  FewDistinct few;
  for (uint64_t i = 0; i < 40; ++i) {
    few.Add(i / 3);
    EXPECT_EQ(few.size(), std::min<size_t>(i / 3 + 1, FewDistinct::kMax));
    EXPECT_EQ(few.front(), 0u);
  }
}

}  // namespace
}  // namespace klaxon
