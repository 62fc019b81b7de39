// What the bodies of a CertificateSigningRequest's events hold.
// Pure functions, any thread. k8s.io/api/certificates/v1.
#pragma once

#include <vector>

#include "detectors/certificate.h"
#include "event/event.h"

namespace klaxon {

// The certificates in `status.certificate` (base64 of PEM) of the request and
// response objects. Leaf only. Empty where there is none, or none readable.
std::vector<CertificateInfo> IssuedCertificates(const EventView& event);

}  // namespace klaxon
