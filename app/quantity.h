// Numbers as people read them. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>

namespace klaxon {

std::string FormatBytes(double bytes);    // "0 B", "3.4 kB", "1.3 GB".
std::string FormatRate(double value);     // "812", "8.1k", "1.2M".
std::string FormatCount(uint64_t count);  // "1,234,567".
std::string FormatClock(double seconds);  // "0:12", "1:02:03".
// "1 line", "2 lines".
std::string Plural(uint64_t count, const char* noun);

}  // namespace klaxon
