#include "detectors/forged_identity.h"

#include <fmt/format.h>

#include <algorithm>

namespace klaxon {
namespace {

constexpr std::string_view kName = "forged-identity";

class ForgedIdentity final : public Detector {
 public:
  explicit ForgedIdentity(const DetectorInput& input)
      : quiet_(input.options->GetDuration("quiet")) {}

  void Judge(const Judged& judged, JudgeContext& context) override {
    const Sighting* s = judged.sighting;
    if (s == nullptr || !s->user.starts_with("system:")) return;
    const bool account = s->user.starts_with(kServiceAccountPrefix);
    if (account && s->credential.starts_with(kCertificatePrefix)) {
      Fire(judged, "certificate_for_account", s->seen.first, context);
    }
    const Span& without = s->flag(SightingFlag::kWithoutGroups);
    if (account && without.ever()) {
      Fire(judged, "account_without_groups", without.first, context);
    }
    if (s->user.starts_with(kNodePrefix) && without.ever()) {
      Fire(judged, "node_without_group", without.first, context);
    }
    const Span& remote = s->flag(SightingFlag::kPeerNotLoopback);
    if (s->user == "system:apiserver" && remote.ever()) {
      Fire(judged, "apiserver_not_loopback", remote.first, context);
    }
  }

  AlertText Describe(const Episode& episode) const override;
  std::span<Persistent* const> state() override { return {}; }

 private:
  void Fire(const Judged& judged, std::string_view rule, EventTime since,
            JudgeContext& context) {
    if (judged.kind == JudgedKind::kSeen && judged.time < since) return;
    const Sighting& s = *judged.sighting;
    const EpisodeKey key{kName,
                         rule,
                         {{"user", s.user}, {"credential_id", s.credential}},
                         false};
    Episode& episode =
        AddSighting(judged, since, key, quiet_, Severity::kCritical, rule,
                    Confidence::kHigh, context.episodes);
    episode.AddExplainText("clients", s.client, 8);
    context.episodes->Announce(episode);
  }

  const Nanos quiet_;
};

AlertText ForgedIdentity::Describe(const Episode& episode) const {
  AlertText text;
  const std::string& user = episode.key[0].second;
  if (episode.rule == "certificate_for_account") {
    text.title = fmt::format("Client certificate carries the name {}", user);
    text.summary =
        "Service accounts authenticate by token only. RBAC nevertheless "
        "authorizes this certificate as the account: somebody signed it with "
        "the cluster's CA.";
  } else if (episode.rule == "account_without_groups") {
    text.title =
        fmt::format("{} without the groups of a service account", user);
    text.summary =
        "Every genuine token of a service account carries "
        "system:serviceaccounts and its namespace's group. This identity comes "
        "from another authenticator that borrowed the name.";
  } else if (episode.rule == "node_without_group") {
    text.title = fmt::format("{} without the group system:nodes", user);
    text.summary =
        "A genuine kubelet has it; a certificate with only the name was not "
        "made by the kubelet's signer.";
  } else {
    text.title = "system:apiserver from an address that is not loopback";
    text.summary =
        "kube-apiserver's own identity exists only inside it, on loopback. "
        "Somebody forged it, with the CA's key or through a proxy.";
  }
  text.remediation = {
      "Find who can sign with the cluster CA: kubectl get csr; who reads "
      "/etc/kubernetes/pki; which front proxy is trusted.",
      "A client certificate cannot be revoked: rotate the CA, or take the "
      "name's rights away until then."};
  return text;
}

}  // namespace

const DetectorInfo& ForgedIdentityInfo() {
  static const DetectorInfo* const info = new DetectorInfo{
      .name = kName,
      .title = "A credential of the wrong kind for the name it carries",
      .meaning =
          "Names under system: say how their owner authenticates. One that "
          "comes with another kind of credential, or without its groups, was "
          "forged with the cluster's CA or by a trusted proxy. There is no "
          "exception list.",
      .needs =
          "Level Metadata; Kubernetes 1.32 or newer for "
          "certificate_for_account (credential-id X509SHA256). Events "
          "without any group (GKE exports) are not judged by groups.",
      .false_positives = "None known on a real kube-apiserver.",
      .rules =
          {{"certificate_for_account", "critical",
            "credential-id X509SHA256 with the name of a service account."},
           {"node_without_group", "critical",
            "system:node:* without the group system:nodes."},
           {"account_without_groups", "critical",
            "system:serviceaccount:NS:NAME without system:serviceaccounts or "
            "system:serviceaccounts:NS."},
           {"apiserver_not_loopback", "critical",
            "system:apiserver from a peer that is not loopback."}},
      .options = {{"quiet", OptionType::kDuration, Duration{10 * kMinute},
                   "An episode ends after this long without another one.",
                   kMinute, 7 * kDay}},
      .mitre = {"T1649", "T1036"},
  };
  return *info;
}

std::unique_ptr<Detector> MakeForgedIdentity(const DetectorInput& input) {
  return std::make_unique<ForgedIdentity>(input);
}

}  // namespace klaxon
