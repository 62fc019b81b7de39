// forged-identity: a credential of the wrong kind for the name it carries.
// detections.md, "forged-identity".
#pragma once

#include <memory>

#include "detectors/detector.h"

namespace klaxon {

const DetectorInfo& ForgedIdentityInfo();
std::unique_ptr<Detector> MakeForgedIdentity(const DetectorInput& input);

}  // namespace klaxon
