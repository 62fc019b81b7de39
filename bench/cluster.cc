#include "bench/cluster.h"

#include <arpa/inet.h>

#include <array>
#include <cstdio>

namespace klaxon {
namespace {

constexpr std::array<std::string_view, 20> kApps = {
    "checkout",       "payments",       "cart",         "frontend",
    "inventory",      "search-indexer", "auth-proxy",   "mailer",
    "billing-worker", "recommender",    "notifier",     "gateway",
    "catalog",        "user-profile",   "reporting",    "scheduler",
    "etl-loader",     "image-resizer",  "webhook-sink", "session-cache",
};
constexpr std::array<std::string_view, 12> kNamespaces = {
    "default",    "kube-system",  "kube-public",      "kube-node-lease",
    "monitoring", "logging",      "ingress-nginx",    "cert-manager",
    "argocd",     "istio-system", "external-secrets", "velero",
};
constexpr std::array<std::string_view, 16> kControllers = {
    "replicaset-controller",    "deployment-controller",
    "endpointslice-controller", "generic-garbage-collector",
    "resourcequota-controller", "node-controller",
    "namespace-controller",     "horizontal-pod-autoscaler",
    "cronjob-controller",       "job-controller",
    "endpoint-controller",      "statefulset-controller",
    "daemon-set-controller",    "attachdetach-controller",
    "persistent-volume-binder", "service-account-controller",
};
constexpr std::array<std::string_view, 20> kPlatform = {
    "prometheus-k8s",
    "coredns",
    "argocd-application-controller",
    "cert-manager",
    "ingress-nginx",
    "istiod",
    "fluent-bit",
    "external-secrets",
    "velero",
    "kube-proxy",
    "aws-node",
    "cluster-autoscaler",
    "metrics-server",
    "ebs-csi-controller-sa",
    "load-balancer-controller",
    "keda-operator",
    "kyverno",
    "falco",
    "tekton-pipelines-controller",
    "crossplane",
};
constexpr std::array<std::string_view, 12> kPeople = {
    "alice", "bob",   "carol", "dave", "erin",    "frank",
    "grace", "heidi", "ivan",  "judy", "mallory", "niaj",
};
constexpr uint32_t kNodeCount = 300;
constexpr size_t kPodCount = 4000;
constexpr size_t kAccountCount = 140;

std::string Address(const char* net, size_t third, uint32_t fourth) {
  return std::string(net) + std::to_string(third) + "." +
         std::to_string(1 + fourth);
}

std::string AccountUserJson(const Account& account, Random& random,
                            const Pod* pod, const Node* node) {
  std::string json = "{\"username\":\"system:serviceaccount:" + account.ns +
                     ":" + account.name + "\",\"uid\":\"" + random.Uuid() +
                     "\",\"groups\":[\"system:serviceaccounts\",\"system:"
                     "serviceaccounts:" +
                     account.ns +
                     "\",\"system:authenticated\"],\"extra\":{"
                     "\"authentication.kubernetes.io/credential-id\":[\"JTI=" +
                     random.Uuid() + "\"]";
  if (pod != nullptr) {
    json += ",\"authentication.kubernetes.io/node-name\":[\"" + node->name +
            "\"],\"authentication.kubernetes.io/node-uid\":[\"" + node->uid +
            "\"],\"authentication.kubernetes.io/pod-name\":[\"" + pod->name +
            "\"],\"authentication.kubernetes.io/pod-uid\":[\"" + pod->uid +
            "\"]";
  }
  return json + "}}";
}

std::string RoleBindingJson(const Account& account, std::string_view role) {
  const std::string name(role);
  return AllowedJson("RBAC: allowed by ClusterRoleBinding \\\"" + name +
                     "\\\" of ClusterRole \\\"" + name +
                     "\\\" to ServiceAccount \\\"" + account.name + "/" +
                     account.ns + "\\\"");
}

}  // namespace

std::string AllowedJson(std::string_view reason) {
  return "\"authorization.k8s.io/decision\":\"allow\","
         "\"authorization.k8s.io/reason\":\"" +
         std::string(reason) + "\"";
}

std::string HostileAddressV4(uint32_t index) {
  // An odd factor permutes the 28 bits: neighbours in time are not
  // neighbours in space, as it is with a botnet.
  const uint32_t host = (index * 0x9E3779B1u) & 0x0FFFFFFFu;
  char text[16];
  const int length =
      std::snprintf(text, sizeof text, "%u.%u.%u.%u", 240 + (host >> 24),
                    (host >> 16) & 255, (host >> 8) & 255, host & 255);
  return std::string(text, static_cast<size_t>(length));
}

std::string HostileAddressV6(uint32_t index) {
  // Of four clients the last shares the first one's /64.
  const uint32_t place = index % 4;
  const bool shares = place == 3;
  const uint32_t subnet = (index / 4 * 3 + (shares ? 0 : place)) * 0x9E3779B1u;
  in6_addr address{};
  address.s6_addr[0] = 0x20;
  address.s6_addr[1] = 0x01;
  address.s6_addr[2] = 0x0d;
  address.s6_addr[3] = 0xb8;
  for (uint32_t i = 0; i < 4; ++i) {
    address.s6_addr[4 + i] = static_cast<uint8_t>(subnet >> (24 - 8 * i));
  }
  address.s6_addr[15] = shares ? 2 : 1;
  char text[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &address, text, sizeof text);
  return text;
}

Cluster::Cluster(Random& random) {
  AddNamespaces(random);
  AddNodes(random);
  AddPods(random);
  AddControllers(random);
  AddAccounts(random);
  AddPeople(random);
}

void Cluster::AddNamespaces(Random& random) {
  apps.assign(kApps.begin(), kApps.end());
  namespaces.assign(kNamespaces.begin(), kNamespaces.end());
  for (int i = 0; i < 48; ++i) {
    const char* stage = random.OneIn(2) ? "-prod" : "-stage";
    namespaces.push_back("team-" + random.Pick(apps) + stage +
                         std::to_string(i));
  }
}

void Cluster::AddNodes(Random& random) {
  for (uint32_t i = 0; i < kNodeCount; ++i) {
    Node node;
    node.address = Address("10.1.", i / 100, i % 100);
    node.name = "worker-" + std::to_string(100 + i) + ".prod.example.com";
    node.uid = random.Uuid();
    node.user_json = "{\"username\":\"system:node:" + node.name +
                     "\",\"groups\":[\"system:nodes\","
                     "\"system:authenticated\"],\"extra\":{"
                     "\"authentication.kubernetes.io/credential-id\":["
                     "\"X509SHA256=" +
                     random.Hex(64) + "\"]}}";
    nodes.push_back(std::move(node));
  }
}

void Cluster::AddPods(Random& random) {
  for (size_t i = 0; i < kPodCount; ++i) {
    Pod pod;
    pod.ns = random.Pick(namespaces);
    pod.app = random.Pick(apps);
    pod.replica_set = pod.app + "-" + random.Name(10);
    pod.name = pod.replica_set + "-" + random.Name(5);
    pod.uid = random.Uuid();
    pod.node = random.Below(kNodeCount);
    pods.push_back(std::move(pod));
  }
}

void Cluster::AddControllers(Random& random) {
  for (std::string_view name : kControllers) {
    Account account;
    account.ns = "kube-system";
    account.name = name;
    account.control_plane = true;
    account.address = kControlPlaneAddress;
    account.user_json = AccountUserJson(account, random, nullptr, nullptr);
    account.user_agent = "kube-controller-manager/" +
                         std::string(kKubernetesVersion) +
                         "/system:serviceaccount:kube-system:" + account.name;
    account.allowed_json =
        RoleBindingJson(account, "system:controller:" + account.name);
    controllers.push_back(std::move(account));
  }
}

void Cluster::AddAccounts(Random& random) {
  for (size_t i = 0; i < kAccountCount; ++i) {
    const Pod& pod = random.Pick(pods);
    const bool platform = i < kPlatform.size();
    Account account;
    account.ns = pod.ns;
    account.name =
        platform ? std::string(kPlatform[i]) : random.Pick(apps) + "-sa";
    account.address = Address("10.128.", i, random.Below(254));
    account.user_json =
        AccountUserJson(account, random, &pod, &nodes[pod.node]);
    account.user_agent =
        account.name + "/v0.0.0 (linux/amd64) kubernetes/$Format";
    account.allowed_json = RoleBindingJson(
        account, platform ? account.name : "app-" + random.Pick(apps));
    accounts.push_back(std::move(account));
  }
}

void Cluster::AddPeople(Random& random) {
  for (size_t i = 0; i < kPeople.size(); ++i) {
    Person person;
    person.user_json = "{\"username\":\"" + std::string(kPeople[i]) +
                       "@example.com\",\"groups\":[\"platform-engineers\","
                       "\"oidc:k8s-admins\",\"system:authenticated\"]}";
    person.sources_json =
        "\"" + Address("10.3.", random.Below(256), random.Below(254)) + "\"";
    if (i % 2 == 0) {  // Through the office's proxy.
      person.sources_json = "\"198.51.100." +
                            std::to_string(1 + random.Below(90)) +
                            "\",\"10.0.0.5\"";
    }
    people.push_back(std::move(person));
  }
  for (uint32_t i = 0; i < 60; ++i) {
    scanners.push_back("198.51.100." + std::to_string(100 + i));
    attackers.push_back("203.0.113." + std::to_string(1 + i));
  }
  for (uint32_t i = 0; i < 4; ++i) {
    partners.push_back("192.0.2." + std::to_string(10 + i));
  }
}

}  // namespace klaxon
