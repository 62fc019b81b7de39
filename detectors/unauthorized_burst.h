// unauthorized-burst: many failed authentications of one client, slowly or
// fast, from many clients at once, or with a success behind them.
// detections.md, "unauthorized-burst".
#pragma once

#include <memory>

#include "detectors/detector.h"

namespace klaxon {

const DetectorInfo& UnauthorizedBurstInfo();
std::unique_ptr<Detector> MakeUnauthorizedBurst(const DetectorInput& input);

}  // namespace klaxon
