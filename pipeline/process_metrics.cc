// What /proc knows of this process.
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>

#include "pipeline/metrics.h"

namespace klaxon {
namespace {

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// "btime 1795500000" of /proc/stat: seconds since 1970.
double BootTime() {
  std::istringstream lines(ReadFile("/proc/stat"));
  std::string line;
  constexpr std::string_view kName = "btime ";
  while (std::getline(lines, line)) {
    if (line.compare(0, kName.size(), kName) != 0) continue;
    uint64_t seconds = 0;
    std::from_chars(line.data() + kName.size(), line.data() + line.size(),
                    seconds);
    return static_cast<double>(seconds);
  }
  return 0;
}

uint64_t CountOpenFiles() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (error) return 0;
  const auto count = std::distance(begin(files), end(files));
  return count > 0 ? static_cast<uint64_t>(count - 1) : 0;  // Not our own.
}

}  // namespace

ProcessMetrics ReadProcessMetrics() {
  ProcessMetrics process;
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  // Fields from the third on: the name before them may hold anything.
  const std::string stat = ReadFile("/proc/self/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end != std::string::npos && ticks > 0) {
    std::istringstream fields(stat.substr(name_end + 1));
    std::string skipped;
    double user = 0;
    double kernel = 0;
    double start = 0;
    uint64_t pages = 0;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    fields >> user >> kernel;  // 14, 15
    for (int field = 16; field < 20; ++field) fields >> skipped;
    fields >> process.threads >> skipped >> start;  // 20, 22
    fields >> process.virtual_bytes >> pages;       // 23, 24
    process.cpu_seconds = (user + kernel) / ticks;
    process.start_time_seconds = BootTime() + start / ticks;
    process.resident_bytes =
        pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }
  process.open_files = CountOpenFiles();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    process.open_files_max = limit.rlim_cur;
  }
  return process;
}

}  // namespace klaxon
