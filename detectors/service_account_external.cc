#include "detectors/service_account_external.h"

#include <fmt/format.h>

#include <algorithm>

#include "detectors/shell_quote.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "service-account-external";
// Held observations beyond this, of all addresses together, are judged at once
// (bounded memory: whoever makes so many has valid tokens and is outside).
constexpr size_t kHeldMax = 10'000;

// A user agent that a workload does not have: somebody types.
bool HandTool(AgentFamily family) {
  switch (family) {
    case AgentFamily::kKubectl:
    case AgentFamily::kOpenshift:
    case AgentFamily::kCurl:
    case AgentFamily::kWget:
    case AgentFamily::kPython:
      return true;
    default:
      return false;
  }
}

// An observation that waits for the end of the stream's first minutes.
struct Held {
  bool total = false;
  EventTime time = 0;
  bool new_key = false;
  uint32_t raised = 0;
  Sighting sighting;
};

class HeldList final : public Persistent {
 public:
  std::vector<Held> items;
  bool released = false;
  std::string_view name() const override {
    return "service-account-external/held";
  }
  void Save(WireWriter* out) const override {
    out->Bool(released);
    out->Uint(items.size());
    for (const Held& held : items) {
      out->Bool(held.total);
      out->Int(held.time);
      out->Bool(held.new_key);
      out->Uint(held.raised);
      std::string bytes;
      EncodeTo(held.sighting, &bytes);
      out->Text(bytes);
    }
  }
  bool Load(WireReader* in) override {
    items.clear();
    released = in->Bool();
    for (uint64_t n = in->Count(); n > 0; --n) {
      Held& held = items.emplace_back();
      held.total = in->Bool();
      held.time = in->Int();
      held.new_key = in->Bool();
      held.raised = static_cast<uint32_t>(in->Uint());
      if (!Decode(in->Text(), &held.sighting)) return false;
    }
    return in->ok();
  }
};

class ServiceAccountExternal final : public Detector {
 public:
  explicit ServiceAccountExternal(const DetectorInput& input)
      : allow_(input.options->GetAllowList("allow")),
        settle_(input.options->GetDuration("egress_settle")),
        quiet_(input.options->GetDuration("quiet")),
        state_{&held_} {}

  void Judge(const Judged& judged, JudgeContext& context) override {
    if (judged.kind == JudgedKind::kFact) {
      SetTimer(context);
      return;
    }
    const Sighting* s = judged.sighting;
    if (s == nullptr || !s->client_external ||
        !s->ever(SightingFlag::kAccountGroup)) {
      return;
    }
    const bool total = judged.kind == JudgedKind::kTotal;
    if (!total && !judged.Has(SightingFlag::kAccountGroup)) return;
    std::string_view ns;
    std::string_view name;
    if (!SplitServiceAccount(s->user, &ns, &name)) return;
    // External addresses of the first minutes wait until it is known whether
    // kubelets come from them too.
    if (!held_.released && judged.time < HoldEnd(context) &&
        held_.items.size() < kHeldMax) {
      held_.items.push_back(
          {total, judged.time, judged.new_key, judged.raised, *s});
      return;
    }
    Decide(judged, context);
  }

  void OnTimer(std::string_view key, EventTime due,
               JudgeContext& context) override {
    (void)key;
    (void)due;
    if (held_.released) return;
    held_.released = true;
    std::vector<Held> items = std::move(held_.items);
    held_.items.clear();
    for (const Held& held : items) {
      Judged judged;
      judged.kind = held.total ? JudgedKind::kTotal : JudgedKind::kSeen;
      judged.time = held.time;
      judged.sighting = &held.sighting;
      judged.new_key = held.new_key;
      judged.raised = held.raised;
      Decide(judged, context);
    }
  }

  AlertText Describe(const Episode& episode) const override;
  std::span<Persistent* const> state() override { return state_; }

 private:
  EventTime HoldEnd(const JudgeContext& context) const {
    const EventTime start = context.knowledge->stream_start();
    return start == kNoTime ? kNoTime : start + settle_;
  }
  void SetTimer(JudgeContext& context) {
    if (!held_.released) {
      context.timers->Add(HoldEnd(context), context.owner, "settle");
    }
  }

  void Decide(const Judged& judged, JudgeContext& context) {
    const Sighting& s = *judged.sighting;
    const EventTime group = s.flag(SightingFlag::kAccountGroup).first;
    EventTime from = std::max(s.seen.first, group);
    // What is allowed needs no excuse.
    const AllowEntry* expired = nullptr;
    if (Allowed(s, from, &expired)) {
      // It may have run out within this minute: that is known at its end.
      from = s.seen.last;
      if (judged.kind != JudgedKind::kTotal || Allowed(s, from, &expired)) {
        return;
      }
    }
    const EventTime decided = std::max(s.seen.first, HoldEnd(context));
    if (context.knowledge->OwnEgressSince(s.client, decided) <= decided) {
      Excuse(judged, from, context);
      return;
    }
    External(judged, from, expired, context);
  }

  bool Allowed(const Sighting& s, EventTime time,
               const AllowEntry** expired) const {
    std::string_view ns;
    std::string_view name;
    SplitServiceAccount(s.user, &ns, &name);
    const auto address = IpAddress::Parse(s.client);
    for (const AllowEntry& entry : allow_) {
      const size_t slash = entry.account.find('/');
      const std::string_view account = entry.account;
      const std::string_view want_ns = account.substr(0, slash);
      const std::string_view want_name =
          slash == std::string_view::npos ? "" : account.substr(slash + 1);
      if ((want_ns != "*" && want_ns != ns) ||
          (want_name != "*" && want_name != name)) {
        continue;
      }
      if (!address || !entry.cidr.Contains(*address)) continue;
      if (time < entry.until) return true;
      *expired = &entry;
    }
    return false;
  }

  // Whether a flag is there: as far as known, in a `seen`.
  static bool Is(const Judged& judged, SightingFlag flag) {
    return judged.kind == JudgedKind::kTotal ? judged.sighting->ever(flag)
                                             : judged.Has(flag);
  }

  // The mere end of a long-running request says by its code what it was.
  static bool LetIn(const Judged& judged) {
    return Is(judged, SightingFlag::kLetIn) ||
           Is(judged, SightingFlag::kEndedLetIn);
  }

  static Severity SeverityOf(const Judged& judged) {
    if (Is(judged, SightingFlag::kLegacy) ||
        HandTool(judged.sighting->family) ||
        Is(judged, SightingFlag::kSecrets) || Is(judged, SightingFlag::kRbac) ||
        Is(judged, SightingFlag::kExec)) {
      return Severity::kCritical;
    }
    return LetIn(judged) ? Severity::kHigh : Severity::kMedium;
  }

  void External(const Judged& judged, EventTime start,
                const AllowEntry* expired, JudgeContext& context) {
    const Sighting& s = *judged.sighting;
    std::string_view ns;
    std::string_view name;
    SplitServiceAccount(s.user, &ns, &name);
    const EpisodeKey key{
        kName,
        "external",
        {{"account", fmt::format("{}/{}", ns, name)}, {"client", s.client}},
        false};
    Episode& episode =
        AddSighting(judged, start, key, quiet_, SeverityOf(judged), "external",
                    Confidence::kHigh, context.episodes);
    if (LetIn(judged)) {
      episode.SetExplain("let_in", std::string("yes"));
    }
    for (const auto& [flag, label] : kLabels) {
      if (Is(judged, flag)) episode.AddExplainText("because", label, 8);
    }
    if (HandTool(s.family)) {
      episode.AddExplainText(
          "because", fmt::format("user agent of {}", AgentFamilyName(s.family)),
          8);
    }
    episode.AddExplainText("pods", s.pod, 5);
    if (expired != nullptr) {
      episode.SetExplain("allow_expired", FormatTime(expired->until));
    }
    context.episodes->Announce(episode);
  }

  void Excuse(const Judged& judged, EventTime start, JudgeContext& context) {
    const Sighting& s = *judged.sighting;
    const EpisodeKey key{
        kName, "own_egress", {{"client", s.client}}, /*daily=*/true};
    Episode& episode =
        AddSighting(judged, start, key, 0, Severity::kMedium, "own_egress",
                    Confidence::kHigh, context.episodes);
    episode.AddExplainText("accounts", s.user, 8);
    context.episodes->Announce(episode);
  }

  struct Label {
    SightingFlag flag;
    std::string_view text;
  };
  static constexpr Label kLabels[] = {
      {SightingFlag::kLegacy, "legacy token"},
      {SightingFlag::kSecrets, "touches secrets"},
      {SightingFlag::kRbac, "touches RBAC"},
      {SightingFlag::kExec, "exec, attach, port-forward or proxy"},
  };

  const std::vector<AllowEntry> allow_;
  const Nanos settle_;
  const Nanos quiet_;
  HeldList held_;
  std::vector<Persistent*> state_;
};

AlertText ServiceAccountExternal::Describe(const Episode& episode) const {
  AlertText text;
  const std::string client(episode.client.value());
  const uint64_t count = std::max<uint64_t>(episode.count, 1);
  if (episode.rule == "own_egress") {
    text.title = fmt::format(
        "{} is the cluster's own egress: list it in networks.internal", client);
    text.summary = fmt::format(
        "Kubelets of two or more nodes come from {}, so it is a NAT gateway "
        "or load balancer of the cluster. {} request(s) of service accounts "
        "from there were not judged one by one.",
        client, count);
    text.remediation = {fmt::format(
        "If it is yours: networks: {{internal: [..., {}]}} in klaxon.yaml.",
        client)};
    return text;
  }
  const std::string& account = episode.key[0].second;
  text.title =
      fmt::format("Service account {} used from outside: {}", account, client);
  text.summary = fmt::format(
      "{} request(s) with the token of a service account from an address that "
      "is not the cluster's; {}.",
      count, episode.ExplainText("let_in") == "yes" ? "let in" : "all denied");
  const auto ns = ShellQuote(account.substr(0, account.find('/')));
  text.remediation = {
      "Revoke the token: delete the pod it is bound to, or for a legacy token "
      "its Secret.",
      "If this is an integration of yours, allow it for a time: detectors: "
      "{service-account-external: {allow: [{account, cidr, until}]}}."};
  if (ns) {
    text.remediation.insert(text.remediation.begin() + 1,
                            "kubectl get pods,secrets --namespace=" + *ns);
  }
  return text;
}

}  // namespace

const DetectorInfo& ServiceAccountExternalInfo() {
  static const DetectorInfo* const info = new DetectorInfo{
      .name = kName,
      .title = "A service account's token is used from outside",
      .meaning =
          "Tokens of service accounts belong to pods. One that is used from "
          "an address that is not the cluster's was copied out of it. One "
          "alert per account and client.",
      .needs =
          "Level Metadata; networks.internal must cover nodes, pods and "
          "what they come through.",
      .false_positives =
          "A cluster with public node addresses or a NAT of its own that is "
          "not in networks.internal (own_egress says so where kubelets come "
          "that way). CI systems with a service account's token: allow them "
          "with an end date.",
      .rules =
          {{"external",
            "high if let in, medium if denied; critical with a legacy token, "
            "a kubectl-, curl- or python-like user agent, or on secrets, "
            "RBAC or exec",
            "The account (and its group) seen from a client that is not "
            "internal."},
           {"own_egress", "medium, daily",
            "Kubelets of two or more nodes come from that address too: it is "
            "the cluster's own; single credentials are not judged there."}},
      .options =
          {{"allow", OptionType::kAllowList, std::vector<AllowEntry>{},
            "Accounts that may come from outside: {account: ns/name, cidr, "
            "until}."},
           {"egress_settle", OptionType::kDuration, Duration{2 * kMinute},
            "External addresses of the stream's first minutes are judged at "
            "the end of this.",
            0, kHour},
           {"quiet", OptionType::kDuration, Duration{10 * kMinute},
            "An episode ends after this long without another one.", kMinute,
            7 * kDay}},
      .mitre = {"T1528", "T1078.004"},
  };
  return *info;
}

std::unique_ptr<Detector> MakeServiceAccountExternal(
    const DetectorInput& input) {
  return std::make_unique<ServiceAccountExternal>(input);
}

}  // namespace klaxon
