#include "ingest/http_connection.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "ingest/http_head.h"

namespace klaxon {
namespace {

constexpr size_t kReadBytes = 16 << 10;
constexpr size_t kLingerBytesMax = 4 << 20;

absl::Duration MachineClock() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

std::string DigestOf(std::string_view text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

}  // namespace

HttpHost::HttpHost(HttpServerOptions options, HttpHandlers handlers)
    : options_(std::move(options)),
      handlers_(std::move(handlers)),
      table_({.connections_max = options_.connections_max,
              .peer_connections_max = options_.peer_connections_max}) {
  if (!options_.monotonic_clock) options_.monotonic_clock = MachineClock;
  if (!options_.bearer_token.empty()) SetBearerToken(options_.bearer_token);
}

bool HttpHost::AddBodyBytes(int64_t bytes) {
  bodies_bytes_ += static_cast<uint64_t>(bytes);
  if (bytes != 0) Count([this](auto& c) { c.bodies_bytes = bodies_bytes_; });
  return bodies_bytes_ <= options_.bodies_bytes_max;
}

void HttpHost::SetBearerToken(std::string_view token) {
  std::string digest = DigestOf(token);
  std::lock_guard lock(token_mutex_);
  token_digest_ = std::move(digest);
}

bool HttpHost::IsAuthorized(const HttpRequest& request) const {
  const auto& open = options_.open_targets;
  if (std::find(open.begin(), open.end(), request.path()) != open.end()) {
    return true;
  }
  std::lock_guard lock(token_mutex_);
  if (token_digest_.empty()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view value = request.Field("Authorization");
  if (value.size() <= kScheme.size() ||
      !EqualsIgnoringCase(value.substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  // Digests are of one length: neither length nor content shows in the time.
  const std::string given = DigestOf(value.substr(kScheme.size()));
  return CRYPTO_memcmp(given.data(), token_digest_.data(), given.size()) == 0;
}

HttpServerCounters HttpHost::counters() const {
  std::lock_guard lock(counters_mutex_);
  return counters_;
}

HttpConnection::HttpConnection(HttpHost& host, uint64_t id, std::string address,
                               std::unique_ptr<HttpTransport> transport)
    : host_(host),
      id_(id),
      born_(host.now()),
      transport_(std::move(transport)),
      parser_({.head_bytes_max = host.options().head_bytes_max,
               .body_bytes_max = host.options().body_bytes_max}) {
  peer_.address = std::move(address);
}

void HttpConnection::Enter(Phase phase, absl::Duration timeout) {
  phase_ = phase;
  deadline_ = host_.now() + timeout;
}

void HttpConnection::Start() {
  Enter(Phase::kHandshake, host_.options().handshake_timeout);
  transport_->Handshake(
      [self = shared_from_this()](bool ok, PeerCertificate certificate) {
        if (self->phase_ == Phase::kClosed) return;
        if (!ok) {
          self->host_.Count([](auto& c) { ++c.handshakes_failed; });
          return self->Close(false);
        }
        self->peer_.certificate = std::move(certificate);
        self->StartRequest();
      });
}

void HttpConnection::StartRequest() {
  parser_.Reset();
  if (first_ || !in_.empty()) {
    Enter(Phase::kHead, host_.options().head_timeout);
  } else {
    Enter(Phase::kIdle, host_.options().idle_timeout);
  }
  first_ = false;
  if (in_.empty()) return ReadMore();
  OnHead();
}

void HttpConnection::ReadMore() {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kReadBytes);
  reading_ = true;
  transport_->Read(buffer_.get(), kReadBytes,
                   [self = shared_from_this()](bool ok, size_t bytes) {
                     self->reading_ = false;
                     self->OnRead(ok, bytes);
                   });
}

void HttpConnection::OnRead(bool ok, size_t bytes) {
  switch (phase_) {
    case Phase::kClosed:
    case Phase::kWrite:  // A refusal is on its way; Linger goes on reading.
      return;
    case Phase::kLinger:
      lingered_ += bytes;
      if (!ok || lingered_ > kLingerBytesMax) return Close(false);
      return ReadMore();
    default:
      break;
  }
  if (!ok) return Close(false);
  in_.append(buffer_.get(), bytes);
  if (phase_ == Phase::kBody) return OnBody();
  if (phase_ == Phase::kIdle) {
    Enter(Phase::kHead, host_.options().head_timeout);
  }
  OnHead();
}

void HttpConnection::OnHead() {
  switch (parser_.TakeHead(&in_)) {
    case HttpParser::Progress::kNeedMore:
      return ReadMore();
    case HttpParser::Progress::kBad:
      return Refuse(parser_.status(), parser_.why());
    case HttpParser::Progress::kDone:
      break;
  }
  HttpRequest& request = parser_.request();
  request.id = request_id_ = host_.NextRequestId();
  request.peer = peer_;
  is_head_ = request.method == "HEAD";
  if (!host_.IsAuthorized(request)) {
    host_.Count([](auto& c) { ++c.unauthorized; });
    HttpResponse refusal = HttpResponse::Text(
        401, "a bearer token is wanted (Authorization: Bearer ...)");
    refusal.fields.emplace_back("WWW-Authenticate", "Bearer");
    return Send(std::move(refusal), false);
  }
  if (host_.stopping()) return Refuse(503, "stopping");
  LetIn();
}

void HttpConnection::LetIn() {
  const HttpHead& head = parser_.head();
  if (host_.handlers().on_head) {
    if (auto refusal = host_.handlers().on_head(parser_.request())) {
      return Send(std::move(*refusal), head.keep_alive && !head.has_body());
    }
  }
  host_.table().SetUse(id_, ConnectionUse::kBusy);
  StartBody();
}

void HttpConnection::StartBody() {
  Enter(Phase::kBody, host_.options().body_timeout);
  body_begin_ = host_.now();
  const HttpHead& head = parser_.head();
  if (!head.has_body()) return Dispatch();
  const bool too_large =
      head.content_length.value_or(0) > host_.options().body_bytes_max;
  if (too_large || !in_.empty() || !head.expects_continue) return OnBody();
  out_ = "HTTP/1.1 100 Continue\r\n\r\n";
  writing_ = true;
  transport_->Write(out_, [self = shared_from_this()](bool ok, size_t) {
    self->writing_ = false;
    if (self->phase_ != Phase::kBody) return;
    if (!ok) return self->Close(false);
    self->ReadMore();
  });
}

void HttpConnection::OnBody() {
  const HttpParser::Progress progress = parser_.TakeBody(&in_);
  const size_t bytes = parser_.body_bytes();
  const bool room =
      host_.AddBodyBytes(static_cast<int64_t>(bytes - body_accounted_));
  body_accounted_ = bytes;
  if (progress == HttpParser::Progress::kBad) {
    return Refuse(parser_.status(), parser_.why());
  }
  if (progress == HttpParser::Progress::kDone) return Dispatch();
  if (!room) return Refuse(429, "too many bodies at once; send it again later");
  ReadMore();
}

void HttpConnection::Dispatch() {
  HttpRequest request = std::move(parser_.request());
  request.body = parser_.TakeBodyBytes();
  ReleaseBody();
  Enter(Phase::kAnswer, host_.options().answer_timeout);
  host_.Count([&](auto& c) {
    ++c.requests;
    c.body_bytes += request.body.size();
  });
  host_.handlers().on_request(std::move(request),
                              host_.MakeResponder(id_, request_id_));
}

void HttpConnection::ReleaseBody() {
  host_.AddBodyBytes(-static_cast<int64_t>(body_accounted_));
  body_accounted_ = 0;
}

void HttpConnection::Answer(uint64_t request, HttpResponse response) {
  // Else it was too late, and something else has been said.
  if (phase_ == Phase::kAnswer && request_id_ == request) {
    Send(std::move(response), parser_.head().keep_alive);
  }
}

void HttpConnection::Refuse(int status, std::string_view why) {
  host_.Count([status](auto& c) {
    if (status == 408) {
      ++c.timeouts;
    } else if (status != 413 && status != 429 && status != 503) {
      ++c.bad_requests;
    }
  });
  if (phase_ == Phase::kBody) AbortBody(status);
  HttpResponse response = HttpResponse::Text(status, why);
  if (status == 429 || status == 503) {
    response.retry_after = host_.options().retry_after;
  }
  Send(std::move(response), false);
}

void HttpConnection::AbortBody(int status) {
  host_.Count([](auto& c) { ++c.aborted; });
  HttpRequest request = std::move(parser_.request());
  request.body = parser_.TakeBodyBytes();
  ReleaseBody();
  phase_ = Phase::kWrite;
  if (host_.handlers().on_aborted) {
    host_.handlers().on_aborted(std::move(request), status);
  }
}

void HttpConnection::Send(HttpResponse response, bool keep_alive) {
  // Its 100 Continue has not even left: who does not read needs no answer.
  if (writing_) return Close(true);
  keep_alive_next_ = keep_alive && !host_.stopping() &&
                     host_.now() - born_ < host_.options().connection_age_max;
  host_.Count([&](auto& c) { ++c.responses[response.status]; });
  out_ = SerializeResponse(response, keep_alive_next_, !is_head_);
  Enter(Phase::kWrite, host_.options().write_timeout);
  writing_ = true;
  transport_->Write(out_, [self = shared_from_this()](bool ok, size_t) {
    self->writing_ = false;
    self->OnWritten(ok);
  });
}

void HttpConnection::OnWritten(bool ok) {
  if (phase_ == Phase::kClosed) return;
  out_ = {};
  if (!ok) {
    host_.Count([](auto& c) { ++c.unsent; });
    return Close(false);
  }
  if (!keep_alive_next_ || host_.stopping()) return Linger();
  host_.table().SetUse(id_, ConnectionUse::kIdle);
  StartRequest();
}

// A connection closed over unread bytes is reset, and the client may never see
// the answer: so its rest is read, within bounds.
void HttpConnection::Linger() {
  Enter(Phase::kLinger, host_.options().linger_timeout);
  host_.table().SetUse(id_, ConnectionUse::kFresh);
  in_ = {};
  transport_->ShutdownSend(reading_, [self = shared_from_this()](bool, size_t) {
    if (self->phase_ != Phase::kLinger) return;
    if (!self->reading_) self->ReadMore();
  });
}

bool HttpConnection::TooSlow(absl::Duration now) const {
  const HttpServerOptions& options = host_.options();
  const absl::Duration beyond = now - body_begin_ - options.body_grace;
  if (beyond <= absl::ZeroDuration()) return false;
  return static_cast<double>(parser_.raw_bytes()) <
         static_cast<double>(options.body_bytes_per_second_min) *
             absl::ToDoubleSeconds(beyond);
}

void HttpConnection::OnTick(absl::Duration now) {
  const bool late = now >= deadline_;
  if (phase_ == Phase::kBody && (late || TooSlow(now))) {
    return Refuse(408, "the body comes too slowly");
  }
  if (!late) return;
  switch (phase_) {
    case Phase::kHead:
      if (in_.empty()) break;  // It never said anything.
      return Refuse(408, "the header comes too slowly");
    case Phase::kAnswer: {
      host_.Count([](auto& c) { ++c.timeouts; });
      HttpResponse response =
          HttpResponse::Text(503, "no answer in time; send it again later");
      response.retry_after = host_.options().retry_after;
      return Send(std::move(response), parser_.head().keep_alive);
    }
    case Phase::kIdle:
    case Phase::kLinger:
      return Close(false);
    default:
      break;
  }
  host_.Count([](auto& c) { ++c.timeouts; });
  Close(true);
}

void HttpConnection::OnServerStops() {
  if (phase_ == Phase::kHandshake || phase_ == Phase::kIdle ||
      (phase_ == Phase::kHead && in_.empty())) {
    Close(false);
  }
}

void HttpConnection::Close(bool reset) {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kBody) AbortBody(0);
  if (phase_ == Phase::kAnswer) host_.Count([](auto& c) { ++c.unsent; });
  phase_ = Phase::kClosed;
  transport_->Close(reset);
  host_.Forget(id_);
}

}  // namespace klaxon
