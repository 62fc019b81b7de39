// Alerts as bytes: for spill files and, later, the outbox. Not a promise to
// anybody outside the process.
#pragma once

#include <string>
#include <string_view>

#include "detectors/alert.h"

namespace klaxon {

void EncodeTo(const Alert& alert, std::string* out);
bool Decode(std::string_view bytes, Alert* alert);

}  // namespace klaxon
