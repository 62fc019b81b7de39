// The effective configuration of everything between bytes and alerts.
//
// Built by app/ from YAML, flags and defaults; immutable afterwards; any
// thread reads it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "detectors/certificate.h"
#include "detectors/options.h"
#include "event/networks.h"
#include "event/time.h"

namespace klaxon {

struct ClusterConfig {
  Networks networks;
  std::vector<std::string> public_paths = DefaultPublicPaths();
  // One entry for each of AllDetectors(), by name.
  std::map<std::string, DetectorOptions, std::less<>> detectors;
  // Contents of the files that old-certificate's `inventory` names.
  std::vector<CertificateInfo> inventory;

  static ClusterConfig Defaults();
};

// How long a stream waits for events that come late, by kind of source.
struct ReorderTimes {
  Nanos file = kSecond / 2;
  Nanos kafka = 5 * kSecond;
  Nanos webhook = 2 * kSecond;
};

struct EngineConfig {
  std::string default_cluster = "default";
  ClusterConfig base = ClusterConfig::Defaults();
  // Clusters that differ: complete, the overlay already applied.
  std::map<std::string, ClusterConfig, std::less<>> clusters;
  ReorderTimes reorder;
  uint64_t keys_max = 1'000'000;            // Of each table (state.keys_max).
  uint64_t reorder_memory_bytes = 8 << 20;  // Then the buffer spills to disk.
  std::string spill_dir;                    // Empty: $TMPDIR or /tmp.

  const ClusterConfig& For(std::string_view cluster) const {
    auto it = clusters.find(cluster);
    return it == clusters.end() ? base : it->second;
  }
};

}  // namespace klaxon
