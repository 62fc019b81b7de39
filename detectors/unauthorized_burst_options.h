// The options of unauthorized-burst. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "detectors/options.h"

namespace klaxon {

std::vector<OptionInfo> UnauthorizedBurstOptions();
// Why they do not fit together, and which one is at fault; empty: they do.
std::string UnauthorizedBurstContradiction(const DetectorOptions& options,
                                           std::string_view* option);

}  // namespace klaxon
