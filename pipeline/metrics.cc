#include "pipeline/metrics.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "event/decode_json.h"

namespace klaxon {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Pairs of name and value.
using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

constexpr std::string_view kOther = "other";

double Seconds(EventTime time) {
  return static_cast<double>(time) / static_cast<double>(kSecond);
}

class Families {
 public:
  // The family that the Adds after it go to.
  Families& Counter(std::string name, std::string help) {
    return Begin(std::move(name), std::move(help), MetricType::Counter);
  }
  Families& Gauge(std::string name, std::string help) {
    return Begin(std::move(name), std::move(help), MetricType::Gauge);
  }
  Families& Histogram(std::string name, std::string help) {
    return Begin(std::move(name), std::move(help), MetricType::Histogram);
  }

  Families& Add(const Labels& labels, double value) {
    ClientMetric& metric = AddMetric(labels);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    return *this;
  }
  Families& Add(const Labels& labels, uint64_t value) {
    return Add(labels, static_cast<double>(value));
  }
  Families& AddHistogram(const DurationHistogram& histogram) {
    auto& out = AddMetric({}).histogram;
    const auto& counts = histogram.counts();
    for (size_t bucket = 0; bucket < counts.size(); ++bucket) {
      out.sample_count += counts[bucket];
      if (bucket < DurationHistogram::kBounds.size()) {
        out.bucket.push_back(
            {out.sample_count, DurationHistogram::kBounds[bucket]});
      }
    }
    out.bucket.push_back(
        {out.sample_count, std::numeric_limits<double>::infinity()});
    out.sample_sum = histogram.sum_seconds();
    return *this;
  }

  std::string Render() {
    std::erase_if(families_, [](const MetricFamily& family) {
      return family.metric.empty();
    });
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  Families& Begin(std::string name, std::string help, MetricType type) {
    MetricFamily& family = families_.emplace_back();
    family.name = std::move(name);
    family.help = std::move(help);
    family.type = type;
    return *this;
  }
  ClientMetric& AddMetric(const Labels& labels) {
    ClientMetric& metric = families_.back().metric.emplace_back();
    for (const auto& [name, value] : labels) {
      // A path may be any bytes; one bad label spoils a whole scrape.
      metric.label.push_back(
          {std::string(name), std::string(Sanitize(value, &arena_))});
    }
    return metric;
  }

  std::vector<MetricFamily> families_;
  Arena arena_;
};

// At most kMetricLanesMax and one for all others of a source.
std::vector<LaneMetrics> BoundLanes(const std::vector<LaneMetrics>& lanes) {
  if (lanes.size() <= kMetricLanesMax) return lanes;
  std::vector<LaneMetrics> bound(lanes.begin(),
                                 lanes.begin() + kMetricLanesMax);
  std::map<std::string, LaneMetrics> others;
  for (size_t at = kMetricLanesMax; at < lanes.size(); ++at) {
    const LaneMetrics& lane = lanes[at];
    LaneMetrics& other = others[lane.source];
    other.source = lane.source;
    other.lane = kOther;
    for (const auto field :
         {&LaneMetrics::bytes, &LaneMetrics::processed_bytes,
          &LaneMetrics::quarantined_bytes, &LaneMetrics::repeated_bytes,
          &LaneMetrics::gap_bytes, &LaneMetrics::in_flight_bytes,
          &LaneMetrics::lines, &LaneMetrics::events, &LaneMetrics::requests,
          &LaneMetrics::late, &LaneMetrics::future, &LaneMetrics::lag_bytes,
          &LaneMetrics::lag_records}) {
      other.*field += lane.*field;
    }
    other.lag_seconds = std::max(other.lag_seconds, lane.lag_seconds);
    other.newest_event = std::max(other.newest_event, lane.newest_event);
    other.held = other.held || lane.held;
  }
  for (auto& [source, other] : others) bound.push_back(std::move(other));
  return bound;
}

struct LaneFamily {
  const char* name;
  const char* help;
  uint64_t LaneMetrics::* field;
};

void AddLanes(const std::vector<LaneMetrics>& lanes, Families* out) {
  const auto add_all = [&](const LaneFamily& family) {
    for (const LaneMetrics& lane : lanes) {
      out->Add({{"source", lane.source}, {"lane", lane.lane}},
               lane.*family.field);
    }
  };
  for (const LaneFamily& family : std::initializer_list<LaneFamily>{
           {"klaxon_input_bytes_total", "Bytes of input.", &LaneMetrics::bytes},
           {"klaxon_input_processed_bytes_total",
            "Bytes of input that were decoded, observed and made durable.",
            &LaneMetrics::processed_bytes},
           {"klaxon_input_quarantined_bytes_total",
            "Bytes of input that could not be read and were kept aside.",
            &LaneMetrics::quarantined_bytes},
           {"klaxon_input_repeated_bytes_total",
            "Bytes of input that had come before.",
            &LaneMetrics::repeated_bytes},
           {"klaxon_input_gap_bytes_total",
            "Bytes of input known to be lost before they could be read.",
            &LaneMetrics::gap_bytes},
           {"klaxon_input_lines_total", "Lines (or documents) of input.",
            &LaneMetrics::lines},
           {"klaxon_input_events_total", "Audit events decoded.",
            &LaneMetrics::events},
           {"klaxon_input_requests_total",
            "Requests observed, each counted once whatever its stages.",
            &LaneMetrics::requests},
           {"klaxon_input_late_total",
            "Events judged although their time had passed.",
            &LaneMetrics::late},
           {"klaxon_input_future_total",
            "Events stamped more than ten minutes ahead of the clock.",
            &LaneMetrics::future}}) {
    out->Counter(family.name, family.help);
    add_all(family);
  }
  for (const LaneFamily& family : std::initializer_list<LaneFamily>{
           {"klaxon_input_in_flight_bytes",
            "Bytes of input taken and not yet durable.",
            &LaneMetrics::in_flight_bytes},
           {"klaxon_input_lag_bytes", "Bytes there are and not read yet.",
            &LaneMetrics::lag_bytes},
           {"klaxon_input_lag_records",
            "Records or batches there are and not read yet.",
            &LaneMetrics::lag_records}}) {
    out->Gauge(family.name, family.help);
    add_all(family);
  }
}

void AddLaneTimes(const std::vector<LaneMetrics>& lanes, Families* out) {
  out->Gauge("klaxon_input_lag_seconds",
             "How far the newest event lies behind the clock while behind.");
  for (const LaneMetrics& lane : lanes) {
    out->Add({{"source", lane.source}, {"lane", lane.lane}}, lane.lag_seconds);
  }
  out->Gauge("klaxon_input_newest_event_timestamp_seconds",
             "Event time of the newest event.");
  for (const LaneMetrics& lane : lanes) {
    if (lane.newest_event == kNoTime) continue;
    out->Add({{"source", lane.source}, {"lane", lane.lane}},
             Seconds(lane.newest_event));
  }
  out->Gauge("klaxon_input_held",
             "1 while event time of this lane waits for something.");
  for (const LaneMetrics& lane : lanes) {
    out->Add({{"source", lane.source}, {"lane", lane.lane}},
             static_cast<uint64_t>(lane.held));
  }
}

void AddReasons(const std::map<std::string, SourceMetrics>& sources,
                std::map<std::string, uint64_t> SourceMetrics::* field,
                Families* out) {
  for (const auto& [source, metrics] : sources) {
    for (const auto& [reason, count] : metrics.*field) {
      out->Add({{"source", source}, {"reason", reason}}, count);
    }
  }
}

void AddInput(const MetricsSnapshot& snapshot, Families* out) {
  const std::vector<LaneMetrics> lanes = BoundLanes(snapshot.lanes);
  AddLanes(lanes, out);
  AddLaneTimes(lanes, out);
  out->Counter("klaxon_input_quarantined_total",
               "Lines that could not be read, or not wholly.");
  AddReasons(snapshot.sources, &SourceMetrics::quarantined, out);
  out->Counter("klaxon_input_gaps_total",
               "Stretches of input that are lost, or may be.");
  AddReasons(snapshot.sources, &SourceMetrics::gaps, out);
}

void AddJudging(const MetricsSnapshot& snapshot, Families* out) {
  out->Gauge("klaxon_watermark_timestamp_seconds",
             "Event time up to which all was judged.");
  if (snapshot.watermark != kNoTime) out->Add({}, Seconds(snapshot.watermark));
  out->Gauge("klaxon_newest_event_timestamp_seconds",
             "Event time of the newest event of any source.");
  if (snapshot.newest_event != kNoTime) {
    out->Add({}, Seconds(snapshot.newest_event));
  }
  out->Counter("klaxon_observations_total", "Observations made, by kind.");
  for (const auto& [kind, count] : snapshot.observations) {
    out->Add({{"kind", kind}}, count);
  }
  out->Gauge("klaxon_reorder_observations",
             "Observations that wait for their event time to come.")
      .Add({}, snapshot.reorder_pending);
  out->Counter("klaxon_reconfigured_total",
               "Detectors that a reload left without their state.")
      .Add({}, snapshot.reconfigured);
  out->Gauge("klaxon_table_keys", "Keys that are remembered.");
  for (const TableMetrics& table : snapshot.tables) {
    out->Add({{"table", table.table}}, table.keys);
  }
  out->Gauge("klaxon_table_keys_max", "Keys that may be remembered.");
  for (const TableMetrics& table : snapshot.tables) {
    if (table.keys_max > 0) out->Add({{"table", table.table}}, table.keys_max);
  }
  out->Counter("klaxon_evictions_total",
               "Keys forgotten because their table was full.");
  for (const TableMetrics& table : snapshot.tables) {
    out->Add({{"table", table.table}}, table.evicted);
  }
}

void AddAlerts(const MetricsSnapshot& snapshot, Families* out) {
  out->Gauge("klaxon_open_episodes", "Alerts that are firing.")
      .Add({}, snapshot.open_episodes);
  out->Counter("klaxon_alerts_raised_total",
               "Alert revisions given to the sinks.");
  for (const AlertMetrics& alert : snapshot.alerts) {
    out->Add({{"detector", alert.detector},
              {"rule", alert.rule},
              {"severity", alert.severity}},
             alert.raised);
  }
  const auto add = [&](uint64_t SinkMetrics::* field) {
    for (const SinkMetrics& sink : snapshot.sinks) {
      out->Add({{"sink", sink.sink}}, sink.*field);
    }
  };
  out->Counter("klaxon_sink_delivered_total",
               "Alert revisions that the sink's target has taken.");
  add(&SinkMetrics::delivered);
  out->Gauge("klaxon_sink_pending", "Alert revisions not delivered yet.");
  add(&SinkMetrics::pending);
  out->Counter("klaxon_sink_dead_lettered_total",
               "Alert revisions that the target refused for good.");
  add(&SinkMetrics::dead_lettered);
  out->Counter("klaxon_sink_filtered_total",
               "Alert revisions that the sink's settings leave out.");
  add(&SinkMetrics::filtered);
  out->Counter("klaxon_sink_shed_total",
               "Alert revisions given up because the outbox was full.");
  add(&SinkMetrics::shed);
  out->Counter("klaxon_sink_retries_total", "Deliveries that were repeated.");
  add(&SinkMetrics::retries);
  out->Gauge("klaxon_sink_oldest_pending_seconds",
             "Age of the alert revision that waits for longest.");
  for (const SinkMetrics& sink : snapshot.sinks) {
    out->Add({{"sink", sink.sink}}, sink.oldest_pending_seconds);
  }
}

void AddJournal(const JournalMetrics& journal, Families* out) {
  out->Counter("klaxon_journal_commits_total", "Group commits of the journal.")
      .Add({}, journal.commits);
  out->Counter("klaxon_journal_bytes_total", "Bytes written to the journal.")
      .Add({}, journal.bytes);
  out->Gauge("klaxon_journal_size_bytes", "Bytes the journal holds.")
      .Add({}, journal.size_bytes);
  out->Histogram("klaxon_journal_commit_duration_seconds",
                 "Time of a group commit, its sync included.")
      .AddHistogram(journal.commit_duration);
  out->Histogram("klaxon_snapshot_pause_seconds",
                 "Time that a snapshot kept the daemon from all else, at a "
                 "stretch, with the commit that carries a part of it.")
      .AddHistogram(journal.snapshot_pause);
  out->Counter("klaxon_snapshots_total", "Snapshots completed.")
      .Add({}, journal.snapshots);
  out->Gauge("klaxon_snapshot_size_bytes", "Size of the newest snapshot.")
      .Add({}, journal.snapshot_size_bytes);
  out->Gauge("klaxon_snapshot_duration_seconds",
             "Time from begin to end of the newest snapshot.")
      .Add({}, journal.snapshot_duration_seconds);
  out->Gauge("klaxon_snapshot_timestamp_seconds",
             "When the newest snapshot was completed.");
  if (journal.snapshot_time > absl::InfinitePast()) {
    out->Add({},
             absl::ToDoubleSeconds(journal.snapshot_time - absl::UnixEpoch()));
  }
}

void AddHttpConnections(const MetricsSnapshot& snapshot, Families* out) {
  out->Gauge("klaxon_http_connections", "Connections that are open.");
  for (const auto& [listener, counters] : snapshot.listeners) {
    out->Add({{"listener", listener}}, counters.connections);
  }
  out->Counter("klaxon_http_connections_total", "Connections accepted.");
  for (const auto& [listener, counters] : snapshot.listeners) {
    out->Add({{"listener", listener}}, counters.accepted);
  }
  out->Counter("klaxon_http_connections_refused_total",
               "Connections refused or pushed out at a limit, or ended for "
               "what they did.");
  for (const auto& [listener, c] : snapshot.listeners) {
    for (const auto& [cause, count] :
         std::initializer_list<std::pair<std::string_view, uint64_t>>{
             {"limit", c.refused_in_all},
             {"peer_limit", c.refused_for_peer},
             {"evicted", c.evicted},
             {"handshake", c.handshakes_failed},
             {"timeout", c.timeouts},
             {"bad_request", c.bad_requests},
             {"unauthorized", c.unauthorized}}) {
      out->Add({{"listener", listener}, {"cause", cause}}, count);
    }
  }
}

void AddHttpRequests(const MetricsSnapshot& snapshot, Families* out) {
  const auto add = [&](uint64_t HttpServerCounters::* field) {
    for (const auto& [listener, counters] : snapshot.listeners) {
      out->Add({{"listener", listener}}, counters.*field);
    }
  };
  out->Counter("klaxon_http_requests_total", "Whole requests handed on.");
  add(&HttpServerCounters::requests);
  out->Counter("klaxon_http_request_body_bytes_total",
               "Bytes of the bodies of whole requests.");
  add(&HttpServerCounters::body_bytes);
  out->Gauge("klaxon_http_receiving_bytes", "Bytes of bodies under way.");
  add(&HttpServerCounters::bodies_bytes);
  out->Counter("klaxon_http_aborted_requests_total",
               "Requests whose body did not come whole.");
  add(&HttpServerCounters::aborted);
  out->Counter("klaxon_http_unsent_responses_total",
               "Answers whose client had gone.");
  add(&HttpServerCounters::unsent);
  out->Counter("klaxon_http_responses_total", "Answers, by status.");
  for (const auto& [listener, counters] : snapshot.listeners) {
    for (const auto& [status, count] : counters.responses) {
      out->Add({{"listener", listener}, {"code", std::to_string(status)}},
               count);
    }
  }
  out->Gauge("klaxon_http_certificate_expiry_timestamp_seconds",
             "When the listener's own certificate ends.");
  for (const auto& [listener, counters] : snapshot.listeners) {
    if (counters.certificate_not_after == absl::InfiniteFuture()) continue;
    out->Add({{"listener", listener}},
             absl::ToDoubleSeconds(counters.certificate_not_after -
                                   absl::UnixEpoch()));
  }
}

void AddWebhooks(const MetricsSnapshot& snapshot, Families* out) {
  out->Counter("klaxon_webhook_batches_total",
               "Batches of audit webhooks, by what became of them.");
  for (const auto& [source, c] : snapshot.webhooks) {
    for (const auto& [result, count] :
         std::initializer_list<std::pair<std::string_view, uint64_t>>{
             {"delivered", c.delivered_bodies},
             {"repeated", c.repeated_bodies},
             {"refused_full", c.refused_full},
             {"refused_content", c.refused_content},
             {"refused_head", c.refused_head},
             {"aborted", c.aborted},
             {"not_resent", c.not_resent}}) {
      out->Add({{"source", source}, {"result", result}}, count);
    }
  }
  out->Gauge("klaxon_webhook_lanes",
             "Different senders (path, certificate, address) remembered.");
  for (const auto& [source, counters] : snapshot.webhooks) {
    out->Add({{"source", source}}, counters.lanes);
  }
}

void AddProcess(const ProcessMetrics& process, Families* out) {
  out->Counter("process_cpu_seconds_total", "User and system time spent.")
      .Add({}, process.cpu_seconds);
  out->Gauge("process_resident_memory_bytes", "Memory in RAM.")
      .Add({}, process.resident_bytes);
  out->Gauge("process_virtual_memory_bytes", "Address space in use.")
      .Add({}, process.virtual_bytes);
  out->Gauge("process_open_fds", "Open files and sockets.")
      .Add({}, process.open_files);
  out->Gauge("process_max_fds", "Files and sockets that may be open.")
      .Add({}, process.open_files_max);
  out->Gauge("process_threads", "Threads.").Add({}, process.threads);
  out->Gauge("process_start_time_seconds", "When the process started.")
      .Add({}, process.start_time_seconds);
}

}  // namespace

void DurationHistogram::Observe(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++counts_[static_cast<size_t>(bound - kBounds.begin())];
  sum_seconds_ += seconds;
}

std::string RenderMetrics(const MetricsSnapshot& snapshot) {
  Families out;
  out.Gauge("klaxon_build_info", "1, with what was built.")
      .Add({{"version", snapshot.version}, {"revision", snapshot.revision}},
           uint64_t{1});
  out.Gauge("klaxon_ready", "1 while /readyz says so.")
      .Add({}, static_cast<uint64_t>(snapshot.ready));
  AddInput(snapshot, &out);
  AddJudging(snapshot, &out);
  AddAlerts(snapshot, &out);
  AddJournal(snapshot.journal, &out);
  out.Counter("klaxon_config_reloads_total", "Reloads of the configuration.")
      .Add({{"result", "ok"}}, snapshot.reloads_ok)
      .Add({{"result", "failed"}}, snapshot.reloads_failed);
  AddHttpConnections(snapshot, &out);
  AddHttpRequests(snapshot, &out);
  AddWebhooks(snapshot, &out);
  AddProcess(snapshot.process, &out);
  return out.Render();
}

}  // namespace klaxon
