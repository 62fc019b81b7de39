// Network addresses: parsing, classes and CIDR sets. Pure values, any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace klaxon {

// An IPv4 or IPv6 address; IPv4-mapped IPv6 (::ffff:a.b.c.d) is the IPv4.
class IpAddress {
 public:
  IpAddress() = default;  // "::"

  // Text as kube-apiserver prints it. Also accepts what exporters make of it:
  // a zone ("fe80::1%eth0") is dropped, brackets and a port ("[::1]:443",
  // "10.0.0.1:80") too. Nothing for all else ("gce-internal-ip", "").
  static std::optional<IpAddress> Parse(std::string_view text);
  // From 16 network-order bytes; IPv4 as ::ffff:a.b.c.d.
  static IpAddress FromBytes(const std::array<uint8_t, 16>& bytes);

  bool is_v4() const;
  bool is_loopback() const;    // 127/8, ::1
  bool is_link_local() const;  // 169.254/16, fe80::/10
  // Canonical text (RFC 5952 for IPv6).
  std::string ToString() const;
  // The /64 an IPv6 address lies in, as "2001:db8:0:1::/64". REQUIRES: !v4.
  std::string Prefix64() const;
  // The same of an address in text; empty where that is IPv4, or none. Quick
  // for what ToString returned.
  static std::string Prefix64Of(std::string_view text);
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }

  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};
};

struct Cidr {
  IpAddress base;
  int prefix_bits = 0;  // Of 128; an IPv4 /8 is 104.
  // "10.0.0.0/8", "fc00::/7"; a bare address is /32 (/128). Nothing for a
  // typo; host bits set ("10.0.0.1/8") are refused too: it is a typo.
  static std::optional<Cidr> Parse(std::string_view text);
  bool Contains(const IpAddress& address) const;
  std::string ToString() const;
  bool operator==(const Cidr&) const = default;
};

class CidrSet {
 public:
  CidrSet() = default;
  explicit CidrSet(std::vector<Cidr> cidrs) : cidrs_(std::move(cidrs)) {}
  bool Contains(const IpAddress& address) const;
  bool empty() const { return cidrs_.empty(); }
  const std::vector<Cidr>& cidrs() const { return cidrs_; }
  bool operator==(const CidrSet&) const = default;

 private:
  std::vector<Cidr> cidrs_;  // Few (tens): searched in order.
};

}  // namespace klaxon
