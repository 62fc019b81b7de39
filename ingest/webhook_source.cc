#include "ingest/webhook_source.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

#include "ingest/webhook_inbox.h"

namespace klaxon {
namespace {

// Long enough for answers that are ready to leave.
constexpr absl::Duration kStopTimeout = absl::Seconds(2);

WebhookOptions WithClock(WebhookOptions options) {
  if (!options.clock) options.clock = absl::Now;
  return options;
}

class HttpWebhookSource final : public WebhookSource {
 public:
  explicit HttpWebhookSource(WebhookOptions options)
      : options_(WithClock(std::move(options))), inbox_(options_) {}

  ~HttpWebhookSource() override {
    inbox_.Interrupt();
    inbox_.Close();
    if (server_) server_->Stop(kStopTimeout);
  }

  absl::Status Open(std::span<const LaneResume> resume_from) override {
    inbox_.Open(resume_from);
    HttpHandlers handlers;
    handlers.on_head = [this](const HttpRequest& request) {
      return OnHead(request);
    };
    handlers.on_request = [this](HttpRequest&& request,
                                 HttpResponder responder) {
      inbox_.Receive(std::move(request), std::move(responder));
    };
    handlers.on_aborted = [this](HttpRequest&& request, int status) {
      inbox_.Abort(std::move(request), status);
    };
    auto server = HttpServer::Start(options_.http, std::move(handlers));
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    listening_.store(server_.get());
    return absl::OkStatus();
  }

  absl::Status Read(absl::Duration timeout, std::span<const std::string> held,
                    LiveBatch& batch) override {
    return inbox_.Read(timeout, held, batch);
  }
  absl::Status Commit(std::string_view lane, std::string_view resume) override {
    return inbox_.Commit(lane, resume);
  }
  std::vector<LaneState> Lanes() const override { return inbox_.Lanes(); }
  void Interrupt() noexcept override { inbox_.Interrupt(); }

  uint16_t port() const override { return server_->port(); }
  absl::Status ReloadCertificates() override {
    HttpServer* server = listening_.load();
    return server == nullptr ? absl::OkStatus() : server->ReloadCertificates();
  }
  void SetBearerToken(std::string_view token) override {
    HttpServer* server = listening_.load();
    if (server != nullptr) server->SetBearerToken(token);
  }
  WebhookCounters counters() const override { return inbox_.counters(); }
  HttpServerCounters http_counters() const override {
    const HttpServer* server = listening_.load();
    return server == nullptr ? HttpServerCounters() : server->counters();
  }

 private:
  std::optional<HttpResponse> OnHead(const HttpRequest& request) {
    WebhookTarget target;
    if (auto refusal = CheckWebhookHead(request, options_.clients, &target)) {
      inbox_.CountRefusedHead();
      return refusal;
    }
    return inbox_.Begin(request, target);
  }

  const WebhookOptions options_;
  WebhookInbox inbox_;
  std::atomic<HttpServer*> listening_{nullptr};  // server_, once it listens.
  std::unique_ptr<HttpServer> server_;  // Last: its handlers use the rest.
};

}  // namespace

HttpServerOptions WebhookHttpDefaults() {
  HttpServerOptions options;
  options.body_bytes_max = 64 << 20;
  return options;
}

std::unique_ptr<WebhookSource> WebhookSource::Create(WebhookOptions options) {
  return std::make_unique<HttpWebhookSource>(std::move(options));
}

std::string PrintApiserverConfig(const ApiserverConfigOptions& options) {
  std::string out = fmt::format(
      R"(# 1. The kubeconfig that says where to send. On each control-plane node, as
#    /etc/kubernetes/klaxon/webhook.yaml, mode 0600. Each apiserver needs a
#    path of its own: change "{server}" on each.
apiVersion: v1
kind: Config
clusters:
- name: klaxon
  cluster:
    server: {url}/audit/{cluster}/{server}
)",
      fmt::arg("url", options.url), fmt::arg("cluster", options.cluster),
      fmt::arg("server", options.server));
  if (options.tls) {
    out += "    certificate-authority: /etc/kubernetes/klaxon/ca.crt\n";
  }
  out += "users:\n- name: kube-apiserver\n";
  if (!options.client_certificate && !options.bearer_token) {
    out += "  user: {}\n";
  } else {
    out += "  user:\n";
  }
  if (options.client_certificate) {
    out +=
        "    client-certificate: /etc/kubernetes/klaxon/client.crt\n"
        "    client-key: /etc/kubernetes/klaxon/client.key\n";
  }
  if (options.bearer_token) {
    out += "    tokenFile: /etc/kubernetes/klaxon/token\n";
  }
  out += R"(contexts:
- name: klaxon
  context:
    cluster: klaxon
    user: kube-apiserver
current-context: klaxon
# 2. The flags of kube-apiserver (with kubeadm: under command: in
#    /etc/kubernetes/manifests/kube-apiserver.yaml; the directory
#    /etc/kubernetes/klaxon has to be mounted into the pod).
#
#    --audit-policy-file=/etc/kubernetes/audit-policy.yaml
#    --audit-webhook-config-file=/etc/kubernetes/klaxon/webhook.yaml
#    --audit-webhook-mode=batch
#    --audit-webhook-initial-backoff=10s
#    --audit-webhook-batch-max-size=400
#    --audit-webhook-batch-max-wait=5s
#
#    Keep --audit-log-path as well: before Kubernetes 1.37 one patch whose body
#    is YAML, logged at level Request, makes the apiserver drop the whole batch
#    it is in, and only the log shows the rest. Level Metadata for the verb
#    patch avoids it.
)";
  return out;
}

}  // namespace klaxon
