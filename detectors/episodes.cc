#include "detectors/episodes.h"

#include <openssl/sha.h>

#include <algorithm>

#include "detectors/detector.h"

namespace klaxon {
namespace {

std::string EpisodeId(const std::string& cluster, const EpisodeKey& key,
                      EventTime start) {
  std::string bytes;
  WireWriter w(&bytes);
  w.Text("klaxon/1");
  w.Text(cluster);
  w.Text(key.detector);
  w.Text(key.kind);
  for (const auto& [name, value] : key.fields) {
    w.Text(name);
    w.Text(value);
  }
  w.Text(key.daily ? FormatDate(start) : FormatTimeNanos(start));
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         digest);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string id;
  for (int i = 0; i < 16; ++i) {
    id.push_back(kHex[digest[i] >> 4]);
    id.push_back(kHex[digest[i] & 15]);
  }
  return id;
}

void SaveExplain(const ExplainMap& map, WireWriter* out) {
  out->Uint(map.size());
  for (const auto& [name, value] : map) {
    out->Text(name);
    out->Uint(value.index());
    if (const auto* text = std::get_if<std::string>(&value)) {
      out->Text(*text);
    } else if (const auto* number = std::get_if<int64_t>(&value)) {
      out->Int(*number);
    } else {
      const auto& list = std::get<std::vector<std::string>>(value);
      out->Uint(list.size());
      for (const std::string& item : list) out->Text(item);
    }
  }
}

void LoadExplain(WireReader* in, ExplainMap* map) {
  map->clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    std::string name(in->Text());
    const uint64_t index = in->Uint();
    if (index == 0) {
      map->emplace_back(std::move(name), std::string(in->Text()));
    } else if (index == 1) {
      map->emplace_back(std::move(name), in->Int());
    } else {
      std::vector<std::string> list;
      for (uint64_t k = in->Count(); k > 0; --k) list.emplace_back(in->Text());
      map->emplace_back(std::move(name), std::move(list));
    }
  }
}

}  // namespace

void SharedText::Add(std::string_view text) {
  if (text.empty() || differs_) return;
  if (value_.empty()) {
    value_ = text;
  } else if (value_ != text) {
    differs_ = true;
  }
}

void SharedText::Save(WireWriter* out) const {
  out->Bool(differs_);
  out->Text(value_);
}

void SharedText::Load(WireReader* in) {
  differs_ = in->Bool();
  value_ = in->Text();
}

void Episode::SetExplain(std::string_view name, ExplainValue value) {
  auto it = std::lower_bound(
      explain.begin(), explain.end(), name,
      [](const auto& entry, std::string_view n) { return entry.first < n; });
  if (it != explain.end() && it->first == name) {
    it->second = std::move(value);
  } else {
    explain.emplace(it, std::string(name), std::move(value));
  }
}

void Episode::RaiseExplain(std::string_view name, int64_t value) {
  for (auto& [key, held] : explain) {
    if (key != name) continue;
    int64_t* number = std::get_if<int64_t>(&held);
    if (number != nullptr && *number < value) *number = value;
    return;
  }
  SetExplain(name, value);
}

const ExplainValue* Episode::FindExplain(std::string_view name) const {
  for (const auto& [key, value] : explain) {
    if (key == name) return &value;
  }
  return nullptr;
}

int64_t Episode::ExplainInt(std::string_view name) const {
  const ExplainValue* value = FindExplain(name);
  const auto* number = value ? std::get_if<int64_t>(value) : nullptr;
  return number ? *number : 0;
}

std::string_view Episode::ExplainText(std::string_view name) const {
  const ExplainValue* value = FindExplain(name);
  const auto* text = value ? std::get_if<std::string>(value) : nullptr;
  return text ? std::string_view(*text) : std::string_view();
}

void Episode::AddExplainText(std::string_view name, std::string_view text,
                             size_t max) {
  if (text.empty()) return;
  if (FindExplain(name) == nullptr) {
    SetExplain(name, std::vector<std::string>());
  }
  for (auto& [key, value] : explain) {
    if (key != name) continue;
    auto* list = std::get_if<std::vector<std::string>>(&value);
    if (list == nullptr || list->size() >= max) return;
    if (std::find(list->begin(), list->end(), text) == list->end()) {
      list->emplace_back(text);
    }
  }
}

bool Episode::WantsEvidence(const SamplePlace& place) const {
  if (!place.has_value()) return false;
  for (const EventSample& held : evidence) {
    if (MinuteOf(held.time) == MinuteOf(place.time)) return place.Before(held);
  }
  return evidence.size() < kEvidenceMax || place.Before(evidence.back());
}

void Episode::AddEvidence(const EventSample& sample) {
  if (!WantsEvidence(sample)) return;
  const EventTime minute = MinuteOf(sample.time);
  for (EventSample& held : evidence) {
    if (MinuteOf(held.time) != minute) continue;
    held = sample;
    return;
  }
  auto it = std::find_if(
      evidence.begin(), evidence.end(),
      [&](const EventSample& held) { return sample.Before(held); });
  evidence.insert(it, sample);
  if (evidence.size() > kEvidenceMax) evidence.pop_back();
}

void Episode::RequireEvidence(const EventSample& sample) {
  AddEvidence(sample);
  if (!sample.has_value() || evidence.size() < kEvidenceMax) return;
  if (MinuteOf(sample.time) > MinuteOf(evidence.back().time)) {
    evidence.back() = sample;
  }
}

void Episode::Save(WireWriter* out) const {
  for (const std::string* text : {&detector, &kind, &id, &rule}) {
    out->Text(*text);
  }
  out->Uint(key.size());
  for (const auto& [name, value] : key) {
    out->Text(name);
    out->Text(value);
  }
  out->Uint(static_cast<uint64_t>(severity));
  out->Uint(static_cast<uint64_t>(confidence));
  for (EventTime time : {start, first_seen, last_seen}) out->Int(time);
  out->Uint(count);
  out->Bool(daily);
  out->Int(quiet);
  out->Uint(revision);
  out->Uint(announced_count);
  out->Uint(static_cast<uint64_t>(announced_severity));
  client.Save(out);
  user.Save(out);
  credential.Save(out);
  PutTexts(claimed_ips, out);
  out->Uint(evidence.size());
  for (const EventSample& sample : evidence) PutSample(sample, out);
  SaveExplain(explain, out);
}

void Episode::Load(WireReader* in) {
  for (std::string* text : {&detector, &kind, &id, &rule}) *text = in->Text();
  key.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    std::string name(in->Text());
    key.emplace_back(std::move(name), in->Text());
  }
  severity = static_cast<Severity>(in->Uint());
  confidence = static_cast<Confidence>(in->Uint());
  for (EventTime* time : {&start, &first_seen, &last_seen}) *time = in->Int();
  count = in->Uint();
  daily = in->Bool();
  quiet = in->Int();
  revision = in->Uint();
  announced_count = in->Uint();
  announced_severity = static_cast<Severity>(in->Uint());
  client.Load(in);
  user.Load(in);
  credential.Load(in);
  GetTexts(in, &claimed_ips);
  evidence.clear();
  for (uint64_t n = in->Count(); n > 0; --n) {
    GetSample(in, &evidence.emplace_back());
  }
  LoadExplain(in, &explain);
}

Episodes::Episodes(Options options, Timers* timers)
    : options_(std::move(options)),
      timers_(timers),
      open_({.name = "episodes", .keys_max = options_.episodes_max}) {}

std::string Episodes::KeyBytes(const EpisodeKey& key) const {
  std::string bytes;
  WireWriter w(&bytes);
  w.Text(key.detector);
  w.Text(key.kind);
  for (const auto& [name, value] : key.fields) w.Text(value);
  return bytes;
}

Episode* Episodes::Find(const EpisodeKey& key, EventTime now) {
  Episode* episode = open_.Find(KeyBytes(key));
  if (episode == nullptr || now > episode->belongs_until()) return nullptr;
  return episode;
}

Episode* Episodes::Search(std::string_view detector, std::string_view kind,
                          std::string_view value, TableHandle* at) {
  scratch_key_.clear();
  WireWriter w(&scratch_key_);
  w.Text(detector);
  w.Text(kind);
  if (!value.empty()) w.Text(value);
  return open_.Find(scratch_key_, at);
}

void Episodes::Extend(Episode& episode, const Contribution& c) {
  if (c.severity > episode.severity) {
    episode.rule = c.rule;
    episode.severity = c.severity;
  }
  episode.confidence = std::max(episode.confidence, c.confidence);
  episode.first_seen = std::min(episode.first_seen, c.first);
  episode.last_seen = std::max(episode.last_seen, c.last);
  episode.count += c.count;
  episode.client.Add(c.client);
  episode.user.Add(c.user);
  episode.credential.Add(c.credential);
  if (c.claimed_ips != nullptr) episode.claimed_ips.Merge(*c.claimed_ips);
  if (c.sample != nullptr) episode.AddEvidence(*c.sample);
}

Episode& Episodes::Add(const EpisodeKey& key, Nanos quiet,
                       const Contribution& c, TableHandle* at) {
  const std::string bytes = KeyBytes(key);
  if (Episode* held = open_.Find(bytes);
      held != nullptr && c.first > held->belongs_until()) {
    Close(bytes, *held, held->belongs_until());
  }
  if (options_.before_eviction && open_.keys() >= open_.keys_max()) {
    options_.before_eviction();
  }
  Episode& episode = open_.Touch(
      bytes, c.last,
      [this](std::string_view, Episode& evicted) {
        Emit(evicted, AlertStatus::kFiring, kNoTime);
      },
      at);
  const bool opens = episode.id.empty();
  if (opens) {
    episode.detector = key.detector;
    episode.kind = key.kind;
    episode.key = key.fields;
    episode.daily = key.daily;
    episode.quiet = quiet;
    episode.start = c.start;
    episode.first_seen = c.first;
    episode.last_seen = c.last;
    episode.confidence = c.confidence;
    episode.id = EpisodeId(options_.cluster, key, c.start);
  }
  if (opens) {
    episode.rule = c.rule;
    episode.severity = c.severity;
  }
  Extend(episode, c);
  if (opens) timers_->Add(episode.belongs_until() + 1, 0, bytes);
  return episode;
}

void Episodes::Announce(Episode& episode) {
  if (!options_.revisions) return;
  const uint64_t count = std::max<uint64_t>(episode.count, 1);
  if (episode.announced_count == 0 || count >= 2 * episode.announced_count ||
      episode.severity > episode.announced_severity) {
    episode.announced_count = count;
    episode.announced_severity = episode.severity;
    Emit(episode, AlertStatus::kFiring, kNoTime);
  }
}

void Episodes::OnTimer(std::string_view key, EventTime due) {
  Episode* episode = open_.Find(key);
  if (episode == nullptr) return;
  const EventTime closes = episode->belongs_until() + 1;
  if (closes > due) {  // Extended since the timer was set.
    timers_->Add(closes, 0, key);
    return;
  }
  Close(key, *episode, episode->belongs_until());
}

void Episodes::Close(std::string_view key, Episode& episode, EventTime closed) {
  Emit(episode, AlertStatus::kResolved, closed);
  open_.Erase(std::string(key));
}

void Episodes::Finish() {
  open_.ForEach([this](std::string_view, Episode& episode) {
    Emit(episode, AlertStatus::kFiring, kNoTime);
  });
}

void Episodes::Emit(Episode& episode, AlertStatus status, EventTime closed) {
  // Without revisions nobody asks for the episode again.
  const auto take = [this](auto& value) {
    return options_.revisions ? value : std::move(value);
  };
  Alert alert;
  alert.id = episode.id;
  alert.revision = ++episode.revision;
  alert.status = status;
  alert.detector = episode.detector;
  alert.rule = episode.rule;
  alert.severity = episode.severity;
  alert.confidence = episode.confidence;
  AlertText text = options_.describe(episode);
  alert.title = std::move(text.title);
  alert.summary = std::move(text.summary);
  alert.remediation = std::move(text.remediation);
  alert.cluster = options_.cluster;
  alert.first_seen = episode.first_seen;
  alert.last_seen = episode.last_seen;
  alert.count = std::max<uint64_t>(episode.count, 1);
  alert.key = episode.key;
  alert.client = episode.client.value();
  alert.user = episode.user.value();
  alert.credential_id = episode.credential.value();
  for (const auto& [name, value] : episode.key) {
    if (name == "client") alert.client = value;
    if (name == "user") alert.user = value;
    if (name == "credential_id") alert.credential_id = value;
  }
  alert.claimed_ips = episode.claimed_ips.values();
  alert.evidence = take(episode.evidence);
  alert.explain = take(episode.explain);
  alert.owasp = {"K09:2025"};
  if (const DetectorInfo* info = options_.info(episode)) {
    alert.mitre = info->mitre;
  }
  alert.closed = closed;
  options_.emit(alert);
}

void Episodes::Save(WireWriter* out) const { open_.Save(out); }

bool Episodes::Load(WireReader* in) { return open_.Load(in); }

}  // namespace klaxon
