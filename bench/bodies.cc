#include "bench/bodies.h"

#include <array>
#include <cstdint>

namespace klaxon {
namespace {

using std::to_string;

constexpr std::string_view kStamp = "2026-06-09T10:11:12Z";

// A JSON string as Go's encoder writes it: & < > are escaped.
void AppendEscaped(std::string_view text, std::string* out) {
  for (char c : text) {
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '&':
        *out += "\\u0026";
        break;
      case '<':
        *out += "\\u003c";
        break;
      case '>':
        *out += "\\u003e";
        break;
      default:
        out->push_back(c);
    }
  }
}

// Renders objects; holds what every one of them needs.
class Renderer {
 public:
  Renderer(const Cluster& cluster, Random& random)
      : cluster_(cluster), random_(random) {}

  std::string PodObject(const Pod& pod, bool stored);
  std::string Deployment(const std::string& ns, const std::string& app,
                         bool stored);
  std::string ConfigMap(const std::string& ns, const std::string& app,
                        bool stored, size_t bytes);
  std::string NodeObject(const Node& node);
  std::string PodList(size_t count);

 private:
  void AppendMetadata(std::string_view ns, std::string_view name,
                      std::string_view app, bool stored,
                      std::string_view applied, std::string* out);
  void AppendManagedFields(std::string_view manager, size_t count,
                           std::string* out);
  void AppendContainer(std::string_view name, size_t variables,
                       std::string* out);
  std::string PodSpec(const std::string& app, std::string_view node);
  void AppendPodStatus(const Node& node, std::string* out);

  const Cluster& cluster_;
  Random& random_;
};

void Renderer::AppendMetadata(std::string_view ns, std::string_view name,
                              std::string_view app, bool stored,
                              std::string_view applied, std::string* out) {
  *out += "\"metadata\":{\"name\":\"";
  *out += name;
  *out += "\",\"namespace\":\"";
  *out += ns;
  if (stored) {
    *out += "\",\"uid\":\"";
    random_.AppendUuid(out);
    *out += "\",\"resourceVersion\":\"";
    *out += to_string(184467440 + random_.Below(1000000));
    *out += "\",\"generation\":" + to_string(1 + random_.Below(9));
    *out += ",\"creationTimestamp\":\"";
    *out += kStamp;
    *out += "\"";
  } else {
    *out += "\",\"creationTimestamp\":null";
  }
  *out += ",\"labels\":{\"app.kubernetes.io/name\":\"";
  *out += app;
  *out += "\",\"app.kubernetes.io/version\":\"1.";
  *out += to_string(random_.Below(30)) + "." + to_string(random_.Below(9));
  *out += "\",\"pod-template-hash\":\"";
  random_.AppendName(10, out);
  *out += "\"},\"annotations\":{\"checksum/config\":\"";
  random_.AppendHex(64, out);
  *out += "\",\"prometheus.io/scrape\":\"true\"";
  if (!applied.empty()) {
    *out += ",\"kubectl.kubernetes.io/last-applied-configuration\":\"";
    AppendEscaped(applied, out);
    *out += "\"";
  }
  *out += "}";
}

void Renderer::AppendManagedFields(std::string_view manager, size_t count,
                                   std::string* out) {
  *out += ",\"managedFields\":[";
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) *out += ",";
    *out += "{\"manager\":\"";
    *out += i > 0 ? "kubelet" : manager;
    *out += "\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"";
    *out += kStamp;
    *out +=
        "\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{"
        "\"f:annotations\":{\".\":{},\"f:checksum/config\":{},"
        "\"f:prometheus.io/scrape\":{}},\"f:generateName\":{},\"f:labels\":{"
        "\".\":{},\"f:app.kubernetes.io/name\":{},"
        "\"f:pod-template-hash\":{}},\"f:ownerReferences\":{\".\":{},"
        "\"k:{\\\"uid\\\":\\\"";
    random_.AppendUuid(out);
    *out +=
        "\\\"}\":{}}},\"f:spec\":{\"f:containers\":{"
        "\"k:{\\\"name\\\":\\\"app\\\"}\":{\".\":{},\"f:image\":{},"
        "\"f:imagePullPolicy\":{},\"f:name\":{},\"f:env\":{\".\":{},"
        "\"k:{\\\"name\\\":\\\"POD_NAME\\\"}\":{\".\":{},\"f:name\":{},"
        "\"f:valueFrom\":{\".\":{},\"f:fieldRef\":{}}}},\"f:resources\":{"
        "\".\":{},\"f:limits\":{\".\":{},\"f:memory\":{}},\"f:requests\":{"
        "\".\":{},\"f:cpu\":{},\"f:memory\":{}}}}},\"f:dnsPolicy\":{},"
        "\"f:enableServiceLinks\":{},\"f:restartPolicy\":{},"
        "\"f:schedulerName\":{},\"f:securityContext\":{},"
        "\"f:terminationGracePeriodSeconds\":{}}}}";
  }
  *out += "]";
}

void Renderer::AppendContainer(std::string_view name, size_t variables,
                               std::string* out) {
  const std::string app(name);
  *out += "{\"name\":\"" + app +
          "\",\"image\":\"registry.example.com/platform/" + app + ":1." +
          to_string(random_.Below(40)) + "@sha256:";
  random_.AppendHex(64, out);
  *out +=
      "\",\"args\":[\"--listen=:8080\",\"--log-format=json\",\"--db="
      "postgres://" +
      app + "@db." + app + ".svc:5432/" + app +
      "?sslmode=require\\u0026pool_max_conns=20\"],\"ports\":[{\"name\":"
      "\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"}],\"env\":[{"
      "\"name\":\"POD_NAME\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":"
      "\"v1\",\"fieldPath\":\"metadata.name\"}}}";
  for (size_t i = 0; i < variables; ++i) {
    *out += ",{\"name\":\"FEATURE_" + to_string(i) + "\",\"value\":\"";
    random_.AppendName(8 + random_.Below(30), out);
    *out += "\"}";
  }
  *out +=
      "],\"resources\":{\"limits\":{\"memory\":\"512Mi\"},\"requests\":{"
      "\"cpu\":\"100m\",\"memory\":\"256Mi\"}},\"volumeMounts\":[{"
      "\"name\":\"config\",\"mountPath\":\"/etc/" +
      app +
      "\"},{\"name\":\"kube-api-access\",\"readOnly\":true,"
      "\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}],"
      "\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":"
      "\"http\",\"scheme\":\"HTTP\"},\"initialDelaySeconds\":10,"
      "\"timeoutSeconds\":1,\"periodSeconds\":10,\"successThreshold\":1,"
      "\"failureThreshold\":3},\"terminationMessagePath\":"
      "\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\","
      "\"imagePullPolicy\":\"IfNotPresent\",\"securityContext\":{"
      "\"capabilities\":{\"drop\":[\"ALL\"]},\"runAsNonRoot\":true,"
      "\"allowPrivilegeEscalation\":false}}";
}

std::string Renderer::PodSpec(const std::string& app, std::string_view node) {
  std::string spec =
      "\"spec\":{\"volumes\":[{\"name\":\"config\",\"configMap\":{\"name\":\"" +
      app +
      "-config\",\"defaultMode\":420}},{\"name\":\"kube-api-access\","
      "\"projected\":{\"sources\":[{\"serviceAccountToken\":{"
      "\"expirationSeconds\":3607,\"path\":\"token\"}},{\"configMap\":{"
      "\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":"
      "\"ca.crt\"}]}}],\"defaultMode\":420}}],\"containers\":[";
  AppendContainer(app, 2 + random_.Below(12), &spec);
  if (random_.OneIn(2)) {
    spec += ",";
    AppendContainer("istio-proxy", 2 + random_.Below(12), &spec);
  }
  spec +=
      "],\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,"
      "\"dnsPolicy\":\"ClusterFirst\",\"serviceAccountName\":\"" +
      app + "-sa\",\"serviceAccount\":\"" + app + "-sa\"";
  if (!node.empty()) {
    spec += ",\"nodeName\":\"";
    spec += node;
    spec += "\"";
  }
  spec +=
      ",\"securityContext\":{\"fsGroup\":2000},\"schedulerName\":"
      "\"default-scheduler\",\"tolerations\":[{\"key\":"
      "\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":"
      "\"NoExecute\",\"tolerationSeconds\":300},{\"key\":"
      "\"node.kubernetes.io/unreachable\",\"operator\":\"Exists\","
      "\"effect\":\"NoExecute\",\"tolerationSeconds\":300}],\"priority\":0,"
      "\"enableServiceLinks\":true,\"preemptionPolicy\":"
      "\"PreemptLowerPriority\"}";
  return spec;
}

void Renderer::AppendPodStatus(const Node& node, std::string* out) {
  const std::string stamp(kStamp);
  *out += "\"status\":{\"phase\":\"Running\",\"conditions\":[";
  constexpr std::array<std::string_view, 4> kConditions = {
      "Initialized", "Ready", "ContainersReady", "PodScheduled"};
  for (size_t i = 0; i < kConditions.size(); ++i) {
    if (i > 0) *out += ",";
    *out += "{\"type\":\"" + std::string(kConditions[i]) +
            "\",\"status\":\"True\",\"lastProbeTime\":null,"
            "\"lastTransitionTime\":\"" +
            stamp + "\"}";
  }
  *out += "],\"hostIP\":\"" + node.address + "\",\"podIP\":\"10.128." +
          to_string(random_.Below(256)) + "." + to_string(random_.Below(256)) +
          "\",\"startTime\":\"" + stamp +
          "\",\"containerStatuses\":[{\"name\":\"app\",\"state\":{"
          "\"running\":{\"startedAt\":\"" +
          stamp +
          "\"}},\"lastState\":{},\"ready\":true,\"restartCount\":0,"
          "\"image\":\"registry.example.com/platform/app:1\",\"containerID\":"
          "\"containerd://";
  random_.AppendHex(64, out);
  *out += "\",\"started\":true}],\"qosClass\":\"Burstable\"}";
}

std::string Renderer::PodObject(const Pod& pod, bool stored) {
  const Node& node = cluster_.nodes[pod.node];
  const std::string spec = PodSpec(pod.app, stored ? node.name : "");
  std::string applied;
  if (random_.OneIn(4)) {
    applied = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," + spec + "}\n";
  }
  std::string json = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",";
  AppendMetadata(pod.ns, pod.name, pod.app, stored, applied, &json);
  json +=
      ",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":"
      "\"ReplicaSet\",\"name\":\"" +
      pod.replica_set + "\",\"uid\":\"";
  random_.AppendUuid(&json);
  json += "\",\"controller\":true,\"blockOwnerDeletion\":true}]";
  if (stored) {
    AppendManagedFields("kube-controller-manager", 1 + random_.Below(2), &json);
  }
  json += "}," + spec + ",";
  if (stored) {
    AppendPodStatus(node, &json);
  } else {
    json += "\"status\":{}";
  }
  return json + "}";
}

std::string Renderer::Deployment(const std::string& ns, const std::string& app,
                                 bool stored) {
  const std::string labels = "{\"app.kubernetes.io/name\":\"" + app + "\"}";
  const std::string spec =
      "\"spec\":{\"replicas\":" + to_string(1 + random_.Below(12)) +
      ",\"selector\":{\"matchLabels\":" + labels +
      "},\"template\":{\"metadata\":{\"creationTimestamp\":null,\"labels\":" +
      labels + "}," + PodSpec(app, "") +
      "},\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{"
      "\"maxUnavailable\":\"25%\",\"maxSurge\":\"25%\"}},"
      "\"revisionHistoryLimit\":10,\"progressDeadlineSeconds\":600}";
  std::string json = "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",";
  AppendMetadata(
      ns, app, app, stored,
      "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"," + spec + "}\n",
      &json);
  if (stored) AppendManagedFields("argocd-controller", 2, &json);
  json += "}," + spec + ",\"status\":{";
  if (stored) {
    json +=
        "\"observedGeneration\":4,\"replicas\":3,\"updatedReplicas\":3,"
        "\"readyReplicas\":3,\"availableReplicas\":3";
  }
  return json + "}}";
}

std::string Renderer::ConfigMap(const std::string& ns, const std::string& app,
                                bool stored, size_t bytes) {
  std::string text;
  while (text.size() < bytes) {
    switch (random_.Below(4)) {
      case 0:
        text += "server {\n  listen 80" + to_string(random_.Below(99)) +
                ";\n  location /" + random_.Name(6) + " { proxy_pass http://" +
                random_.Pick(cluster_.apps) + "; }\n}\n";
        break;
      case 1:
        text += "key_" + random_.Name(5) + ": \"" + random_.Name(12) + "\"\n";
        break;
      case 2:  // Not ASCII: "réglage".
        text += "# r\xC3\xA9glage " + random_.Name(20) + "\n";
        break;
      default:
        text += "  - name: " + random_.Name(9) +
                "\n    expr: sum(rate(http_requests_total{job=\"" +
                random_.Pick(cluster_.apps) + "\"}[5m])) > 9\n";
    }
  }
  std::string json = "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",";
  AppendMetadata(ns, app + "-config", app, stored, "", &json);
  if (stored) AppendManagedFields("helm", 1, &json);
  json += "},\"data\":{\"config.yaml\":\"";
  AppendEscaped(text, &json);
  return json + "\"}}";
}

std::string Renderer::NodeObject(const Node& node) {
  std::string json =
      "{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" +
      node.name + "\",\"uid\":\"" + node.uid +
      "\",\"resourceVersion\":\"184467\",\"creationTimestamp\":"
      "\"2025-11-02T10:11:12Z\",\"labels\":{\"kubernetes.io/arch\":\"amd64\","
      "\"kubernetes.io/hostname\":\"" +
      node.name + "\",\"topology.kubernetes.io/zone\":\"eu-west-1a\"}";
  AppendManagedFields("kubelet", 2, &json);
  json +=
      "},\"spec\":{\"providerID\":\"aws:///eu-west-1a/i-0" + random_.Hex(16) +
      "\"},\"status\":{\"capacity\":{\"cpu\":\"8\",\"memory\":"
      "\"32408324Ki\",\"pods\":\"58\"},\"addresses\":[{\"type\":"
      "\"InternalIP\",\"address\":\"" +
      node.address + "\"}],\"nodeInfo\":{\"machineID\":\"" + random_.Hex(32) +
      "\",\"containerRuntimeVersion\":\"containerd://1.7.22\","
      "\"kubeletVersion\":\"v1.31.2\"},\"images\":[";
  const uint32_t images = 20 + random_.Below(50);
  for (uint32_t i = 0; i < images; ++i) {
    if (i > 0) json += ",";
    json += "{\"names\":[\"registry.example.com/platform/" +
            random_.Pick(cluster_.apps) + "@sha256:" + random_.Hex(64) +
            "\"],\"sizeBytes\":" + to_string(random_.Below(900000000)) + "}";
  }
  return json + "]}}";
}

std::string Renderer::PodList(size_t count) {
  std::string json =
      "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{"
      "\"resourceVersion\":\"184467\"},\"items\":[";
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) json += ",";
    json += PodObject(random_.Pick(cluster_.pods), true);
  }
  return json + "]}";
}

std::string RefJson(const RefParts& parts) {
  std::string json;
  AppendRef(parts, &json);
  return json;
}

// Makes one exchange of each kind.
class ExchangeMaker {
 public:
  ExchangeMaker(const Cluster& cluster, Random& random)
      : cluster_(cluster), random_(random), render_(cluster, random) {}

  Exchange Any() {
    const uint32_t kind = random_.Below(100);
    if (kind < 34) return PodStatus();
    if (kind < 46) return PodCreate();
    if (kind < 62) return DeploymentUpdate();
    if (kind < 74) return ConfigMapUpdate();
    if (kind < 88) return NodeStatus();
    return ListPods();
  }

 private:
  Exchange ByKubelet(const Node& node) {
    Exchange e;
    e.verb = "patch";
    e.user_json = node.user_json;
    e.sources_json = "\"" + node.address + "\"";
    e.user_agent = "kubelet/" + std::string(kKubernetesVersion);
    e.annotations_json = AllowedJson("");
    return e;
  }
  Exchange ByAccount(const Account& account) {
    Exchange e;
    e.user_json = account.user_json;
    e.sources_json = "\"" + account.address + "\"";
    e.user_agent = account.user_agent;
    e.annotations_json = account.allowed_json;
    return e;
  }

  Exchange PodStatus() {
    const Pod& pod = random_.Pick(cluster_.pods);
    Exchange e = ByKubelet(cluster_.nodes[pod.node]);
    e.uri = "/api/v1/namespaces/" + pod.ns + "/pods/" + pod.name + "/status";
    e.ref_json = RefJson({.resource = "pods",
                          .ns = pod.ns,
                          .name = pod.name,
                          .subresource = "status"});
    e.request = "{\"metadata\":{\"uid\":\"" + pod.uid +
                "\"},\"status\":{\"$setElementOrder/conditions\":[{\"type\":"
                "\"Ready\"}],\"conditions\":[{\"lastTransitionTime\":\"" +
                std::string(kStamp) +
                "\",\"status\":\"True\",\"type\":\"Ready\"}]}}";
    e.response = render_.PodObject(pod, true);
    return e;
  }

  Exchange PodCreate() {
    const Pod& pod = random_.Pick(cluster_.pods);
    Exchange e = ByAccount(cluster_.controllers[0]);
    e.verb = "create";
    e.code = 201;
    e.uri = "/api/v1/namespaces/" + pod.ns + "/pods";
    e.ref_json = RefJson({.resource = "pods", .ns = pod.ns, .name = pod.name});
    e.request = render_.PodObject(pod, false);
    e.response = render_.PodObject(pod, true);
    e.annotations_json +=
        ",\"pod-security.kubernetes.io/enforce-policy\":"
        "\"privileged:latest\"";
    return e;
  }

  Exchange DeploymentUpdate() {
    const std::string& ns = random_.Pick(cluster_.namespaces);
    const std::string& app = random_.Pick(cluster_.apps);
    Exchange e = ByAccount(cluster_.accounts[random_.Below(20)]);
    e.verb = "update";
    e.uri = "/apis/apps/v1/namespaces/" + ns + "/deployments/" + app +
            "?fieldManager=argocd-controller\\u0026force=true";
    e.ref_json = RefJson(
        {.resource = "deployments", .ns = ns, .name = app, .group = "apps"});
    e.request = render_.Deployment(ns, app, false);
    e.response = render_.Deployment(ns, app, true);
    return e;
  }

  Exchange ConfigMapUpdate() {
    const std::string& ns = random_.Pick(cluster_.namespaces);
    const std::string& app = random_.Pick(cluster_.apps);
    const Person& person = random_.Pick(cluster_.people);
    Exchange e;
    e.verb = "update";
    e.uri = "/api/v1/namespaces/" + ns + "/configmaps/" + app + "-config";
    e.user_json = person.user_json;
    if (random_.OneIn(8)) {
      e.impersonated_json =
          "{\"username\":\"deployer\",\"groups\":[\"platform-engineers\","
          "\"system:authenticated\"]}";
    }
    e.sources_json = person.sources_json;
    e.user_agent = "kubectl/v1.31.0 (darwin/arm64) kubernetes/9edcffc";
    e.ref_json =
        RefJson({.resource = "configmaps", .ns = ns, .name = app + "-config"});
    const size_t bytes = 600 + random_.Below(random_.OneIn(4) ? 14000 : 4000);
    e.request = render_.ConfigMap(ns, app, false, bytes);
    e.response = render_.ConfigMap(ns, app, true, bytes);
    e.annotations_json = AllowedJson(
        "RBAC: allowed by ClusterRoleBinding \\\"k8s-admins\\\" of "
        "ClusterRole \\\"cluster-admin\\\" to Group \\\"oidc:k8s-admins\\\"");
    return e;
  }

  Exchange NodeStatus() {
    const Node& node = random_.Pick(cluster_.nodes);
    Exchange e = ByKubelet(node);
    e.uri = "/api/v1/nodes/" + node.name + "/status?timeout=10s";
    e.ref_json = RefJson(
        {.resource = "nodes", .name = node.name, .subresource = "status"});
    e.request = "{\"status\":{\"conditions\":[{\"lastHeartbeatTime\":\"" +
                std::string(kStamp) + "\",\"type\":\"Ready\"}]}}";
    e.response = render_.NodeObject(node);
    return e;
  }

  Exchange ListPods() {
    const std::string& ns = random_.Pick(cluster_.namespaces);
    Exchange e = ByAccount(random_.Pick(cluster_.accounts));
    e.verb = "list";
    e.uri = "/api/v1/namespaces/" + ns +
            "/pods?labelSelector=app.kubernetes.io%2Fname%3D" +
            random_.Pick(cluster_.apps) + "\\u0026limit=500";
    e.ref_json = RefJson({.resource = "pods", .ns = ns});
    e.response = render_.PodList(1 + random_.Below(6));
    return e;
  }

  const Cluster& cluster_;
  Random& random_;
  Renderer render_;
};

}  // namespace

void AppendRef(const RefParts& parts, std::string* out) {
  const auto add = [out](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    *out += name;
    *out += value;
    *out += "\"";
  };
  add("{\"resource\":\"", parts.resource);
  add(",\"namespace\":\"", parts.ns);
  add(",\"name\":\"", parts.name);
  add(",\"apiGroup\":\"", parts.group);
  add(",\"apiVersion\":\"", "v1");
  add(",\"resourceVersion\":\"", parts.resource_version);
  add(",\"subresource\":\"", parts.subresource);
  *out += "}";
}

std::vector<Exchange> MakeExchanges(const Cluster& cluster, Random& random,
                                    size_t count) {
  ExchangeMaker maker(cluster, random);
  std::vector<Exchange> exchanges;
  exchanges.reserve(count);
  for (size_t i = 0; i < count; ++i) exchanges.push_back(maker.Any());
  return exchanges;
}

}  // namespace klaxon
