#include "pipeline/outbox.h"

#include <fmt/format.h>

#include <algorithm>

#include "detectors/alert_wire.h"

namespace klaxon {
namespace {

constexpr uint64_t kVersion = 1;
constexpr std::string_view kSinkIsGone =
    "the sink was removed from the configuration";

bool Chosen(const std::vector<std::string>& names, const std::string& name) {
  return names.empty() ||
         std::find(names.begin(), names.end(), name) != names.end();
}

void Put(const std::vector<std::string>& texts, WireWriter* out) {
  out->Uint(texts.size());
  for (const std::string& text : texts) out->Text(text);
}

void Get(WireReader* in, std::vector<std::string>* texts) {
  for (uint64_t n = in->Count(); n > 0; --n) texts->emplace_back(in->Text());
}

void Put(const OutboxItem& item, WireWriter* out) {
  out->Uint(item.sequence);
  out->Text(item.id);
  out->Uint(item.revision);
  out->Text(*item.alert);
}

OutboxItem GetItem(WireReader* in) {
  OutboxItem item;
  item.sequence = in->Uint();
  item.id = in->Text();
  item.revision = in->Uint();
  item.alert = std::make_shared<const std::string>(in->Text());
  return item;
}

}  // namespace

void Put(const OutboxSinkOptions& options, WireWriter* out) {
  out->Text(options.name);
  out->Uint(static_cast<uint64_t>(options.min_severity));
  Put(options.detectors, out);
  Put(options.clusters, out);
  out->Bool(options.required);
  out->Uint(options.pending_bytes_max);
  out->Uint(options.dead_bytes_max);
}

bool Get(WireReader* in, OutboxSinkOptions* options) {
  options->name = in->Text();
  const uint64_t severity = in->Uint();
  options->min_severity = static_cast<Severity>(severity);
  Get(in, &options->detectors);
  Get(in, &options->clusters);
  options->required = in->Bool();
  options->pending_bytes_max = in->Uint();
  options->dead_bytes_max = in->Uint();
  return in->ok() && severity <= static_cast<uint64_t>(Severity::kCritical);
}

void Put(const OutboxAck& ack, WireWriter* out) {
  out->Text(ack.sink);
  out->Uint(ack.sequence);
  out->Text(ack.id);
  out->Uint(ack.revision);
  out->Uint(static_cast<uint64_t>(ack.outcome));
  out->Text(ack.reason);
}

bool Get(WireReader* in, OutboxAck* ack) {
  ack->sink = in->Text();
  ack->sequence = in->Uint();
  ack->id = in->Text();
  ack->revision = in->Uint();
  const uint64_t outcome = in->Uint();
  ack->outcome = static_cast<OutboxAck::Outcome>(outcome);
  ack->reason = in->Text();
  return in->ok() && outcome <= 1;
}

void OutboxLedger::Configure(const std::vector<OutboxSinkOptions>& sinks) {
  for (auto& [name, sink] : sinks_) sink.configured = false;
  for (const OutboxSinkOptions& options : sinks) {
    SinkState& sink = sinks_[options.name];
    sink.options = options;
    sink.configured = true;
  }
  for (auto& [name, sink] : sinks_) {
    if (sink.configured) continue;
    while (!sink.pending.empty()) {
      Bury(Settle(*sink.pending.begin(), &sink), kSinkIsGone, &sink);
    }
  }
}

bool OutboxLedger::Wants(const SinkState& sink, const Alert& alert) {
  return alert.severity >= sink.options.min_severity &&
         Chosen(sink.options.detectors, alert.detector) &&
         Chosen(sink.options.clusters, alert.cluster);
}

void OutboxLedger::Owe(Entry* entry, SinkState* sink) {
  ++entry->waiting;
  sink->pending.insert(entry->item.sequence);
  ++sink->counts.pending;
  sink->counts.pending_bytes += entry->item.alert->size();
}

OutboxItem OutboxLedger::Settle(uint64_t sequence, SinkState* sink) {
  auto it = entries_.find(sequence);
  OutboxItem item = it->second.item;
  sink->pending.erase(sequence);
  --sink->counts.pending;
  sink->counts.pending_bytes -= item.alert->size();
  if (--it->second.waiting == 0) entries_.erase(it);
  return item;
}

void OutboxLedger::Bury(OutboxItem item, std::string_view reason,
                        SinkState* sink) {
  ++sink->counts.dead;
  sink->dead_bytes += item.alert->size();
  sink->dead.push_back({std::move(item), std::string(reason)});
  while (sink->dead_bytes > sink->options.dead_bytes_max) {
    ++sink->counts.dead_dropped;
    sink->dead_bytes -= sink->dead.front().item.alert->size();
    sink->dead.pop_front();
  }
}

uint64_t OutboxLedger::Emit(const Alert& alert) {
  std::string bytes;
  EncodeTo(alert, &bytes);
  const uint64_t sequence = next_sequence_++;
  ++raised_;
  Entry entry;
  entry.item = {sequence, alert.id, alert.revision,
                std::make_shared<const std::string>(std::move(bytes))};
  const uint64_t size = entry.item.alert->size();
  for (auto& [name, sink] : sinks_) {
    if (!sink.configured) continue;
    ++sink.counts.raised;
    if (!Wants(sink, alert)) {
      ++sink.counts.filtered;
    } else if (!sink.options.required && sink.counts.pending_bytes + size >
                                             sink.options.pending_bytes_max) {
      ++sink.counts.shed;
    } else {
      Owe(&entry, &sink);
    }
  }
  if (entry.waiting > 0) entries_.emplace(sequence, std::move(entry));
  for (auto& [name, sink] : sinks_) ApplyEarly(sequence, &sink);
  return sequence;
}

void OutboxLedger::ApplyEarly(uint64_t sequence, SinkState* sink) {
  auto early = sink->early.find(sequence);
  if (early == sink->early.end()) return;
  const OutboxAck ack = std::move(early->second);
  sink->early.erase(early);
  // Of another alert, it settles nothing: this one is delivered again.
  Conclude(ack, sink).IgnoreError();
}

absl::Status OutboxLedger::Apply(const OutboxAck& ack) {
  auto it = sinks_.find(ack.sink);
  if (it == sinks_.end()) return absl::OkStatus();
  SinkState& sink = it->second;
  if (ack.sequence >= next_sequence_) {
    sink.early.insert_or_assign(ack.sequence, ack);
    return absl::OkStatus();
  }
  return Conclude(ack, &sink);
}

absl::Status OutboxLedger::Conclude(const OutboxAck& ack, SinkState* sink) {
  const auto belongs = [&ack](const OutboxItem& item) {
    return item.id == ack.id && item.revision == ack.revision;
  };
  const auto mismatch = [&ack] {
    return absl::DataLossError(fmt::format(
        "outbox: sink {} acknowledges number {} as {}/{}, which is another "
        "alert's: journal and state do not belong together",
        ack.sink, ack.sequence, ack.id, ack.revision));
  };
  if (sink->pending.contains(ack.sequence)) {
    if (!belongs(entries_.at(ack.sequence).item)) return mismatch();
    OutboxItem item = Settle(ack.sequence, sink);
    if (ack.outcome == OutboxAck::Outcome::kDelivered) {
      ++sink->counts.delivered;
    } else {
      Bury(std::move(item), ack.reason, sink);
    }
    return absl::OkStatus();
  }
  if (ack.outcome != OutboxAck::Outcome::kDelivered) return absl::OkStatus();
  // It was on its way when its sink was removed, and arrived all the same.
  const auto dead = std::find_if(sink->dead.begin(), sink->dead.end(),
                                 [&ack](const DeadLetter& letter) {
                                   return letter.item.sequence == ack.sequence;
                                 });
  if (dead == sink->dead.end()) return absl::OkStatus();
  if (!belongs(dead->item)) return mismatch();
  sink->dead_bytes -= dead->item.alert->size();
  sink->dead.erase(dead);
  --sink->counts.dead;
  ++sink->counts.delivered;
  return absl::OkStatus();
}

bool OutboxLedger::Blocked() const {
  return std::any_of(sinks_.begin(), sinks_.end(), [](const auto& named) {
    const SinkState& sink = named.second;
    return sink.configured && sink.options.required &&
           sink.counts.pending_bytes >= sink.options.pending_bytes_max;
  });
}

std::vector<OutboxItem> OutboxLedger::Pending(std::string_view sink,
                                              uint64_t after,
                                              uint64_t bytes_max) const {
  std::vector<OutboxItem> items;
  auto it = sinks_.find(sink);
  if (it == sinks_.end()) return items;
  uint64_t bytes = 0;
  const std::set<uint64_t>& pending = it->second.pending;
  for (auto at = pending.upper_bound(after);
       at != pending.end() && bytes < bytes_max; ++at) {
    items.push_back(entries_.at(*at).item);
    bytes += items.back().alert->size();
  }
  return items;
}

std::vector<OutboxItem> OutboxLedger::Owed() const {
  std::vector<OutboxItem> items;
  items.reserve(entries_.size());
  for (const auto& [sequence, entry] : entries_) items.push_back(entry.item);
  return items;
}

uint64_t OutboxLedger::OldestPending(std::string_view sink) const {
  auto it = sinks_.find(sink);
  if (it == sinks_.end() || it->second.pending.empty()) return next_sequence_;
  return *it->second.pending.begin();
}

uint64_t OutboxLedger::RetryDeadLetters(std::string_view name) {
  auto it = sinks_.find(name);
  if (it == sinks_.end() || !it->second.configured) return 0;
  SinkState& sink = it->second;
  std::deque<DeadLetter> letters;
  letters.swap(sink.dead);
  sink.dead_bytes = 0;
  sink.counts.dead -= letters.size();
  for (DeadLetter& letter : letters) {
    Entry entry;
    entry.item = std::move(letter.item);
    entry.item.sequence = next_sequence_++;
    Owe(&entry, &sink);
    const uint64_t sequence = entry.item.sequence;
    entries_.emplace(sequence, std::move(entry));
    ApplyEarly(sequence, &sink);
  }
  return letters.size();
}

uint64_t OutboxLedger::DropDeadLetters(std::string_view name) {
  auto it = sinks_.find(name);
  if (it == sinks_.end()) return 0;
  const uint64_t count = it->second.dead.size();
  it->second.counts.dead_dropped += count;
  it->second.dead.clear();
  it->second.dead_bytes = 0;
  return count;
}

std::vector<std::string> OutboxLedger::sinks() const {
  std::vector<std::string> names;
  for (const auto& [name, sink] : sinks_) names.push_back(name);
  return names;
}

bool OutboxLedger::configured(std::string_view sink) const {
  auto it = sinks_.find(sink);
  return it != sinks_.end() && it->second.configured;
}

OutboxCounts OutboxLedger::counts(std::string_view sink) const {
  auto it = sinks_.find(sink);
  return it == sinks_.end() ? OutboxCounts() : it->second.counts;
}

const std::deque<DeadLetter>& OutboxLedger::dead_letters(
    std::string_view sink) const {
  static const std::deque<DeadLetter> kNone;
  auto it = sinks_.find(sink);
  return it == sinks_.end() ? kNone : it->second.dead;
}

void OutboxLedger::Save(WireWriter* out) const {
  out->Uint(kVersion);
  out->Uint(next_sequence_);
  out->Uint(raised_);
  out->Uint(entries_.size());
  for (const auto& [sequence, entry] : entries_) Put(entry.item, out);
  out->Uint(sinks_.size());
  for (const auto& [name, sink] : sinks_) {
    Put(sink.options, out);
    out->Bool(sink.configured);
    for (uint64_t count :
         {sink.counts.raised, sink.counts.delivered, sink.counts.dead,
          sink.counts.filtered, sink.counts.shed, sink.counts.dead_dropped}) {
      out->Uint(count);
    }
    out->Uint(sink.pending.size());
    for (uint64_t sequence : sink.pending) out->Uint(sequence);
    out->Uint(sink.dead.size());
    for (const DeadLetter& letter : sink.dead) {
      Put(letter.item, out);
      out->Text(letter.reason);
    }
    out->Uint(sink.early.size());
    for (const auto& [sequence, ack] : sink.early) Put(ack, out);
  }
}

// What is malformed ends in the reader's own failure.
void OutboxLedger::LoadSink(WireReader* in, SinkState* sink) {
  sink->configured = in->Bool();
  for (uint64_t* count : {&sink->counts.raised, &sink->counts.delivered,
                          &sink->counts.dead, &sink->counts.filtered,
                          &sink->counts.shed, &sink->counts.dead_dropped}) {
    *count = in->Uint();
  }
  for (uint64_t n = in->Count(); n > 0; --n) {
    auto entry = entries_.find(in->Uint());
    if (entry != entries_.end()) Owe(&entry->second, sink);
  }
  for (uint64_t n = in->Count(); n > 0; --n) {
    OutboxItem item = GetItem(in);
    sink->dead_bytes += item.alert->size();
    sink->dead.push_back({std::move(item), std::string(in->Text())});
  }
  for (uint64_t n = in->Count(); n > 0; --n) {
    OutboxAck ack;
    if (!klaxon::Get(in, &ack)) return;
    sink->early.emplace(ack.sequence, std::move(ack));
  }
}

bool OutboxLedger::Load(WireReader* in) {
  *this = OutboxLedger();
  if (in->Uint() != kVersion) return false;
  next_sequence_ = in->Uint();
  raised_ = in->Uint();
  for (uint64_t n = in->Count(); n > 0; --n) {
    Entry entry;
    entry.item = GetItem(in);
    entries_.emplace(entry.item.sequence, std::move(entry));
  }
  for (uint64_t n = in->Count(); n > 0; --n) {
    OutboxSinkOptions options;
    if (!Get(in, &options)) in->Fail();
    SinkState& sink = sinks_[options.name];
    sink.options = std::move(options);
    LoadSink(in, &sink);
    const OutboxCounts& c = sink.counts;
    if (c.raised != c.delivered + c.pending + c.dead + c.filtered + c.shed ||
        c.dead != sink.dead.size() + c.dead_dropped) {
      return false;
    }
  }
  const bool all_owed =
      std::all_of(entries_.begin(), entries_.end(),
                  [](const auto& e) { return e.second.waiting > 0; });
  return in->ok() && all_owed;
}

}  // namespace klaxon
