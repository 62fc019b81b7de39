#include "pipeline/engine_config.h"

namespace klaxon {

ClusterConfig ClusterConfig::Defaults() {
  ClusterConfig config;
  for (const DetectorInfo* info : AllDetectors()) {
    config.detectors.emplace(std::string(info->name), DetectorOptions(*info));
  }
  return config;
}

}  // namespace klaxon
