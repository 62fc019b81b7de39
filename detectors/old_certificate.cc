#include "detectors/old_certificate.h"

#include <fmt/format.h>

#include <algorithm>

#include "detectors/certificate.h"
#include "detectors/certificate_request.h"
#include "detectors/certificate_uses.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "old-certificate";

// How a certificate's age is known, best first.
enum class Evidence : uint8_t { kIssued, kInventory, kFirstSeen };
constexpr std::string_view kEvidenceNames[] = {
    "notBefore of the certificate issued by a CSR",
    "notBefore in the inventory", "first time seen"};

struct Known {  // Per credential id.
  EventTime first_seen = kNoTime;
  EventTime not_before = kNoTime;
  EventTime not_after = kNoTime;
  Evidence evidence = Evidence::kFirstSeen;
  // Since when the dates are known; kNoTime: from the start.
  EventTime learned = kNoTime;
  // No certificate had been forgotten when this one was first met: that
  // nothing else is known of it then means that nothing was.
  bool complete = false;
  void Save(WireWriter* out) const {
    out->Int(first_seen);
    out->Int(not_before);
    out->Int(not_after);
    out->Uint(static_cast<uint64_t>(evidence));
    out->Int(learned);
    out->Bool(complete);
  }
  void Load(WireReader* in) {
    first_seen = in->Int();
    not_before = in->Int();
    not_after = in->Int();
    evidence = static_cast<Evidence>(in->Uint());
    learned = in->Int();
    complete = in->Bool();
  }
  // What was known at `time`; kNoTime: nothing.
  EventTime NotBefore(EventTime time) const {
    return time < learned ? kNoTime : not_before;
  }
  EventTime NotAfter(EventTime time) const {
    return time < learned ? kNoTime : not_after;
  }
  Evidence EvidenceAt(EventTime time) const {
    return time < learned ? Evidence::kFirstSeen : evidence;
  }
  Nanos AgeAt(EventTime time) const {
    const EventTime begin = NotBefore(time);
    return time - (begin != kNoTime ? begin : first_seen);
  }
};

// First and last time of the sighting's own requests; the mere end of a
// long-running one says nothing of when its certificate was used.
Span UsedSpan(const Sighting& s) {
  Span used = s.flag(SightingFlag::kLetIn);
  used.Merge(s.flag(SightingFlag::kRefused));
  return used;
}

class OldCertificate final : public Detector {
 public:
  explicit OldCertificate(const DetectorInput& input)
      : warn_(input.options->GetDuration("warn")),
        medium_(input.options->GetDuration("medium")),
        high_(input.options->GetDuration("high")),
        expiring_(input.options->GetDuration("expiring")),
        superseded_after_(input.options->GetDuration("superseded_after")),
        usernames_(input.options->GetTexts("usernames")),
        known_({.name = "old-certificate/certificates",
                .keys_max = input.keys_max}),
        uses_(input.keys_max),
        state_{&known_, uses_.uses(), uses_.orders()} {
    for (const CertificateInfo& certificate : *input.inventory) {
      inventory_[certificate.credential_id] = certificate;
    }
  }

  void Observe(const RequestView& request, DeedWriter& out) const override {
    if (!(request.traits & kTraitCertificateRequest)) return;
    for (const CertificateInfo& certificate :
         IssuedCertificates(*request.event)) {
      Deed& deed = out.Add(request, kName);
      deed.fields = {
          {"credential_id", certificate.credential_id},
          {"not_before", FormatTimeNanos(certificate.not_before)},
          {"not_after", FormatTimeNanos(certificate.not_after)},
      };
    }
  }

  void Judge(const Judged& judged, JudgeContext& context) override {
    if (judged.kind == JudgedKind::kDeed) {
      Learn(*judged.deed);
    } else if (judged.sighting != nullptr) {
      JudgeSighting(judged, context);
    }
  }

  AlertText Describe(const Episode& episode) const override;
  std::span<Persistent* const> state() override { return state_; }

 private:
  void Learn(const Deed& deed) {
    const auto not_before = ParseTime(deed.field("not_before"));
    const auto not_after = ParseTime(deed.field("not_after"));
    if (!not_before || !not_after) return;
    Known& known = Touch(deed.field("credential_id"), deed.time);
    if (known.not_before == kNoTime) known.learned = deed.time;
    known.not_before = *not_before;
    known.not_after = *not_after;
    known.evidence = Evidence::kIssued;
  }

  // The credential that is judged: its id, or for clusters older than 1.32
  // "user:NAME" where the name is said to be a certificate's. Empty: none.
  std::string CredentialOf(const Sighting& s) const {
    if (s.credential.starts_with(kCertificatePrefix)) return s.credential;
    if (!s.credential.empty() || s.user == "system:apiserver" ||
        s.user.starts_with(kServiceAccountPrefix)) {
      return "";
    }
    const bool listed = std::find(usernames_.begin(), usernames_.end(),
                                  s.user) != usernames_.end();
    return listed || s.ever(SightingFlag::kMasters) ? "user:" + s.user : "";
  }

  Known& Touch(std::string_view credential, EventTime time) {
    const bool met = known_.Find(credential) != nullptr;
    Known& known = known_.Touch(credential, time);
    if (!met) known.complete = known_.evicted() == 0;
    if (known.evidence != Evidence::kFirstSeen) return known;
    const auto it = inventory_.find(credential);
    if (it != inventory_.end()) {
      known.not_before = it->second.not_before;
      known.not_after = it->second.not_after;
      known.evidence = Evidence::kInventory;
      known.learned = kNoTime;
    }
    return known;
  }

  Known& Remember(const std::string& credential, EventTime time) {
    Known& known = Touch(credential, time);
    if (known.first_seen == kNoTime || time < known.first_seen) {
      known.first_seen = time;
    }
    return known;
  }

  void JudgeSighting(const Judged& judged, JudgeContext& context) {
    const Sighting& s = *judged.sighting;
    const bool total = judged.kind == JudgedKind::kTotal;
    if (!total && !judged.new_key && judged.raised == 0) return;
    const std::string credential = CredentialOf(s);
    if (credential.empty()) return;
    const EventTime time = total ? s.seen.last : judged.time;
    Known& known = Remember(credential, total ? s.seen.first : judged.time);
    const bool kubelet = s.user.starts_with(kNodePrefix);
    const bool control_plane =
        s.user.starts_with("system:kube-") || s.user == "system:apiserver";
    if (!kubelet) {
      if (!(control_plane && s.client_loopback)) {
        JudgeAge(judged, credential, known, time, context);
      }
      JudgeExpiry(judged, credential, known, time, context);
    }
    JudgeSuperseded(judged, credential, context);
  }

  EpisodeKey KeyOf(const Sighting& s, const std::string& credential,
                   std::string_view rule) const {
    return {kName,
            rule,
            // "user:NAME" is our own word, no id that exists.
            {{"user", s.user},
             {"credential_id", credential.starts_with(kCertificatePrefix)
                                   ? credential
                                   : std::string()}},
            /*daily=*/true};
  }

  void JudgeAge(const Judged& judged, const std::string& credential,
                const Known& known, EventTime time, JudgeContext& context) {
    const Nanos age = known.AgeAt(time);
    if (age < warn_) return;
    const Sighting& s = *judged.sighting;
    // Old already when first seen in this minute, or since within it?
    const EventTime since =
        known.AgeAt(s.seen.first) >= warn_ ? s.seen.first : time;
    const Evidence evidence = known.EvidenceAt(time);
    const bool heuristic = !credential.starts_with(kCertificatePrefix);
    Episode& episode =
        AddSighting(judged, since, KeyOf(s, credential, "age"), 0,
                    age >= high_     ? Severity::kHigh
                    : age >= medium_ ? Severity::kMedium
                                     : Severity::kLow,
                    "age",
                    heuristic                          ? Confidence::kLow
                    : evidence == Evidence::kFirstSeen ? Confidence::kMedium
                                                       : Confidence::kHigh,
                    context.episodes);
    episode.SetExplain("age_days", age / kDay);
    episode.SetExplain(
        "evidence", std::string(kEvidenceNames[static_cast<size_t>(evidence)]));
    episode.SetExplain("warn", FormatDuration(warn_));
    if (known.NotBefore(time) != kNoTime) {
      episode.SetExplain("not_before", FormatTime(known.not_before));
    } else {
      episode.SetExplain("first_seen", FormatTime(known.first_seen));
    }
    Common(s, known, &episode);
    context.episodes->Announce(episode);
  }

  void JudgeExpiry(const Judged& judged, const std::string& credential,
                   const Known& known, EventTime time, JudgeContext& context) {
    const auto near = [&](EventTime at) {
      const EventTime end = known.NotAfter(at);
      return end != kNoTime && end - at < expiring_;
    };
    if (!near(time)) return;
    const Sighting& s = *judged.sighting;
    const EventTime since = near(s.seen.first) ? s.seen.first : time;
    Episode& episode = AddSighting(
        judged, since, KeyOf(s, credential, "expiring"), 0, Severity::kInfo,
        "expiring", Confidence::kHigh, context.episodes);
    episode.SetExplain("days_left", (known.not_after - time) / kDay);
    Common(s, known, &episode);
    context.episodes->Announce(episode);
  }

  void Common(const Sighting& s, const Known& known, Episode* episode) const {
    episode->AddExplainText("clients", s.client, 8);
    if (known.not_after != kNoTime) {
      episode->SetExplain("not_after", FormatTime(known.not_after));
    }
  }

  // What replaced `own` and has been in use for more than a day at `time`
  // (detections.md, "superseded"); the first that came is the evidence.
  const CertificateUses::Entry* ReplacedBy(const CertificateUses::Entry& own,
                                           const CertificateUses::Order& order,
                                           EventTime time) {
    const Known* mine = known_.Find(own.credential);
    if (mine == nullptr) return nullptr;
    const EventTime after = own.first_used + superseded_after_;
    auto it = order.entries.begin();
    // Where its notBefore is not known, nothing that came earlier can count.
    const EventTime my_begin = mine->NotBefore(time);
    if (my_begin == kNoTime) {
      it = std::lower_bound(it, order.entries.end(), after,
                            [](const CertificateUses::Entry& e, EventTime t) {
                              return e.first_used < t;
                            });
    }
    for (; it != order.entries.end(); ++it) {
      if (time - it->first_used <= superseded_after_) break;
      if (it->credential == own.credential) continue;
      const Known* other = known_.Find(it->credential);
      if (other == nullptr) continue;
      const EventTime begin = other->NotBefore(time);
      if (my_begin != kNoTime && begin != kNoTime) {
        if (begin > my_begin) return &*it;
      } else if (it->first_used >= after && order.complete && mine->complete &&
                 other->complete) {
        return &*it;
      }
    }
    return nullptr;
  }

  void JudgeSuperseded(const Judged& judged, const std::string& credential,
                       JudgeContext& context) {
    const Sighting& s = *judged.sighting;
    if (!credential.starts_with(kCertificatePrefix) ||
        s.user.starts_with("system:kube-")) {
      return;
    }
    const bool total = judged.kind == JudgedKind::kTotal;
    const Span used = UsedSpan(s);
    if (!used.ever() || (!total && used.first > judged.time)) return;
    const EventTime time = total ? used.last : judged.time;
    CertificateUses::Entry own{kNoTime, credential};
    const CertificateUses::Order& order =
        uses_.Add(s.user, credential, used.first, judged.time, &own.first_used);
    const CertificateUses::Entry* by = ReplacedBy(own, order, time);
    if (by == nullptr) return;
    const EventTime since =
        ReplacedBy(own, order, used.first) != nullptr ? used.first : time;
    Episode& episode = AddSighting(
        judged, since, KeyOf(s, credential, "superseded"), 0, Severity::kHigh,
        "superseded", Confidence::kHigh, context.episodes);
    episode.SetExplain("superseded_by", by->credential);
    episode.SetExplain("superseded_at", FormatTime(by->first_used));
    episode.AddExplainText("clients", s.client, 8);
    context.episodes->Announce(episode);
  }

  const Nanos warn_;
  const Nanos medium_;
  const Nanos high_;
  const Nanos expiring_;
  const Nanos superseded_after_;
  const std::vector<std::string> usernames_;
  std::map<std::string, CertificateInfo, std::less<>> inventory_;
  Table<Known> known_;
  CertificateUses uses_;
  std::vector<Persistent*> state_;
};

AlertText OldCertificate::Describe(const Episode& episode) const {
  AlertText text;
  const std::string& user = episode.key[0].second;
  if (episode.rule == "superseded") {
    text.title =
        fmt::format("{} still uses a certificate that was replaced", user);
    text.summary = fmt::format(
        "A newer certificate of the same name is in use since {}; the old one "
        "should be gone. Somebody may hold a copy.",
        episode.ExplainText("superseded_at"));
    text.remediation = {
        "Find where the old certificate still lies (the clients are named) "
        "and remove it; it stays valid until it expires."};
    return text;
  }
  if (episode.rule == "expiring") {
    text.title = fmt::format("Certificate of {} expires in {} days", user,
                             episode.ExplainInt("days_left"));
    text.summary =
        fmt::format("Its notAfter is {}.", episode.ExplainText("not_after"));
    text.remediation = {
        "Renew it: kubeadm certs renew, or a new CertificateSigningRequest."};
    return text;
  }
  const int64_t days = episode.ExplainInt("age_days");
  const bool first_seen = episode.FindExplain("not_before") == nullptr;
  text.title =
      first_seen ? fmt::format("Certificate of {} in use for at least {} days",
                               user, days)
                 : fmt::format("Certificate of {} is {} days old", user, days);
  text.summary = fmt::format(
      "Long-lived client certificates cannot be revoked; whoever copied this "
      "one can use it until it expires. Age known by: {}.",
      episode.ExplainText("evidence"));
  text.remediation = {
      "Replace it by a short-lived credential (OIDC, or certificates with a "
      "short expirationSeconds)."};
  return text;
}

std::string Contradiction(const DetectorOptions& options,
                          std::string_view* option) {
  if (options.GetDuration("medium") < options.GetDuration("warn")) {
    *option = "medium";
    return "medium is shorter than warn; it must be at least as long";
  }
  if (options.GetDuration("high") < options.GetDuration("medium")) {
    *option = "high";
    return "high is shorter than medium; it must be at least as long";
  }
  return "";
}

std::vector<OptionInfo> Options() {
  return {
      {"warn", OptionType::kDuration, Duration{30 * kDay},
       "Age from which on it is low.", kMinute, 3650 * kDay},
      {"medium", OptionType::kDuration, Duration{90 * kDay},
       "Age from which on it is medium.", kMinute, 3650 * kDay},
      {"high", OptionType::kDuration, Duration{365 * kDay},
       "Age from which on it is high.", kMinute, 3650 * kDay},
      {"expiring", OptionType::kDuration, Duration{30 * kDay},
       "Less than this before notAfter is `expiring`.", 0, 3650 * kDay},
      {"superseded_after", OptionType::kDuration, Duration{kDay},
       "How long an older certificate may overlap with a newer one; also how "
       "much later a newer one must appear where notBefore is not known.",
       kSecond, 3650 * kDay},
      {"inventory", OptionType::kGlobList, std::vector<std::string>{},
       "Certificates whose dates are to be known: PEM, DER or kubeconfig "
       "files, globs."},
      {"usernames", OptionType::kTextList, std::vector<std::string>{},
       "Names that authenticate by certificate, for Kubernetes before 1.32, "
       "which does not say so (confidence low). Members of system:masters "
       "count in any case."},
  };
}

}  // namespace

const DetectorInfo& OldCertificateInfo() {
  static const DetectorInfo* const info = new DetectorInfo{
      .name = kName,
      .title = "A client certificate is old, superseded or about to expire",
      .meaning =
          "Kubernetes cannot revoke a client certificate, so K09 wants them "
          "short-lived. The age is taken from the best evidence at hand, and "
          "never claimed to be more than that: a certificate issued by a CSR "
          "in the log, an inventory of files, or the first time it was seen.",
      .needs =
          "Kubernetes 1.32 or newer (credential-id X509SHA256). For exact "
          "ages an inventory, or level Request on "
          "certificatesigningrequests/status.",
      .false_positives =
          "Control-plane identities on loopback are not judged by age, "
          "kubelets (rotated) only by superseded.",
      .rules = {{"age", "low from warn, medium, high; daily",
                 "A certificate of at least that age is used."},
                {"superseded", "high, daily",
                 "An older certificate of a name is used more than "
                 "superseded_after after a newer one came into use."},
                {"expiring", "info, daily", "notAfter is known and near."}},
      .options = Options(),
      .mitre = {"T1078", "T1649"},
      .contradiction = Contradiction,
  };
  return *info;
}

std::unique_ptr<Detector> MakeOldCertificate(const DetectorInput& input) {
  return std::make_unique<OldCertificate>(input);
}

}  // namespace klaxon
