// What the operator says of the network, and who the client of a request is.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event/address.h"

namespace klaxon {

struct Networks {
  // Addresses of the cluster and its people. Default: RFC 1918, 100.64/10,
  // fc00::/7. Loopback and link-local are internal besides.
  CidrSet internal = DefaultInternal();
  // Proxies in front of kube-apiserver whose X-Forwarded-For is believed.
  CidrSet trusted_proxies;
  // From where system:masters may come; empty: the same as `internal`.
  CidrSet admin;

  static CidrSet DefaultInternal();
  bool IsInternal(const IpAddress& address) const {
    return address.is_loopback() || address.is_link_local() ||
           internal.Contains(address);
  }
  bool operator==(const Networks&) const = default;
};

// The default of `public_paths`: detections.md, "public path".
std::vector<std::string> DefaultPublicPaths();

// Who sent a request, by detections.md, "peer" and "client".
struct ClientInfo {
  // Canonical text, or "unknown" where no address is there or it is none.
  std::string client = "unknown";
  bool known = false;          // `client` is an address.
  IpAddress address;           // REQUIRES: known.
  bool internal = false;       // Never both `internal` and `external`;
  bool external = false;       // "unknown" is neither.
  bool trusted_proxy = false;  // All elements were trusted proxies.
  // The TCP peer: last element of sourceIPs.
  bool peer_known = false;
  bool peer_loopback = false;
  // Everything left of the client, as written, at most 8.
  std::vector<std::string> claimed;
};
ClientInfo ResolveClient(std::span<const std::string_view> source_ips,
                         const Networks& networks);

}  // namespace klaxon
