// service-account-external: a service account's token is used from outside.
// detections.md, "service-account-external".
#pragma once

#include <memory>

#include "detectors/detector.h"

namespace klaxon {

const DetectorInfo& ServiceAccountExternalInfo();
std::unique_ptr<Detector> MakeServiceAccountExternal(
    const DetectorInput& input);

}  // namespace klaxon
