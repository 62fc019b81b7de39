// old-certificate: a client certificate is old, superseded or about to expire.
// detections.md, "old-certificate".
#pragma once

#include <memory>

#include "detectors/detector.h"

namespace klaxon {

const DetectorInfo& OldCertificateInfo();
std::unique_ptr<Detector> MakeOldCertificate(const DetectorInput& input);

}  // namespace klaxon
