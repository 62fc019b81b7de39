#include "app/make_sink.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "app/make_key.h"
#include "fmt/format.h"
#include "sinks/file_sink.h"
#include "sinks/kafka_sink.h"
#include "sinks/stdout_sink.h"
#include "sinks/webhook_sink.h"

namespace klaxon {
namespace {

// Alerts handed to a local sink at once: a file is synced once a batch.
constexpr size_t kBatchAlerts = 512;

StdoutSinkOptions StdoutOptions(const CommandLine& line) {
  StdoutSinkOptions options = StdoutOptionsFor(STDOUT_FILENO);
  if (line.output == OutputFormat::kNdjson) {
    options.format = StdoutSinkOptions::Format::kNdjson;
  } else if (line.output == OutputFormat::kText) {
    options.format = StdoutSinkOptions::Format::kText;
  }
  if (line.no_colour) options.text.colour = false;
  return options;
}

std::unique_ptr<Sink> MakeFile(const SinkConfig& config, bool daemon,
                               Console* console) {
  FileSinkOptions options;
  options.path = config.path;
  options.rotate_bytes = config.rotate_bytes;
  options.keep = static_cast<uint64_t>(config.keep);
  if (config.compress == "gzip") options.compression = Compression::kGzip;
  if (config.compress == "zstd") options.compression = Compression::kZstd;
  options.reread_renamed = daemon;
  options.warn = [console, name = config.name](std::string_view warning) {
    console->Log(LogLevel::kWarning, fmt::format("sink {}: {}", name, warning));
  };
  return MakeFileSink(std::move(options));
}

absl::StatusOr<std::unique_ptr<Sink>> MakeKafka(const SinkConfig& config,
                                                Console* console) {
  KafkaSinkOptions options;
  options.brokers = config.brokers;
  options.topic = config.topic;
  for (const auto& [name, value] : config.properties) {
    absl::StatusOr<std::string> text = TextOf(value);
    if (!text.ok()) return text.status();
    options.config.emplace_back(name, *std::move(text));
  }
  options.log = [console, name = config.name](int level,
                                              std::string_view text) {
    // Also what it does about an outage by itself, which is no warning yet.
    constexpr int kSyslogError = 3;
    console->Log(level < kSyslogError ? LogLevel::kWarning : LogLevel::kDebug,
                 fmt::format("sink {}: {}", name, text));
  };
  return MakeKafkaSink(std::move(options));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sink>> MakeSink(const SinkConfig& config,
                                               const CommandLine& line,
                                               bool daemon, Console* console) {
  switch (config.type) {
    case SinkConfig::Type::kStdout:
      return MakeStdoutSink(STDOUT_FILENO, StdoutOptions(line));
    case SinkConfig::Type::kFile:
      return MakeFile(config, daemon, console);
    case SinkConfig::Type::kKafka:
      return MakeKafka(config, console);
    case SinkConfig::Type::kWebhook:
      break;
  }
  WebhookSinkOptions options;
  options.http.url = config.url;
  for (const auto& [name, value] : config.headers) {
    absl::StatusOr<std::string> text = TextOf(value);
    if (!text.ok()) return text.status();
    options.http.headers.emplace_back(name, *std::move(text));
  }
  absl::StatusOr<std::string> hmac = ReadSecret(config.hmac);
  if (!hmac.ok()) return hmac.status();
  options.http.ca_file = config.ca;
  options.http.cert_file = config.cert;
  options.http.key_file = config.key;
  options.http.server_name = config.server_name;
  options.http.timeout = absl::Nanoseconds(config.timeout);
  options.secret = *std::move(hmac);
  options.template_text = config.template_text;
  options.batch_max = static_cast<size_t>(config.batch);
  options.now = [] { return absl::Now(); };
  return MakeWebhookSink(std::move(options));
}

absl::StatusOr<std::string> SinkKey(const SinkConfig& config) {
  KeyWriter key;
  key.Add(static_cast<uint64_t>(config.type)).Add(config.path);
  key.Add(config.rotate_bytes).Add(static_cast<uint64_t>(config.keep));
  key.Add(config.compress).Add(config.url).Add(config.template_text);
  key.Add(static_cast<uint64_t>(config.batch));
  key.Add(static_cast<uint64_t>(config.timeout)).Add(config.server_name);
  key.Add(config.brokers).Add(config.topic);
  key.Add(config.headers.size());
  for (const auto& [name, value] : config.headers) {
    const absl::StatusOr<std::string> text = TextOf(value);
    if (!text.ok()) return text.status();
    key.Add(name).Add(*text);
  }
  for (const auto& [name, value] : config.properties) {
    const absl::StatusOr<std::string> text = TextOf(value);
    if (!text.ok()) return text.status();
    key.AddKafkaProperty(name, *text);
  }
  const absl::StatusOr<std::string> hmac = ReadSecret(config.hmac);
  if (!hmac.ok()) return hmac.status();
  key.Add(*hmac);
  for (const std::string* path : {&config.ca, &config.cert, &config.key}) {
    key.Add(*path);
    if (path->empty()) continue;
    const std::string bytes = ContentsOf(*path);
    if (bytes.empty()) {
      return absl::InvalidArgumentError(fmt::format(
          "sink {}: {} cannot be read, or is empty", config.name, *path));
    }
    key.Add(bytes);
  }
  return key.bytes();
}

size_t SinkBatch(const SinkConfig& config) {
  if (config.type != SinkConfig::Type::kWebhook) return kBatchAlerts;
  return std::max<size_t>(1, static_cast<size_t>(config.batch));
}

}  // namespace klaxon
