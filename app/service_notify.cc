#include "app/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace klaxon {

void NotifyService(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || (path[0] != '/' && path[0] != '@') ||
      std::strlen(path) >= sizeof(address.sun_path)) {
    return;
  }
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';  // An abstract name.
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                           std::strlen(path));
  // Nobody to tell, nothing to do: systemd's own timers notice.
  [[maybe_unused]] const ssize_t sent =
      sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&address), size);
  close(fd);
}

absl::Duration WatchdogInterval() {
  const char* text = std::getenv("WATCHDOG_USEC");
  if (text == nullptr) return absl::InfiniteDuration();
  const long long micros = std::strtoll(text, nullptr, 10);
  if (micros <= 0) return absl::InfiniteDuration();
  return absl::Microseconds(micros) / 2;
}

}  // namespace klaxon
