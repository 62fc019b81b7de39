#include "pipeline/journal_record.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

#include "event/wire.h"

namespace klaxon {
namespace {

// The kind of a record is its index in the variant + 1; in the file for ever.
constexpr std::array<std::string_view, 7> kNames = {
    "batch",           "lane_idle",    "lane_hold",  "reload",
    "acknowledgement", "end_of_input", "run_started"};
static_assert(std::variant_size_v<JournalRecord> == kNames.size());

// ------------------------------------------------------------ observations

template <typename List>
void PutList(const List& list, WireWriter* w) {
  std::string bytes;
  w->Uint(list.size());
  for (const auto& value : list) {
    bytes.clear();
    EncodeTo(value, &bytes);
    w->Text(bytes);
  }
}

template <typename List>
void GetList(WireReader* r, List* list) {
  std::string again;
  size_t size = 0;
  for (uint64_t n = r->Count(); n > 0 && r->ok(); --n, ++size) {
    const std::string_view bytes = r->Text();
    if (size == list->size()) list->emplace_back();
    auto& value = (*list)[size];
    if (!r->ok() || !Decode(bytes, &value)) {
      r->Fail();
      return;
    }
    // What no writer writes, such as a group that does not list a path of its
    // own, would be another record when written again.
    again.clear();
    EncodeTo(value, &again);
    if (again != bytes) r->Fail();
  }
  list->resize(size);
}

void Put(const Observations& observations, WireWriter* w) {
  PutList(observations.facts, w);
  PutList(observations.sightings, w);
  PutList(observations.refusals, w);
  PutList(observations.deeds, w);
}

void Get(WireReader* r, Observations* observations) {
  GetList(r, &observations->facts);
  GetList(r, &observations->sightings);
  GetList(r, &observations->refusals);
  GetList(r, &observations->deeds);
}

// ------------------------------------------------------------------- batch

// The fields of BatchCounts, in their order on the wire.
constexpr std::array kCounts = {
    &BatchCounts::bytes,       &BatchCounts::lines,
    &BatchCounts::events,      &BatchCounts::requests,
    &BatchCounts::quarantined, &BatchCounts::quarantined_bytes,
    &BatchCounts::skipped,     &BatchCounts::odd,
    &BatchCounts::future,      &BatchCounts::repeated_bytes};
static_assert(sizeof(BatchCounts) == kCounts.size() * sizeof(uint64_t));

void Put(const Gap& gap, WireWriter* w) {
  w->Text(gap.input);
  w->Text(gap.reason);
  w->Text(gap.message);
  w->Uint(gap.begin);
  w->Uint(gap.end);
}

void Get(WireReader* r, Gap* gap) {
  gap->input = r->Text();
  gap->reason = r->Text();
  gap->message = r->Text();
  gap->begin = r->Uint();
  gap->end = r->Uint();
}

void Put(const BatchRecord& batch, WireWriter* w) {
  w->Text(batch.lane);
  w->Text(batch.resume);
  w->Text(batch.digest);
  w->Int(batch.newest);
  w->Int(batch.ingested_ns);
  for (auto field : kCounts) w->Uint(batch.counts.*field);
  w->Uint(batch.gaps.size());
  for (const Gap& gap : batch.gaps) Put(gap, w);
  Put(batch.observations, w);
}

void Get(WireReader* r, BatchRecord* batch) {
  batch->lane = r->Text();
  batch->resume = r->Text();
  batch->digest = r->Text();
  if (!batch->digest.empty() && batch->digest.size() != kDigestBytes) {
    r->Fail();
  }
  batch->newest = r->Int();
  batch->ingested_ns = r->Int();
  for (auto field : kCounts) batch->counts.*field = r->Uint();
  batch->gaps.clear();
  for (uint64_t n = r->Count(); n > 0 && r->ok(); --n) {
    Get(r, &batch->gaps.emplace_back());
  }
  Get(r, &batch->observations);
}

// ----------------------------------------------------------------- control

void Put(const LaneIdleRecord& record, WireWriter* w) {
  w->Text(record.lane);
  w->Bool(record.idle);
}

void Get(WireReader* r, LaneIdleRecord* record) {
  record->lane = r->Text();
  record->idle = r->Bool();
}

void Put(const LaneHoldRecord& record, WireWriter* w) {
  w->Text(record.lane);
  w->Bool(record.hold);
  w->Int(record.at);
  w->Int(record.wall_ns);
}

void Get(WireReader* r, LaneHoldRecord* record) {
  record->lane = r->Text();
  record->hold = r->Bool();
  record->at = r->Int();
  record->wall_ns = r->Int();
}

void Put(const ReloadRecord& record, WireWriter* w) {
  w->Text(record.configuration);
  w->Uint(record.detectors.size());
  for (const auto& [detector, hash] : record.detectors) {
    w->Text(detector);
    w->Text(hash);
  }
  w->Uint(record.sinks.size());
  for (const OutboxSinkOptions& sink : record.sinks) Put(sink, w);
}

void Get(WireReader* r, ReloadRecord* record) {
  record->configuration = r->Text();
  for (uint64_t n = r->Count(); n > 0 && r->ok(); --n) {
    ReloadRecord::DetectorHash entry{std::string(r->Text()),
                                     std::string(r->Text())};
    const bool ascending = record->detectors.empty() ||
                           record->detectors.back().detector < entry.detector;
    if (!ascending || entry.hash.size() != kDigestBytes) r->Fail();
    record->detectors.push_back(std::move(entry));
  }
  for (uint64_t n = r->Count(); n > 0 && r->ok(); --n) {
    if (!Get(r, &record->sinks.emplace_back())) r->Fail();
  }
}

void Put(const AcknowledgementRecord& record, WireWriter* w) {
  w->Uint(record.acks.size());
  for (const OutboxAck& ack : record.acks) Put(ack, w);
}

void Get(WireReader* r, AcknowledgementRecord* record) {
  for (uint64_t n = r->Count(); n > 0 && r->ok(); --n) {
    if (!Get(r, &record->acks.emplace_back())) r->Fail();
  }
}

void Put(const EndOfInputRecord&, WireWriter*) {}
void Get(WireReader*, EndOfInputRecord*) {}

void Put(const RunStartedRecord& record, WireWriter* w) {
  w->Text(record.version);
  w->Text(record.instance);
  w->Int(record.wall_ns);
}

void Get(WireReader* r, RunStartedRecord* record) {
  record->version = r->Text();
  record->instance = r->Text();
  record->wall_ns = r->Int();
}

// The alternative `index` of the variant, empty.
template <size_t kIndex = 0>
JournalRecord EmptyOfKind(size_t index) {
  if constexpr (kIndex < std::variant_size_v<JournalRecord>) {
    if (index != kIndex) return EmptyOfKind<kIndex + 1>(index);
    return JournalRecord(std::in_place_index<kIndex>);
  } else {
    return {};  // Not reached: the caller knows the bound.
  }
}

}  // namespace

std::string_view JournalRecordName(const JournalRecord& record) {
  return kNames[record.index()];
}

const std::string* LaneOf(const JournalRecord& record) {
  if (const auto* batch = std::get_if<BatchRecord>(&record)) {
    return &batch->lane;
  }
  if (const auto* idle = std::get_if<LaneIdleRecord>(&record)) {
    return &idle->lane;
  }
  if (const auto* hold = std::get_if<LaneHoldRecord>(&record)) {
    return &hold->lane;
  }
  return nullptr;
}

void EncodeTo(const JournalRecord& record, std::string* out) {
  WireWriter writer(out);
  writer.Uint(kJournalRecordVersion);
  writer.Uint(record.index() + 1);
  std::visit([&writer](const auto& value) { Put(value, &writer); }, record);
}

absl::StatusOr<JournalRecord> DecodeJournalRecord(std::string_view bytes) {
  JournalRecord record;
  absl::Status status = DecodeOver(bytes, &record);
  if (!status.ok()) return status;
  return record;
}

absl::Status DecodeOver(std::string_view bytes, JournalRecord* record) {
  WireReader reader(bytes);
  const uint64_t version = reader.Uint();
  const uint64_t kind = reader.Uint();
  if (!reader.ok() || version == 0 || kind == 0) {
    return absl::DataLossError("a journal record without version and kind");
  }
  if (version > kJournalRecordVersion || kind > kNames.size()) {
    return absl::FailedPreconditionError(fmt::format(
        "a journal record of kind {} in version {}, which a newer Klaxon "
        "wrote; this one knows {} kinds in version {}",
        kind, version, kNames.size(), kJournalRecordVersion));
  }
  // Only batches are large; of all others Get knows empty ones alone.
  if (record->index() != kind - 1 ||
      !std::holds_alternative<BatchRecord>(*record)) {
    *record = EmptyOfKind(kind - 1);
  }
  std::visit([&reader](auto& value) { Get(&reader, &value); }, *record);
  if (!reader.done()) {
    return absl::DataLossError(
        fmt::format("a malformed journal record of kind {}", kNames[kind - 1]));
  }
  return absl::OkStatus();
}

}  // namespace klaxon
