// requestURI → path: without query, percent-decoded once, "//" and dot
// segments collapsed (detections.md, "path"). Pure functions, any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace klaxon {

// The normalised path of `request_uri`: a part of that, or what was written
// into `*buffer` (reused memory). "/a/./b//../c?x=1" → "/a/c"; a trailing slash
// stays; ".." never climbs above the root; a bad escape ("%zz") stays as it is
// written.
std::string_view NormalizePath(std::string_view request_uri,
                               std::string* buffer);

// Whether `path` (normalised) is one of `public_paths`. Behind /healthz,
// /livez, /readyz and /version a trailing "/" is optional, all others are
// exact.
bool IsPublicPath(std::string_view path,
                  std::span<const std::string> public_paths);

// First two segments: "/apis/apps/v1" → "/apis/apps"; "/" → "/".
std::string_view FirstTwoSegments(std::string_view path);

// Whether `path` is discovery: /api, /apis, /openapi, /version, /healthz,
// /livez, /readyz and what lies below them without naming a resource, i.e.
// /api/v1, /apis/GROUP, /apis/GROUP/VERSION, /openapi/….
// (k8s.io/kubernetes bootstrappolicy, ClusterRole system:discovery.)
bool IsDiscoveryPath(std::string_view path);

}  // namespace klaxon
