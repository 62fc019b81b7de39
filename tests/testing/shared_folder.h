// The recordings and public logs that tests read where they are:
// $KLAXON_SHARED, or the folder beside the checkout. A user has none: skip
// visibly without it.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace klaxon {

inline std::filesystem::path SharedFolder() {
  if (const char* folder = std::getenv("KLAXON_SHARED")) return folder;
  return std::filesystem::path(KLAXON_SOURCE_DIR) / ".." / "shared";
}

}  // namespace klaxon
