// Where a server may listen, and under which protection. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "event/address.h"

namespace klaxon {

struct ListenAddress {
  IpAddress ip;
  // The IPv6 wildcard "[::]", which takes IPv4 too.
  bool any_v6 = false;
  uint16_t port = 0;  // 0: a free one.
};

// "127.0.0.1:9440", "[::1]:9440", "localhost:9440"; ":9443" and "*:9443" are
// every address, IPv4 and IPv6. Names are not resolved.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

struct ListenProtection {
  bool tls = false;
  bool client_certificates = false;
  bool bearer_token = false;
  bool insecure = false;  // The operator says that it is meant so.
};
// Whoever can reach an audit receiver can write events: beyond loopback it
// wants to know its clients, and a token wants TLS.
absl::Status CheckListenProtection(const ListenAddress& address,
                                   std::string_view text,
                                   const ListenProtection& protection);

}  // namespace klaxon
