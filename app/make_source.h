// A source as the configuration describes it, for the daemon to make.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "app/cli.h"
#include "app/config.h"
#include "app/console.h"
#include "ingest/webhook_source.h"
#include "pipeline/daemon.h"
#include "pipeline/metrics.h"

namespace klaxon {

// The webhook sources that are at work. Thread-safe.
class LiveWebhooks {
 public:
  // `key`: of its DaemonSource.
  void Add(std::string label, std::string key,
           std::weak_ptr<WebhookSource> webhook);
  // The token that a listener is to ask for from UseTokens on.
  void KeepToken(const std::string& label, std::string token);
  void UseTokens();
  // Of those that `sources` let go on. The first failure, if any; that listener
  // goes on with what it has.
  absl::Status ReloadCertificates(std::span<const DaemonSource> sources);
  void FillMetrics(MetricsSnapshot* metrics);

 private:
  struct Live {
    std::string label;
    std::string key;
    std::weak_ptr<WebhookSource> webhook;
  };
  struct Held {
    std::string label;
    std::string key;
    std::shared_ptr<WebhookSource> webhook;
  };
  std::vector<Held> Alive();

  std::mutex mutex_;  // Guards all below.
  std::vector<Live> webhooks_;
  std::map<std::string, std::string> tokens_;  // By label.
};

// `console` and `webhooks` outlive what is made. InvalidArgument: a secret
// cannot be read.
absl::StatusOr<DaemonSource> DescribeSource(const SourceConfig& source,
                                            const Config& config,
                                            const CommandLine& line,
                                            Console* console,
                                            LiveWebhooks* webhooks);

}  // namespace klaxon
