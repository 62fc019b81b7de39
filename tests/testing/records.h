// Observations as a sorter hands them on: keys and payloads, in order.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "event/observation.h"
#include "pipeline/sort_key.h"

namespace klaxon {

// Of observations of equal key the first one.
inline std::map<std::string, std::string> RecordsOf(const Observations& all) {
  std::map<std::string, std::string> records;
  const auto add = [&](const auto& values) {
    for (const auto& value : values) {
      std::string key;
      std::string payload;
      AppendKey(value, &key);
      EncodeTo(value, &payload);
      records.emplace(std::move(key), std::move(payload));
    }
  };
  add(all.facts);
  add(all.sightings);
  add(all.refusals);
  add(all.deeds);
  return records;
}

}  // namespace klaxon
