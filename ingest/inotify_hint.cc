#include "ingest/inotify_hint.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>

namespace klaxon {

InotifyHint::InotifyHint() : fd_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

InotifyHint::~InotifyHint() {
  if (fd_ >= 0) close(fd_);
}

void InotifyHint::Watch(const std::string& directory) {
  if (fd_ < 0 || watches_.contains(directory)) return;
  constexpr uint32_t kEvents = IN_MODIFY | IN_CREATE | IN_MOVED_TO |
                               IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
  const int watch = inotify_add_watch(fd_, directory.c_str(), kEvents);
  if (watch >= 0) watches_[directory] = watch;
}

bool InotifyHint::Take() {
  if (fd_ < 0) return false;
  alignas(inotify_event) char buffer[16 << 10];
  bool any = false;
  for (ssize_t got; (got = read(fd_, buffer, sizeof(buffer))) > 0;) {
    any = true;
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof(event));
      at += static_cast<ssize_t>(sizeof(event)) + event.len;
      // The directory is gone, and may come back as another.
      if ((event.mask & IN_IGNORED) != 0) {
        std::erase_if(watches_, [gone = event.wd](const auto& watch) {
          return watch.second == gone;
        });
      }
    }
  }
  return any;
}

}  // namespace klaxon
