// The binary form of observations (docs/OBSERVATIONS.md, "Binary").
#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "event/observation.h"
#include "event/wire.h"

namespace klaxon {
namespace {

// Differences of stamps wrap around: damaged bytes may hold any.
int64_t Plus(EventTime base, int64_t offset) {
  return static_cast<int64_t>(static_cast<uint64_t>(base) +
                              static_cast<uint64_t>(offset));
}
int64_t Minus(EventTime time, EventTime base) {
  return static_cast<int64_t>(static_cast<uint64_t>(time) -
                              static_cast<uint64_t>(base));
}

constexpr size_t kSampleTexts = 5;

// In one piece: many a group holds little else.
void Put(const EventSample& sample, WireWriter* w) {
  w->Bool(sample.has_value());
  if (!sample.has_value()) return;
  const std::string* const texts[kSampleTexts] = {
      &sample.audit_id, &sample.verb, &sample.uri, &sample.user,
      &sample.user_agent};
  constexpr size_t kNumbers = 4;
  size_t size = (kNumbers + std::size(texts) + sample.source_ips.size()) *
                WireWriter::kVarintMax;
  for (const std::string* text : texts) size += text->size();
  for (const std::string& ip : sample.source_ips) size += ip.size();
  char* at = w->Room(size);
  at = WireWriter::PutInt(sample.time, at);
  at = WireWriter::PutFixed64(sample.order, at);
  at = WireWriter::PutInt(sample.code, at);
  for (const std::string* text : texts) at = WireWriter::PutText(*text, at);
  at = WireWriter::PutUint(sample.source_ips.size(), at);
  for (const std::string& ip : sample.source_ips) {
    at = WireWriter::PutText(ip, at);
  }
  w->Close(at);
}

// How every sample begins; returns its code.
int32_t GetPlace(WireReader* r, SamplePlace* place) {
  place->time = r->Int();
  if (place->time == kNoTime) r->Fail();
  place->order = r->Fixed64();
  const int64_t code = r->Int();
  if (static_cast<int32_t>(code) != code) r->Fail();
  return static_cast<int32_t>(code);
}

// Texts are written over, in the room that they have.
void Get(WireReader* r, EventSample* sample) {
  if (!r->Bool()) {
    *sample = EventSample();
    return;
  }
  sample->code = GetPlace(r, sample);
  sample->audit_id = r->Text();
  sample->verb = r->Text();
  sample->uri = r->Text();
  sample->user = r->Text();
  sample->user_agent = r->Text();
  sample->source_ips.resize(r->Count());
  for (std::string& ip : sample->source_ips) ip = r->Text();
}

void Put(const EncodedSample& sample, WireWriter* w) {
  sample.has_value() ? w->Raw(sample.bytes) : w->Bool(false);
}

// Looked through as if it was decoded.
void Get(WireReader* r, EncodedSample* sample) {
  sample->Clear();
  const std::string_view from = r->rest();
  if (!r->Bool()) return;
  GetPlace(r, sample);
  for (size_t n = kSampleTexts; n > 0; --n) r->Text();
  for (uint64_t n = r->Count(); n > 0 && r->ok(); --n) r->Text();
  if (!r->ok()) return sample->Clear();
  sample->bytes = from.substr(0, from.size() - r->rest().size());
}

void Put(const SmallTextSet& set, WireWriter* w) {
  w->Uint(set.values().size());
  for (const std::string& value : set.values()) w->Text(value);
}

void Get(WireReader* r, SmallTextSet* set) {
  *set = SmallTextSet();
  const uint64_t count = r->UintUpTo(SmallTextSet::kMax);
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view text = r->Text();
    if (i > 0 && text <= set->values().back()) r->Fail();
    if (!r->ok()) return;
    set->Add(text);
  }
}

void Put(const SmallestHashes& list, WireWriter* w) {
  w->Uint(list.size());
  for (uint64_t value : list) w->Fixed64(value);
}

void Get(WireReader* r, SmallestHashes* list) {
  list->clear();
  const uint64_t count = r->UintUpTo(SmallestHashes::kMax);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t value = r->Fixed64();
    if (i > 0 && value <= list->end()[-1]) r->Fail();
    if (!r->ok()) return;
    list->Add(value);
  }
}

// Rows of equal size: a flood is full of them.
constexpr size_t kRowBytes = 4 * sizeof(uint64_t);

void Put(const KeptRefusals& kept, WireWriter* w) {
  w->Uint(kept.size());
  char* at = w->Room(kept.size() * kRowBytes);
  for (const Refusal& refusal : kept) {
    at = WireWriter::PutFixed64(static_cast<uint64_t>(refusal.time), at);
    at = WireWriter::PutFixed64(refusal.request, at);
    at = WireWriter::PutFixed64(refusal.path, at);
    at = WireWriter::PutFixed64(refusal.agent, at);
  }
}

// Not all values are some group's; two forms would mean the same.
void Get(WireReader* r, RequestTimes* times) {
  constexpr size_t kEntryBytesMin = sizeof(uint64_t) + 1;
  const uint64_t count = r->Count();
  if (count > r->rest().size() / kEntryBytesMin) r->Fail();
  std::vector<RequestTimes::Entry> entries(r->ok() ? count : 0);
  for (auto& [request, n] : entries) {
    request = r->Fixed64();
    n = CappedTimes(r->Uint());
  }
  if (entries.empty() || !times->Assign(std::move(entries))) r->Fail();
}

void Get(WireReader* r, KeptRefusals* kept) {
  const uint64_t count = r->Count();
  const std::string_view rows = r->Bytes(count * kRowBytes);
  const char* at = rows.data();
  kept->Assign(rows.size() / kRowBytes, [&at] {
    const auto next = [&at] {
      return WireReader::GetFixed64(std::exchange(at, at + sizeof(uint64_t)));
    };
    Refusal refusal;
    refusal.time = static_cast<EventTime>(next());
    refusal.request = next();
    refusal.path = next();
    refusal.agent = next();
    return refusal;
  });
}

void Put(const Span& span, EventTime base, WireWriter* w) {
  w->Int(Minus(span.first, base));
  w->Uint(static_cast<uint64_t>(Minus(span.last, span.first)));
}

void Get(WireReader* r, EventTime base, Span* span) {
  span->first = Plus(base, r->Int());
  span->last = Plus(span->first, static_cast<int64_t>(r->Uint()));
}

}  // namespace

void EncodeTo(const Fact& value, std::string* out) {
  WireWriter w(out);
  w.Text(value.cluster);
  w.Int(value.minute);
  w.Int(value.first_event);
  w.Int(value.last_event);
  w.Uint(value.events);
  for (uint64_t n : value.stages) w.Uint(n);
  w.Uint(value.requests);
  w.Uint(value.unauthenticated);
  w.Uint(value.unauthorized_named);
  w.Uint(value.odd_events);
  w.Uint(value.with_credential_id);
}

bool Decode(std::string_view bytes, Fact* value) {
  WireReader r(bytes);
  value->cluster = r.Text();
  value->minute = r.Int();
  value->first_event = r.Int();
  value->last_event = r.Int();
  value->events = r.Uint();
  for (uint64_t& n : value->stages) n = r.Uint();
  value->requests = r.Uint();
  value->unauthenticated = r.Uint();
  value->unauthorized_named = r.Uint();
  value->odd_events = r.Uint();
  value->with_credential_id = r.Uint();
  return r.done();
}

void EncodeTo(const Sighting& value, std::string* out) {
  WireWriter w(out);
  w.Text(value.cluster);
  w.Text(value.user);
  w.Text(value.credential);
  w.Text(value.client);
  w.Uint(static_cast<uint64_t>(value.family));
  w.Text(value.pod);
  w.Text(value.node);
  w.Int(value.minute);
  w.Uint(value.requests);
  Put(value.seen, value.minute, &w);
  uint64_t mask = 0;
  for (size_t i = 0; i < kSightingFlags; ++i) {
    if (value.flags[i].ever()) mask |= uint64_t{1} << i;
  }
  w.Uint(mask);
  for (size_t i = 0; i < kSightingFlags; ++i) {
    if (value.flags[i].ever()) Put(value.flags[i], value.minute, &w);
  }
  w.Uint((value.client_internal ? 1 : 0) | (value.client_external ? 2 : 0) |
         (value.trusted_proxy ? 4 : 0) | (value.client_loopback ? 8 : 0));
  w.Int(value.stale_seconds);
  Put(value.claimed_ips, &w);
  w.Uint(value.agents.size());
  for (const auto& [time, hash] : value.agents) {
    w.Int(Minus(time, value.minute));
    w.Fixed64(hash);
  }
  Put(value.sample, &w);
}

bool Decode(std::string_view bytes, Sighting* value) {
  WireReader r(bytes);
  value->cluster = r.Text();
  value->user = r.Text();
  value->credential = r.Text();
  value->client = r.Text();
  value->family = static_cast<AgentFamily>(
      r.UintUpTo(static_cast<uint64_t>(AgentFamily::kMax)));
  value->pod = r.Text();
  value->node = r.Text();
  value->minute = r.Int();
  value->requests = r.Uint();
  Get(&r, value->minute, &value->seen);
  const uint64_t mask = r.Uint();
  if (mask >> kSightingFlags != 0) return false;
  for (size_t i = 0; i < kSightingFlags; ++i) {
    value->flags[i] = Span();
    if ((mask >> i & 1) == 0) continue;
    Get(&r, value->minute, &value->flags[i]);
    if (!value->flags[i].ever()) return false;
  }
  const uint64_t bits = r.UintUpTo(15);
  value->client_internal = bits & 1;
  value->client_external = bits & 2;
  value->trusted_proxy = bits & 4;
  value->client_loopback = bits & 8;
  value->stale_seconds = r.Int();
  Get(&r, &value->claimed_ips);
  value->agents.clear();
  for (uint64_t n = r.Count(); n > 0 && r.ok(); --n) {
    const EventTime time = Plus(value->minute, r.Int());
    value->agents.emplace_back(time, r.Fixed64());
  }
  Get(&r, &value->sample);
  return r.done();
}

void EncodeTo(const RefusalGroup& value, std::string* out) {
  WireWriter w(out);
  w.Text(value.cluster);
  w.Text(value.user);
  w.Text(value.client);
  w.Uint(static_cast<uint64_t>(value.cls));
  w.Int(value.minute);
  w.Uint(value.keep);
  Put(value.kept, &w);
  w.Uint(value.dropped);
  // Of those that are kept they can be found again.
  Put(value.gone_paths, &w);
  Put(value.gone_agents, &w);
  // Most have no `times`: a bit says so.
  w.Uint((value.client_internal ? 1 : 0) | (value.trusted_proxy ? 2 : 0) |
         (value.times.empty() ? 0 : 4));
  Put(value.claimed_ips, &w);
  Put(value.sample, &w);
  if (value.times.empty()) return;
  w.Uint(value.times.size());
  for (const auto& [request, times] : value.times) {
    w.Fixed64(request);
    w.Uint(times);
  }
}

bool Decode(std::string_view bytes, RefusalGroup* value) {
  WireReader r(bytes);
  value->cluster = r.Text();
  value->user = r.Text();
  value->client = r.Text();
  value->cls = static_cast<RefusalClass>(
      r.UintUpTo(static_cast<uint64_t>(RefusalClass::kMax)));
  value->minute = r.Int();
  value->keep =
      static_cast<uint32_t>(r.UintUpTo(std::numeric_limits<uint32_t>::max()));
  Get(&r, &value->kept);
  value->dropped = CappedTimes(r.Uint());
  Get(&r, &value->gone_paths);
  Get(&r, &value->gone_agents);
  const uint64_t bits = r.UintUpTo(7);
  value->client_internal = bits & 1;
  value->trusted_proxy = bits & 2;
  Get(&r, &value->claimed_ips);
  Get(&r, &value->sample);
  value->times.clear();
  if (bits & 4) Get(&r, &value->times);
  return r.done();
}

void EncodeTo(const Deed& value, std::string* out) {
  WireWriter w(out);
  w.Text(value.cluster);
  w.Text(value.topic);
  w.Int(value.time);
  w.Text({reinterpret_cast<const char*>(value.request.data()),
          value.request.size()});
  w.Text(value.user);
  w.Text(value.client);
  w.Text(value.credential);
  Put(value.claimed_ips, &w);
  w.Uint(value.fields.size());
  for (const auto& [key, text] : value.fields) {
    w.Text(key);
    w.Text(text);
  }
  Put(value.sample, &w);
}

bool Decode(std::string_view bytes, Deed* value) {
  WireReader r(bytes);
  value->cluster = r.Text();
  value->topic = r.Text();
  value->time = r.Int();
  const std::string_view request = r.Text();
  if (request.size() != value->request.size()) return false;
  std::copy(request.begin(), request.end(), value->request.begin());
  value->user = r.Text();
  value->client = r.Text();
  value->credential = r.Text();
  Get(&r, &value->claimed_ips);
  value->fields.clear();
  for (uint64_t n = r.Count(); n > 0 && r.ok(); --n) {
    std::string key(r.Text());
    value->fields.emplace_back(std::move(key), r.Text());
  }
  Get(&r, &value->sample);
  return r.done();
}

void PutSample(const EventSample& sample, WireWriter* w) { Put(sample, w); }
void GetSample(WireReader* r, EventSample* sample) { Get(r, sample); }
void PutTexts(const SmallTextSet& set, WireWriter* w) { Put(set, w); }
void GetTexts(WireReader* r, SmallTextSet* set) { Get(r, set); }

}  // namespace klaxon
