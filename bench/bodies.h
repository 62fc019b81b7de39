// Requests that carry bodies, as a policy with level RequestResponse logs
// them. A pool is rendered once: making a body costs ten times the copying.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "bench/cluster.h"
#include "bench/random.h"

namespace klaxon {

// One request with its bodies; everything ready to stand in an audit event.
struct Exchange {
  std::string verb;
  std::string uri;
  std::string user_json;
  std::string impersonated_json;  // Empty: none.
  std::string sources_json;
  std::string user_agent;
  std::string ref_json;
  int code = 200;
  std::string request;   // Empty: none.
  std::string response;  // Empty: none.
  std::string annotations_json;
};

// Renders `count` exchanges, of each kind as many as a real log has.
std::vector<Exchange> MakeExchanges(const Cluster& cluster, Random& random,
                                    size_t count);

// objectRef; empty parts are left out, as kube-apiserver does.
struct RefParts {
  std::string_view resource;
  std::string_view ns;
  std::string_view name;
  std::string_view group;
  std::string_view resource_version;
  std::string_view subresource;
};
void AppendRef(const RefParts& parts, std::string* out);

}  // namespace klaxon
