#include "pipeline/open_groups.h"

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"

namespace klaxon {
namespace {

// One with more is somebody who fails again and again: likely to come again,
// and larger in bytes. A bit each in Held::sent.
constexpr size_t kRefusalsMax = 4;
// Who comes in so many parts is made whole: each time may take more bytes.
constexpr uint32_t kLooksMax = 16;
// Of an item's detail: which refusal, and which form of the group.
constexpr uint32_t kForm = 1 << 8;

// Whether a total would say nothing.
bool Spent(const RefusalGroup& group) {
  return group.kept.size() <= kRefusalsMax && group.kept.size() <= group.keep &&
         group.dropped == 0 && group.claimed_ips.empty();
}

}  // namespace

void OpenGroups::Add(RefusalGroup&& group) {
  const uint32_t number = keys_.Find(group);
  if (number < held_.size()) {
    if (held_[number].index == kNone) return AddFolded(number, group);
    minute_.group(held_[number].index).Merge(group);
    return minute_.Touch(ObservationKind::kRefusals, held_[number].index);
  }
  held_.emplace_back();
  if (number >= whole_max_ && Spent(group)) return Fold(number, group);
  MakeWhole(number, &group);
}

void OpenGroups::AddFolded(uint32_t number, const RefusalGroup& part) {
  Read(number);
  read_number_ = kNone;  // It is changed here.
  Held& held = held_[number];
  absl::InlinedVector<uint64_t, kRefusalsMax> sent;
  for (size_t i = 0; i < read_.kept.size(); ++i) {
    if (held.sent >> i & 1) sent.push_back(read_.kept[i].request);
  }
  read_.Merge(part);
  if (Spent(read_) && held.times < kLooksMax) {
    held.sent = 0;
    for (size_t i = 0; i < read_.kept.size(); ++i) {
      const uint64_t request = read_.kept[i].request;
      if (std::find(sent.begin(), sent.end(), request) != sent.end()) {
        held.sent |= 1 << i;
      }
    }
    return Fold(number, read_);
  }
  MakeWhole(number, &read_);
  minute_.SetSent(held.index, sent);
}

void OpenGroups::Fold(uint32_t number, const RefusalGroup& group) {
  Held& held = held_[number];
  scratch_.clear();
  EncodeTo(group, &scratch_);
  if (held.times == 0 || !folded_.Replace(held.place, scratch_)) {
    held.place = folded_.Add(scratch_);
  }
  if (held.times == 0) folded_of_.try_emplace(group.cluster, number);
  ++held.times;
  for (uint32_t i = 0; i < group.kept.size(); ++i) {
    if (held.sent >> i & 1) continue;
    waiting_.push_back({group.kept[i].time, JudgedKind::kRefusal,
                        number | JudgedItem::kFolded, i + kForm * held.times});
  }
}

void OpenGroups::MakeWhole(uint32_t number, RefusalGroup* group) {
  std::swap(minute_.AddGroup(), *group);
  held_[number].index = static_cast<uint32_t>(whole_.size());
  whole_.push_back(number);
  minute_.Touch(ObservationKind::kRefusals, held_[number].index);
}

void OpenGroups::AppendItems(EventTime until, std::vector<JudgedItem>* items) {
  std::erase_if(waiting_, [&](const JudgedItem& item) {
    Held& held = held_[item.index & ~JudgedItem::kFolded];
    if (held.index != kNone || item.detail / kForm != held.times) return true;
    if (item.time >= until) return false;
    items->push_back(item);
    items->back().detail %= kForm;
    held.sent |= 1 << items->back().detail;
    return true;
  });
}

void OpenGroups::Prefetch(uint32_t number) const {
  folded_.Prefetch(held_[number].place);
}

const RefusalGroup& OpenGroups::Read(uint32_t number) {
  if (read_number_ != number) {
    // Ours: what cannot be decoded does not happen.
    Decode(folded_[held_[number].place], &read_);
    read_number_ = number;
  }
  return read_;
}

void OpenGroups::HandOnTotals(EventTime time, const JudgedSink& sink) {
  for (const auto& [cluster, number] : folded_of_) {
    if (held_[number].index != kNone) continue;
    Read(number);
    read_number_ = kNone;
    MakeWhole(number, &read_);
  }
  std::vector<uint32_t> numbers = whole_;
  keys_.Sort(&numbers);
  for (const uint32_t number : numbers) {
    minute_.HandOnGroupTotal(held_[number].index, time, sink);
  }
}

}  // namespace klaxon
