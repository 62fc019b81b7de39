#include "detectors/tried_names.h"

#include <algorithm>

namespace klaxon {

void TriedNames::Add(EventTime time, std::string_view name, Nanos window) {
  auto known = std::find_if(names_.begin(), names_.end(),
                            [&](const Name& n) { return n.text == name; });
  Name entry{time, std::string(name)};
  if (known != names_.end()) {
    entry.last = std::max(known->last, time);
    names_.erase(known);
  }
  const auto by_time = [](EventTime t, const Name& n) { return t < n.last; };
  names_.insert(
      std::upper_bound(names_.begin(), names_.end(), entry.last, by_time),
      std::move(entry));
  attempts_.insert(std::upper_bound(attempts_.begin(), attempts_.end(), time),
                   time);
  const EventTime newest = attempts_.back();
  std::erase_if(names_,
                [&](const Name& n) { return newest - n.last > window; });
  if (names_.size() > kNamesMax) names_.erase(names_.begin());
  auto kept = attempts_.begin();
  while (newest - *kept > window) ++kept;
  if (attempts_.end() - kept > static_cast<ptrdiff_t>(kAttemptsMax)) {
    kept = attempts_.end() - static_cast<ptrdiff_t>(kAttemptsMax);
  }
  attempts_.erase(attempts_.begin(), kept);
}

void TriedNames::Save(WireWriter* out) const {
  out->Uint(names_.size());
  for (const Name& name : names_) {
    out->Int(name.last);
    out->Text(name.text);
  }
  out->Uint(attempts_.size());
  for (const EventTime time : attempts_) out->Int(time);
}

void TriedNames::Load(WireReader* in) {
  *this = TriedNames();
  for (uint64_t n = in->Count(); n > 0; --n) {
    Name& name = names_.emplace_back();
    name.last = in->Int();
    name.text = in->Text();
  }
  for (uint64_t n = in->Count(); n > 0; --n) attempts_.push_back(in->Int());
}

}  // namespace klaxon
