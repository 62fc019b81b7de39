#include "pipeline/minute_keys.h"

#include <algorithm>
#include <utility>

#include "pipeline/sort_key.h"

namespace klaxon {
uint32_t MinuteKeys::Find(const Sighting& value) {
  scratch_.clear();
  AppendKey(value, &scratch_);
  return Find();
}

uint32_t MinuteKeys::Find(const RefusalGroup& value) {
  scratch_.clear();
  AppendKey(value, &scratch_);
  return Find();
}

uint32_t MinuteKeys::Find() {
  // Minute and kind all of them have in common.
  const std::string_view key = std::string_view(scratch_).substr(kKeyHeadBytes);
  const uint32_t hash = KeyIndex::HashOf(key);
  uint32_t number =
      index_.Find(hash, [&](uint32_t id) { return (*this)[id] == key; });
  if (number != KeyIndex::kNone) return number;
  number = size();
  places_.push_back(bytes_.Add(key));
  index_.Add(hash, number);
  return number;
}

void MinuteKeys::Sort(std::vector<uint32_t>* numbers) const {
  std::vector<std::pair<std::string_view, uint32_t>> keys;
  keys.reserve(numbers->size());
  for (const uint32_t number : *numbers) {
    keys.emplace_back((*this)[number], number);
  }
  std::sort(keys.begin(), keys.end());
  std::transform(keys.begin(), keys.end(), numbers->begin(),
                 [](const auto& entry) { return entry.second; });
}

}  // namespace klaxon
