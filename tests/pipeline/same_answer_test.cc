// The test that comes first (design.md): whatever batches, sources, workers,
// restarts and snapshots, the alerts are those of one plain scan.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "event/decode.h"
#include "pipeline/judge.h"
#include "pipeline/observer.h"
#include "pipeline/reorder.h"
#include "pipeline/watermark.h"
#include "tests/random_seed.h"
#include "tests/testing/audit_line.h"
#include "tests/testing/judgement.h"

namespace klaxon {
namespace {

using Random = std::mt19937_64;

// Round r of KLAXON_TEST_SEED=S is round 0 of KLAXON_TEST_SEED=S+r.
uint64_t SeedOf(int round) {
  return RandomSeed() + static_cast<uint64_t>(round);
}

int Pick(Random& random, int bound) {
  return static_cast<int>(random() % static_cast<uint64_t>(bound));
}

template <typename T>
const T& Choose(Random& random, const std::vector<T>& from) {
  return from[random() % from.size()];
}

struct Line {
  EventTime time;
  std::string json;
};

// A short random life of a cluster: few names, so that things meet.
class World {
 public:
  explicit World(Random& random) : random_(random) {}

  std::vector<Line> Make(int events) {
    std::vector<Line> lines;
    Nanos now = Pick(random_, 60) * kSecond;
    for (int i = 0; i < events; ++i) {
      now += Step();
      AuditLine line = Event(now);
      lines.push_back({kEpoch + now, line.Json()});
      if (Pick(random_, 40) == 0) lines.push_back(lines.back());  // Twice.
      if (Pick(random_, 400) == 0) AddFlood(now, &lines);
    }
    return lines;
  }

 private:
  // More of one client within a minute than are kept, many of them twice.
  void AddFlood(Nanos now, std::vector<Line>* lines) {
    const std::string client = Client();
    const int kind = Pick(random_, 4);
    for (int i = 100 + Pick(random_, 500); i > 0; --i) {
      const Nanos at = now + Pick(random_, 50'000) * (kSecond / 1000);
      AuditLine line;
      if (kind == 0) {
        line.Failed();
      } else {
        line.Anonymous().Code(403).Forbid();
      }
      line.From(client).At(at).Uri(fmt::format("/x/{}", Pick(random_, 9)));
      // Watches have two events, but for some policies.
      const bool watch = kind == 2 && Pick(random_, 8) > 0;
      if (watch) {
        line.Id(fmt::format("w{}", at)).Verb("watch").Stage("ResponseStarted");
      }
      const std::string json = line.Json();
      for (int n = 1 + Pick(random_, 3) / 2; n > 0; --n) {
        lines->push_back({kEpoch + at, json});
      }
      if (!watch) continue;
      const Nanos end = at + 1 + Pick(random_, 3) * (kSecond / 1000);
      line.Stage("ResponseComplete").At(end).Received(at - kSecond / 1000);
      lines->push_back({kEpoch + end, line.Json()});
    }
  }

  Nanos Step() {
    switch (Pick(random_, 30)) {
      case 0:
        return Pick(random_, 900) * kSecond;
      case 1:
        return 10 * kMinute;
      case 2:
        return Pick(random_, 26) * kHour;
      default:
        return Pick(random_, 3000) * (kSecond / 1000);
    }
  }

  std::string Client() {
    static const std::vector<std::string> kClients = {
        "203.0.113.7",    "203.0.113.8",     "10.1.2.3",      "10.1.2.4",
        "2001:db8:1::1",  "2001:db8:1::2",   "2001:db8:1::3", "192.0.2.5",
        "2001:db8:2::99", "gce-internal-ip", "127.0.0.1",     "::1"};
    if (Pick(random_, 6) == 0) {
      return fmt::format("198.51.100.{}", Pick(random_, 60));
    }
    return Choose(random_, kClients);
  }

  AuditLine Failure(Nanos at) {
    AuditLine line;
    static const std::vector<std::string> kAgents = {"curl/8", "app/1", "x/2"};
    line.Failed().From(Client()).At(at).Agent(Choose(random_, kAgents));
    line.Uri(fmt::format("/api/v1/p{}", Pick(random_, 7)));
    if (Pick(random_, 5) == 0) line.Through({"9.9.9.9", Client()});
    return line;
  }

  AuditLine AnonymousRequest(Nanos at) {
    AuditLine line;
    line.Anonymous().From(Client()).At(at);
    if (Pick(random_, 2) == 0) {
      return line.Uri(fmt::format("/x/{}", Pick(random_, 40)))
          .Verb("get")
          .Code(403)
          .Forbid();
    }
    static const std::vector<std::string> kResources = {"pods", "secrets",
                                                        "nodes"};
    return line.Resource(Choose(random_, kResources), "shop")
        .Verb(Pick(random_, 2) ? "list" : "create")
        .Allow(
            "RBAC: allowed by ClusterRoleBinding \"b\" of ClusterRole "
            "\"r\" to Group \"system:unauthenticated\"");
  }

  AuditLine Named(Nanos at) {
    AuditLine line;
    const int who = Pick(random_, 8);
    if (who < 3) {
      line.Account("shop", fmt::format("a{}", Pick(random_, 3)))
          .Credential(fmt::format("JTI={}", Pick(random_, 4)));
      if (Pick(random_, 8) == 0) line.Groups({"system:authenticated"});
    } else if (who < 5) {
      line.Kubelet(fmt::format("n{}", Pick(random_, 3)))
          .Credential(fmt::format("X509SHA256=n{}", Pick(random_, 4)));
    } else {
      line.User(fmt::format("u{}", Pick(random_, 7)))
          .Credential(fmt::format("X509SHA256=u{}", Pick(random_, 3)));
    }
    line.From(Client()).At(at).Resource(Pick(random_, 4) ? "pods" : "secrets",
                                        "shop");
    static const std::vector<std::string> kAgents = {"kubectl/v1", "app/1",
                                                     "curl/8", "x/2"};
    line.Agent(Choose(random_, kAgents));
    if (Pick(random_, 4) == 0) return line.Code(403).Forbid();
    if (Pick(random_, 6) == 0) {
      line.Verb("watch").Stage(Pick(random_, 2) ? "ResponseStarted"
                                                : "ResponseComplete");
    }
    if (Pick(random_, 12) == 0) {
      line.Annotation("authentication.k8s.io/legacy-token", "x");
    }
    return line.Allow();
  }

  AuditLine Event(Nanos at) {
    const int kind = Pick(random_, 10);
    if (kind < 5) return Failure(at);
    if (kind < 7) return AnonymousRequest(at);
    return Named(at);
  }

  Random& random_;
};

EngineConfig SmallConfig(Random& random) {
  EngineConfig config;
  ClusterConfig& base = config.base;
  base.detectors.at("unauthorized-burst").Set("threshold", int64_t{4});
  base.detectors.at("unauthorized-burst").Set("high_factor", int64_t{2});
  base.detectors.at("unauthorized-burst").Set("slow_minutes", int64_t{6});
  base.detectors.at("unauthorized-burst").Set("spray_clients", int64_t{6});
  base.detectors.at("anonymous-probing").Set("threshold", int64_t{4});
  base.detectors.at("old-certificate").Set("warn", Duration{2 * kHour});
  base.detectors.at("old-certificate").Set("superseded_after", Duration{kHour});
  base.networks.trusted_proxies = CidrSet({*Cidr::Parse("192.0.2.5/32")});
  if (random() % 3 == 0) config.keys_max = 50;  // Evictions must agree too.
  config.reorder_memory_bytes = random() % 2 ? 4096 : 1 << 20;
  return config;
}

// Decodes and observes lines, a batch at a time.
class Front {
 public:
  explicit Front(const EngineConfig& config) : observer_(config) {}
  Observations Observe(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      std::string padded = line;
      padded.append(kDecodePadding, '\0');
      const DecodeOutcome outcome = decoder_.DecodeLine(
          std::string_view(padded).substr(0, line.size()),
          [&](const EventView& event) { observer_.Observe(event, ""); });
      EXPECT_EQ(outcome.reason, QuarantineReason::kNone) << line;
    }
    return observer_.Take();
  }

 private:
  Decoder decoder_;
  Observer observer_;
};

std::string Printed(Alert alert) {
  alert.revision = 0;  // How often it was told is the path's own affair.
  std::string json;
  AppendJson(alert, &json);
  return json;
}

// What differs, short enough to read.
std::string Difference(const std::vector<std::string>& want,
                       const std::vector<std::string>& got) {
  std::string out;
  for (const std::string& line : want) {
    if (std::find(got.begin(), got.end(), line) == got.end()) {
      out += "\nwant " + line;
    }
  }
  for (const std::string& line : got) {
    if (std::find(want.begin(), want.end(), line) == want.end()) {
      out += "\ngot  " + line;
    }
  }
  return out.empty() && want != got ? "only the order differs" : out;
}

std::vector<std::string> PrintedAll(const std::vector<Alert>& alerts) {
  std::vector<std::string> lines;
  for (const Alert& alert : alerts) lines.push_back(Printed(alert));
  return lines;
}

std::vector<std::string> PlainScan(const EngineConfig& config,
                                   const std::vector<Line>& lines) {
  Front front(config);
  std::vector<std::string> jsons;
  for (const Line& line : lines) jsons.push_back(line.json);
  Judgement judgement(config, 1);
  judgement.Add(0, front.Observe(jsons));
  return PrintedAll(judgement.Alerts());
}

// Workers that take turns, parts handed on in random order, spilled or not.
TEST(SameAnswer, AnyBatchesWorkersAndOrder) {
  for (int round = 0; round < 150; ++round) {
    const uint64_t seed = SeedOf(round);
    SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
    Random random(seed);
    const EngineConfig config = SmallConfig(random);
    std::vector<Line> lines = World(random).Make(50 + Pick(random, 600));
    const std::vector<std::string> want = PlainScan(config, lines);
    std::shuffle(lines.begin(), lines.end(), random);
    std::vector<std::unique_ptr<Front>> fronts;
    for (int i = 0; i <= Pick(random, 8); ++i) {
      fronts.push_back(std::make_unique<Front>(config));
    }
    std::vector<Observations> parts;
    for (size_t i = 0; i < lines.size();) {
      std::vector<std::string> batch;
      for (int n = 1 + Pick(random, 50); n > 0 && i < lines.size(); --n) {
        batch.push_back(lines[i++].json);
      }
      parts.push_back(Choose(random, fronts)->Observe(batch));
    }
    std::shuffle(parts.begin(), parts.end(), random);
    Judgement judgement(config, 1 + random() % 4);
    for (const Observations& part : parts) {
      judgement.Add(random() % judgement.workers(), part);
    }
    ASSERT_EQ(Difference(want, PrintedAll(judgement.Alerts())), "");
  }
}

// ------------------------------------------------------------ the stream

struct Record {  // Of the in-memory journal.
  std::string source;
  EventTime newest;
  Observations observations;
};

// Sources read in random turns; each its own lines, a little out of order.
std::vector<Record> MakeJournal(const EngineConfig& config,
                                const std::vector<Line>& lines, int sources,
                                Nanos disorder, Random& random) {
  std::vector<std::vector<Line>> of(static_cast<size_t>(sources));
  for (const Line& line : lines) {
    of[random() % of.size()].push_back(line);
  }
  for (std::vector<Line>& source : of) {
    std::vector<std::pair<EventTime, Line>> jittered;
    for (const Line& line : source) {
      jittered.emplace_back(
          line.time + static_cast<Nanos>(random() % (disorder + 1)), line);
    }
    std::stable_sort(
        jittered.begin(), jittered.end(),
        [](const auto& a, const auto& b) { return a.first < b.first; });
    source.clear();
    for (auto& [at, line] : jittered) source.push_back(std::move(line));
  }
  std::vector<size_t> next(of.size());
  std::vector<Record> journal;
  std::vector<std::unique_ptr<Front>> workers;
  for (int i = 0; i <= Pick(random, 7); ++i) {
    workers.push_back(std::make_unique<Front>(config));
  }
  while (true) {
    std::vector<size_t> left;
    for (size_t s = 0; s < of.size(); ++s) {
      if (next[s] < of[s].size()) left.push_back(s);
    }
    if (left.empty()) return journal;
    const size_t s = Choose(random, left);
    Record record;
    record.source = fmt::format("s{}", s);
    record.newest = kNoTime;
    std::vector<std::string> batch;
    for (int n = 1 + Pick(random, 30); n > 0 && next[s] < of[s].size(); --n) {
      const Line& line = of[s][next[s]++];
      record.newest = std::max(record.newest, line.time);
      batch.push_back(line.json);
    }
    record.observations = Choose(random, workers)->Observe(batch);
    journal.push_back(std::move(record));
  }
}

// The back half of a daemon, fed by journal records and nothing else.
class Back {
 public:
  // `whole_max`: how many refusal groups of a minute are not folded.
  Back(const EngineConfig& config, int sources, Nanos reorder, size_t whole_max)
      : reorder_(whole_max),
        judge_(config, {.revisions = true, .emit = [this](const Alert& alert) {
                          std::string json;
                          AppendJson(alert, &json);
                          told.push_back(json);
                          last[alert.id] = alert;
                        }}) {
    for (int i = 0; i < sources; ++i) {
      watermark_.AddLane(fmt::format("s{}", i), reorder);
    }
  }
  void Feed(const Record& record) {
    Advance(record, [this](const std::string& cluster, const Judged& judged) {
      judge_.Feed(cluster, judged);
    });
  }
  // A record from before the snapshot: what it released was judged already.
  void FeedJudged(const Record& record) {
    Advance(record, [](const std::string&, const Judged&) {});
  }
  void Finish() {
    reorder_.Finish(watermark_.newest(),
                    [this](const std::string& cluster, const Judged& judged) {
                      judge_.Feed(cluster, judged);
                    });
    judge_.Finish(watermark_.newest());
  }
  std::string Save() const { return judge_.Save(); }
  bool Load(const std::string& bytes) { return judge_.Load(bytes); }
  uint64_t late() const { return reorder_.late(); }

  std::vector<std::string> told;      // Every revision, in order.
  std::map<std::string, Alert> last;  // The last of each id.

 private:
  void Advance(const Record& record, const Reorder::Sink& sink) {
    Observations copy = record.observations;
    reorder_.Add(std::move(copy));
    watermark_.See(record.source, record.newest);
    reorder_.Release(watermark_.value(), sink);
  }
  Watermark watermark_;
  Reorder reorder_;
  Judge judge_;
};

TEST(SameAnswer, AnySourcesRestartsAndSnapshots) {
  for (int round = 0; round < 150; ++round) {
    const uint64_t seed = SeedOf(round);
    SCOPED_TRACE(fmt::format("KLAXON_TEST_SEED={}", seed));
    Random random(seed);
    EngineConfig config = SmallConfig(random);
    const std::vector<Line> lines = World(random).Make(50 + Pick(random, 400));
    const std::vector<std::string> want = PlainScan(config, lines);
    const int sources = 1 + Pick(random, 6);
    const Nanos reorder = 2 * kSecond;
    const std::vector<Record> journal =
        MakeJournal(config, lines, sources, reorder / 2, random);

    // One uninterrupted run; snapshots on the way.
    const size_t whole_max = Pick(random, 2) == 0 ? 0 : 4096;
    Back whole(config, sources, reorder, whole_max);
    std::map<size_t, std::pair<std::string, size_t>> snapshots;
    for (size_t i = 0; i < journal.size(); ++i) {
      if (Pick(random, 4) == 0) {
        snapshots[i] = {whole.Save(), whole.told.size()};
      }
      whole.Feed(journal[i]);
    }
    whole.Finish();
    ASSERT_EQ(whole.late(), 0u);
    std::vector<Alert> final_alerts;
    for (const auto& [id, alert] : whole.last) final_alerts.push_back(alert);
    std::sort(final_alerts.begin(), final_alerts.end(), PrintsBefore);
    std::vector<std::string> got;
    for (const Alert& alert : final_alerts) got.push_back(Printed(alert));
    ASSERT_EQ(Difference(want, got), "");

    // Restarts: from a snapshot, the rest is told again, word for word.
    for (const auto& [at, snapshot] : snapshots) {
      if (Pick(random, 3) != 0) continue;
      Back restarted(config, sources, reorder, whole_max);
      ASSERT_TRUE(restarted.Load(snapshot.first));
      for (size_t i = 0; i < at; ++i) restarted.FeedJudged(journal[i]);
      ASSERT_EQ(restarted.Save(), snapshot.first);
      for (size_t i = at; i < journal.size(); ++i) restarted.Feed(journal[i]);
      restarted.Finish();
      const std::vector<std::string> rest(
          whole.told.begin() + static_cast<ptrdiff_t>(snapshot.second),
          whole.told.end());
      ASSERT_EQ(Difference(rest, restarted.told), "")
          << "restart at record " << at;
    }
  }
}

// More clusters than an observer remembers at once are still themselves.
TEST(SameAnswer, ThousandsOfClusters) {
  const EngineConfig config;
  Decoder decoder;
  Observer observer(config);
  Judgement judgement(config, 1);
  for (int c = 0; c < 1500; ++c) {
    for (int i = 0; i < 10; ++i) {
      const std::string line =
          AuditLine().Failed().From("203.0.113.7").At(i * kSecond).Json();
      std::string padded = line;
      padded.append(kDecodePadding, '\0');
      decoder.DecodeLine(std::string_view(padded).substr(0, line.size()),
                         [&](const EventView& event) {
                           observer.Observe(event, fmt::format("c{}", c));
                         });
    }
    if (observer.full()) judgement.Add(0, observer.Take());
  }
  judgement.Add(0, observer.Take());
  std::set<std::string> clusters;
  for (const Alert& alert : judgement.Alerts()) {
    EXPECT_EQ(alert.count, 10u);
    clusters.insert(alert.cluster);
  }
  EXPECT_EQ(clusters.size(), 1500u);
}

// Whatever stands in a URI or agent, no credential is shown.
}  // namespace
}  // namespace klaxon
