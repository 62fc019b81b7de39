#include "detectors/anonymous_access.h"

#include <fmt/format.h>

#include <algorithm>

#include "detectors/shell_quote.h"
#include "event/path.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "anonymous-access";
// Distinct (class, target) of one client and UTC day that get a key each.
constexpr size_t kKeysPerClientDay = 32;

std::string_view ClassOf(const EventView& event) {
  const std::string_view sub = event.object_ref.subresource;
  if (sub == "exec" || sub == "attach" || sub == "portforward" ||
      sub == "proxy") {
    return "connect";
  }
  const std::string_view verb = event.verb;
  if (verb == "get" || verb == "list" || verb == "watch" || verb == "head") {
    return "read";
  }
  return "write";
}

Severity SeverityOf(const RequestView& request, std::string_view cls) {
  if (!request.on_resource) return Severity::kMedium;
  const EventView& event = *request.event;
  const ObjectRef& ref = event.object_ref;
  if (event.verb == "get" && ref.resource == "configmaps" &&
      ref.name == "cluster-info" && ref.ns == "kube-public") {
    return Severity::kInfo;  // kubeadm join reads it before it has an identity.
  }
  if (ref.resource == "secrets" || cls == "write") return Severity::kCritical;
  if (cls == "connect") {
    const bool proxied_get =
        event.verb == "get" && ref.subresource == "proxy" &&
        (ref.resource == "pods" || ref.resource == "services");
    return proxied_get ? Severity::kHigh : Severity::kCritical;
  }
  return Severity::kHigh;
}

// Next "quoted" text of `*rest`, which is advanced behind it.
std::string TakeQuoted(std::string_view* rest) {
  const size_t open = rest->find('"');
  if (open == std::string_view::npos) return "";
  const size_t close = rest->find('"', open + 1);
  if (close == std::string_view::npos) return "";
  std::string text(rest->substr(open + 1, close - open - 1));
  rest->remove_prefix(close + 1);
  return text;
}

std::string TakeWord(std::string_view* rest) {
  while (!rest->empty() && rest->front() == ' ') rest->remove_prefix(1);
  const size_t end = std::min(rest->find(' '), rest->size());
  std::string word(rest->substr(0, end));
  rest->remove_prefix(end);
  return word;
}

// The command that takes the binding away. Empty: none can be made of it.
std::string TakeAway(std::string_view kind, std::string_view binding) {
  if (kind == "ClusterRoleBinding") {
    const auto name = ShellQuote(binding);
    return name ? "kubectl delete clusterrolebinding -- " + *name : "";
  }
  const size_t slash = binding.find('/');
  if (kind != "RoleBinding" || slash == std::string_view::npos) return "";
  const auto name = ShellQuote(binding.substr(0, slash));
  const auto ns = ShellQuote(binding.substr(slash + 1));
  if (!name || !ns) return "";
  return "kubectl delete rolebinding --namespace=" + *ns + " -- " + *name;
}

struct DayKeys {
  std::vector<std::string> keys;
  void Save(WireWriter* out) const {
    out->Uint(keys.size());
    for (const std::string& key : keys) out->Text(key);
  }
  void Load(WireReader* in) {
    keys.clear();
    for (uint64_t n = in->Count(); n > 0; --n) keys.emplace_back(in->Text());
  }
};

class AnonymousAccess final : public Detector {
 public:
  explicit AnonymousAccess(const DetectorInput& input)
      : quiet_(input.options->GetDuration("quiet")),
        day_keys_({.name = "anonymous-access/keys",
                   .keys_max = input.keys_max,
                   .expiry = kDay}),
        state_{&day_keys_} {}

  void Observe(const RequestView& request, DeedWriter& out) const override {
    if (!(request.traits & kTraitAnonymousLetIn)) return;
    const EventView& event = *request.event;
    const std::string_view cls = ClassOf(event);
    Deed& deed = out.Add(request, kName);
    const std::string_view target = request.on_resource
                                        ? event.object_ref.resource
                                        : FirstTwoSegments(request.path);
    std::string what(event.verb);
    what += ' ';
    if (request.on_resource) {
      what += event.object_ref.resource;
      if (!event.object_ref.subresource.empty()) {
        what += '/';
        what += event.object_ref.subresource;
      }
    } else {
      what += target;
    }
    const RbacReason reason = ParseRbacReason(event.decision_reason.Text());
    deed.fields = {
        {"class", std::string(cls)},
        {"target", std::string(target.substr(0, 128))},
        {"severity", std::string(SeverityName(SeverityOf(request, cls)))},
        {"what", what.substr(0, 160)},
        {"binding_kind", reason.binding_kind},
        {"binding", reason.binding},
        {"role", reason.role},
        {"subject", reason.subject},
    };
  }

  void Judge(const Judged& judged, JudgeContext& context) override {
    if (judged.kind != JudgedKind::kDeed) return;
    const Deed& deed = *judged.deed;
    EpisodeKey key{kName, "let_in", KeyOf(deed), false};
    Contribution c;
    c.start = c.first = c.last = deed.time;
    c.count = 1;
    ParseSeverity(deed.field("severity"), &c.severity);
    c.rule = "let_in";
    c.client = deed.client;
    c.user = deed.user;
    c.credential = deed.credential;
    c.claimed_ips = &deed.claimed_ips;
    c.sample = &deed.sample;
    Episode& episode = context.episodes->Add(key, quiet_, c);
    episode.AddExplainText("what", deed.field("what"), 8);
    for (std::string_view name :
         {"binding", "binding_kind", "role", "subject"}) {
      if (!deed.field(name).empty() && !episode.FindExplain(name)) {
        episode.SetExplain(name, std::string(deed.field(name)));
      }
    }
    context.episodes->Announce(episode);
  }

  AlertText Describe(const Episode& episode) const override;
  std::span<Persistent* const> state() override { return state_; }

 private:
  KeyFields KeyOf(const Deed& deed) {
    const std::string own =
        fmt::format("{} {}", deed.field("class"), deed.field("target"));
    DayKeys& day = day_keys_.Touch(
        fmt::format("{} {}", deed.client, FormatDate(deed.time)), deed.time);
    auto it = std::find(day.keys.begin(), day.keys.end(), own);
    if (it == day.keys.end()) {
      if (day.keys.size() >= kKeysPerClientDay) {
        return {
            {"client", deed.client}, {"class", "other"}, {"target", "other"}};
      }
      day.keys.push_back(own);
    }
    return {{"client", deed.client},
            {"class", std::string(deed.field("class"))},
            {"target", std::string(deed.field("target"))}};
  }

  const Nanos quiet_;
  Table<DayKeys> day_keys_;
  std::vector<Persistent*> state_;
};

AlertText AnonymousAccess::Describe(const Episode& episode) const {
  AlertText text;
  std::string what;
  if (const ExplainValue* value = episode.FindExplain("what")) {
    for (const auto& w : std::get<std::vector<std::string>>(*value)) {
      what += what.empty() ? w : ", " + w;
    }
  }
  text.title = fmt::format("Anonymous request let in: {} from {}", what,
                           episode.client.value());
  const std::string binding(episode.ExplainText("binding"));
  const std::string kind(episode.ExplainText("binding_kind"));
  text.summary =
      fmt::format("{} request(s) without any credential were authorized ({}).",
                  std::max<uint64_t>(episode.count, 1), what);
  if (episode.severity == Severity::kInfo) {
    text.summary +=
        " kubeadm join reads cluster-info this way; from an address that joins "
        "no node it is reconnaissance.";
    return text;
  }
  const std::string command = TakeAway(kind, binding);
  if (!binding.empty()) {
    text.summary += fmt::format(" {} {} grants {} to {}.", kind, binding,
                                episode.ExplainText("role"),
                                episode.ExplainText("subject"));
  }
  if (command.empty()) {
    text.remediation.push_back(
        "Find what grants it: kubectl get clusterrolebindings,rolebindings -A "
        "-o wide | grep -E 'system:(anonymous|unauthenticated)'");
    return text;
  }
  text.remediation.push_back("Take it away: " + command);
  text.remediation.push_back(
      "Then find who made the binding, and what this client did besides.");
  return text;
}

}  // namespace

RbacReason ParseRbacReason(std::string_view reason) {
  RbacReason parsed;
  constexpr std::string_view kHead = "RBAC: allowed by ";
  if (!reason.starts_with(kHead)) return parsed;
  reason.remove_prefix(kHead.size());
  parsed.binding_kind = TakeWord(&reason);
  parsed.binding = TakeQuoted(&reason);
  TakeWord(&reason);  // of
  parsed.role_kind = TakeWord(&reason);
  parsed.role = TakeQuoted(&reason);
  TakeWord(&reason);  // to
  parsed.subject_kind = TakeWord(&reason);
  parsed.subject = TakeQuoted(&reason);
  return parsed;
}

const DetectorInfo& AnonymousAccessInfo() {
  static const DetectorInfo* const info = new DetectorInfo{
      .name = kName,
      .title = "A request without any credential was let in",
      .meaning =
          "system:anonymous (or the group system:unauthenticated) was "
          "authorized for something that is not public: a binding gives the "
          "cluster away to whoever can reach it. Exposure counts, so a request "
          "that was authorized and then failed is one too. One alert per "
          "client, verb class (read, write, connect) and resource or path.",
      .needs =
          "Level Metadata; the annotation authorization.k8s.io/decision "
          "makes it exact.",
      .false_positives =
          "kubeadm join reads configmaps/cluster-info in kube-public (info). "
          "OIDC discovery bound to system:unauthenticated on purpose: add its "
          "path to public_paths.",
      .rules = {{"let_in",
                 "critical: writes on resources, secrets, exec and the like; "
                 "high: other reads of resources; medium: other paths; info: "
                 "cluster-info",
                 "decision allow, or none and a code below 400, not on a "
                 "public path."}},
      .options = {{"quiet", OptionType::kDuration, Duration{10 * kMinute},
                   "An episode ends after this long without another one.",
                   kMinute, 7 * kDay}},
      .mitre = {"T1078.001", "T1190"},
  };
  return *info;
}

std::unique_ptr<Detector> MakeAnonymousAccess(const DetectorInput& input) {
  return std::make_unique<AnonymousAccess>(input);
}

}  // namespace klaxon
