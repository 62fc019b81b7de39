// The effective configuration as bytes: what the journal says it was, with the
// contents of inventory files, so that a replay judges by what held then.
//
// Encoding: event/wire.h. Options are written by name, so one that a later
// version adds is its default in what an earlier one wrote, and an option or
// detector that is no more is passed over.
#pragma once

#include <string>
#include <string_view>

#include "pipeline/engine_config.h"

namespace klaxon {

// All but what says where memory and spill files are: these may change
// between runs without changing an answer.
void EncodeTo(const EngineConfig& config, std::string* out);
// False: malformed, or of a version that is not known.
bool Decode(std::string_view bytes, EngineConfig* config);

// SHA-256 (32 bytes) of all that one detector's judgement of a cluster depends
// on: at a reload one with another hash starts empty.
std::string DetectorHash(const ClusterConfig& cluster, uint64_t keys_max,
                         std::string_view detector);

}  // namespace klaxon
