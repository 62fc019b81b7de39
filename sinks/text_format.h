// Alerts as text that a person reads, in a terminal or a file.
//
// Whatever an alert holds may be an attacker's: nothing of it reaches the
// terminal but printable characters. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>

#include "detectors/alert.h"

namespace klaxon {

struct TextFormatOptions {
  // Colour and bold, by ANSI escape sequences.
  bool colour = false;
  // "·", "–", "…" and the like; else ASCII stands for them.
  bool unicode = true;
  // Width of the terminal, in columns. Paragraphs are wrapped and tables cut
  // to it (within 60 to 160); commands never are, so that they can be copied.
  int columns = 100;
};

// Appends `alert` as a block of lines, an empty one at the end.
void AppendText(const Alert& alert, const TextFormatOptions& options,
                std::string* out);

}  // namespace klaxon
