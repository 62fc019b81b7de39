#include "detectors/alert_wire.h"

#include "event/wire.h"

namespace klaxon {
namespace {

void Put(const std::vector<std::string>& list, WireWriter* w) {
  w->Uint(list.size());
  for (const std::string& text : list) w->Text(text);
}

void Get(WireReader* r, std::vector<std::string>* list) {
  list->clear();
  for (uint64_t n = r->Count(); n > 0; --n) list->emplace_back(r->Text());
}

void Put(const ExplainValue& value, WireWriter* w) {
  w->Uint(value.index());
  if (const auto* text = std::get_if<std::string>(&value)) w->Text(*text);
  if (const auto* number = std::get_if<int64_t>(&value)) w->Int(*number);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    Put(*list, w);
  }
}

void Get(WireReader* r, ExplainValue* value) {
  switch (r->Uint()) {
    case 0:
      *value = std::string(r->Text());
      return;
    case 1:
      *value = r->Int();
      return;
    default:
      Get(r, &value->emplace<std::vector<std::string>>());
  }
}

}  // namespace

void EncodeTo(const Alert& alert, std::string* out) {
  WireWriter w(out);
  for (const std::string* text :
       {&alert.id, &alert.detector, &alert.rule, &alert.title, &alert.summary,
        &alert.cluster, &alert.client, &alert.user, &alert.credential_id}) {
    w.Text(*text);
  }
  w.Uint(alert.revision);
  w.Uint(static_cast<uint64_t>(alert.status));
  w.Uint(static_cast<uint64_t>(alert.severity));
  w.Uint(static_cast<uint64_t>(alert.confidence));
  w.Int(alert.first_seen);
  w.Int(alert.last_seen);
  w.Uint(alert.count);
  w.Int(alert.closed);
  w.Uint(alert.key.size());
  for (const auto& [name, value] : alert.key) {
    w.Text(name);
    w.Text(value);
  }
  w.Uint(alert.evidence.size());
  for (const EventSample& sample : alert.evidence) PutSample(sample, &w);
  w.Uint(alert.explain.size());
  for (const auto& [name, value] : alert.explain) {
    w.Text(name);
    Put(value, &w);
  }
  for (const auto* list :
       {&alert.claimed_ips, &alert.remediation, &alert.owasp, &alert.mitre}) {
    Put(*list, &w);
  }
}

bool Decode(std::string_view bytes, Alert* alert) {
  WireReader r(bytes);
  *alert = Alert();
  for (std::string* text :
       {&alert->id, &alert->detector, &alert->rule, &alert->title,
        &alert->summary, &alert->cluster, &alert->client, &alert->user,
        &alert->credential_id}) {
    *text = r.Text();
  }
  alert->revision = r.Uint();
  alert->status = static_cast<AlertStatus>(r.Uint());
  alert->severity = static_cast<Severity>(r.Uint());
  alert->confidence = static_cast<Confidence>(r.Uint());
  alert->first_seen = r.Int();
  alert->last_seen = r.Int();
  alert->count = r.Uint();
  alert->closed = r.Int();
  for (uint64_t n = r.Count(); n > 0; --n) {
    std::string name(r.Text());
    alert->key.emplace_back(std::move(name), r.Text());
  }
  for (uint64_t n = r.Count(); n > 0; --n) {
    GetSample(&r, &alert->evidence.emplace_back());
  }
  for (uint64_t n = r.Count(); n > 0; --n) {
    std::string name(r.Text());
    alert->explain.emplace_back(std::move(name), int64_t{0});
    Get(&r, &alert->explain.back().second);
  }
  for (auto* list : {&alert->claimed_ips, &alert->remediation, &alert->owasp,
                     &alert->mitre}) {
    Get(&r, list);
  }
  return r.done();
}

}  // namespace klaxon
