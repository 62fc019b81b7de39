// anonymous-probing: somebody without a credential tries doors.
// detections.md, "anonymous-access" (its denied requests).
#pragma once

#include <memory>

#include "detectors/detector.h"

namespace klaxon {

const DetectorInfo& AnonymousProbingInfo();
std::unique_ptr<Detector> MakeAnonymousProbing(const DetectorInput& input);

}  // namespace klaxon
