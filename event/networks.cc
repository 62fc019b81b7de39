#include "event/networks.h"

namespace klaxon {
namespace {

constexpr size_t kClaimedMax = 8;
constexpr size_t kClaimedBytesMax = 64;

// At most kClaimedBytesMax bytes of `text`, not ending within a character.
std::string_view CutClaimed(std::string_view text) {
  if (text.size() <= kClaimedBytesMax) return text;
  size_t end = kClaimedBytesMax;
  while (end > kClaimedBytesMax - 4 && (text[end] & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

CidrSet Networks::DefaultInternal() {
  static const CidrSet* const kInternal = [] {
    std::vector<Cidr> cidrs;
    for (const char* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                             "100.64.0.0/10", "fc00::/7"}) {
      cidrs.push_back(*Cidr::Parse(text));
    }
    return new CidrSet(std::move(cidrs));
  }();
  return *kInternal;
}

std::vector<std::string> DefaultPublicPaths() {
  return {"/healthz",
          "/livez",
          "/readyz",
          "/version",
          "/openid/v1/jwks",
          "/.well-known/openid-configuration",
          "/.well-known/oauth-authorization-server"};
}

ClientInfo ResolveClient(std::span<const std::string_view> source_ips,
                         const Networks& networks) {
  ClientInfo info;
  if (source_ips.empty()) return info;
  size_t at = source_ips.size() - 1;
  std::optional<IpAddress> address = IpAddress::Parse(source_ips[at]);
  info.peer_known = address.has_value();
  info.peer_loopback = address && address->is_loopback();
  // An element that is no address ends the walk: what stands left of it may
  // be anybody's, so the client stays unknown.
  while (address && networks.trusted_proxies.Contains(*address)) {
    if (at == 0) {
      info.trusted_proxy = true;
      break;
    }
    address = IpAddress::Parse(source_ips[--at]);
  }
  if (address) {
    info.known = true;
    info.address = *address;
    info.client = address->ToString();
    info.internal = networks.IsInternal(*address);
    info.external = !info.internal;
  }
  // Of many the nearest: each honest proxy appends on the right.
  for (size_t i = at > kClaimedMax ? at - kClaimedMax : 0; i < at; ++i) {
    info.claimed.emplace_back(CutClaimed(source_ips[i]));
  }
  return info;
}

}  // namespace klaxon
