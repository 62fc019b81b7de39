#include "app/daemon_endpoint.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "fmt/format.h"
#include "ingest/http_server.h"
#include "pipeline/metrics.h"

namespace klaxon {
namespace {

// The core publishes its status every 200 ms; one that does not hangs.
constexpr absl::Duration kAliveWithin = absl::Seconds(15);

bool Alive(const DaemonStatus& status) {
  return absl::Now() - status.at < kAliveWithin;
}

HttpResponse Answer(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

}  // namespace

std::string WhyNotReady(const DaemonStatus& status, Nanos ready_lag) {
  std::string why;
  if (!Alive(status)) why += "the core does not go round\n";
  if (!status.opened) why += "a source is not open yet\n";
  if (status.paused) why += "the journal has no room\n";
  if (status.blocked) why += "a required sink holds up the intake\n";
  for (const LaneMetrics& lane : status.metrics.lanes) {
    if (!lane.behind) continue;
    if (lane.newest_event == kNoTime) {
      why += fmt::format("{}: nothing was read yet\n", lane.lane);
    } else if (lane.lag_seconds * kSecond > static_cast<double>(ready_lag)) {
      why +=
          fmt::format("{} is {:.0f} s behind\n", lane.lane, lane.lag_seconds);
    }
  }
  return why;
}

struct DaemonEndpoint::Impl {
  Daemon* daemon = nullptr;
  LiveWebhooks* webhooks = nullptr;
  std::atomic<Nanos> ready_lag{0};
  std::mutex mutex;  // Guards `server`, which is there once it listens.
  std::unique_ptr<HttpServer> server;

  HttpResponse Handle(const HttpRequest& request);
  MetricsSnapshot Metrics(DaemonStatus status);
};

MetricsSnapshot DaemonEndpoint::Impl::Metrics(DaemonStatus status) {
  const bool ready = WhyNotReady(status, ready_lag.load()).empty();
  MetricsSnapshot metrics = std::move(status.metrics);
  metrics.version = KLAXON_VERSION;
  metrics.ready = ready;
  {
    std::lock_guard lock(mutex);
    if (server != nullptr) {
      metrics.listeners.push_back({"api", server->counters()});
    }
  }
  webhooks->FillMetrics(&metrics);
  metrics.process = ReadProcessMetrics();
  return metrics;
}

HttpResponse DaemonEndpoint::Impl::Handle(const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    return Answer(405, "only GET\n");
  }
  const std::string path = request.target.substr(0, request.target.find('?'));
  DaemonStatus status = daemon->status();
  if (path == "/healthz") {
    return Alive(status) ? Answer(200, "ok\n") : Answer(503, "stuck\n");
  }
  if (path == "/readyz") {
    const std::string why = WhyNotReady(status, ready_lag.load());
    return why.empty() ? Answer(200, "ok\n") : Answer(503, why);
  }
  if (path == "/metrics") {
    HttpResponse response =
        Answer(200, RenderMetrics(Metrics(std::move(status))));
    response.content_type = std::string(kMetricsContentType);
    return response;
  }
  return Answer(404, "there are /metrics, /healthz and /readyz\n");
}

absl::StatusOr<std::unique_ptr<DaemonEndpoint>> DaemonEndpoint::Start(
    const std::string& listen, Nanos ready_lag, Daemon* daemon,
    LiveWebhooks* webhooks) {
  HttpServerOptions options;
  options.listen = listen;
  options.insecure = true;  // It tells, and takes nothing.
  auto impl = std::make_unique<Impl>();
  impl->daemon = daemon;
  impl->webhooks = webhooks;
  impl->ready_lag.store(ready_lag);
  HttpHandlers handlers;
  handlers.on_request = [impl = impl.get()](HttpRequest&& request,
                                            HttpResponder responder) {
    responder.Respond(impl->Handle(request));
  };
  absl::StatusOr<std::unique_ptr<HttpServer>> server =
      HttpServer::Start(std::move(options), std::move(handlers));
  if (!server.ok()) return server.status();
  {
    std::lock_guard lock(impl->mutex);
    impl->server = std::move(*server);
  }
  return std::unique_ptr<DaemonEndpoint>(new DaemonEndpoint(std::move(impl)));
}

void DaemonEndpoint::SetReadyLag(Nanos ready_lag) {
  impl_->ready_lag.store(ready_lag);
}

DaemonEndpoint::DaemonEndpoint(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
// Stops the server first: it uses the rest.
DaemonEndpoint::~DaemonEndpoint() { impl_->server->Stop(absl::ZeroDuration()); }

}  // namespace klaxon
