// klaxon-generate KIND BYTES SEED [--clients N]: audit logs for benchmarks.
//
// The log goes to stdout; what is in it, as one JSON object, to stderr.
// Exit: 0 done, 1 stdout was closed, 2 usage.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "bench/traffic.h"

namespace klaxon {
namespace {

constexpr std::string_view kUsage =
    "usage: klaxon-generate metadata|mixed|unauthorized|hostile|flood "
    "BYTES SEED [--clients N]\n";

bool ParseKind(std::string_view text, TrafficKind* kind) {
  if (text == "metadata") {
    *kind = TrafficKind::kMetadata;
  } else if (text == "mixed") {
    *kind = TrafficKind::kMixed;
  } else if (text == "unauthorized") {
    *kind = TrafficKind::kUnauthorized;
  } else if (text == "hostile") {
    *kind = TrafficKind::kHostile;
  } else if (text == "flood") {
    *kind = TrafficKind::kFlood;
  } else {
    return false;
  }
  return true;
}

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *number);
  return error == std::errc() && stop == end;
}

bool ParseArguments(int argc, char** argv, TrafficOptions* options) {
  if (argc != 4 && argc != 6) return false;
  if (!ParseKind(argv[1], &options->kind) ||
      !ParseNumber(argv[2], &options->bytes) ||
      !ParseNumber(argv[3], &options->seed)) {
    return false;
  }
  return argc == 4 || (std::strcmp(argv[4], "--clients") == 0 &&
                       ParseNumber(argv[5], &options->hostile_clients));
}

void PrintTruth(const TrafficTruth& truth) {
  const auto number = [](uint64_t n) {
    return static_cast<unsigned long long>(n);
  };
  std::fprintf(stderr,
               "{\"bytes\":%llu,\"events\":%llu,\"requests\":%llu,"
               "\"unauthenticated\":%llu,\"anonymous\":%llu,"
               "\"with_bodies\":%llu,\"hostile_clients\":%llu}\n",
               number(truth.bytes), number(truth.events),
               number(truth.requests), number(truth.unauthenticated),
               number(truth.anonymous), number(truth.with_bodies),
               number(truth.hostile_clients));
}

int Generate(const TrafficOptions& options) {
  constexpr size_t kFlushBytes = 256 << 10;
  Traffic traffic(options);
  std::string text;
  bool more = true;
  while (more) {
    text.clear();
    while (text.size() < kFlushBytes && (more = traffic.AppendNext(&text))) {
    }
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
      return 1;
    }
  }
  if (std::fflush(stdout) != 0) return 1;
  PrintTruth(traffic.truth());
  return 0;
}

}  // namespace
}  // namespace klaxon

int main(int argc, char** argv) {
  klaxon::TrafficOptions options;
  if (!klaxon::ParseArguments(argc, argv, &options)) {
    std::fwrite(klaxon::kUsage.data(), 1, klaxon::kUsage.size(), stderr);
    return 2;
  }
  return klaxon::Generate(options);
}
