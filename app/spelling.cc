#include "app/spelling.h"

#include <algorithm>
#include <array>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace klaxon {

namespace {
constexpr size_t kTextMax = 64;
}  // namespace

size_t EditDistance(std::string_view a, std::string_view b) {
  a = a.substr(0, kTextMax);
  b = b.substr(0, kTextMax);
  using Row = std::array<size_t, kTextMax + 1>;
  Row before{}, last{}, row{};
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

std::string_view NearestName(std::string_view typed,
                             std::span<const std::string_view> names) {
  std::string_view nearest;
  size_t least = SIZE_MAX;
  for (std::string_view name : names) {
    size_t distance = EditDistance(typed, name);
    size_t enough = std::max<size_t>(1, name.size() / 3);
    if (distance <= enough && distance < least) {
      least = distance;
      nearest = name;
    }
  }
  return nearest;
}

std::string SuggestName(std::string_view typed,
                        std::span<const std::string_view> names) {
  std::string_view nearest = NearestName(typed, names);
  if (!nearest.empty()) return fmt::format("; did you mean \"{}\"?", nearest);
  return fmt::format("; known here: {}", fmt::join(names, ", "));
}

}  // namespace klaxon
