// What remains of an event once it was observed: little, self-contained,
// serialisable, and mergeable, so that neither threads nor batches can show.
//
// docs/OBSERVATIONS.md has the meaning of every field and both encodings
// (binary for journal and spill files, NDJSON for pipes).
//
// Merge laws: every Merge here is associative and commutative, and merging
// with an empty value changes nothing (observation_test holds them to it).
// All values; any thread may own one, none is shared.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/refusal.h"
#include "event/time.h"

namespace klaxon {

// Of two samples the one with the lesser place is kept.
struct SamplePlace {
  EventTime time = kNoTime;  // kNoTime: no sample.
  uint64_t order = 0;        // Hash of the event's own fields: breaks ties.

  bool has_value() const { return time != kNoTime; }
  bool Before(const SamplePlace& other) const {
    if (!other.has_value()) return has_value();
    if (!has_value()) return false;
    return time != other.time ? time < other.time : order < other.order;
  }
};

// A few fields of one event, to show. Every text is capped (kSample*Max) and
// may be attacker-chosen.
struct EventSample : SamplePlace {
  int32_t code = 0;
  std::string audit_id;
  std::string verb;
  std::string uri;
  std::string user;
  std::string user_agent;
  std::vector<std::string> source_ips;
};

// The same as bytes (PutSample's; none if there is no sample): of a flood many
// are handed on and few are looked at.
struct EncodedSample : SamplePlace {
  std::string bytes;

  EventSample Decoded() const;
  // Writes over it, in its memory.
  void Encode(const EventSample& sample);
  void Clear();
};

// A short sorted list of distinct texts: the `max` smallest are kept.
class SmallTextSet {
 public:
  static constexpr size_t kMax = 8;
  void Add(std::string_view text);
  void Merge(const SmallTextSet& other);
  bool empty() const { return values_.empty(); }
  const std::vector<std::string>& values() const { return values_; }

 private:
  std::vector<std::string> values_;
};

// ---------------------------------------------------------------- refusal

enum class RefusalClass : uint8_t {
  kUnauthenticated,  // 401 without a username, and OpenShift's login failures.
  kAnonymous,        // system:anonymous, denied.
  kRbac,             // A named identity, 403.
  kImpersonation,    // 403, "cannot impersonate".
  kUncounted,        // Discovery, self-reviews, admission.
  // As kAnonymous, of long-running requests, which have two events that an
  // audit policy may keep or not. Together in one group they could be told from
  // two requests only by whoever sees both.
  kAnonymousBegun,
  kAnonymousEnded,
  kMax = kAnonymousEnded,
};

// The refusals of one (user, client, class, minute).
struct alignas(64) RefusalGroup {
  // Content; first what every further refusal moves, in two cache lines.
  KeptRefusals kept;  // The first and the last N.
  // Events of those between them: a request that comes again can only be
  // recognised while it is kept, and what is recognised must not depend on who
  // saw which part.
  uint64_t dropped = 0;
  uint32_t keep = 100;                                // N.
  RefusalClass cls = RefusalClass::kUnauthenticated;  // Identity.
  bool client_internal = false;
  bool trusted_proxy = false;
  EventTime minute = 0;  // Identity.
  RequestTimes times;    // Of the requests that are kept.
  std::string cluster;   // Identity.
  EncodedSample sample;  // The earliest.
  // Identity.
  std::string client;
  std::string user;
  SmallTextSet claimed_ips;

  uint64_t count() const { return kept.size() + dropped; }

  void Add(const Refusal& refusal);
  // REQUIRES: equal identity.
  void Merge(const RefusalGroup& other);
  // Forgets the content, but keeps its memory; the identity stays.
  void Clear();

  // The smallest hashes of those that were dropped.
  SmallestHashes gone_paths;
  SmallestHashes gone_agents;

 private:
  void Drop(const Refusal& refusal);
  void NoteTexts(const Refusal& refusal);
  void NoteOthers(const Refusal& gone, const Refusal& stays);
};

// ---------------------------------------------------------------- sighting

// Each flag of a sighting holds the first and last time it was true.
enum class SightingFlag : uint8_t {
  kLetIn,            // Decision allow, or no decision and code < 400.
  kRefused,          // The opposite.
  kBeyondPublic,     // Not on a public path, nor anonymous.
  kBeyondDiscovery,  // Neither public, discovery nor a self-review.
  kWrote,  // create update patch delete deletecollection on a resource,
           // self-reviews and token/subject reviews apart.
  kSecrets,
  kRbac,  // rbac.authorization.k8s.io
  kExec,  // exec, attach, portforward, proxy
  kPeerNotLoopback,
  kAccountGroup,   // A service account in group system:serviceaccounts.
  kNodesGroup,     // Group system:nodes.
  kWithoutGroups,  // Has groups, but not those its name demands.
  kMasters,        // Group system:masters.
  kLegacy,         // Annotation authentication.k8s.io/legacy-token.
  kStale,          // Annotation authentication.k8s.io/stale-token.
  kClaimed,        // Addresses left of the client.
  kEndedLetIn,     // … of one that had been let in.
  kEnded,          // Only the end of a long-running request.
  kCount,
};
inline constexpr size_t kSightingFlags =
    static_cast<size_t>(SightingFlag::kCount);
constexpr uint32_t Bit(SightingFlag flag) {
  return 1u << static_cast<uint32_t>(flag);
}

// The closed list of user-agent families; by the text before the first '/'.
enum class AgentFamily : uint8_t {
  kOther,
  kNone,  // No user agent.
  kKubectl,
  kCurl,
  kPython,
  kGoHttpClient,
  kKubelet,
  kKubeControlPlane,  // kube-apiserver, -controller-manager, -scheduler, -proxy
  kHelm,
  kTerraform,
  kBrowser,  // Mozilla/
  kWget,
  kOpenshift,  // oc, openshift-*
  kMax = kOpenshift,
};
AgentFamily AgentFamilyOf(std::string_view user_agent);
std::string_view AgentFamilyName(AgentFamily family);

struct Span {
  EventTime first = kNoTime;  // kNoTime: never.
  EventTime last = kNoTime;
  bool ever() const { return first != kNoTime; }
  void Add(EventTime time) {
    if (first == kNoTime || time < first) first = time;
    if (last == kNoTime || time > last) last = time;
  }
  void Merge(const Span& other) {
    if (!other.ever()) return;
    Add(other.first);
    Add(other.last);
  }
};

// Who was seen with which credential from where, within one minute.
struct Sighting {
  // Identity; and shape().
  std::string cluster;
  std::string user;
  // "JTI=…", "X509SHA256=…", or "secret:NS/NAME" for a legacy token whose
  // Secret is known, "legacy" for one whose is not; empty: no credential id.
  std::string credential;
  std::string client;
  AgentFamily family = AgentFamily::kOther;
  std::string pod;  // As the token claims; "" if none.
  std::string node;
  EventTime minute = 0;
  // Content.
  uint64_t requests = 0;  // Each once; a mere kEnded is none.
  Span seen;              // All events, ends of long-running ones too.
  std::array<Span, kSightingFlags> flags;
  bool client_internal = false;
  bool client_external = false;
  bool trusted_proxy = false;
  bool client_loopback = false;
  int64_t stale_seconds = 0;  // Largest seen.
  SmallTextSet claimed_ips;
  // The 8 user agents seen earliest: (first time, hash), sorted.
  std::vector<std::pair<EventTime, uint64_t>> agents;
  EventSample sample;  // The earliest.

  bool ever(SightingFlag flag) const {
    return flags[static_cast<size_t>(flag)].ever();
  }
  const Span& flag(SightingFlag flag) const {
    return flags[static_cast<size_t>(flag)];
  }
  // The flags that say what the user is, not what it does; the same of every
  // event of a sighting, so that one who lacks a group is not counted together
  // with one who has it. Identity.
  uint32_t shape() const;
  void AddAgent(EventTime time, uint64_t hash);
  // REQUIRES: equal identity.
  void Merge(const Sighting& other);
};

// -------------------------------------------------------------------- deed

// One event that matters by itself to one detector (`topic`).
struct Deed {
  std::string cluster;
  std::string topic;  // The detector's name.
  EventTime time = 0;
  // SHA-256 of auditID, received stamp, verb and URI, first 16 bytes: one
  // request is one deed, whatever stages were kept of it.
  std::array<uint8_t, 16> request{};
  std::string user;
  std::string client;
  std::string credential;
  SmallTextSet claimed_ips;
  // What the detector wants to remember, in its own fixed order.
  std::vector<std::pair<std::string, std::string>> fields;
  EventSample sample;

  std::string_view field(std::string_view name) const {
    for (const auto& [key, value] : fields) {
      if (key == name) return value;
    }
    return {};
  }
};

// -------------------------------------------------------------------- fact

// What a stretch of the stream held, for one cluster and minute of its first
// event: feeds "start of the stream", the doctor, the summary.
struct Fact {
  std::string cluster;
  EventTime minute = 0;  // Of first_event.
  EventTime first_event = kNoTime;
  EventTime last_event = kNoTime;
  uint64_t events = 0;
  std::array<uint64_t, 5> stages{};  // By Stage.
  uint64_t requests = 0;             // Events that are judged or end a request.
  uint64_t unauthenticated = 0;      // 401 without a username.
  uint64_t unauthorized_named = 0;   // 401 with one: not an authentication.
  uint64_t odd_events = 0;
  uint64_t with_credential_id = 0;
  void Merge(const Fact& other);
};

// -------------------------------------------------------------- encodings

inline constexpr int kObservationVersion = 3;

enum class ObservationKind : uint8_t {
  kFact = 1,
  kSighting = 2,
  kRefusals = 3,
  kDeed = 4,
};

struct Observations {
  std::vector<Fact> facts;
  std::deque<Sighting> sightings;  // Large: never moved once made.
  std::deque<RefusalGroup> refusals;
  std::vector<Deed> deeds;
  size_t size() const {
    return facts.size() + sightings.size() + refusals.size() + deeds.size();
  }
};

// Binary: appended to `out`, self-delimiting only with an outer length.
void EncodeTo(const Fact& value, std::string* out);
void EncodeTo(const Sighting& value, std::string* out);
void EncodeTo(const RefusalGroup& value, std::string* out);
void EncodeTo(const Deed& value, std::string* out);
// False: `bytes` is not such a value (damaged, or of another version).
bool Decode(std::string_view bytes, Fact* value);
bool Decode(std::string_view bytes, Sighting* value);
bool Decode(std::string_view bytes, RefusalGroup* value);
bool Decode(std::string_view bytes, Deed* value);

// NDJSON: one object a line, with "schema":"klaxon.observation/v3".
void AppendJson(const Fact& value, std::string* out);
void AppendJson(const Sighting& value, std::string* out);
void AppendJson(const RefusalGroup& value, std::string* out);
void AppendJson(const Deed& value, std::string* out);

}  // namespace klaxon
