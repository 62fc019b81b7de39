// The one file that compiles Boost.Asio: sockets, TLS over them, and the
// thread. What is said over them is http_connection.cc's.
#include "ingest/http_server.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ingest/http_connection.h"
#include "ingest/http_listen.h"

// Asio's calls return the error that they also put into their last argument.
// NOLINTBEGIN(bugprone-unused-return-value)
namespace klaxon {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using TlsContextPtr = std::shared_ptr<asio::ssl::context>;

// Files that are not connections: state, logs, sources.
constexpr size_t kReservedFiles = 64;

IpAddress AddressOf(const asio::ip::address& address) {
  const asio::ip::address_v6 v6 =
      address.is_v4()
          ? asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4())
          : address.to_v6();
  return IpAddress::FromBytes(v6.to_bytes());
}

class PlainTransport final : public HttpTransport {
 public:
  explicit PlainTransport(tcp::socket socket) : socket_(std::move(socket)) {}

  void Handshake(std::function<void(bool, PeerCertificate)> done) override {
    asio::post(socket_.get_executor(),
               [done = std::move(done)] { done(true, {}); });
  }
  void Read(char* buffer, size_t size, Done done) override {
    socket_.async_read_some(
        asio::buffer(buffer, size),
        [done = std::move(done)](error_code error, size_t bytes) {
          done(!error, bytes);
        });
  }
  void Write(std::string_view bytes, Done done) override {
    asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()),
                      [done = std::move(done)](error_code error, size_t sent) {
                        done(!error, sent);
                      });
  }
  void ShutdownSend(bool, Done done) override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    asio::post(socket_.get_executor(),
               [done = std::move(done)] { done(true, 0); });
  }
  void Close(bool reset) override {
    error_code ignored;
    if (reset) {
      socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    }
    socket_.close(ignored);
  }

 private:
  tcp::socket socket_;
};

class TlsTransport final : public HttpTransport {
 public:
  TlsTransport(tcp::socket socket, TlsContextPtr context)
      : socket_(std::move(socket)), context_(std::move(context)) {}

  // A client that says nothing costs no TLS state: that is made when its first
  // byte is there.
  void Handshake(std::function<void(bool, PeerCertificate)> done) override {
    socket_.async_wait(tcp::socket::wait_read, [this, done = std::move(done)](
                                                   error_code error) mutable {
      if (error || !socket_.is_open()) return done(false, {});
      stream_.emplace(socket_, *context_);
      stream_->async_handshake(
          asio::ssl::stream_base::server,
          [this, done = std::move(done)](error_code failed) {
            if (failed) return done(false, {});
            done(true, ReadPeerCertificate(stream_->native_handle()));
          });
    });
  }
  void Read(char* buffer, size_t size, Done done) override {
    auto finish = [done = std::move(done)](error_code error, size_t bytes) {
      done(!error, bytes);
    };
    if (closed_) {
      socket_.async_read_some(asio::buffer(buffer, size), std::move(finish));
    } else {
      stream_->async_read_some(asio::buffer(buffer, size), std::move(finish));
    }
  }
  void Write(std::string_view bytes, Done done) override {
    asio::async_write(*stream_, asio::buffer(bytes.data(), bytes.size()),
                      [done = std::move(done)](error_code error, size_t sent) {
                        done(!error, sent);
                      });
  }
  // Closing TLS reads too, which a read under way forbids: then only the
  // socket is closed. What follows is read without TLS, to be thrown away.
  void ShutdownSend(bool reading, Done done) override {
    auto finish = [this, done = std::move(done)](error_code) {
      error_code ignored;
      socket_.shutdown(tcp::socket::shutdown_send, ignored);
      done(true, 0);
    };
    if (reading) {
      asio::post(socket_.get_executor(),
                 [finish = std::move(finish)]() mutable { finish({}); });
      return;
    }
    closed_ = true;
    stream_->async_shutdown(std::move(finish));
  }
  void Close(bool reset) override {
    error_code ignored;
    if (reset) {
      socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    }
    socket_.close(ignored);
  }

 private:
  tcp::socket socket_;
  TlsContextPtr context_;  // Before the stream that uses it.
  std::optional<asio::ssl::stream<tcp::socket&>> stream_;
  bool closed_ = false;
};

}  // namespace

class HttpServer::Impl final : public HttpHost {
 public:
  using HttpHost::HttpHost;

  absl::Status Listen();
  void Stop(absl::Duration timeout);
  absl::Status ReloadCertificates();
  absl::Time certificate_not_after() const;
  uint16_t port() const { return port_; }

  HttpResponder MakeResponder(uint64_t connection, uint64_t request) override;
  void Forget(uint64_t connection) override;

 private:
  // What a responder can reach; after the server is gone, nothing.
  struct Mailbox {
    std::mutex mutex;
    Impl* server = nullptr;  // Guarded by mutex.
  };

  absl::Status CheckOptions(const ListenAddress& address) const;
  absl::Status LimitByOpenFiles();
  absl::Status OpenAcceptor(const ListenAddress& address);
  void StartThread();
  void Accept();
  void OnAcceptFailed(error_code error);
  void CloseNow(uint64_t connection);
  void Admit(tcp::socket socket);
  std::unique_ptr<HttpTransport> MakeTransport(tcp::socket socket);
  std::vector<std::shared_ptr<HttpConnection>> Connections() const;
  void Tick();
  void BeginStop();
  void SayDrained();

  uint16_t port_ = 0;  // Constant after Listen.

  mutable std::mutex tls_mutex_;  // Guards this paragraph.
  TlsContextPtr tls_;             // Null: plain.
  absl::Time certificate_not_after_ = absl::InfiniteFuture();

  std::mutex stop_mutex_;  // Guards this paragraph.
  std::condition_variable stop_condition_;
  bool stopped_ = false;  // Stop was called.
  bool drained_ = false;  // No connection is left.

  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();

  // The server's thread, once it runs.
  uint64_t connection_ids_ = 0;
  bool finished_ = false;  // The last thing that Stop asks for.
  std::unordered_map<uint64_t, std::shared_ptr<HttpConnection>> connections_;
  std::unique_ptr<asio::thread_pool> pool_;  // Before what runs on it.
  std::unique_ptr<tcp::acceptor> acceptor_;
  std::unique_ptr<asio::steady_timer> timer_;
};

absl::Status HttpServer::Impl::CheckOptions(
    const ListenAddress& address) const {
  if (options_.tls.cert.empty() != options_.tls.key.empty()) {
    return absl::InvalidArgumentError("tls.cert and tls.key go together");
  }
  return CheckListenProtection(
      address, options_.listen,
      {.tls = !options_.tls.cert.empty(),
       .client_certificates = !options_.tls.client_ca.empty(),
       .bearer_token = !options_.bearer_token.empty(),
       .insecure = options_.insecure});
}

absl::Status HttpServer::Impl::Listen() {
  const absl::StatusOr<ListenAddress> address =
      ParseListenAddress(options_.listen);
  if (!address.ok()) return address.status();
  absl::Status status = CheckOptions(*address);
  if (status.ok()) status = ReloadCertificates();
  if (status.ok()) status = LimitByOpenFiles();
  if (!status.ok()) return status;
  StartThread();
  acceptor_ = std::make_unique<tcp::acceptor>(pool_->get_executor());
  timer_ = std::make_unique<asio::steady_timer>(pool_->get_executor());
  status = OpenAcceptor(*address);
  if (!status.ok()) return status;
  {
    std::lock_guard lock(mailbox_->mutex);
    mailbox_->server = this;
  }
  asio::post(*pool_, [this] {
    Accept();
    Tick();
  });
  return absl::OkStatus();
}

// With all signals blocked: they are the business of the application's threads.
void HttpServer::Impl::StartThread() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pool_ = std::make_unique<asio::thread_pool>(1);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

absl::Status HttpServer::Impl::LimitByOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return absl::OkStatus();
  if (limit.rlim_cur <= 2 * kReservedFiles) {
    return absl::FailedPreconditionError(fmt::format(
        "the process may open only {} files: raise the limit (ulimit -n, "
        "LimitNOFILE=)",
        limit.rlim_cur));
  }
  const size_t room = limit.rlim_cur - kReservedFiles;
  options_.connections_max = std::min(options_.connections_max, room);
  table_.SetLimits({.connections_max = options_.connections_max,
                    .peer_connections_max = options_.peer_connections_max});
  return absl::OkStatus();
}

absl::Status HttpServer::Impl::OpenAcceptor(const ListenAddress& address) {
  tcp::endpoint endpoint(tcp::v6(), address.port);
  if (!address.any_v6) {
    endpoint = {asio::ip::make_address(address.ip.ToString()), address.port};
  }
  error_code error;
  acceptor_->open(endpoint.protocol(), error);
  if (error == asio::error::address_family_not_supported && address.any_v6) {
    endpoint = {tcp::v4(), address.port};  // A kernel without IPv6.
    acceptor_->open(endpoint.protocol(), error);
  }
  if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.protocol() == tcp::v6()) {
    acceptor_->set_option(asio::ip::v6_only(!address.any_v6), error);
  }
  if (!error) acceptor_->bind(endpoint, error);
  if (!error) {
    acceptor_->listen(asio::socket_base::max_listen_connections, error);
  }
  if (!error) port_ = acceptor_->local_endpoint(error).port();
  if (error) {
    return absl::UnavailableError(
        fmt::format("listen: {}: {}", options_.listen, error.message()));
  }
  return absl::OkStatus();
}

void HttpServer::Impl::Accept() {
  acceptor_->async_accept([this](error_code error, tcp::socket socket) {
    if (stopping_ || error == asio::error::operation_aborted) return;
    if (error) return OnAcceptFailed(error);
    Admit(std::move(socket));
    Accept();
  });
}

// Out of files or memory: somebody idle goes, and a moment passes, as the same
// error would come again at once.
void HttpServer::Impl::OnAcceptFailed(error_code error) {
  if (error == asio::error::connection_aborted) return Accept();
  if (const auto evicted = table_.EvictOne()) {
    Count([](auto& c) { ++c.evicted; });
    CloseNow(*evicted);
  }
  auto pause = std::make_shared<asio::steady_timer>(pool_->get_executor());
  pause->expires_after(std::chrono::milliseconds(20));
  pause->async_wait([this, pause](error_code) {
    if (!stopping_) Accept();
  });
}

void HttpServer::Impl::CloseNow(uint64_t connection) {
  // A copy: it leaves the map on the way.
  const std::shared_ptr<HttpConnection> alive = connections_.at(connection);
  alive->Close(true);
}

void HttpServer::Impl::Admit(tcp::socket socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;  // Gone already.
  const IpAddress address = AddressOf(peer.address());
  const uint64_t id = ++connection_ids_;
  const ConnectionTable::Admission admission = table_.Admit(id, address);
  if (admission.verdict != ConnectionTable::Verdict::kAdmitted) {
    const bool in_all =
        admission.verdict == ConnectionTable::Verdict::kRefusedInAll;
    Count([&](auto& c) { ++(in_all ? c.refused_in_all : c.refused_for_peer); });
    socket.set_option(asio::socket_base::linger(true, 0), error);
    return;
  }
  Count([&](auto& c) {
    ++c.accepted;
    if (admission.evicted) ++c.evicted;
  });
  if (admission.evicted) CloseNow(*admission.evicted);
  socket.set_option(tcp::no_delay(true), error);
  auto connection = std::make_shared<HttpConnection>(
      *this, id, address.ToString(), MakeTransport(std::move(socket)));
  connections_.emplace(id, connection);
  Count([this](auto& c) { c.connections = connections_.size(); });
  connection->Start();
}

std::unique_ptr<HttpTransport> HttpServer::Impl::MakeTransport(
    tcp::socket socket) {
  std::lock_guard lock(tls_mutex_);
  if (tls_ == nullptr) {
    return std::make_unique<PlainTransport>(std::move(socket));
  }
  return std::make_unique<TlsTransport>(std::move(socket), tls_);
}

// A copy: whoever is closed leaves the map.
std::vector<std::shared_ptr<HttpConnection>> HttpServer::Impl::Connections()
    const {
  std::vector<std::shared_ptr<HttpConnection>> all;
  all.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  return all;
}

void HttpServer::Impl::Tick() {
  if (finished_) return;
  const absl::Duration at = now();
  for (const auto& connection : Connections()) connection->OnTick(at);
  timer_->expires_after(absl::ToChronoNanoseconds(options_.tick));
  timer_->async_wait([this](error_code error) {
    if (!error) Tick();
  });
}

void HttpServer::Impl::Forget(uint64_t connection) {
  table_.Remove(connection);
  connections_.erase(connection);
  Count([this](auto& c) { c.connections = connections_.size(); });
  if (stopping_ && connections_.empty()) SayDrained();
}

HttpResponder HttpServer::Impl::MakeResponder(uint64_t connection,
                                              uint64_t request) {
  return HttpResponder(
      [mailbox = mailbox_, connection, request](HttpResponse response) {
        std::lock_guard lock(mailbox->mutex);
        Impl* const server = mailbox->server;
        if (server == nullptr) return;
        asio::post(*server->pool_, [server, connection, request,
                                    response = std::move(response)]() mutable {
          const auto it = server->connections_.find(connection);
          if (it == server->connections_.end()) return;
          const auto alive = it->second;  // It may leave the map on the way.
          alive->Answer(request, std::move(response));
        });
      });
}

absl::Status HttpServer::Impl::ReloadCertificates() {
  if (options_.tls.cert.empty()) return absl::OkStatus();
  absl::StatusOr<LoadedTls> loaded = LoadTls(options_.tls);
  if (!loaded.ok()) return loaded.status();
  auto context =
      std::make_shared<asio::ssl::context>(loaded->context.release());
  std::lock_guard lock(tls_mutex_);
  tls_ = std::move(context);
  certificate_not_after_ = loaded->not_after;
  return absl::OkStatus();
}

absl::Time HttpServer::Impl::certificate_not_after() const {
  std::lock_guard lock(tls_mutex_);
  return certificate_not_after_;
}

void HttpServer::Impl::SayDrained() {
  std::lock_guard lock(stop_mutex_);
  drained_ = true;
  stop_condition_.notify_all();
}

void HttpServer::Impl::BeginStop() {
  stopping_ = true;
  error_code ignored;
  acceptor_->close(ignored);
  for (const auto& connection : Connections()) connection->OnServerStops();
  if (connections_.empty()) SayDrained();
}

void HttpServer::Impl::Stop(absl::Duration timeout) {
  {
    std::unique_lock lock(stop_mutex_);
    if (std::exchange(stopped_, true) || pool_ == nullptr) return;
    asio::post(*pool_, [this] { BeginStop(); });
    stop_condition_.wait_for(lock, absl::ToChronoNanoseconds(timeout),
                             [this] { return drained_; });
  }
  {
    std::lock_guard lock(mailbox_->mutex);
    mailbox_->server = nullptr;
  }
  asio::post(*pool_, [this] {
    for (const auto& connection : Connections()) connection->Close(true);
    // A tick may be on its way, beyond cancelling.
    finished_ = true;
    timer_->cancel();
  });
  pool_->join();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { impl_->Stop(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    HttpServerOptions options, HttpHandlers handlers) {
  std::unique_ptr<HttpServer> server(new HttpServer(
      std::make_unique<Impl>(std::move(options), std::move(handlers))));
  absl::Status status = server->impl_->Listen();
  if (!status.ok()) return status;
  return server;
}

uint16_t HttpServer::port() const { return impl_->port(); }
absl::Status HttpServer::ReloadCertificates() {
  return impl_->ReloadCertificates();
}
void HttpServer::SetBearerToken(std::string_view token) {
  impl_->SetBearerToken(token);
}
HttpServerCounters HttpServer::counters() const {
  HttpServerCounters counters = impl_->counters();
  counters.certificate_not_after = impl_->certificate_not_after();
  return counters;
}
void HttpServer::Stop(absl::Duration timeout) { impl_->Stop(timeout); }

}  // namespace klaxon
// NOLINTEND(bugprone-unused-return-value)
