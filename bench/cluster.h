// An invented production cluster: who is in it and from where they come.
//
// A function of the seed alone; immutable after construction. Fields that end
// in `_json` are ready to stand in an audit event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/random.h"

namespace klaxon {

struct Node {
  std::string name;
  std::string address;
  std::string uid;
  std::string user_json;  // Its kubelet's user.
};

struct Pod {
  std::string ns;
  std::string name;
  std::string replica_set;
  std::string app;
  std::string uid;
  size_t node = 0;
};

// A service account with the credential that its workload holds.
struct Account {
  std::string ns;
  std::string name;
  std::string user_json;
  std::string address;
  std::string user_agent;
  std::string allowed_json;  // The authorizer's annotations.
  bool control_plane = false;
};

struct Person {
  std::string user_json;
  std::string sources_json;
};

struct Cluster {
  explicit Cluster(Random& random);

  std::vector<std::string> apps;
  std::vector<std::string> namespaces;
  std::vector<Node> nodes;
  std::vector<Pod> pods;
  std::vector<Account> controllers;  // Of kube-controller-manager.
  std::vector<Account> accounts;     // Of everything else.
  std::vector<Person> people;
  std::vector<std::string> scanners;   // Addresses that knock at every door.
  std::vector<std::string> attackers;  // Addresses that guess credentials.
  std::vector<std::string> partners;   // Outside, but let in.

 private:
  void AddNamespaces(Random& random);
  void AddNodes(Random& random);
  void AddPods(Random& random);
  void AddControllers(Random& random);
  void AddAccounts(Random& random);
  void AddPeople(Random& random);
};

inline constexpr std::string_view kKubernetesVersion =
    "v1.31.2 (linux/amd64) kubernetes/5864a46";
inline constexpr std::string_view kControlPlaneAddress = "10.0.0.11";

// The annotations of an allowed request, `reason` already escaped for JSON.
std::string AllowedJson(std::string_view reason);

// The `index`-th of 2^28 distinct IPv4 addresses (240.0.0.0/4, nobody's).
std::string HostileAddressV4(uint32_t index);
// The `index`-th of 2^32 distinct IPv6 addresses (2001:db8::/32), each in a
// /64 of its own unless `index` shares its upper bits with another.
std::string HostileAddressV6(uint32_t index);

}  // namespace klaxon
