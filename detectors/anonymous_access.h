// anonymous-access: a request without any credential was let in.
// detections.md, "anonymous-access".
#pragma once

#include <memory>

#include "detectors/detector.h"

namespace klaxon {

const DetectorInfo& AnonymousAccessInfo();
std::unique_ptr<Detector> MakeAnonymousAccess(const DetectorInput& input);

// What `authorization.k8s.io/reason` of the RBAC authorizer says:
//   RBAC: allowed by ClusterRoleBinding "B" of ClusterRole "R" to Group "G"
// (k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac.) Empty: it says no such.
struct RbacReason {
  std::string binding_kind;  // ClusterRoleBinding | RoleBinding
  std::string binding;       // RoleBinding: "name/namespace".
  std::string role_kind;
  std::string role;
  std::string subject_kind;
  std::string subject;
};
RbacReason ParseRbacReason(std::string_view reason);

}  // namespace klaxon
