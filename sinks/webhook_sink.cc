#include "sinks/webhook_sink.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "sinks/alert_template.h"
#include "sinks/delivery_status.h"
#include "sinks/standard_webhooks.h"

namespace klaxon {
namespace {

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c | 32 : c; };
    return lower(x) == lower(y);
  });
}

// "application/json; charset=utf-8", "application/vnd.x+json", …
bool IsJsonType(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  constexpr std::string_view kSuffix = "+json";
  return EqualIgnoringCase(type, "application/json") ||
         (type.size() > kSuffix.size() &&
          EqualIgnoringCase(type.substr(type.size() - kSuffix.size()),
                            kSuffix));
}

// 32 hex digits, as an alert's id.
std::string BatchId(std::span<const Alert> alerts) {
  std::string text;
  for (const Alert& alert : alerts) {
    text += fmt::format("{}/{}\n", alert.id, alert.revision);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int bytes = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &bytes, EVP_sha256(),
             nullptr);
  std::string id;
  for (size_t i = 0; i < 16; ++i) id += fmt::format("{:02x}", digest[i]);
  return id;
}

class WebhookSink : public Sink {
 public:
  WebhookSink(std::unique_ptr<HttpClient> client, std::string key,
              std::optional<AlertTemplate> text, size_t batch_max,
              std::function<absl::Time()> now)
      : client_(std::move(client)),
        key_(std::move(key)),
        template_(std::move(text)),
        batch_max_(batch_max),
        now_(std::move(now)) {}

  absl::Status Open() override { return client_->CheckFiles(); }

  void Deliver(std::span<const Alert> alerts, DeliveryDone done) override {
    absl::Status status;
    const size_t step = std::max<size_t>(batch_max_, 1);
    while (status.ok() && !alerts.empty()) {
      status = Send(alerts.subspan(0, std::min(step, alerts.size())));
      alerts = alerts.subspan(std::min(step, alerts.size()));
    }
    done(status);
  }

  absl::Status Drain(absl::Duration) override { return absl::OkStatus(); }
  void Interrupt() noexcept override { client_->Interrupt(); }
  void Reopen() noexcept override { client_->Reopen(); }

 private:
  std::string Body(std::span<const Alert> alerts) const {
    std::string body;
    if (template_) {
      template_->AppendTo(alerts[0], &body);
    } else if (batch_max_ == 0) {
      AppendJson(alerts[0], &body);
    } else {
      for (const Alert& alert : alerts) {
        body += body.empty() ? '[' : ',';
        AppendJson(alert, &body);
      }
      body += ']';
    }
    return body;
  }

  absl::Status Send(std::span<const Alert> alerts) {
    const std::string body = Body(alerts);
    const std::string id = batch_max_ == 0 ? alerts[0].id : BatchId(alerts);
    const int64_t timestamp_s = absl::ToUnixSeconds(now_());
    HttpHeaders headers = {{"webhook-id", id},
                           {"webhook-timestamp", std::to_string(timestamp_s)}};
    if (!key_.empty()) {
      headers.emplace_back("webhook-signature",
                           SignWebhook(key_, id, timestamp_s, body));
    }
    absl::StatusOr<HttpAnswer> answer = client_->Post(headers, body);
    if (!answer.ok()) return answer.status();
    return DeliveryStatusOf(*answer, client_->origin(), now_());
  }

  const std::unique_ptr<HttpClient> client_;
  const std::string key_;  // Empty: no signature.
  const std::optional<AlertTemplate> template_;
  const size_t batch_max_;
  const std::function<absl::Time()> now_;
};

// Adds the content type where there is none. InvalidArgument: a header that is
// not the user's to set.
absl::Status CompleteHeaders(HttpHeaders* headers, bool* json) {
  std::string content_type;
  for (const auto& [name, value] : *headers) {
    if (EqualIgnoringCase(name, "content-type")) content_type = value;
    for (const char* ours :
         {"webhook-id", "webhook-timestamp", "webhook-signature"}) {
      if (!EqualIgnoringCase(name, ours)) continue;
      return absl::InvalidArgumentError(
          fmt::format("the header {} is not yours to set", name));
    }
  }
  if (content_type.empty()) {
    content_type = "application/json";
    headers->emplace_back("Content-Type", content_type);
  }
  *json = IsJsonType(content_type);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sink>> MakeWebhookSink(
    WebhookSinkOptions options) {
  bool json = true;
  absl::Status status = CompleteHeaders(&options.http.headers, &json);
  if (!status.ok()) return status;
  std::string key;
  if (!options.secret.empty()) {
    absl::StatusOr<std::string> decoded = WebhookKey(options.secret);
    if (!decoded.ok()) return decoded.status();
    key = *std::move(decoded);
  }
  std::optional<AlertTemplate> text;
  if (!options.template_text.empty()) {
    if (options.batch_max > 0) {
      return absl::InvalidArgumentError(
          "a template is filled with one alert; leave out `batch`");
    }
    absl::StatusOr<AlertTemplate> parsed =
        AlertTemplate::Parse(options.template_text, json);
    if (!parsed.ok()) return parsed.status();
    text = *std::move(parsed);
  }
  absl::StatusOr<std::unique_ptr<HttpClient>> client =
      HttpClient::Make(std::move(options.http));
  if (!client.ok()) return client.status();
  return std::make_unique<WebhookSink>(*std::move(client), std::move(key),
                                       std::move(text), options.batch_max,
                                       std::move(options.now));
}

}  // namespace klaxon
