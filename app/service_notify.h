// Tells systemd how we are (sd_notify(3)): a datagram to $NOTIFY_SOCKET. Where
// there is none, nothing happens.
//
// Any thread.
#pragma once

#include <string_view>

#include "absl/time/time.h"

namespace klaxon {

// "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…", lines of them.
void NotifyService(std::string_view state);
// How often systemd wants a "WATCHDOG=1"; InfiniteDuration: it does not.
absl::Duration WatchdogInterval();

}  // namespace klaxon
