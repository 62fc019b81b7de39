#include "detectors/options.h"

#include <cstdio>
#include <cstdlib>

namespace klaxon {
namespace {

// A detector that asks for an option it does not have is a programmer's
// error; going on with a made-up threshold would be worse than stopping.
[[noreturn]] void DieOfOption(std::string_view name, const char* what) {
  std::fprintf(stderr, "klaxon: option %.*s: %s\n",
               static_cast<int>(name.size()), name.data(), what);
  std::abort();
}

template <typename T>
const T& As(const OptionValue& value, std::string_view name) {
  const T* typed = std::get_if<T>(&value);
  if (typed == nullptr) DieOfOption(name, "asked for as another type");
  return *typed;
}

}  // namespace

DetectorOptions::DetectorOptions(const DetectorInfo& info) {
  for (const OptionInfo& option : info.options) {
    Set(option.name, option.default_value);
  }
}

void DetectorOptions::Set(std::string_view name, OptionValue value) {
  values_.insert_or_assign(std::string(name), std::move(value));
}

const OptionValue& DetectorOptions::Get(std::string_view name) const {
  auto it = values_.find(name);
  if (it == values_.end()) DieOfOption(name, "does not exist");
  return it->second;
}

bool DetectorOptions::GetBool(std::string_view name) const {
  return As<bool>(Get(name), name);
}

int64_t DetectorOptions::GetCount(std::string_view name) const {
  return As<int64_t>(Get(name), name);
}

Nanos DetectorOptions::GetDuration(std::string_view name) const {
  return As<Duration>(Get(name), name).nanos;
}

const std::vector<std::string>& DetectorOptions::GetTexts(
    std::string_view name) const {
  return As<std::vector<std::string>>(Get(name), name);
}

const std::vector<Cidr>& DetectorOptions::GetCidrs(
    std::string_view name) const {
  return As<std::vector<Cidr>>(Get(name), name);
}

const std::vector<AllowEntry>& DetectorOptions::GetAllowList(
    std::string_view name) const {
  return As<std::vector<AllowEntry>>(Get(name), name);
}

}  // namespace klaxon
