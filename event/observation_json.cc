#include "event/observation_json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "event/json_writer.h"

namespace klaxon {
namespace {

constexpr std::string_view kSchema = "klaxon.observation/v3";
constexpr std::string_view kClassNames[] = {
    "unauthenticated", "anonymous",       "rbac",           "impersonation",
    "uncounted",       "anonymous-begun", "anonymous-ended"};
constexpr std::string_view kFlagNames[] = {"let_in",
                                           "refused",
                                           "beyond_public",
                                           "beyond_discovery",
                                           "wrote",
                                           "secrets",
                                           "rbac",
                                           "exec",
                                           "peer_not_loopback",
                                           "account_group",
                                           "nodes_group",
                                           "without_groups",
                                           "masters",
                                           "legacy",
                                           "stale",
                                           "claimed",
                                           "ended_let_in",
                                           "ended"};
static_assert(std::size(kFlagNames) == kSightingFlags);

// ----------------------------------------------------------------- writing

std::string Hex(uint64_t value) { return fmt::format("{:016x}", value); }

void Begin(std::string_view kind, std::string_view cluster, JsonWriter* json) {
  json->BeginObject();
  json->Field("schema", kSchema);
  json->Field("kind", kind);
  json->Field("cluster", cluster);
}

void Time(std::string_view name, EventTime time, JsonWriter* json) {
  if (time != kNoTime) json->Field(name, FormatTimeNanos(time));
}

void Texts(std::string_view name, const std::vector<std::string>& list,
           JsonWriter* json) {
  if (list.empty()) return;
  json->Key(name);
  json->BeginArray();
  for (const std::string& text : list) json->String(text);
  json->EndArray();
}

void Hashes(std::string_view name, const SmallestHashes& list,
            JsonWriter* json) {
  json->Key(name);
  json->BeginArray();
  for (uint64_t value : list) json->String(Hex(value));
  json->EndArray();
}

void Sample(const EventSample& sample, JsonWriter* json) {
  if (!sample.has_value()) return;
  json->Key("sample");
  json->BeginObject();
  Time("time", sample.time, json);
  json->Field("order", Hex(sample.order));
  json->Field("code", sample.code);
  json->Field("audit_id", sample.audit_id);
  json->Field("verb", sample.verb);
  json->Field("uri", sample.uri);
  json->FieldUnlessEmpty("user", sample.user);
  json->FieldUnlessEmpty("user_agent", sample.user_agent);
  Texts("source_ips", sample.source_ips, json);
  json->EndObject();
}

// ----------------------------------------------------------------- reading

using Element = simdjson::dom::element;

// Reads fields of one object; the first that is missing or wrong is remembered
// and everything after it reads as empty.
class Fields {
 public:
  explicit Fields(Element object) : object_(object) {}
  const std::string& error() const { return error_; }
  void Fail(std::string_view name) {
    if (error_.empty()) error_ = fmt::format("field \"{}\" is wrong", name);
  }

  std::string Text(std::string_view name) {
    std::string_view value;
    if (object_[name].get(value)) return "";
    return std::string(value);
  }
  uint64_t Uint(std::string_view name) {
    uint64_t value = 0;
    if (object_[name].get(value)) Fail(name);
    return value;
  }
  uint64_t UintOr1(std::string_view name) {
    uint64_t value = 1;
    const auto error = object_[name].get(value);
    if (error == simdjson::NO_SUCH_FIELD) return 1;
    if (error) Fail(name);
    return value;
  }
  int64_t IntOr0(std::string_view name) {
    int64_t value = 0;
    if (object_[name].get(value)) return 0;
    return value;
  }
  bool Bool(std::string_view name) {
    bool value = false;
    if (object_[name].get(value)) return false;
    return value;
  }
  EventTime Time(std::string_view name) {
    const auto time = ParseTime(Text(name));
    if (!time) Fail(name);
    return time.value_or(0);
  }
  EventTime TimeOrNone(std::string_view name) {
    return ParseTime(Text(name)).value_or(kNoTime);
  }
  uint64_t Hash(std::string_view name) { return ParseHex(Text(name), name); }
  uint64_t ParseHex(std::string_view text, std::string_view name) {
    uint64_t value = 0;
    if (text.size() != 16) Fail(name);
    for (char c : text) {
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                               : -1;
      if (digit < 0) Fail(name);
      value = value << 4 | static_cast<uint64_t>(digit & 15);
    }
    return value;
  }
  template <typename Visit>
  void Each(std::string_view name, Visit visit) {
    simdjson::dom::array array;
    if (object_[name].get(array)) return;
    for (Element element : array) visit(element);
  }
  template <typename Visit>
  void EachText(std::string_view name, Visit visit) {
    Each(name, [&](Element element) {
      std::string_view text;
      if (element.get(text)) {
        Fail(name);
      } else {
        visit(text);
      }
    });
  }
  bool Object(std::string_view name, Element* element) {
    return !object_[name].get(*element);
  }

 private:
  Element object_;
  std::string error_;
};

void ReadSample(Fields* fields, EventSample* sample) {
  Element object;
  if (!fields->Object("sample", &object)) return;
  Fields f(object);
  sample->time = f.Time("time");
  sample->order = f.Hash("order");
  sample->code = static_cast<int32_t>(f.IntOr0("code"));
  sample->audit_id = f.Text("audit_id");
  sample->verb = f.Text("verb");
  sample->uri = f.Text("uri");
  sample->user = f.Text("user");
  sample->user_agent = f.Text("user_agent");
  f.EachText("source_ips",
             [&](std::string_view ip) { sample->source_ips.emplace_back(ip); });
  if (!f.error().empty()) fields->Fail("sample");
}

void ReadFact(Fields* f, Fact* fact) {
  fact->first_event = f->Time("first_event");
  fact->last_event = f->Time("last_event");
  fact->minute = MinuteOf(fact->first_event);
  fact->events = f->Uint("events");
  size_t i = 0;
  f->Each("stages", [&](Element element) {
    uint64_t n = 0;
    if (i >= fact->stages.size() || element.get(n)) {
      f->Fail("stages");
    } else {
      fact->stages[i++] = n;
    }
  });
  fact->requests = f->Uint("requests");
  fact->unauthenticated = f->Uint("unauthenticated");
  fact->unauthorized_named = f->Uint("unauthorized_named");
  fact->odd_events = f->Uint("odd_events");
  fact->with_credential_id = f->Uint("with_credential_id");
}

void ReadSighting(Fields* f, Sighting* s) {
  s->user = f->Text("user");
  s->credential = f->Text("credential");
  s->client = f->Text("client");
  const std::string family = f->Text("agent_family");
  bool found = false;
  for (int i = 0; i <= static_cast<int>(AgentFamily::kMax); ++i) {
    if (AgentFamilyName(static_cast<AgentFamily>(i)) != family) continue;
    s->family = static_cast<AgentFamily>(i);
    found = true;
  }
  if (!found) f->Fail("agent_family");
  s->pod = f->Text("pod");
  s->node = f->Text("node");
  s->minute = f->Time("minute");
  s->requests = f->Uint("requests");
  s->seen.first = f->Time("first");
  s->seen.last = f->Time("last");
  Element flags;
  if (f->Object("flags", &flags)) {
    Fields g(flags);
    for (size_t i = 0; i < kSightingFlags; ++i) {
      g.EachText(kFlagNames[i], [&](std::string_view text) {
        const auto time = ParseTime(text);
        if (time) s->flags[i].Add(*time);
      });
    }
  }
  s->client_internal = f->Bool("client_internal");
  s->client_external = f->Bool("client_external");
  s->trusted_proxy = f->Bool("trusted_proxy");
  s->client_loopback = f->Bool("client_loopback");
  s->stale_seconds = f->IntOr0("stale_seconds");
  f->EachText("claimed_ips",
              [&](std::string_view ip) { s->claimed_ips.Add(ip); });
  f->Each("agents", [&](Element element) {
    Fields a(element);
    s->AddAgent(a.Time("first"), a.Hash("hash"));
    if (!a.error().empty()) f->Fail("agents");
  });
  ReadSample(f, &s->sample);
}

void ReadRefusals(Fields* f, RefusalGroup* g) {
  g->user = f->Text("user");
  g->client = f->Text("client");
  const std::string cls = f->Text("class");
  bool found = false;
  for (size_t i = 0; i < std::size(kClassNames); ++i) {
    if (kClassNames[i] != cls) continue;
    g->cls = static_cast<RefusalClass>(i);
    found = true;
  }
  if (!found) f->Fail("class");
  g->minute = f->Time("minute");
  g->keep = static_cast<uint32_t>(f->Uint("keep"));
  std::vector<RequestTimes::Entry> times;
  f->Each("refusals", [&](Element element) {
    Fields r(element);
    Refusal refusal;
    refusal.time = r.Time("time");
    refusal.request = r.Hash("request");
    refusal.path = r.Hash("path");
    refusal.agent = r.Hash("agent");
    g->kept.push_back(refusal);
    const uint64_t n = r.UintOr1("times");
    if (n != 1) times.emplace_back(refusal.request, CappedTimes(n));
    if (!r.error().empty()) f->Fail("refusals");
  });
  std::sort(times.begin(), times.end());
  if (!g->times.Assign(std::move(times))) f->Fail("times");
  g->dropped = CappedTimes(f->Uint("dropped"));
  f->EachText("paths", [&](std::string_view text) {
    g->gone_paths.Add(f->ParseHex(text, "paths"));
  });
  f->EachText("agents", [&](std::string_view text) {
    g->gone_agents.Add(f->ParseHex(text, "agents"));
  });
  g->client_internal = f->Bool("client_internal");
  g->trusted_proxy = f->Bool("trusted_proxy");
  f->EachText("claimed_ips",
              [&](std::string_view ip) { g->claimed_ips.Add(ip); });
  EventSample sample;
  ReadSample(f, &sample);
  g->sample.Encode(sample);
}

void ReadDeed(Fields* f, Deed* deed) {
  deed->topic = f->Text("topic");
  deed->time = f->Time("time");
  const std::string request = f->Text("request");
  if (request.size() != 32) {
    f->Fail("request");
    return;
  }
  for (int half = 0; half < 2; ++half) {
    const uint64_t value =
        f->ParseHex(std::string_view(request).substr(half * 16, 16), "request");
    for (int i = 0; i < 8; ++i) {
      deed->request[half * 8 + i] = static_cast<uint8_t>(value >> (56 - 8 * i));
    }
  }
  deed->user = f->Text("user");
  deed->client = f->Text("client");
  deed->credential = f->Text("credential");
  f->EachText("claimed_ips",
              [&](std::string_view ip) { deed->claimed_ips.Add(ip); });
  f->Each("fields", [&](Element element) {
    Fields pair(element);
    deed->fields.emplace_back(pair.Text("name"), pair.Text("value"));
  });
  ReadSample(f, &deed->sample);
}

}  // namespace

void AppendJson(const Fact& value, std::string* out) {
  JsonWriter json(out);
  Begin("fact", value.cluster, &json);
  Time("first_event", value.first_event, &json);
  Time("last_event", value.last_event, &json);
  json.Field("events", static_cast<int64_t>(value.events));
  json.Key("stages");
  json.BeginArray();
  for (uint64_t n : value.stages) json.Uint(n);
  json.EndArray();
  json.Field("requests", static_cast<int64_t>(value.requests));
  json.Field("unauthenticated", static_cast<int64_t>(value.unauthenticated));
  json.Field("unauthorized_named",
             static_cast<int64_t>(value.unauthorized_named));
  json.Field("odd_events", static_cast<int64_t>(value.odd_events));
  json.Field("with_credential_id",
             static_cast<int64_t>(value.with_credential_id));
  json.EndObject();
}

void AppendJson(const Sighting& value, std::string* out) {
  JsonWriter json(out);
  Begin("sighting", value.cluster, &json);
  json.Field("user", value.user);
  json.FieldUnlessEmpty("credential", value.credential);
  json.Field("client", value.client);
  json.Field("agent_family", AgentFamilyName(value.family));
  json.FieldUnlessEmpty("pod", value.pod);
  json.FieldUnlessEmpty("node", value.node);
  Time("minute", value.minute, &json);
  json.Field("requests", static_cast<int64_t>(value.requests));
  Time("first", value.seen.first, &json);
  Time("last", value.seen.last, &json);
  json.Key("flags");
  json.BeginObject();
  for (size_t i = 0; i < kSightingFlags; ++i) {
    if (!value.flags[i].ever()) continue;
    json.Key(kFlagNames[i]);
    json.BeginArray();
    json.String(FormatTimeNanos(value.flags[i].first));
    json.String(FormatTimeNanos(value.flags[i].last));
    json.EndArray();
  }
  json.EndObject();
  for (const auto& [name, set] :
       {std::pair{"client_internal", value.client_internal},
        std::pair{"client_external", value.client_external},
        std::pair{"trusted_proxy", value.trusted_proxy},
        std::pair{"client_loopback", value.client_loopback}}) {
    if (!set) continue;
    json.Key(name);
    json.Bool(true);
  }
  if (value.stale_seconds != 0) {
    json.Field("stale_seconds", value.stale_seconds);
  }
  Texts("claimed_ips", value.claimed_ips.values(), &json);
  json.Key("agents");
  json.BeginArray();
  for (const auto& [time, hash] : value.agents) {
    json.BeginObject();
    Time("first", time, &json);
    json.Field("hash", Hex(hash));
    json.EndObject();
  }
  json.EndArray();
  Sample(value.sample, &json);
  json.EndObject();
}

void AppendJson(const RefusalGroup& value, std::string* out) {
  JsonWriter json(out);
  Begin("refusals", value.cluster, &json);
  json.FieldUnlessEmpty("user", value.user);
  json.Field("client", value.client);
  json.Field("class", kClassNames[static_cast<size_t>(value.cls)]);
  Time("minute", value.minute, &json);
  json.Field("keep", static_cast<int64_t>(value.keep));
  json.Key("refusals");
  json.BeginArray();
  for (const Refusal& refusal : value.kept) {
    json.BeginObject();
    Time("time", refusal.time, &json);
    json.Field("request", Hex(refusal.request));
    json.Field("path", Hex(refusal.path));
    json.Field("agent", Hex(refusal.agent));
    const uint64_t times = value.times.Of(refusal.request);
    if (times != 1) json.Field("times", static_cast<int64_t>(times));
    json.EndObject();
  }
  json.EndArray();
  json.Field("dropped", static_cast<int64_t>(value.dropped));
  Hashes("paths", value.gone_paths, &json);
  Hashes("agents", value.gone_agents, &json);
  if (value.client_internal) {
    json.Key("client_internal");
    json.Bool(true);
  }
  if (value.trusted_proxy) {
    json.Key("trusted_proxy");
    json.Bool(true);
  }
  Texts("claimed_ips", value.claimed_ips.values(), &json);
  Sample(value.sample.Decoded(), &json);
  json.EndObject();
}

void AppendJson(const Deed& value, std::string* out) {
  JsonWriter json(out);
  Begin("deed", value.cluster, &json);
  json.Field("topic", value.topic);
  Time("time", value.time, &json);
  std::string request;
  for (uint8_t byte : value.request) request += fmt::format("{:02x}", byte);
  json.Field("request", request);
  json.FieldUnlessEmpty("user", value.user);
  json.Field("client", value.client);
  json.FieldUnlessEmpty("credential", value.credential);
  Texts("claimed_ips", value.claimed_ips.values(), &json);
  json.Key("fields");
  json.BeginArray();
  for (const auto& [name, text] : value.fields) {
    json.BeginObject();
    json.Field("name", name);
    json.Field("value", text);
    json.EndObject();
  }
  json.EndArray();
  Sample(value.sample, &json);
  json.EndObject();
}

struct ObservationParser::Impl {
  simdjson::dom::parser parser;
};

ObservationParser::ObservationParser() : impl_(std::make_unique<Impl>()) {}
ObservationParser::~ObservationParser() = default;

bool ObservationParser::Parse(std::string_view line, Observations* out,
                              std::string* error) {
  Element root;
  if (auto code =
          impl_->parser.parse(line.data(), line.size(), true).get(root)) {
    *error = simdjson::error_message(code);
    return false;
  }
  Fields fields(root);
  if (fields.Text("schema") != kSchema) {
    *error = fmt::format("no observation: \"schema\" is not \"{}\"", kSchema);
    return false;
  }
  const std::string kind = fields.Text("kind");
  const std::string cluster = fields.Text("cluster");
  if (kind == "fact") {
    ReadFact(&fields, &out->facts.emplace_back());
    out->facts.back().cluster = cluster;
    if (!fields.error().empty()) out->facts.pop_back();
  } else if (kind == "sighting") {
    ReadSighting(&fields, &out->sightings.emplace_back());
    out->sightings.back().cluster = cluster;
    if (!fields.error().empty()) out->sightings.pop_back();
  } else if (kind == "refusals") {
    ReadRefusals(&fields, &out->refusals.emplace_back());
    out->refusals.back().cluster = cluster;
    if (!fields.error().empty()) out->refusals.pop_back();
  } else if (kind == "deed") {
    ReadDeed(&fields, &out->deeds.emplace_back());
    out->deeds.back().cluster = cluster;
    if (!fields.error().empty()) out->deeds.pop_back();
  } else {
    // A later version's kind: said, not silently dropped.
    *error = fmt::format("unknown kind of observation \"{}\"", kind);
    return false;
  }
  *error = fields.error();
  return error->empty();
}

}  // namespace klaxon
