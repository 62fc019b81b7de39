#include "detectors/table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "event/wire.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

struct Number {
  uint64_t value = 0;
  void Save(WireWriter* out) const { out->Uint(value); }
  void Load(WireReader* in) { value = in->Uint(); }
};

struct Held {
  std::string key;
  uint64_t value;
  EventTime touched;
  uint64_t weight;
  bool operator==(const Held&) const = default;
};

// What table.h says of eviction and expiry, in the slowest way: a list in the
// order of the touches.
class Model {
 public:
  Model(uint64_t keys_max, Nanos expiry)
      : keys_max_(keys_max), expiry_(expiry) {}

  // The value of `key`, which is `fresh` where it was not there.
  uint64_t Touch(const std::string& key, EventTime now, uint64_t fresh) {
    Entry entry{key, fresh, 0, kNoTime};
    auto it = Find(key);
    if (it != entries_.end()) {
      entry = *it;
      entries_.erase(it);
    } else if (entries_.size() >= keys_max_) {
      Evict();
    }
    ++entry.weight;
    // Neither a key nor a list goes back in time.
    entry.touched = std::max(now, entry.touched);
    for (const Entry& other : entries_) {
      if (ClassOf(other) == ClassOf(entry)) {
        entry.touched = std::max(entry.touched, other.touched);
      }
    }
    entries_.push_back(entry);
    return entry.value;
  }
  void Erase(const std::string& key) {
    std::erase_if(entries_, [&](const Entry& e) { return e.key == key; });
  }
  void ExpireUntil(EventTime now) {
    for (const Entry& e : entries_) {
      if (now - e.touched > expiry_) removed_.push_back(e.key);
    }
    std::erase_if(entries_,
                  [&](const Entry& e) { return now - e.touched > expiry_; });
  }
  bool Holds(const std::string& key) { return Find(key) != entries_.end(); }
  std::vector<Held> InOrder() const {
    std::vector<Held> held;
    for (int cls = 0; cls < 64; ++cls) {
      for (const Entry& e : entries_) {
        if (ClassOf(e) != cls) continue;
        held.push_back({e.key, e.value, e.touched, e.weight});
      }
    }
    return held;
  }
  // Evicted or expired.
  const std::vector<std::string>& removed() const { return removed_; }

 private:
  struct Entry {
    std::string key;
    uint64_t value;
    uint32_t weight;
    EventTime touched;
  };
  static int ClassOf(const Entry& e) {
    return static_cast<int>(std::bit_width(e.weight));
  }
  std::vector<Entry>::iterator Find(const std::string& key) {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&](const Entry& e) { return e.key == key; });
  }
  void Evict() {
    const std::string first = InOrder().front().key;
    removed_.push_back(first);
    Erase(first);
  }

  const uint64_t keys_max_;
  const Nanos expiry_;
  std::vector<Entry> entries_;
  std::vector<std::string> removed_;
};

std::string Save(const Table<Number>& table) {
  std::string bytes;
  WireWriter w(&bytes);
  table.Save(&w);
  return bytes;
}

std::vector<Held> InOrder(const Table<Number>& table) {
  const std::string bytes = Save(table);
  WireReader r(bytes);
  r.Uint();  // Evictions.
  std::vector<Held> held(r.Count());
  for (Held& h : held) {
    h.key = r.Text();
    h.touched = r.Int();
    h.weight = r.Uint();
    h.value = r.Uint();
  }
  EXPECT_TRUE(r.done());
  return held;
}

std::vector<std::string> Visited(Table<Number>* table) {
  std::vector<std::string> keys;
  table->ForEach(
      [&](std::string_view key, const Number&) { keys.emplace_back(key); });
  return keys;
}

std::vector<std::string> Sorted(std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end());
  return keys;
}

// A table and its model, with handles to what was found once.
class Pair {
 public:
  Pair(uint64_t keys_max, Nanos expiry)
      : table_({.name = "test", .keys_max = keys_max, .expiry = expiry}),
        model_(keys_max, expiry) {}

  void Touch(const std::string& key, EventTime now, bool by_handle) {
    const auto on_remove = [&](std::string_view gone, Number&) {
      removed_.emplace_back(gone);
    };
    TableHandle& at = handles_[key];
    Number& number =
        table_.Touch(key, now, on_remove, by_handle ? &at : nullptr);
    table_.Prefetch(at);
    if (number.value == 0) number.value = ++made_;
    EXPECT_EQ(number.value, model_.Touch(key, now, made_)) << key;
  }
  void Erase(const std::string& key) {
    table_.Erase(key);
    model_.Erase(key);
  }
  void Expire(EventTime now) {
    table_.ExpireUntil(now, [&](std::string_view gone, Number&) {
      removed_.emplace_back(gone);
    });
    model_.ExpireUntil(now);
  }
  void Reload() {
    const std::string bytes = Save(table_);
    WireReader r(bytes);
    EXPECT_TRUE(table_.Load(&r) && r.done());
    handles_.clear();
  }
  void Check() {
    const std::vector<Held> held = InOrder(table_);
    ASSERT_EQ(held, model_.InOrder());
    ASSERT_EQ(table_.size(), held.size());
    ASSERT_EQ(Sorted(removed_), Sorted(model_.removed()));
    for (const auto& [key, at] : handles_) {
      table_.Prefetch(at);
      const Number* found = table_.Find(at);
      // A handle may be old: then it holds nothing, though the key came again.
      ASSERT_TRUE(found == nullptr || found == table_.Find(key)) << key;
      ASSERT_EQ(table_.Find(key) != nullptr, model_.Holds(key)) << key;
    }
  }
  // Puts the table in order, and so hides what Check may find.
  void CheckVisits() {
    std::vector<std::string> keys;
    for (const Held& held : model_.InOrder()) keys.push_back(held.key);
    ASSERT_EQ(Visited(&table_), keys);
  }
  uint64_t evicted() const { return table_.evicted(); }

 private:
  Table<Number> table_;
  Model model_;
  std::map<std::string, TableHandle> handles_;
  std::vector<std::string> removed_;
  uint64_t made_ = 0;
};

TEST(Table, EvictsAndExpiresAsItSays) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    const uint64_t keys_max = 1 + random() % 40;
    const Nanos expiry =
        random() % 3 == 0 ? kMaxTime : static_cast<Nanos>(random() % 200);
    Pair pair(keys_max, expiry);
    EventTime now = 1'000'000;
    std::string key;
    for (int step = 0; step < 400; ++step) {
      now += static_cast<EventTime>(random() % 5);
      const auto late =
          random() % 4 == 0 ? static_cast<EventTime>(random() % 30) : 0;
      if (step == 0 || random() % 4 != 0) {  // Else the one of before.
        key = std::to_string(random() % (2 * keys_max));
        // Too long for its slot.
        if (key.back() == '7') key.insert(0, 50, 'x');
      }
      switch (random() % 12) {
        case 0:
          pair.Erase(key);
          break;
        case 1:
        case 2:
          pair.Expire(now);
          break;
        case 3:
          if (random() % 8 == 0) pair.Reload();
          if (random() % 8 == 0) pair.CheckVisits();
          break;
        default:
          pair.Touch(key, now - late, random() % 2 == 0);
      }
      ASSERT_NO_FATAL_FAILURE(pair.Check())
          << "round " << round << ", step " << step;
    }
  }
}

TEST(Table, AFloodPushesOutOnlyItself) {
  Pair pair(/*keys_max=*/10, kMaxTime);
  for (int i = 0; i < 3; ++i) {
    pair.Touch("regular", i, false);
    pair.Touch("another", i, false);
  }
  for (int i = 0; i < 1000; ++i) {
    pair.Touch(fmt::format("flood{}", i), 10 + i, false);
  }
  EXPECT_EQ(pair.evicted(), 1000u - 8u);
  pair.Check();
}

TEST(Table, ExpiresWhatIsCenturiesOld) {
  Table<Number> table({.name = "test", .keys_max = 10, .expiry = 100});
  table.Touch("old", -9'200'000'000'000'000'000);
  table.Touch("new", 9'200'000'000'000'000'000);
  table.ExpireUntil(9'200'000'000'000'000'000);
  EXPECT_EQ(table.Find("old"), nullptr);
  EXPECT_NE(table.Find("new"), nullptr);
}

TEST(Table, ForgetsAHandleWithItsKey) {
  Table<Number> table({.name = "test", .keys_max = 10});
  TableHandle at;
  table.Touch("a", 1, &at).value = 7;
  ASSERT_NE(table.Find(at), nullptr);
  table.Erase("a");
  EXPECT_EQ(table.Find(at), nullptr);
  table.Touch("a", 2);  // In the same place.
  EXPECT_EQ(table.Find(at), nullptr);
  EXPECT_EQ(table.Touch("a", 3, &at).value, 0u);
  EXPECT_NE(table.Find(at), nullptr);
}

}  // namespace
}  // namespace klaxon
