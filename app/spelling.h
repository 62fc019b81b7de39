// "Did you mean …?": the known name nearest to a mistyped one.
//
// Pure functions, any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace klaxon {

// Least number of insertions, deletions, substitutions and swaps of neighbours
// (each place edited at most once) that turn `a` into `b`; texts longer than
// 64 bytes are cut there.
size_t EditDistance(std::string_view a, std::string_view b);

// The nearest of `names` if it is near enough to be meant (a third of its
// length, at least 1); else empty. The first of equally near ones.
std::string_view NearestName(std::string_view typed,
                             std::span<const std::string_view> names);

// "; did you mean \"networks\"?", or where nothing is near, "; known are a, b".
std::string SuggestName(std::string_view typed,
                        std::span<const std::string_view> names);

}  // namespace klaxon
