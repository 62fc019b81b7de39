#include "pipeline/lane_states.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace klaxon {
namespace {

constexpr uint64_t kVersion = 1;

// Does it lie more than kDigestsKept before `now_ns`? (Damaged stamps may be
// any number, so nothing is subtracted that could overflow.)
bool Expired(const LaneStates::Digest& digest, int64_t now_ns) {
  return digest
      .ingested_ns<now_ns&& static_cast<uint64_t>(now_ns) -
                   static_cast<uint64_t>(
                       digest.ingested_ns)> static_cast<uint64_t>(kDigestsKept);
}

void Put(const LaneStates::Lane& lane, WireWriter* w) {
  w->Text(lane.resume);
  w->Int(lane.newest);
  w->Uint(lane.batches);
  w->Bool(lane.idle);
  w->Bool(lane.hold);
  w->Int(lane.hold_at);
  w->Int(lane.hold_since_ns);
  w->Uint(lane.digests.size());
  for (const auto& [ingested_ns, digest] : lane.digests) {
    w->Int(ingested_ns);
    w->Text(digest);
  }
}

void Get(WireReader* r, LaneStates::Lane* lane) {
  lane->resume = r->Text();
  lane->newest = r->Int();
  lane->batches = r->Uint();
  lane->idle = r->Bool();
  lane->hold = r->Bool();
  lane->hold_at = r->Int();
  lane->hold_since_ns = r->Int();
  for (uint64_t n = r->Count(); n > 0 && r->ok(); --n) {
    const int64_t ingested_ns = r->Int();
    const std::string_view digest = r->Text();
    if (digest.size() != kDigestBytes) r->Fail();
    lane->digests.push_back({ingested_ns, std::string(digest)});
  }
}

}  // namespace

void LaneStates::Apply(const BatchRecord& batch) {
  Lane& lane = lanes_[batch.lane];
  lane.resume = batch.resume;
  lane.newest = std::max(lane.newest, batch.newest);
  lane.batches += 1;
  lane.idle = false;
  std::erase_if(lane.digests, [&batch](const Digest& old) {
    return Expired(old, batch.ingested_ns);
  });
  if (!batch.digest.empty()) {
    lane.digests.push_back({batch.ingested_ns, batch.digest});
  }
}

void LaneStates::Apply(const JournalRecord& record) {
  if (const auto* batch = std::get_if<BatchRecord>(&record)) {
    Apply(*batch);
  } else if (const auto* idle = std::get_if<LaneIdleRecord>(&record)) {
    lanes_[idle->lane].idle = idle->idle;
  } else if (const auto* hold = std::get_if<LaneHoldRecord>(&record)) {
    Lane& lane = lanes_[hold->lane];
    lane.hold = hold->hold;
    lane.hold_at = hold->hold ? hold->at : kNoTime;
    lane.hold_since_ns = hold->hold ? hold->wall_ns : 0;
  }
}

std::vector<LaneResume> LaneStates::ResumeFrom(int64_t now_ns) const {
  std::vector<LaneResume> all;
  for (const auto& [name, lane] : lanes_) {
    LaneResume& resume = all.emplace_back();
    resume.lane = name;
    resume.resume = lane.resume;
    for (const Digest& digest : lane.digests) {
      if (!Expired(digest, now_ns)) resume.digests.push_back(digest.digest);
    }
  }
  return all;
}

void LaneStates::Save(WireWriter* out) const {
  out->Uint(kVersion);
  out->Uint(lanes_.size());
  for (const auto& [name, lane] : lanes_) {
    out->Text(name);
    Put(lane, out);
  }
}

bool LaneStates::Load(WireReader* in) {
  lanes_.clear();
  if (in->Uint() != kVersion) return false;
  for (uint64_t n = in->Count(); n > 0 && in->ok(); --n) {
    std::string name(in->Text());
    if (!lanes_.empty() && name <= lanes_.rbegin()->first) in->Fail();
    Get(in, &lanes_[std::move(name)]);
  }
  return in->ok();
}

}  // namespace klaxon
