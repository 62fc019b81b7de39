#include "app/make_source.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "app/make_key.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "ingest/file_follower.h"
#include "ingest/kafka_source.h"

namespace klaxon {
namespace {

constexpr absl::Duration kWebhookIdle = absl::Seconds(35);
constexpr absl::Duration kStreamIdle = absl::Seconds(2);

// By what a second owner of a topic is noticed: the same over restarts.
std::string InstanceName(const std::string& state_dir) {
  char host[256] = {};
  if (gethostname(host, sizeof(host) - 1) != 0) host[0] = '?';
  if (state_dir.empty()) return fmt::format("{}:{}", host, getpid());
  std::error_code ignored;
  return fmt::format("{}:{}", host,
                     std::filesystem::absolute(state_dir, ignored).string());
}

// What every source depends on.
KeyWriter BeginKey(const SourceConfig& source, const Config& config) {
  KeyWriter key;
  key.Add(static_cast<uint64_t>(source.type)).Add(source.from);
  key.Add(static_cast<uint64_t>(source.from_time));
  key.Add(config.line_bytes_max).Add(config.cluster.path_regex);
  key.Add(config.cluster.json_field).Add(config.cluster.kafka_header);
  key.Add(static_cast<uint64_t>(config.cluster.kafka_key));
  return key;
}

DaemonSource DescribeFile(const SourceConfig& source, const Config& config,
                          const CommandLine& line) {
  FollowOptions follow;
  follow.paths = source.paths;
  follow.until_end = line.until_end;
  follow.line_bytes_max = config.line_bytes_max;
  follow.cluster_path_regex = config.cluster.path_regex;
  follow.clock = [] { return absl::Now(); };
  DaemonSource described;
  if (source.from == "end") follow.from = FollowOptions::From::kEnd;
  if (source.from == "time") {
    follow.from = FollowOptions::From::kTime;
    follow.from_time = source.from_time;
    described.since = source.from_time;
  }
  KeyWriter key = BeginKey(source, config);
  for (const std::string& path : source.paths) key.Add(path);
  described.key = key.bytes();
  described.name = source.paths.front();
  described.label = fmt::format("file:{}", fmt::join(source.paths, ","));
  described.make = [follow] {
    return MadeSource{MakeFileFollower(follow), {}};
  };
  return described;
}

std::function<void(int, std::string_view)> KafkaLog(Console* console) {
  return [console](int level, std::string_view text) {
    constexpr int kSyslogWarning = 4;
    console->Log(
        level <= kSyslogWarning ? LogLevel::kWarning : LogLevel::kDebug,
        fmt::format("kafka: {}", text));
  };
}

absl::StatusOr<DaemonSource> DescribeKafka(const SourceConfig& source,
                                           const Config& config,
                                           const CommandLine& line,
                                           Console* console) {
  KafkaSourceOptions kafka;
  kafka.name = source.name;
  kafka.brokers = source.brokers;
  kafka.topics = source.topics;
  kafka.group = source.group;
  if (source.from == "end") kafka.start = KafkaStart::kEnd;
  if (source.from == "committed") kafka.start = KafkaStart::kCommitted;
  DaemonSource described;
  if (source.from == "time") {
    kafka.start = KafkaStart::kTime;
    kafka.start_time = absl::FromUnixNanos(source.from_time);
    described.since = source.from_time;
  }
  KeyWriter key = BeginKey(source, config);
  key.Add(source.name).Add(source.brokers).Add(source.group);
  for (const std::string& topic : source.topics) key.Add(topic);
  for (const auto& [name, value] : source.properties) {
    absl::StatusOr<std::string> text = TextOf(value);
    if (!text.ok()) return text.status();
    key.AddKafkaProperty(name, *text);
    kafka.config[name] = *std::move(text);
  }
  if (!config.cluster.kafka_header.empty()) {
    kafka.cluster_from = KafkaClusterFrom::kHeader;
    kafka.cluster_header = config.cluster.kafka_header;
  }
  if (config.cluster.kafka_key) kafka.cluster_from = KafkaClusterFrom::kKey;
  kafka.instance_id = InstanceName(config.state.dir);
  kafka.until_end = line.until_end;
  kafka.line_bytes_max = config.line_bytes_max;
  kafka.clock = [] { return absl::Now(); };
  kafka.log = KafkaLog(console);
  described.key = key.bytes();
  const std::string& place = source.name.empty() ? source.brokers : source.name;
  described.name = "kafka " + place;
  described.label =
      fmt::format("kafka:{}/{}", place, fmt::join(source.topics, ","));
  described.idle_after = kStreamIdle;
  described.lanes_wake_together = true;
  described.make = [kafka] {
    std::shared_ptr<KafkaSource> made = MakeKafkaSource(kafka);
    return MadeSource{made,
                      [reader = made.get()] { return reader->TakeProblems(); }};
  };
  return described;
}

absl::StatusOr<DaemonSource> DescribeWebhook(const SourceConfig& source,
                                             const Config& config,
                                             LiveWebhooks* webhooks) {
  absl::StatusOr<std::string> token = ReadSecret(source.bearer_token);
  if (!token.ok()) return token.status();
  WebhookOptions webhook;
  webhook.http = WebhookHttpDefaults();
  webhook.http.listen = source.listen;
  webhook.http.tls = {source.cert, source.key, source.client_ca};
  webhook.http.bearer_token = *token;
  webhook.http.insecure = source.insecure;
  for (const ClientConfig& client : source.clients) {
    webhook.clients.push_back({client.common_name, client.cluster});
  }
  webhook.resend_wait = absl::Nanoseconds(source.resend_wait);
  // One pause of the sender, where resend_wait is nine times its first.
  webhook.startup_hold = webhook.resend_wait / 2;
  webhook.clock = [] { return absl::Now(); };
  DaemonSource described;
  KeyWriter key = BeginKey(source, config);
  key.Add(source.listen).Add(source.cert).Add(source.key);
  key.Add(source.client_ca);
  key.Add(static_cast<uint64_t>(source.insecure));
  key.Add(static_cast<uint64_t>(source.resend_wait));
  for (const ClientConfig& client : source.clients) {
    key.Add(client.common_name).Add(client.cluster);
  }
  described.key = key.bytes();
  described.name = "webhook " + source.listen;
  described.label = "webhook:" + source.listen;
  // Another token is no other source: connections go on.
  webhooks->KeepToken(described.label, *token);
  described.idle_after = kWebhookIdle;
  described.make = [webhook, webhooks, label = described.label,
                    key = described.key] {
    std::shared_ptr<WebhookSource> made = WebhookSource::Create(webhook);
    webhooks->Add(label, key, made);
    return MadeSource{std::move(made), {}};
  };
  return described;
}

}  // namespace

void LiveWebhooks::Add(std::string label, std::string key,
                       std::weak_ptr<WebhookSource> webhook) {
  std::lock_guard lock(mutex_);
  std::erase_if(webhooks_, [](const Live& w) { return w.webhook.expired(); });
  webhooks_.push_back({std::move(label), std::move(key), std::move(webhook)});
}

std::vector<LiveWebhooks::Held> LiveWebhooks::Alive() {
  std::vector<Held> alive;
  std::lock_guard lock(mutex_);
  for (const Live& live : webhooks_) {
    std::shared_ptr<WebhookSource> held = live.webhook.lock();
    if (held != nullptr) {
      alive.push_back({live.label, live.key, std::move(held)});
    }
  }
  return alive;
}

void LiveWebhooks::KeepToken(const std::string& label, std::string token) {
  std::lock_guard lock(mutex_);
  tokens_[label] = std::move(token);
}

void LiveWebhooks::UseTokens() {
  for (const Held& live : Alive()) {
    std::lock_guard lock(mutex_);
    const auto token = tokens_.find(live.label);
    if (token != tokens_.end()) live.webhook->SetBearerToken(token->second);
  }
}

absl::Status LiveWebhooks::ReloadCertificates(
    std::span<const DaemonSource> sources) {
  for (const Held& live : Alive()) {
    const bool goes_on = std::any_of(
        sources.begin(), sources.end(),
        [&live](const DaemonSource& s) { return s.key == live.key; });
    if (!goes_on) continue;
    const absl::Status reloaded = live.webhook->ReloadCertificates();
    if (!reloaded.ok()) return reloaded;
  }
  return absl::OkStatus();
}

void LiveWebhooks::FillMetrics(MetricsSnapshot* metrics) {
  for (const Held& live : Alive()) {
    metrics->webhooks.push_back({live.label, live.webhook->counters()});
    metrics->listeners.push_back({live.label, live.webhook->http_counters()});
  }
}

absl::StatusOr<DaemonSource> DescribeSource(const SourceConfig& source,
                                            const Config& config,
                                            const CommandLine& line,
                                            Console* console,
                                            LiveWebhooks* webhooks) {
  absl::StatusOr<DaemonSource> described;
  switch (source.type) {
    case SourceConfig::Type::kFile:
      described = DescribeFile(source, config, line);
      break;
    case SourceConfig::Type::kKafka:
      described = DescribeKafka(source, config, line, console);
      break;
    case SourceConfig::Type::kWebhook:
      described = DescribeWebhook(source, config, webhooks);
      break;
  }
  if (described.ok())
    described->decoder.cluster_field = config.cluster.json_field;
  return described;
}

}  // namespace klaxon
