#include "pipeline/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

using Samples = std::map<std::string, double>;  // "name{a=\"b\"}" -> value

Samples SamplesOf(const std::string& text) {
  Samples samples;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.rfind(' ');
    EXPECT_TRUE(samples
                    .emplace(line.substr(0, space),
                             strtod(line.c_str() + space, nullptr))
                    .second)
        << line;
  }
  return samples;
}

// Every field has a value of its own, every list an element.
MetricsSnapshot FullSnapshot(size_t lanes, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto number = [&] { return random() % 1'000'000'000'000; };
  MetricsSnapshot full;
  full.version = "1.2.3";
  full.revision = "abc";
  full.ready = true;
  uint64_t raised = 0;
  for (const char* severity : {"low", "high"}) {
    full.alerts.push_back({"unauthorized-burst", "burst", severity, number()});
    raised += full.alerts.back().raised;
  }
  for (size_t i = 0; i < lanes; ++i) {
    LaneMetrics& lane = full.lanes.emplace_back();
    lane.source = i % 2 == 0 ? "file:/a" : "webhook:0.0.0.0:9443";
    lane.lane = "lane-" + std::to_string(i);
    lane.processed_bytes = number();
    lane.quarantined_bytes = number();
    lane.repeated_bytes = number();
    lane.gap_bytes = number();
    lane.in_flight_bytes = number();
    lane.bytes = lane.processed_bytes + lane.quarantined_bytes +
                 lane.repeated_bytes + lane.gap_bytes + lane.in_flight_bytes;
    lane.lines = lane.events = lane.requests = lane.late = lane.future = 1;
    lane.lag_bytes = lane.lag_records = 7;
    lane.lag_seconds = 1.5;
    lane.newest_event = 1'800'000'000 * kSecond + 500'000'000;
    lane.held = true;
  }
  full.sources["file:/a"] = {{{"not_json", 2}, {"klog", 3}},
                             {{"truncated", 1}}};
  full.watermark = full.newest_event = 1'800'000'000 * kSecond;
  full.observations = {{"deed", 1}, {"sighting", 2}};
  full.tables = {{"clients", 3, 10, 4}};
  SinkMetrics sink{
      .sink = "stdout", .retries = 4, .oldest_pending_seconds = 0.25};
  sink.delivered = raised / 2;
  sink.pending = raised / 4;
  sink.dead_lettered = raised / 8;
  sink.filtered = raised / 16;
  sink.shed = raised - sink.delivered - sink.pending - sink.dead_lettered -
              sink.filtered;
  full.sinks = {sink};
  full.journal.snapshot_pause.Observe(absl::Milliseconds(3));
  full.journal.commit_duration.Observe(absl::Milliseconds(3));
  full.journal.snapshot_time = absl::FromUnixSeconds(1'800'000'000);
  HttpListenerMetrics listener{.listener = "api"};
  listener.counters.responses = {{200, 5}, {429, 1}};
  listener.counters.certificate_not_after =
      absl::FromUnixSeconds(1'900'000'000);
  full.listeners = {listener};
  full.webhooks = {{.source = "webhook:0.0.0.0:9443"}};
  full.process = ReadProcessMetrics();
  return full;
}

// name -> "type: label label"
std::map<std::string, std::string> EmittedFamilies(const std::string& text) {
  std::map<std::string, std::string> types;
  std::map<std::string, std::set<std::string>> labels;
  std::istringstream lines(text);
  std::string line;
  std::string family;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string hash;
    std::string word;
    words >> hash >> word;
    if (hash == "#") {
      words >> family;
      if (word == "TYPE") words >> types[family];
      continue;
    }
    for (size_t at = line.find_first_of("{,"); at != std::string::npos;
         at = line.find("\",", at + 1)) {
      if (line[at] == '"') ++at;
      const size_t equals = line.find('=', at);
      if (equals == std::string::npos) break;
      const std::string name = line.substr(at + 1, equals - at - 1);
      if (name != "le") labels[family].insert(name);
    }
  }
  std::map<std::string, std::string> families;
  for (const auto& [name, type] : types) {
    families[name] = type + ":";
    for (const std::string& label : labels[name]) families[name] += " " + label;
  }
  return families;
}

// Of the tables of docs/METRICS.md, in the same form.
std::map<std::string, std::string> DocumentedFamilies() {
  std::map<std::string, std::string> families;
  std::ifstream file(KLAXON_SOURCE_DIR "/docs/METRICS.md");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("| `", 0) != 0) continue;
    std::vector<std::string> cells;
    std::istringstream row(line.substr(1));
    std::string cell;
    while (std::getline(row, cell, '|')) cells.push_back(cell);
    EXPECT_EQ(cells.size(), 6u) << line;
    EXPECT_GT(cells[3].size(), 2u) << "no unit: " << line;
    const auto quoted = [](const std::string& text) {
      std::set<std::string> words;
      for (size_t at = text.find('`'); at != std::string::npos;) {
        const size_t end = text.find('`', at + 1);
        words.insert(text.substr(at + 1, end - at - 1));
        at = text.find('`', end + 1);
      }
      return words;
    };
    std::istringstream type(cells[1]);
    std::string& family = families[*quoted(cells[0]).begin()];
    EXPECT_TRUE(family.empty()) << "twice: " << line;
    type >> family;
    family += ":";
    for (const std::string& label : quoted(cells[2])) family += " " + label;
  }
  return families;
}

TEST(Metrics, DocumentIsWhatIsEmitted) {
  const auto emitted = EmittedFamilies(RenderMetrics(FullSnapshot(2, 1)));
  const auto documented = DocumentedFamilies();
  EXPECT_GT(emitted.size(), 60u);
  EXPECT_EQ(emitted, documented);
}

TEST(Metrics, EmptySnapshotHasNoSeriesItKnowsNothingOf) {
  const std::string text = RenderMetrics({});
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("watermark")));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("klaxon_sink")));
  EXPECT_THAT(text, testing::HasSubstr("\nklaxon_ready 0\n"));
}

TEST(Metrics, SumsHoldToTheByte) {
  for (const size_t lanes : {3, 1000}) {
    const Samples samples =
        SamplesOf(RenderMetrics(FullSnapshot(lanes, RandomSeed())));
    uint64_t seen = 0;
    const std::string total = "klaxon_input_bytes_total";
    for (const auto& [name, value] : samples) {
      if (name.rfind(total, 0) != 0) continue;
      ++seen;
      const std::string labels = name.substr(total.size());
      double sum = samples.at("klaxon_input_in_flight_bytes" + labels);
      for (const char* part : {"processed", "quarantined", "repeated", "gap"}) {
        sum += samples.at("klaxon_input_" + std::string(part) + "_bytes_total" +
                          labels);
      }
      EXPECT_EQ(value, sum) << name;
    }
    EXPECT_EQ(seen, std::min<size_t>(lanes, kMetricLanesMax + 2));
    double raised = 0;
    for (const auto& [name, value] : samples) {
      if (name.rfind("klaxon_alerts_raised_total", 0) == 0) raised += value;
    }
    const std::string sink = "{sink=\"stdout\"}";
    EXPECT_EQ(raised, samples.at("klaxon_sink_delivered_total" + sink) +
                          samples.at("klaxon_sink_pending" + sink) +
                          samples.at("klaxon_sink_dead_lettered_total" + sink) +
                          samples.at("klaxon_sink_filtered_total" + sink) +
                          samples.at("klaxon_sink_shed_total" + sink));
  }
}

TEST(Metrics, LanesBeyondTheLimitAreOneAndNothingIsLost) {
  const MetricsSnapshot snapshot = FullSnapshot(1000, RandomSeed());
  double want = 0;
  for (const LaneMetrics& lane : snapshot.lanes) {
    want += static_cast<double>(lane.bytes);
  }
  double got = 0;
  size_t series = 0;
  for (const auto& [name, value] : SamplesOf(RenderMetrics(snapshot))) {
    if (name.rfind("klaxon_input_bytes_total", 0) == 0) got += value;
    ++series;
  }
  EXPECT_EQ(got, want);
  EXPECT_LT(series, 4000u);
}

TEST(Metrics, LabelsOfAnyBytesStayOneLine) {
  MetricsSnapshot snapshot;
  snapshot.lanes.resize(1);
  snapshot.lanes[0].source = "file:/a\"b\\c\nd";
  snapshot.lanes[0].lane = "\xff\xfe/log";
  const std::string text = RenderMetrics(snapshot);
  EXPECT_THAT(text, testing::HasSubstr("source=\"file:/a\\\"b\\\\c\\nd\""));
  EXPECT_THAT(text,
              testing::HasSubstr("lane=\"\xef\xbf\xbd\xef\xbf\xbd/log\""));
}

TEST(Metrics, HistogramCountsCumulatively) {
  MetricsSnapshot snapshot;
  DurationHistogram& histogram = snapshot.journal.commit_duration;
  histogram.Observe(absl::Microseconds(500));  // A bound belongs to its bucket.
  histogram.Observe(absl::Milliseconds(3));
  histogram.Observe(absl::Seconds(9));
  const Samples samples = SamplesOf(RenderMetrics(snapshot));
  const std::string name = "klaxon_journal_commit_duration_seconds";
  EXPECT_EQ(samples.at(name + "_bucket{le=\"0.0005\"}"), 1);
  EXPECT_EQ(samples.at(name + "_bucket{le=\"0.0025\"}"), 1);
  EXPECT_EQ(samples.at(name + "_bucket{le=\"0.005\"}"), 2);
  EXPECT_EQ(samples.at(name + "_bucket{le=\"5\"}"), 2);
  EXPECT_EQ(samples.at(name + "_bucket{le=\"+Inf\"}"), 3);
  EXPECT_EQ(samples.at(name + "_count"), 3);
  EXPECT_NEAR(samples.at(name + "_sum"), 9.0035, 1e-9);
}

TEST(Metrics, ProcessIsThisOne) {
  const ProcessMetrics process = ReadProcessMetrics();
  EXPECT_GT(process.resident_bytes, 1u << 20);
  EXPECT_GT(process.virtual_bytes, process.resident_bytes);
  EXPECT_GE(process.open_files, 3u);
  EXPECT_GE(process.threads, 1u);
  EXPECT_GT(process.open_files_max, process.open_files);
  EXPECT_GE(process.cpu_seconds, 0);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LE(process.start_time_seconds, now + 2);
  EXPECT_GE(process.start_time_seconds, now - 3600);
}

TEST(Metrics, PromtoolFindsNothing) {
  if (system("command -v promtool >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool is not here: apt-get install prometheus";
  }
  FILE* promtool = popen("promtool check metrics 2>&1", "w");
  ASSERT_NE(promtool, nullptr);
  const std::string text = RenderMetrics(FullSnapshot(3, 1));
  EXPECT_EQ(fwrite(text.data(), 1, text.size(), promtool), text.size());
  EXPECT_EQ(pclose(promtool), 0) << text;
}

}  // namespace
}  // namespace klaxon
