// What stands on stderr when a scan is over. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "pipeline/scan.h"

namespace klaxon {

struct SummaryInput {
  ScanSummary scan;
  double seconds = 0;
  uint64_t gaps = 0;            // Inputs, or parts of one, that are missing.
  uint64_t filtered = 0;        // Alerts that no sink wanted.
  std::string quarantine_path;  // Empty: none.
  std::vector<std::string> alert_files;  // Where alerts went besides stdout.
  bool interrupted = false;
  bool judged = true;  // False for `observe`: no alerts to speak of.
};

// interface.md's klaxon.summary/v1, one line with its newline.
std::string FormatSummaryJson(const SummaryInput& input);
// A few aligned lines. Safe for a terminal.
std::string FormatSummaryText(const SummaryInput& input);

}  // namespace klaxon
