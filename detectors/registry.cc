// The detectors that exist, in judging order (alphabetical: none depends on
// another's alerts yet).
#include <array>

#include "detectors/anonymous_access.h"
#include "detectors/anonymous_probing.h"
#include "detectors/forged_identity.h"
#include "detectors/old_certificate.h"
#include "detectors/service_account_external.h"
#include "detectors/unauthorized_burst.h"

namespace klaxon {

std::span<const DetectorEntry> DetectorRegistry() {
  static const auto* const registry = new std::array<DetectorEntry, 6>{{
      {.info = &AnonymousAccessInfo(),
       .traits = kTraitAnonymousLetIn,
       .wants_sightings = false,
       .wants_anonymous = false,
       .wants_failures = false,
       .make = MakeAnonymousAccess},
      {.info = &AnonymousProbingInfo(),
       .traits = 0,
       .wants_sightings = false,
       .wants_anonymous = true,
       .wants_failures = false,
       .make = MakeAnonymousProbing},
      {.info = &ForgedIdentityInfo(),
       .traits = 0,
       .wants_sightings = true,
       .wants_anonymous = false,
       .wants_failures = false,
       .make = MakeForgedIdentity},
      {.info = &OldCertificateInfo(),
       .traits = kTraitCertificateRequest,
       .wants_sightings = true,
       .wants_anonymous = false,
       .wants_failures = false,
       .make = MakeOldCertificate},
      {.info = &ServiceAccountExternalInfo(),
       .traits = 0,
       .wants_sightings = true,
       .wants_anonymous = false,
       .wants_failures = false,
       .make = MakeServiceAccountExternal},
      {.info = &UnauthorizedBurstInfo(),
       .traits = kTraitLoginFailed,
       .wants_sightings = true,
       .wants_anonymous = false,
       .wants_failures = true,
       .make = MakeUnauthorizedBurst},
  }};
  return *registry;
}

std::span<const DetectorInfo* const> AllDetectors() {
  static const auto* const infos = [] {
    auto* list = new std::vector<const DetectorInfo*>();
    for (const DetectorEntry& entry : DetectorRegistry()) {
      list->push_back(entry.info);
    }
    return list;
  }();
  return *infos;
}

const DetectorInfo* FindDetector(std::string_view name) {
  for (const DetectorInfo* info : AllDetectors()) {
    if (info->name == name) return info;
  }
  return nullptr;
}

}  // namespace klaxon
