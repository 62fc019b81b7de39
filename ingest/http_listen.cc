#include "ingest/http_listen.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>

namespace klaxon {
namespace {

absl::Status BadAddress(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format(
      "listen: \"{}\": {}; right would be \"127.0.0.1:9440\", \"[::1]:9440\", "
      "or \"0.0.0.0:9443\" for every IPv4 address",
      text, why));
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, "no port");
  const std::string_view port = text.substr(colon + 1);
  std::string_view host = text.substr(0, colon);
  ListenAddress address;
  const auto [end, error] =
      std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc{} ||
      end != port.data() + port.size()) {
    return BadAddress(text, "the port is no number up to 65535");
  }
  if (host.empty() || host == "*" || host == "[::]") {
    address.any_v6 = true;
    return address;
  }
  const bool bracketed = host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return BadAddress(text, "an IPv6 address stands in brackets");
  }
  if (host == "localhost") host = "127.0.0.1";
  const std::optional<IpAddress> ip = IpAddress::Parse(host);
  if (!ip || host.find('%') != std::string_view::npos) {
    return BadAddress(text, "the host is no IP address");
  }
  address.ip = *ip;
  return address;
}

absl::Status CheckListenProtection(const ListenAddress& address,
                                   std::string_view text,
                                   const ListenProtection& protection) {
  if (protection.client_certificates && !protection.tls) {
    return absl::InvalidArgumentError(
        "tls.client_ca needs tls.cert and tls.key too");
  }
  const bool loopback = !address.any_v6 && address.ip.is_loopback();
  if (loopback || protection.insecure) return absl::OkStatus();
  if (!protection.client_certificates && !protection.bearer_token) {
    return absl::InvalidArgumentError(fmt::format(
        "listen: {} is reachable from other machines, and nothing says who "
        "may send: set tls.client_ca (client certificates) or bearer_token, "
        "listen on 127.0.0.1, or write insecure: true if it is meant so",
        text));
  }
  if (!protection.tls) {
    return absl::InvalidArgumentError(fmt::format(
        "listen: {} is reachable from other machines, and without TLS the "
        "bearer token can be read on the way: set tls.cert and tls.key, listen "
        "on 127.0.0.1, or write insecure: true if a proxy in front does TLS",
        text));
  }
  return absl::OkStatus();
}

}  // namespace klaxon
