#include "pipeline/failpoint.h"

#if defined(KLAXON_FAILPOINTS)
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

namespace klaxon {

void HitFailpoint(const char* name) {
  static const char* const wanted = std::getenv("KLAXON_FAILPOINT");
  if (wanted == nullptr) return;
  const std::string_view text(wanted);
  const size_t colon = text.find(':');
  if (text.substr(0, colon) != name) return;
  static std::atomic<int> hits{0};
  int at = 1;
  if (colon != text.npos) {
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), at);
  }
  if (++hits == at) kill(getpid(), SIGKILL);
}

}  // namespace klaxon
#endif
