// Writing to a file descriptor to the last byte, or knowing why not.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace klaxon {

// Writes all of `bytes` to `fd`, over short writes, EINTR, and EAGAIN of a
// non-blocking descriptor (waits). On an error some of the bytes may have been
// written. ResourceExhausted: no room (ENOSPC, EDQUOT, EFBIG); Cancelled: the
// reader of the pipe has gone (EPIPE); Unavailable: all else. The message is
// "`name`: …". REQUIRES: the process ignores SIGPIPE and SIGXFSZ, else they end
// it before there is anything to return.
absl::Status WriteAll(int fd, std::string_view bytes, std::string_view name);

}  // namespace klaxon
