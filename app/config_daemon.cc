// Keys of what a daemon alone has: sources, webhook sinks, state, endpoint.
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "app/config_keys.h"
#include "app/config_secret.h"
#include "app/config_values.h"
#include "app/spelling.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "ingest/file_follower.h"
#include "ingest/http_listen.h"

namespace klaxon {
namespace {

constexpr uint64_t kDiskMin = 64 << 20;

template <auto kMember>
void ReadSourceText(const ConfigNode& node, const ConfigTarget& target) {
  ReadText(node, target.problems, &(target.source->*kMember));
}
template <auto kMember>
void ReadSinkText(const ConfigNode& node, const ConfigTarget& target) {
  ReadText(node, target.problems, &(target.sink->*kMember));
}

// ------------------------------------------------------------------- sources

void ReadPath(const ConfigNode& node, const ConfigTarget& target) {
  ReadTextOrTexts(node, target.problems, &target.source->paths);
}

void ReadFrom(const ConfigNode& node, const ConfigTarget& target) {
  constexpr std::string_view kWords[] = {"begin", "end"};
  ReadStart(node, kWords, target);
}
void ReadWebhookListen(const ConfigNode& node, const ConfigTarget& target) {
  ReadListenAddress(node, target.problems, &target.source->listen);
}
void ReadBearerToken(const ConfigNode& node, const ConfigTarget& target) {
  ReadSecretName(node, target, &target.source->bearer_token);
}
void ReadInsecure(const ConfigNode& node, const ConfigTarget& target) {
  ReadBool(node, target.problems, &target.source->insecure);
}
void ReadResendWait(const ConfigNode& node, const ConfigTarget& target) {
  ReadDuration(node, kSecond, kHour, target.problems,
               &target.source->resend_wait);
}

template <auto kMember>
void ReadClientText(const ConfigNode& node, const ConfigTarget& target) {
  ReadText(node, target.problems, &(target.source->clients.back().*kMember));
}
constexpr ConfigKey kClientKeys[] = {
    {"common_name",
     "text, required",
     "",
     "of the certificate's subject, exactly",
     ReadClientText<&ClientConfig::common_name>,
     {}},
    {"cluster",
     "text",
     "",
     "may send for this one alone; empty: for any",
     ReadClientText<&ClientConfig::cluster>,
     {}},
};
void ReadClients(const ConfigNode& node, const ConfigTarget& target) {
  target.source->clients.clear();
  if (node.kind == ConfigNode::Kind::kNull) return;
  if (node.kind != ConfigNode::Kind::kList) {
    target.problems->Error(
        node.place, fmt::format("{} must be a list; write e.g. [{{common_name: "
                                "apiserver-prod, cluster: prod}}]",
                                node.path));
    return;
  }
  for (const ConfigNode& item : node.items) {
    const size_t number = target.source->clients.size();
    target.source->clients.emplace_back();
    ReadMapping(item, kClientKeys, target);
    if (target.source->clients.back().common_name.empty()) {
      target.problems->Error(
          item.place,
          fmt::format("{}[{}] has no common_name", node.path, number));
    }
  }
}

constexpr ConfigKey kTlsKeys[] = {
    {"cert",
     "text",
     "",
     "certificate chain, PEM",
     ReadSourceText<&SourceConfig::cert>,
     {}},
    {"key", "text", "", "its key, PEM", ReadSourceText<&SourceConfig::key>, {}},
    {"client_ca",
     "text",
     "",
     "authorities of client certificates, PEM: mTLS",
     ReadSourceText<&SourceConfig::client_ca>,
     {}},
};
void ReadTls(const ConfigNode& node, const ConfigTarget& target) {
  ReadMapping(node, kTlsKeys, target);
}

struct SourceType {
  std::string_view name;
  SourceConfig::Type type;
  std::span<const ConfigKey> (*keys)();
};
constexpr SourceType kSourceTypes[] = {
    {"file", SourceConfig::Type::kFile, FileSourceKeys},
    {"kafka", SourceConfig::Type::kKafka, KafkaSourceKeys},
    {"webhook", SourceConfig::Type::kWebhook, WebhookSourceKeys},
};

// What a source cannot do without, and what contradicts itself.
void CheckSource(const ConfigNode& node, const SourceConfig& source,
                 ConfigProblems* problems) {
  const auto need = [&](bool there, std::string_view what) {
    if (there) return;
    problems->Error(node.place, fmt::format("{} has no {}", node.path, what));
  };
  switch (source.type) {
    case SourceConfig::Type::kFile:
      return need(!source.paths.empty(),
                  "path; write e.g. path: /var/log/kubernetes/audit.log");
    case SourceConfig::Type::kKafka:
      need(!source.brokers.empty(), "brokers; write e.g. brokers: \"k1:9092\"");
      return need(!source.topics.empty(), "topic");
    case SourceConfig::Type::kWebhook:
      break;
  }
  need(!source.listen.empty(), "listen; write e.g. listen: \"0.0.0.0:9443\"");
  if (source.cert.empty() != source.key.empty()) {
    problems->Error(node.place, "tls: cert and key belong together; give both");
  }
  if (!source.clients.empty() && source.client_ca.empty()) {
    problems->Error(node.place,
                    "clients are known by their certificates; give "
                    "tls: client_ca too");
  }
  const absl::StatusOr<ListenAddress> address =
      ParseListenAddress(source.listen);
  if (source.listen.empty() || !address.ok()) return;
  const absl::Status protection =
      CheckListenProtection(*address, source.listen,
                            {.tls = !source.cert.empty(),
                             .client_certificates = !source.client_ca.empty(),
                             .bearer_token = source.bearer_token.set(),
                             .insecure = source.insecure});
  if (!protection.ok()) {
    problems->Error(node.place, std::string(protection.message()));
  }
}

void ReadSource(const ConfigNode& item, const ConfigTarget& base) {
  std::vector<std::string_view> names;
  for (const SourceType& type : kSourceTypes) names.push_back(type.name);
  if (item.kind != ConfigNode::Kind::kMapping || item.entries.size() != 1) {
    base.problems->Error(
        item.place, fmt::format("a source must be a mapping with its type as "
                                "the only key; write e.g. file: {{path: …}} "
                                "(types: {})",
                                fmt::join(names, ", ")));
    return;
  }
  const ConfigEntry& entry = item.entries[0];
  for (const SourceType& type : kSourceTypes) {
    if (type.name != entry.key) continue;
    SourceConfig source;
    source.type = type.type;
    ConfigTarget target = base;
    target.source = &source;
    ReadMapping(entry.value, type.keys(), target);
    CheckSource(entry.value, source, base.problems);
    base.config->sources.push_back(std::move(source));
    return;
  }
  base.problems->Error(entry.place,
                       fmt::format("unknown source \"{}\"{}", entry.key,
                                   SuggestName(entry.key, names)));
}

// Whether a path is one that the other, a glob, will meet once it is there.
bool WillMeet(const std::string& path, const std::string& glob) {
  return fnmatch(glob.c_str(), path.c_str(), FNM_PATHNAME) == 0;
}

// A log that two sources follow would be judged twice.
void CheckFilesApart(const ConfigNode& node, const ConfigTarget& target) {
  std::map<std::string, size_t> owners;  // Of paths as written, and of logs.
  const std::vector<SourceConfig>& sources = target.config->sources;
  for (size_t i = 0; i < sources.size(); ++i) {
    std::set<std::string> logs(sources[i].paths.begin(),
                               sources[i].paths.end());
    for (const std::string& path : sources[i].paths) {
      for (std::string& log : FollowedLogs(path)) logs.insert(std::move(log));
    }
    for (const std::string& log : logs) {
      const auto taken =
          std::find_if(owners.begin(), owners.end(), [&](const auto& other) {
            return other.second != i &&
                   (other.first == log || WillMeet(log, other.first) ||
                    WillMeet(other.first, log));
          });
      owners.emplace(log, i);
      if (taken == owners.end()) continue;
      // An item that could not be read is no source.
      target.problems->Error(
          node.items[std::min(i, node.items.size() - 1)].place,
          fmt::format("{} is followed by another source already; name each log "
                      "once, or both paths in one source",
                      log));
      break;
    }
  }
}

// ------------------------------------------------------------------- webhook

void ReadHeaders(const ConfigNode& node, const ConfigTarget& target) {
  ReadPairs(node, target, &target.sink->headers);
}
void ReadHmac(const ConfigNode& node, const ConfigTarget& target) {
  ReadSecretName(node, target, &target.sink->hmac);
}
void ReadTemplate(const ConfigNode& node, const ConfigTarget& target) {
  std::string text;
  if (!ReadText(node, target.problems, &text) || text == "generic") return;
  if (text.find("{{") == std::string::npos) {
    target.problems->Error(
        node.place,
        fmt::format("{}: \"{}\" is no template of this version; write generic, "
                    "or a text with {{{{title}}}}, {{{{severity}}}}, "
                    "{{{{alert}}}} … in it",
                    node.path, text));
    return;
  }
  target.sink->template_text = text;
}
void ReadBatch(const ConfigNode& node, const ConfigTarget& target) {
  ReadCount(node, 0, 1000, target.problems, &target.sink->batch);
}
void ReadTimeout(const ConfigNode& node, const ConfigTarget& target) {
  ReadDuration(node, kSecond, kHour, target.problems, &target.sink->timeout);
}

// --------------------------------------------------------------------- state

template <auto kMember>
void ReadReorder(const ConfigNode& node, const ConfigTarget& target) {
  ReadDuration(node, 0, kHour, target.problems,
               &(target.config->engine.reorder.*kMember));
}
template <auto kMember>
void ReadStateDuration(const ConfigNode& node, const ConfigTarget& target) {
  ReadDuration(node, kSecond / 1000, kDay, target.problems,
               &(target.config->state.*kMember));
}
void ReadStateDir(const ConfigNode& node, const ConfigTarget& target) {
  ReadText(node, target.problems, &target.config->state.dir);
}
void ReadSnapshotJournal(const ConfigNode& node, const ConfigTarget& target) {
  ReadSize(node, 1 << 20, uint64_t{1} << 40, target.problems,
           &target.config->state.snapshot_journal_bytes);
}
void ReadDiskMax(const ConfigNode& node, const ConfigTarget& target) {
  ReadSize(node, kDiskMin, uint64_t{1} << 50, target.problems,
           &target.config->state.disk_bytes_max);
}

constexpr ConfigKey kReorderKeys[] = {
    {"file",
     "duration, 0s to 1h",
     "500ms",
     "wait for late events of a file",
     ReadReorder<&ReorderTimes::file>,
     {}},
    {"kafka",
     "duration, 0s to 1h",
     "5s",
     "wait for late events of Kafka",
     ReadReorder<&ReorderTimes::kafka>,
     {}},
    {"webhook",
     "duration, 0s to 1h",
     "2s",
     "wait for late events of a webhook",
     ReadReorder<&ReorderTimes::webhook>,
     {}},
};
void ReadReorderTimes(const ConfigNode& node, const ConfigTarget& target) {
  ReadMapping(node, kReorderKeys, target);
}

void ReadHttpListen(const ConfigNode& node, const ConfigTarget& target) {
  ReadListenAddress(node, target.problems, &target.config->http_listen);
}
void ReadReadyLag(const ConfigNode& node, const ConfigTarget& target) {
  ReadDuration(node, kSecond, kDay, target.problems, &target.config->ready_lag);
}

}  // namespace

void ReadStart(const ConfigNode& node, std::span<const std::string_view> words,
               const ConfigTarget& target) {
  std::string text;
  if (!ReadText(node, target.problems, &text)) return;
  if (std::find(words.begin(), words.end(), text) != words.end()) {
    target.source->from = text;
    return;
  }
  const std::optional<EventTime> time = ParseTimeOrDate(text, false);
  if (!time.has_value()) {
    target.problems->Error(
        node.place, fmt::format("{}: \"{}\" is neither {} nor a time; write "
                                "e.g. 2026-01-02T03:04:05Z",
                                node.path, text, fmt::join(words, ", ")));
    return;
  }
  target.source->from = "time";
  target.source->from_time = *time;
}

void ReadSources(const ConfigNode& node, const ConfigTarget& target) {
  if (node.kind == ConfigNode::Kind::kNull) return;
  if (node.kind != ConfigNode::Kind::kList) {
    target.problems->Error(node.place,
                           "sources must be a list; write e.g. \"- file: "
                           "{path: /var/log/kubernetes/audit.log}\"");
    return;
  }
  for (const ConfigNode& item : node.items) ReadSource(item, target);
  CheckKafkaNames(node, target);
  CheckFilesApart(node, target);
}

void ReadState(const ConfigNode& node, const ConfigTarget& target) {
  ReadMapping(node, StateKeys(), target);
}

void ReadHttp(const ConfigNode& node, const ConfigTarget& target) {
  target.config->http_listen = "127.0.0.1:9440";
  ReadMapping(node, HttpKeys(), target);
}

std::span<const ConfigKey> FileSourceKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"path",
       "text or list, required",
       "",
       "files or globs; what rotation makes of them belongs to them",
       ReadPath,
       {}},
      {"from",
       "begin, end or a time",
       "begin",
       "where the first start begins; later ones go on where the last stopped",
       ReadFrom,
       {}},
  };
  return kKeys;
}

std::span<const ConfigKey> WebhookSourceKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"listen",
       "address:port, required",
       "",
       "where kube-apiserver's audit webhook is received",
       ReadWebhookListen,
       {}},
      {"tls", "mapping", "{}", "certificate, key, client authorities", ReadTls,
       kTlsKeys},
      {"clients",
       "list of {common_name: …, cluster: …}",
       "[]",
       "whose certificates may send; empty: all of client_ca",
       ReadClients,
       {}},
      {"bearer_token",
       "{file: …} or {env: …}",
       "",
       "asked of every request",
       ReadBearerToken,
       {}},
      {"insecure",
       "true or false",
       "false",
       "listen beyond loopback without knowing the clients",
       ReadInsecure,
       {}},
      {"resend_wait",
       "duration, 1s to 1h",
       "90s",
       "a batch that failed is waited for so long, after a restart half of it",
       ReadResendWait,
       {}},
  };
  return kKeys;
}

std::span<const ConfigKey> WebhookSinkKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"url",
       "text, required",
       "",
       "http:// or https://",
       ReadSinkText<&SinkConfig::url>,
       {}},
      {"headers",
       "mapping",
       "{}",
       "sent with every request; a secret as {file: …} or {env: …}",
       ReadHeaders,
       {}},
      {"hmac",
       "{file: …} or {env: …}",
       "",
       "signs as Standard Webhooks has it",
       ReadHmac,
       {}},
      {"template",
       "generic, or a text with {{title}} … in it",
       "generic",
       "what is posted",
       ReadTemplate,
       {}},
      {"batch",
       "whole number, 0 to 1000",
       "0",
       "alerts in one JSON array; 0: one object a request",
       ReadBatch,
       {}},
      {"timeout",
       "duration, 1s to 1h",
       "30s",
       "of one request",
       ReadTimeout,
       {}},
      {"ca",
       "text",
       "",
       "authorities of the server's certificate, PEM; default: the system's",
       ReadSinkText<&SinkConfig::ca>,
       {}},
      {"cert",
       "text",
       "",
       "client certificate, PEM",
       ReadSinkText<&SinkConfig::cert>,
       {}},
      {"key", "text", "", "its key, PEM", ReadSinkText<&SinkConfig::key>, {}},
      {"server_name",
       "text",
       "",
       "name that the certificate must bear; default: the URL's",
       ReadSinkText<&SinkConfig::server_name>,
       {}},
  };
  return kKeys;
}

std::span<const ConfigKey> StateKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"keys_max",
       "whole number, 1000 to 100000000",
       "1000000",
       "keys (clients, credentials) a table remembers before it evicts",
       ReadKeysMax,
       {}},
      {"dir",
       "text",
       "\"\"",
       "daemon: directory of journal and snapshot; empty: nothing is kept",
       ReadStateDir,
       {}},
      {"commit_interval",
       "duration, 1ms to 1d",
       "50ms",
       "daemon: least time between two commits",
       ReadStateDuration<&StateConfig::commit_interval>,
       {}},
      {"snapshot_interval",
       "duration, 1ms to 1d",
       "10m",
       "daemon: time between snapshots",
       ReadStateDuration<&StateConfig::snapshot_interval>,
       {}},
      {"snapshot_journal",
       "size, 1MiB or more",
       "64MiB",
       "daemon: journal that makes a snapshot due",
       ReadSnapshotJournal,
       {}},
      {"snapshot_replay",
       "duration, 1ms to 1d",
       "2s",
       "daemon: time to judge journal anew that makes a snapshot due",
       ReadStateDuration<&StateConfig::snapshot_replay>,
       {}},
      {"disk_max",
       "size, 64MiB or more",
       "4GiB",
       "daemon: what the state directory may grow to; then intake pauses",
       ReadDiskMax,
       {}},
      {"reorder", "mapping", "{}", "daemon: how long sources may be behind",
       ReadReorderTimes, kReorderKeys},
  };
  return kKeys;
}

std::span<const ConfigKey> HttpKeys() {
  static constexpr ConfigKey kKeys[] = {
      {"listen",
       "address:port",
       "\"127.0.0.1:9440\"",
       "daemon: /metrics, /healthz, /readyz",
       ReadHttpListen,
       {}},
      {"ready_lag",
       "duration, 1s to 1d",
       "1m",
       "further behind than this, /readyz says no",
       ReadReadyLag,
       {}},
  };
  return kKeys;
}

}  // namespace klaxon
